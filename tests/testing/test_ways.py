"""What a fault proxy does to the bytes of one direction, without a socket."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.testing.ways import PIECE_BYTES, Way, random_gaps


def test_without_faults_only_the_size_of_a_piece_limits():
    way = Way()
    assert way.limit(10) == 10
    assert way.limit(10 * PIECE_BYTES) == PIECE_BYTES


def test_the_smallest_limit_counts():
    way = Way(slice_bytes=7, rate=500.0, cut_after=3)
    assert way.limit(100) == 3
    way.cut_after = None
    assert way.limit(100) == 5  # what goes in 10 ms
    way.rate = 0.0
    assert way.limit(100) == 7


def test_a_rate_spaces_what_is_sent():
    way = Way(rate=100.0)
    way.passed(10, now=5.0)
    way.passed(10, now=5.0)
    assert way.next_at == pytest.approx(5.2)


def test_cleared_it_is_as_new():
    way = Way(True, True, 1, 2.0, 3.0, 4.0, 5, 6, random_gaps(0.5, "7"))
    way.clear()
    assert way == Way()


@given(st.lists(st.binary(max_size=20)), st.integers(0, 400))
def test_one_bit_is_flipped_however_the_bytes_are_cut(parts: list[bytes], at: int) -> None:
    way = Way(flip_at=at, gaps=iter(()))
    spoiled = bytearray()
    flips = 0
    for part in parts:
        data = bytearray(part)
        flips += way.spoil(data)
        spoiled += data
    whole = b"".join(parts)
    expected = int.from_bytes(whole, "little") ^ (1 << at if at < 8 * len(whole) else 0)
    assert spoiled == expected.to_bytes(len(whole), "little")
    assert flips == (at < 8 * len(whole))


def test_random_flips_are_those_of_the_seed_and_as_many_as_they_should_be():
    def spoiled(seed: str, sizes: list[int]) -> bytes:
        gaps = random_gaps(0.01, seed)
        way = Way(flip_at=next(gaps), gaps=gaps)
        parts = [bytearray(size) for size in sizes]
        assert sum(way.spoil(part) for part in parts) == sum(part.bit_count() for part in _numbers(parts))
        return b"".join(parts)

    cuts = random.Random(1).choices(range(100), k=400)
    whole = spoiled("a", [sum(cuts)])
    assert spoiled("a", cuts) == whole
    assert spoiled("b", cuts) != whole
    assert int.from_bytes(whole, "little").bit_count() / (8 * len(whole)) == pytest.approx(0.01, rel=0.2)


def _numbers(parts: list[bytearray]) -> list[int]:
    return [int.from_bytes(part, "little") for part in parts]
