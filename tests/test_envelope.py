"""What the seal lets through, and what not."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.codecs import MAX_BYTES
from shellbot.envelope import Envelope, Seal
from shellbot.errors import AuthenticationFailed, MessageTooLarge, NotFinite, NotSerializable

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


def sealed(envelope):
    """What is put on the channel named room."""
    return orjson.loads(SEAL.close("room", envelope))


@given(st.dictionaries(st.text(), json, max_size=5))
def test_what_is_sealed_comes_out_as_it_went_in(body):
    envelope = Envelope(group="g", side="group", id="1", do="ask", body=body)
    assert SEAL.open("room", sealed(envelope)) == envelope


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
    message = sealed(VOTE)
    message[field] = forged
    with pytest.raises(AuthenticationFailed):
        SEAL.open("room", message)


def test_a_frame_cannot_be_moved_to_another_channel():
    with pytest.raises(AuthenticationFailed):
        SEAL.open("room2", sealed(VOTE))


def test_another_key_does_not_open_it():
    with pytest.raises(AuthenticationFailed):
        Seal(b"x" * 32).open("room", sealed(VOTE))


@pytest.mark.parametrize("message", [None, 0, "text", [], {}, {"choice": "sushi"}])
def test_messages_of_others_are_none_of_ours(message):
    assert SEAL.open("room", message) is None


@given(json)
def test_whatever_claims_to_be_sealed_is_refused_not_crashed_on(body):
    with pytest.raises(AuthenticationFailed):
        SEAL.open("room", {"v": 1, "mac": "0" * 64, "body": body})


def test_the_order_of_keys_does_not_matter():
    message = sealed(VOTE)
    assert SEAL.open("room", dict(reversed(message.items()))) == VOTE


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"choice": float("nan")}, NotFinite),
        ({"choice": {1}}, NotSerializable),
        ({"choice": "a" * MAX_BYTES}, MessageTooLarge),
    ],
)
def test_what_cannot_travel_is_refused_before_it_is_sealed(body, error):
    with pytest.raises(error):
        SEAL.close("room", Envelope(group="group", side="direct", id="1", do="poll", body=body))


def test_what_is_too_large_only_with_its_seal_is_refused():
    def of_size(size):
        return Envelope(group="group", side="direct", id="1", do="poll", body={"choice": "a" * size})

    bare = len(SEAL.close("room", of_size(0)))
    assert len(SEAL.close("room", of_size(MAX_BYTES - bare))) == MAX_BYTES
    with pytest.raises(MessageTooLarge):
        SEAL.close("room", of_size(MAX_BYTES - bare + 1))
