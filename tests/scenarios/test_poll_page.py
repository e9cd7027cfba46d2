"""docs/polls.md: what stands there opens a vote."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from shellbot.polls.orders import CHANGING, READING, read
from shellbot.settings import DECLARED

PAGE = (Path(__file__).parents[2] / "docs" / "polls.md").read_text()
LINES = [line for block in re.findall(r"```poll\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
LINES += re.findall(r"^\| [^|]+ \| `(poll [^`]+)` \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("line", LINES)
async def test_each_line_opens_a_vote(party, clock, line):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", line)
        if " opens " in line:
            await people.hears("Vote #1 opens at")
            clock.advance(21 * 3600)
        await people.hears("2 people have a ballot")
        question = re.search(r'"(.*?)"', line) or re.search(r"poll (\S+\?)", line)
        await people.ballot("Person B", question[1])


async def test_the_example_in_python(party):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict = {}
    exec(compile(code, "docs/polls.md", "exec"), names)
    async with party("Person A", "Person B", commands=[names["Merge"]()]) as people:
        saying = asyncio.create_task(people.say("Person A", "merge branch"))
        for name in people.people:
            await people.ballot(name, "Merge branch?")
            await people.press(name, "Yes")
        await people.hears("winner: Yes")
        await saying


def test_each_order_of_the_page_is_one_and_none_is_missing():
    shown = re.findall(r"^\| `poll ([a-z][^`]*)` \|", PAGE, re.MULTILINE)
    found = [read(order) for order in shown]
    assert sorted(order.op for order in found) == sorted(READING + CHANGING)


def test_the_settings_named_there_are_settings():
    assert set(re.findall(r"`(polls\.\w+)`", PAGE)) == {key for key in DECLARED if key.startswith("polls.")}
