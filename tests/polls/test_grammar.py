"""What people type after ``poll``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.errors import UsageError
from shellbot.polls.grammar import MAX_CHOICES, Spec, make, parse, parse_duration


@pytest.mark.parametrize(
    ("typed", "spec"),
    [
        ('"Lunch?" Pizza, Sushi, Salad in 10m', Spec("Lunch?", ("Pizza", "Sushi", "Salad"), 600)),
        ("Lunch? Pizza, Sushi", Spec("Lunch?", ("Pizza", "Sushi"))),
        ("“Lunch?” Pizza, Sushi in 90 seconds", Spec("Lunch?", ("Pizza", "Sushi"), 90)),
        ('"Fish?" "Fish, chips", Pizza in 1h 30m', Spec("Fish?", ("Fish, chips", "Pizza"), 5400)),
        ('"When?" in 5 minutes, later', Spec("When?", ("in 5 minutes", "later"))),
        ('"Where?" dance in 10 places, home', Spec("Where?", ("dance in 10 places", "home"))),
        ('"Lunch?" Pizza, Sushi,', Spec("Lunch?", ("Pizza", "Sushi"))),
        ('"Lunch?": Pizza, Sushi', Spec("Lunch?", ("Pizza", "Sushi"))),
    ],
)
def test_a_poll_is_read_as_it_was_meant(typed, spec):
    assert parse(typed) == spec


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("", "question"),
        ("Lunch Pizza Sushi", "question"),
        ('"Lunch? Pizza, Sushi', "closing"),
        ('"" Pizza, Sushi', "question"),
        ('"Lunch?"', "two choices"),
        ('"Lunch?" Pizza', "two choices"),
        ('"Lunch?" Pizza,, Sushi', "two choices"),
        ('"Lunch?" Pizza, pizza', "same"),
        ('"Lunch?" Pizza, Sushi in 10x', "duration"),
        ('"Lunch?" Pizza, Sushi in 0m', "zero"),
        ('"Lunch?" Pizza, Sushi in 900000d', "year"),
        (f'"{"x" * 301}" a, b', "300"),
        (f'"Lunch?" {"x" * 81}, b', "80"),
        ('"Lunch?" ' + ", ".join(map(str, range(MAX_CHOICES + 1))), str(MAX_CHOICES)),
    ],
)
def test_what_is_wrong_with_a_poll_is_told_in_one_line(typed, told):
    with pytest.raises(UsageError) as caught:
        parse(typed)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=200))
def test_any_text_is_a_poll_or_a_usage_error(typed):
    try:
        spec = parse(typed)
    except UsageError:
        return
    assert len(spec.choices) >= 2
    assert all(choice == choice.strip() and "\n" not in choice for choice in spec.choices)


@given(
    st.lists(st.text("abcxyz äß日,'", min_size=1, max_size=20), min_size=2, max_size=9),
    st.integers(1, 100),
    st.sampled_from("smhd"),
)
def test_what_is_quoted_comes_back_as_it_was(choices, number, unit):
    try:
        expected = make("What?", choices)
    except UsageError:
        return
    typed = '"What?" ' + ", ".join(f'"{choice}"' for choice in choices) + f" in {number}{unit}"
    assert parse(typed).choices == expected.choices


@pytest.mark.parametrize(
    ("typed", "seconds"), [("in 10m", 600), ("90s", 90), ("1h30m", 5400), ("in 2 hours", 7200), ("1.5 h", 5400)]
)
def test_durations(typed, seconds):
    assert parse_duration(typed) == seconds


@pytest.mark.parametrize("typed", ["", "10", "soon", "in 5 bananas", "-5m"])
def test_what_is_no_duration_is_refused_with_an_example(typed):
    with pytest.raises(UsageError, match=r"e\.g\."):
        parse_duration(typed)


@pytest.mark.parametrize("digits", [7, 12, 400, 6000])
def test_a_duration_that_is_far_too_long_is_refused_and_no_part_of_a_choice(digits):
    with pytest.raises(UsageError, match="between one second and a year"):
        parse(f'"Lunch?" Pizza, Sushi in {"9" * digits}d')
