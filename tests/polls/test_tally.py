"""Counting, against a second and slower count."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shellbot.polls.tally import bars, count

CHOICES = ("Pizza", "Sushi", "Salad")


@given(st.lists(st.sampled_from(CHOICES)), st.integers(0, 20))
def test_every_ballot_is_counted_once_and_a_tie_has_no_winner(ballots, absent):
    result = count("Lunch?", CHOICES, ballots, len(ballots) + absent)
    slow = [(sum(1 for ballot in ballots if ballot == choice), choice) for choice in CHOICES]
    assert [(votes, choice) for choice, votes in result.counts.items()] == slow
    best = max(slow)[0]
    leaders = [choice for votes, choice in slow if votes == best and votes > 0]
    assert result.winner == (leaders[0] if len(leaders) == 1 else None)
    assert result.answered == len(ballots)


@given(st.permutations(["Pizza", "Pizza", "Sushi", "Salad"]))
def test_the_order_of_the_ballots_changes_nothing(ballots):
    assert count("Lunch?", CHOICES, ballots, 4) == count("Lunch?", CHOICES, sorted(ballots), 4)


def test_bars_show_counts_and_both_shares_in_columns():
    lines = bars(count("Lunch?", ("Pizza", "日本"), ["Pizza", "Pizza", "日本"], 4)).split("\n")
    assert lines == [
        "                       of votes  of all",
        "Pizza 2  ████████████      67 %    50 %",
        "日本 1   ██████            33 %    25 %",
    ]


def test_bars_of_a_poll_nobody_answered_or_was_asked():
    assert bars(count("Lunch?", CHOICES, [], 3)).endswith("Salad 0                       -     0 %")
    assert bars(count("Lunch?", CHOICES, [], 0)).endswith("Salad 0                       -       -")
