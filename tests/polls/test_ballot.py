"""What people type on a ballot."""

from __future__ import annotations

import pytest

from shellbot.errors import UnknownChoice
from shellbot.polls.ballot import find, labels, split_number

LUNCH = ("Pizza", "Sushi", "Fish, chips")


@pytest.mark.parametrize("typed", ["2", "sushi", " SUSHI ", "Sushi.", "2.", "sushi!"])
def test_a_choice_is_found_by_number_or_words(typed):
    assert find(typed, LUNCH) == "Sushi"


@pytest.mark.parametrize("typed", ["", "0", "4", "-1", "sush", "sushi pizza", "²", "#2"])
def test_anything_else_is_refused_and_told_what_there_is(typed):
    with pytest.raises(UnknownChoice, match="1 Pizza, 2 Sushi, 3 Fish, chips"):
        find(typed, LUNCH)


def test_choices_that_are_numbers_get_letters_so_that_nobody_votes_for_another():
    assert labels(("3", "2", "1")) == ("a", "b", "c")
    assert find("3", ("3", "2", "1")) == "3"
    assert find("b", ("3", "2", "1")) == "2"


def test_a_number_in_front_says_which_ballot():
    assert split_number("#7 2") == (7, "2")
    assert split_number("sushi") == (None, "sushi")
