"""What a vote came to, as pages, pictures, sheets and JSON tell it: the words of the group, and fields for programs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.events import Person
from shellbot.markup import one_line
from shellbot.polls.export import counts_sheet, facts
from shellbot.polls.records import Round, Seat, tally
from shellbot.polls.sheet import rows
from shellbot.polls.spec import Spec, make
from shellbot.polls.standing import Standing
from shellbot.polls.tally import count
from shellbot.roster import Member

MERGE = make("Merge?", kind="yesno", quorum="2", threshold="2/3")
FOOD = make("Food?", kind="rating")
LUNCH = make("Lunch?", ("Pizza", "Sushi"))
MISSED = "missed, so that nothing is decided"


def standing(spec: Spec, *votes: str, is_over: bool = True) -> Standing:
    result = count(spec, [(vote,) for vote in votes], 3)
    return Standing(1, spec.question, "", "Closed." if is_over else "Open.", len(votes), 3, is_over, result)


@pytest.mark.parametrize(
    ("poll", "verdict"),
    [
        (standing(LUNCH, "Pizza"), "Pizza has the most votes."),
        (standing(LUNCH, "Pizza", "Sushi"), "A tie between Pizza and Sushi."),
        (standing(LUNCH), "Nobody voted."),
        (standing(LUNCH, is_over=False), "Nobody has voted yet."),
        (standing(FOOD, "4", "5"), "4.5 of 5 on average."),
        (
            standing(MERGE, "Yes"),
            f"Yes has the most votes. The quorum of 2 is {MISSED}. The threshold of 2/3 is reached.",
        ),
        (
            standing(MERGE, "Yes", "No"),
            f"A tie between Yes and No. The quorum of 2 is reached. The threshold of 2/3 is {MISSED}.",
        ),
        (
            standing(MERGE, "Yes", is_over=False),
            "Yes has the most votes. The quorum of 2 is not reached yet. The threshold of 2/3 is reached.",
        ),
    ],
)
def test_the_verdict_stands_in_json_and_in_each_row_of_the_sheet(poll, verdict):
    assert facts(poll)["verdict"] == verdict
    head, *table = rows(counts_sheet(poll.result, poll.verdict))
    assert head.cells == ("choice", "votes", "voted", "asked", "verdict")
    assert {row.cells[4] for row in table} == {verdict}


def test_json_has_fields_for_what_decides():
    told = facts(standing(MERGE, "Yes"))
    assert (told["winner"], told["quorum"], told["has_quorum"]) == (None, 2, False)
    assert (told["threshold"], told["has_threshold"]) == ("2/3", True)
    assert facts(standing(FOOD, "4", "5"))["average"] == 4.5


def test_of_a_count_that_is_not_to_be_seen_nothing_is_told():
    told = facts(Standing(1, "Merge?", "", "Open.", 1, 3, False))
    hidden = ("counts", "verdict", "winner", "average", "quorum", "has_quorum", "threshold", "has_threshold")
    assert [told[name] for name in hidden] == [None] * len(hidden)


@pytest.mark.parametrize(("state", "silent"), [("open", ()), ("closing", ()), ("closed", ("Person B",))])
def test_only_of_a_close_somebody_is_said_not_to_have_confirmed_it(state, silent):
    person = Person("person-b", "Person B")
    seats = {"direct": Seat(Member(person, "direct"), reached="shown")}
    round = Round("id", "group", 1, LUNCH, person, datetime(2026, 11, 20, tzinfo=UTC), None, state, seats)
    assert tally(round, [("Pizza",)]).silent == silent


@given(st.text(st.sampled_from("a*\\_`1.=< "), min_size=1).filter(lambda text: one_line(text)))
def test_a_verdict_has_the_choice_as_it_was_written(choice):
    spec = Spec("Which?", (choice, "another"))
    assert standing(spec, choice).verdict == f"{one_line(choice)} has the most votes."
