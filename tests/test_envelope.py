"""What the seal lets through, and what not."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.envelope import Envelope, Seal
from shellbot.errors import AuthenticationFailed

SEAL = Seal(b"k" * 32)
VOTE = Envelope(group="group", side="direct", id="1", re="0", n=7, do="poll", body={"choice": "Sushi", "at": 1.5})

json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def over_the_wire(message):
    return orjson.loads(orjson.dumps(message))


@given(st.dictionaries(st.text(), json, max_size=5))
def test_what_is_sealed_comes_out_as_it_went_in(body):
    envelope = Envelope(group="g", side="group", id="1", do="ask", body=body)
    assert SEAL.open("room", over_the_wire(SEAL.close("room", envelope))) == envelope


@pytest.mark.parametrize(
    ("field", "forged"),
    [
        ("group", "other"),
        ("side", "group"),
        ("id", "2"),
        ("re", "9"),
        ("n", 8),
        ("do", "ask"),
        ("body", {"choice": "Pizza", "at": 1.5}),
        ("v", 2),
        ("mac", "0" * 64),
        ("mac", "é"),
        ("mac", None),
        ("mac", 5),
        ("extra", 1),
    ],
)
def test_no_field_can_be_changed(field, forged):
    message = SEAL.close("room", VOTE)
    message[field] = forged
    with pytest.raises(AuthenticationFailed):
        SEAL.open("room", message)


def test_a_frame_cannot_be_moved_to_another_channel():
    with pytest.raises(AuthenticationFailed):
        SEAL.open("room2", SEAL.close("room", VOTE))


def test_another_key_does_not_open_it():
    with pytest.raises(AuthenticationFailed):
        Seal(b"x" * 32).open("room", SEAL.close("room", VOTE))


@pytest.mark.parametrize("message", [None, 0, "text", [], {}, {"choice": "sushi"}])
def test_messages_of_others_are_none_of_ours(message):
    assert SEAL.open("room", message) is None


@given(json)
def test_whatever_claims_to_be_sealed_is_refused_not_crashed_on(body):
    with pytest.raises(AuthenticationFailed):
        SEAL.open("room", {"v": 1, "mac": "0" * 64, "body": body})


def test_the_order_of_keys_does_not_matter():
    message = SEAL.close("room", VOTE)
    assert SEAL.open("room", dict(reversed(message.items()))) == VOTE
