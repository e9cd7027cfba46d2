"""The bench of the chat-bot server: every row can be measured, and nothing is lost on the way. Never a time."""

from __future__ import annotations

import pytest

from benchmarks import bus, chat, report
from benchmarks.runner import measure
from benchmarks.trials.vote import votes

GROUPS = {group.key: group for group in chat.groups()}


@pytest.mark.parametrize("key", GROUPS)
def test_every_row_is_measured_and_nothing_is_lost(key: str) -> None:
    group = GROUPS[key]

    measured = measure([group], rounds=1, is_quick=True)

    assert [one.figure for one in measured] == list(group.figures)
    assert all(one.rounds == 1 and not one.missing for one in measured)
    never = [one for one in measured if one.figure.is_worst]
    assert [one.value for one in never] == [0] * len(never)


def test_groups_are_told_apart_by_their_names_and_lines_by_their_titles() -> None:
    titles = [figure.title for groups in (chat.groups(), bus.groups()) for group in groups for figure in group.figures]

    assert len(GROUPS) == len(chat.groups())
    assert len(set(titles)) == len(titles)


def test_readme_names_every_row_and_has_a_place_for_the_table() -> None:
    text = report.README.read_text("utf-8")

    assert [key for key in GROUPS if f"`{key}`" not in text] == []
    assert "<!-- chat: written by scripts/bench chat --write -->\n" in text
    assert "<!-- end of chat -->\n" in text


def test_the_votes_of_a_choice_are_read_from_the_result_as_it_is_announced() -> None:
    announced = (
        "**Result of vote #1: Lunch?**\n                of votes\nPizza  3,334  ███  33 %\nSushi     1  █  0 %\n"
    )

    assert [votes(announced, choice) for choice in ("Pizza", "Sushi", "Salad")] == [3334, 1, -1]
