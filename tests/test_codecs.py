"""Values to bytes and back, and what is refused."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import math
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.codecs import MAX_BYTES, decode, encode
from shellbot.errors import InvalidMessage, MessageTooLarge, NotFinite, NotSerializable, TooDeep

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30)
HOSTILE = st.recursive(
    SCALARS | st.binary() | st.just(object()) | st.just({1}) | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


def is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    return not isinstance(value, list) or all(map(is_finite, value))


@given(VALUES)
def test_a_value_comes_back_or_is_refused(value: Any) -> None:
    try:
        data = encode(value)
    except NotFinite:
        assert not is_finite(value)
        return
    assert is_finite(value)
    assert decode(data) == decode(data.decode()) == json.loads(data) == value
    assert b"\n" not in data
    assert not data.startswith(b"\xff")


@given(HOSTILE)
def test_what_cannot_travel_is_refused_with_an_error_of_ours(value: Any) -> None:
    path = "$"
    try:
        assert decode(encode(value)) == value
    except InvalidMessage as error:
        path = error.path
    assert path.startswith("$")


@dataclasses.dataclass
class Thing:
    name: str = "x"


@pytest.mark.parametrize(
    "value",
    [object(), b"x", {1}, datetime.datetime.now(datetime.UTC), Thing(), 2**64, -(2**63) - 1, 1j, "\ud800", lambda: 0],
)
def test_refusals_name_the_place(value: Any) -> None:
    with pytest.raises(NotSerializable) as caught:
        encode({"a": [1, {"b": value}]})
    assert caught.value.path == "$.a[1].b"


@pytest.mark.parametrize("key", [1, None, 1.5, True, ("a",)])
def test_keys_are_texts(key: Any) -> None:
    with pytest.raises(NotSerializable) as caught:
        encode({"a": {key: 1}})
    assert caught.value.path == "$.a"


def test_a_key_is_valid_unicode() -> None:
    with pytest.raises(NotSerializable):
        encode({"\ud800": 1})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("pad", [0, 1000])
def test_numbers_are_finite(value: float, pad: int) -> None:
    for message in (value, [value], {"a": "x" * pad, "b": value}, {"a": "x" * pad, "b": {"c": [None, value]}}):
        with pytest.raises(NotFinite):
            encode(message)
    with pytest.raises(NotFinite) as caught:
        encode({"a": "x" * pad, "b": [0, value]})
    assert caught.value.path == "$.b[1]"


def test_a_named_tuple_is_refused_and_a_tuple_is_a_list() -> None:
    from collections import namedtuple

    with pytest.raises(NotSerializable):
        encode([namedtuple("Pair", "a b")(1, 2)])
    assert decode(encode({"a": (1, (2,))})) == {"a": [1, [2]]}


def test_ids_and_enums_travel_as_their_values() -> None:
    number = uuid.uuid4()
    kind = enum.Enum("Kind", {"A": "a"})
    assert decode(encode([number, kind.A])) == [str(number), "a"]


@pytest.mark.parametrize("depth", [63, 64])
def test_64_levels_travel(depth: int) -> None:
    value: Any = 1
    for n in range(depth):
        value = [value] if n % 2 else {"a": value}
    assert decode(encode(value)) == value


@pytest.mark.parametrize("depth", [65, 66, 200, 1000, 100_000])
def test_more_levels_are_refused_both_ways(depth: int) -> None:
    value: Any = 1
    for n in range(depth):
        value = [value] if n % 2 else {"a": value}
    with pytest.raises(TooDeep):
        encode(value)
    for opening, closing in ("[]", ('{"a":[', "]}")):
        with pytest.raises(InvalidMessage):
            decode(opening * depth + "1" + closing * depth)


def test_brackets_in_texts_are_no_levels() -> None:
    value = {"a": ["[" * 1000, "{" * 1000], "b": [[]] * 1000}
    assert decode(encode(value)) == value


def test_a_cycle_is_refused() -> None:
    value: list[Any] = []
    value.append({"a": value})
    with pytest.raises(TooDeep):
        encode(value)


def test_one_mebibyte_travels_and_one_byte_more_does_not() -> None:
    assert len(encode("x" * (MAX_BYTES - 2))) == MAX_BYTES
    with pytest.raises(MessageTooLarge) as caught:
        encode("x" * (MAX_BYTES - 1))
    assert (caught.value.size_bytes, caught.value.limit_bytes) == (MAX_BYTES + 1, MAX_BYTES)
    with pytest.raises(MessageTooLarge):
        decode('"' + "x" * MAX_BYTES + '"')


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", "Infinity", "'a'", "1" * 400, '"\\ud800"', b"\xff", b'"\xff"', "[1,]"]
)
def test_what_is_no_json_is_refused(text: Any) -> None:
    try:
        value = decode(text)
    except InvalidMessage:
        return
    # A number of 400 digits is JSON; it may be read as infinity nowhere.
    assert text == "1" * 400
    assert math.isfinite(value)


@given(st.binary(max_size=200))
def test_random_bytes_never_surprise(data: bytes) -> None:
    try:
        decode(data)
    except InvalidMessage:
        pass
