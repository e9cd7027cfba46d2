"""How long ballots take, before any went out and as they do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.polls.speed import Speed, worded


def test_what_is_declared_counts_until_something_was_measured():
    speed = Speed(declared=7.5)
    assert worded(speed.left(300)) == "about 40 s"
    assert not speed.measure(19, 100.0)
    assert not speed.measure(300, 0.0)
    assert speed.left(300) == 40
    assert speed.measure(100, 50.0)
    assert worded(speed.left(200)) == "about 100 s" or worded(speed.left(200)) == "about 2 min"
    assert Speed(declared=7.5, measured=0.5).left(10) == 5


def test_without_either_it_is_fast():
    assert worded(Speed().left(100)) == "a moment"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "a moment"),
        (3.4, "about 3 s"),
        (12, "about 10 s"),
        (44, "about 40 s"),
        (300, "about 5 min"),
        (7200, "about 2.0 h"),
    ],
)
def test_lengths_are_said_as_people_say_them(seconds, told):
    assert worded(seconds) == told


@given(st.floats(2, 5399))
def test_what_is_said_is_near_what_it_is(seconds):
    _, number, unit = worded(seconds).split()
    assert abs(int(number) * (60 if unit == "min" else 1) - seconds) <= max(0.34 * seconds, 1)
