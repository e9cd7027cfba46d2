"""What people type and press on a ballot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.errors import UnknownChoice
from shellbot.polls.ballot import (
    DONE,
    find,
    from_text,
    from_wire,
    is_complete,
    labels,
    press,
    read,
    split_number,
    to_text,
    to_wire,
)
from shellbot.polls.spec import make

LUNCH = ("Pizza", "Sushi", "Fish, chips")
TOP = make("Top?", ["Ham", "Corn", "Salt and pepper", "Fish, chips"], kind="multiple", most=2)
MERGE = make("Merge?", kind="yesno")
FOOD = make("Food?", kind="rating")


@pytest.mark.parametrize("typed", ["2", "sushi", " SUSHI ", "Sushi.", "2.", "sushi!"])
def test_a_choice_is_found_by_number_or_words(typed):
    assert find(typed, LUNCH) == "Sushi"
    assert read(typed, make("Lunch?", LUNCH)) == ("Sushi",)


@pytest.mark.parametrize("typed", ["", "0", "4", "-1", "sush", "sushi pizza", "²", "#2"])
def test_d09_anything_else_is_refused_and_told_what_there_is(typed):
    with pytest.raises(UnknownChoice, match="1 Pizza, 2 Sushi, 3 Fish, chips"):
        find(typed, LUNCH)
    with pytest.raises(UnknownChoice, match="1 Pizza, 2 Sushi, 3 Fish, chips"):
        read(typed, make("Lunch?", LUNCH))


def test_choices_that_are_numbers_get_letters_so_that_nobody_votes_for_another():
    assert labels(("3", "2", "1")) == ("a", "b", "c")
    assert find("3", ("3", "2", "1")) == "3"
    assert find("b", ("3", "2", "1")) == "2"


def test_a_number_in_front_says_which_ballot():
    assert split_number("#7 2") == (7, "2")
    assert split_number("sushi") == (None, "sushi")


@pytest.mark.parametrize(
    ("typed", "vote"),
    [
        ("1", ("Ham",)),
        ("1, 2", ("Ham", "Corn")),
        ("2 1", ("Ham", "Corn")),
        ("corn and ham", ("Ham", "Corn")),
        ("ham; salt and pepper", ("Ham", "Salt and pepper")),
        ("salt and pepper", ("Salt and pepper",)),
        ("fish, chips", ("Fish, chips",)),
        ("1, 1", ("Ham",)),
        ("ham, corn.", ("Ham", "Corn")),
        ("None", ()),
    ],
)
def test_several_choices_are_typed_with_anything_between(typed, vote):
    assert read(typed, TOP) == vote


@pytest.mark.parametrize("typed", ["1, 2, 3", "ham, cheese", "", "5", "and", ","])
def test_too_many_or_unknown_ones_are_refused_and_told_what_there_is(typed):
    with pytest.raises(UnknownChoice, match="up to 2 of: 1 Ham, 2 Corn"):
        read(typed, TOP)


@pytest.mark.parametrize(("typed", "vote"), [("y", "Yes"), ("NO!", "No"), ("3", "Abstain"), ("yes.", "Yes")])
def test_yes_and_no_are_typed_in_short_or_in_full(typed, vote):
    assert read(typed, MERGE) == (vote,)


def test_choices_that_differ_by_a_mark_are_told_apart():
    party = make("Party?", ["Yes", "Yes!", "No"])
    assert [read(typed, party) for typed in ("Yes!", "yes!", "Yes", "yes.")] == [
        ("Yes!",),
        ("Yes!",),
        ("Yes",),
        ("Yes",),
    ]


def test_choices_that_read_like_numbers_have_letters_before_them():
    order = make("How many?", ["2.", "1."])
    assert [read(typed, order) for typed in ("1", "1.", "a", "b")] == [("1.",), ("1.",), ("2.",), ("1.",)]


@pytest.mark.parametrize(("typed", "vote"), [("4", "4"), ("4/5", "4"), (" 5. ", "5")])
def test_a_rating_is_typed_as_a_number(typed, vote):
    assert read(typed, FOOD) == (vote,)


@pytest.mark.parametrize("typed", ["0", "6", "a", "4.5", "good", "4/10", "3/4 of them were late", "4/"])
def test_a_rating_beyond_the_scale_is_told_the_scale(typed):
    with pytest.raises(UnknownChoice, match=r"a number from 1 \(lowest\) to 5 \(highest\)"):
        read(typed, FOOD)


def test_a_press_chooses_another_and_of_several_adds_or_takes_back():
    assert press("No", ("Yes",), MERGE) == ("No",)
    assert press("Corn", ("Ham",), TOP) == ("Ham", "Corn")
    assert press("Ham", ("Ham", "Corn"), TOP) == ("Corn",)
    assert press(DONE, ("Ham",), TOP) == ("Ham",)
    assert is_complete(("Ham", "Corn"), TOP)
    assert not is_complete(("Ham",), TOP)
    with pytest.raises(UnknownChoice, match="At most 2"):
        press("Salt and pepper", ("Ham", "Corn"), TOP)
    with pytest.raises(UnknownChoice):
        press(DONE, (), MERGE)
    with pytest.raises(UnknownChoice):
        press("Caviar", (), TOP)


SPECS = st.sampled_from([TOP, MERGE, FOOD, make("Lunch?", LUNCH), make("[1]?", ['["a"]', '"', "[]"], kind="multiple")])


@given(SPECS, st.data())
def test_a_vote_comes_back_from_the_bus_and_from_the_store(spec, data):
    vote: tuple[str, ...] = ()
    for value in data.draw(st.lists(st.sampled_from(spec.choices), min_size=1, max_size=6)):
        try:
            vote = press(value, vote, spec)
        except UnknownChoice:
            assert len(vote) == spec.most
    assert from_text(to_text(vote, spec), spec) == vote
    assert from_wire(to_wire(vote, spec), spec) == vote
    assert len(vote) <= spec.most


JSON = st.recursive(st.none() | st.integers() | st.text(max_size=3) | st.sampled_from(["Ham", "Yes", "1"]), st.lists)


@given(SPECS, JSON)
def test_d09_what_is_no_vote_of_this_poll_is_none(spec, value):
    vote = from_wire(value, spec)
    assert vote is None or (set(vote) <= set(spec.choices) and len(vote) <= spec.most)


def test_a_vote_with_one_choice_twice_or_too_many_is_none():
    assert from_wire(["Ham", "Ham"], TOP) is None
    assert from_wire(["Ham", "Corn", "Fish, chips"], TOP) is None
    assert from_wire("Ham", TOP) is None
    assert from_wire(["Yes"], MERGE) is None
