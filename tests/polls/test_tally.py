"""Counting, against a second and slower count that shares nothing with it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.polls.spec import make
from shellbot.polls.tally import bars, count, needed

CHOICES = ("Pizza", "Sushi", "Salad")
LUNCH = make("Lunch?", CHOICES)
TOP = make("Top?", CHOICES, kind="multiple", most=2)
MERGE = make("Merge?", kind="yesno")
FOOD = make("Food?", kind="rating")


def singles(*choices):
    return [(choice,) for choice in choices]


@given(st.lists(st.sampled_from(CHOICES)), st.integers(0, 20))
def test_d09_every_ballot_is_counted_once_and_a_tie_has_no_winner(ballots, absent):
    result = count(LUNCH, singles(*ballots), len(ballots) + absent)
    slow = [(sum(1 for ballot in ballots if ballot == choice), choice) for choice in CHOICES]
    assert [(votes, choice) for choice, votes in result.counts.items()] == slow
    best = max(slow)[0]
    leaders = [choice for votes, choice in slow if votes == best and votes > 0]
    assert result.winner == (leaders[0] if len(leaders) == 1 else None)
    assert result.answered == len(ballots)


@given(st.permutations(["Pizza", "Pizza", "Sushi", "Salad"]))
def test_the_order_of_the_ballots_changes_nothing(ballots):
    assert count(LUNCH, singles(*ballots), 4) == count(LUNCH, singles(*sorted(ballots)), 4)


@given(st.lists(st.lists(st.sampled_from(CHOICES), unique=True, max_size=2).map(tuple)))
def test_of_several_each_choice_is_counted_and_an_empty_ballot_is_none(ballots):
    result = count(TOP, ballots, 100)
    flat = [choice for ballot in ballots for choice in ballot]
    assert dict(result.counts) == {choice: flat.count(choice) for choice in CHOICES}
    assert result.answered == len([ballot for ballot in ballots if len(ballot) > 0])


@given(st.lists(st.sampled_from(["Yes", "No", "Abstain"])), st.integers(1, 100), st.integers(0, 30))
def test_yes_and_no_are_weighed_and_who_abstains_counts_for_the_quorum_only(ballots, percent, quorum):
    spec = make("Merge?", kind="yesno", threshold=f"{percent}%", quorum=str(quorum))
    result = count(spec, singles(*ballots), 50)
    yes, no = ballots.count("Yes"), ballots.count("No")
    if len(ballots) < quorum or yes == no:
        expected = None
    else:
        lead = Decimal(max(yes, no)) * 100
        expected = ("Yes" if yes > no else "No") if lead >= Decimal(percent) * (yes + no) else None
    assert result.winner == expected
    assert result.answered == len(ballots)
    assert result.has_quorum == (len(ballots) >= quorum)


@given(st.lists(st.integers(1, 5), min_size=1))
def test_a_rating_comes_to_its_average(steps):
    result = count(FOOD, singles(*map(str, steps)), 100)
    assert result.average == pytest.approx(sum(steps) / len(steps))
    assert result.winner is None
    assert list(result.counts.values()) == [steps.count(step) for step in range(1, 6)]


def test_a_rating_that_nobody_gave_has_no_average():
    assert count(FOOD, [], 3).average is None


@pytest.mark.parametrize(
    ("threshold", "yes", "no", "winner"),
    [("2/3", 2, 1, "Yes"), ("67%", 2, 1, None), ("60%", 3, 2, "Yes"), ("50%", 1, 1, None), ("100%", 3, 0, "Yes")],
)
def test_a_threshold_is_reached_by_exactly_its_share(threshold, yes, no, winner):
    spec = make("Merge?", kind="yesno", threshold=threshold)
    assert count(spec, singles(*["Yes"] * yes, *["No"] * no, "Abstain"), 9).winner == winner


@pytest.mark.parametrize(
    ("quorum", "asked", "votes"), [("", 9, 0), ("5", 9, 5), ("50%", 9, 5), ("50%", 8, 4), ("2/3", 9, 6)]
)
def test_d09_a_quorum_in_percent_is_of_the_roll_and_rounded_up(quorum, asked, votes):
    assert needed(quorum, asked) == votes


def test_bars_show_counts_and_both_shares_in_columns():
    lines = bars(count(make("Lunch?", ("Pizza", "日本")), singles("Pizza", "Pizza", "日本"), 4)).split("\n")
    assert lines == [
        "                       of votes  of all",
        "Pizza 2  ████████████      67 %    50 %",
        "日本 1   ██████            33 %    25 %",
    ]


def test_bars_of_names_that_are_too_long_for_a_phone_stand_below_them():
    long = "A choice that says quite exactly what is meant, and more"
    spec = make("Plan?", ("Sandwiches 2", "日" * 30, long))
    assert bars(count(spec, singles(long, long, "日" * 30), 3)).split("\n") == [
        "              of votes  of all",
        "Sandwiches 2 0",
        "                   0 %     0 %",
        "日" * 22,
        "日" * 8 + " 1",
        "██████            33 %    33 %",
        "A choice that says quite exactly what is",
        "meant, and more 2",
        "████████████      67 %    67 %",
    ]


@given(st.lists(st.text("ab 日e\u0301", min_size=1, max_size=80), min_size=2, max_size=4))
def test_bars_fit_a_phone_and_leave_out_no_letter(choices):
    spec = make("Plan?", tuple(f"{number}{choice}" for number, choice in enumerate(choices)))
    lines = bars(count(spec, [], 3)).split("\n")
    assert all(sum(2 if char == "日" else char != "\u0301" for char in line) <= 44 for line in lines)
    shown = "".join(lines).replace(" ", "")
    assert all(choice.replace(" ", "") in shown for choice in spec.choices)


def test_d09_bars_of_a_poll_nobody_answered_or_was_asked():
    assert bars(count(LUNCH, [], 3)).endswith("Salad 0                       -     0 %")
    assert bars(count(LUNCH, [], 0)).endswith("Salad 0                       -       -")
