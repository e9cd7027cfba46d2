"""Polls of every kind from Python."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from shellbot.commands.base import Command
from shellbot.errors import UsageError
from shellbot.polls import Poll
from tests.scenarios.later import hears_later


def asking(poll):
    class Ask(Command):
        keyword = "ask"

        async def execute(self, bot, arguments="", **kwargs):
            await poll.open(bot)
            result = await poll.result()
            bot.say(f"winner {result.winner}, average {result.average}, {result.answered} of {result.asked}")

    return Ask()


async def test_a_poll_planned_in_words_opens_reminds_and_gives_its_result(party, clock):
    poll = Poll("Merge?", kind="yesno", opens="tomorrow 9:00", closes="in 1h", remind="10m", quorum="1")
    async with party("Person A", "Person B", commands=[asking(poll)]) as people:
        waiting = asyncio.create_task(people.say("Person A", "ask"))
        await people.hears("Vote #1 opens at Sat 21 Nov 09:00 UTC: Merge?")
        clock.advance(21 * 3600)
        await people.hears("It closes when all have voted, at the latest at 10:00 UTC.")
        await people.ballot("Person B", "Merge?")
        await people.press("Person B", "Yes")
        await people.hears("Your vote is counted", "Person B")
        clock.advance(3000)
        await hears_later(people, clock, "You have not voted yet.", "Person A")
        clock.advance(600)
        await hears_later(people, clock, "winner Yes, average None, 1 of 2")
        await waiting


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"closes": "someday"}, "no time that I can read"),
        ({"closes": 0.1}, "between one second and a year"),
        ({"closes": datetime(2026, 11, 21, 9)}, "time zone"),
        ({"opens": "someday"}, "no time that I can read"),
        ({"remind": "often"}, "no duration"),
        ({"results": "never"}, "results hidden"),
        ({"kind": "rating", "threshold": "50%"}, "no threshold"),
        ({"quorum": "most"}, "no share"),
    ],
)
def test_what_cannot_be_is_told_where_the_poll_is_made(options, told):
    with pytest.raises(UsageError, match=told):
        Poll("Lunch?", () if "kind" in options else ["a", "b"], **options)


async def test_what_only_its_opening_can_tell_is_told_there(party, clock):
    heard = []

    class Ask(Command):
        keyword = "ask"

        async def execute(self, bot, arguments="", **kwargs):
            for options in (
                {"closes": clock.utcnow()},
                {"closes": "at 11:00"},
                {"remind": "1h", "closes": "in 10m"},
                {"opens": "at 14:00", "closes": clock.utcnow() + timedelta(hours=1)},
            ):
                with pytest.raises(UsageError) as caught:
                    await Poll("Lunch?", ["a", "b"], **options).open(bot)
                heard.append(str(caught.value))

    async with party("Person A", commands=[Ask()]) as people:
        await people.say("Person A", "ask")
    assert ["would close before" in heard[0], "is past" in heard[1]] == [True, True]
    assert ["reminder needs" in heard[2], "would close before" in heard[3]] == [True, True]


async def test_an_anonymous_one_comes_to_a_result_and_is_never_counted_before(party):
    class Ask(Command):
        keyword = "ask"

        async def execute(self, bot, arguments="", **kwargs):
            poll = Poll("Lunch?", ["Pizza", "Sushi"], anonymous=True)
            await poll.open(bot)
            bot.say(f"winner: {(await poll.result()).winner}")

    async with party("Person A", "Person B", commands=[Ask()]) as people:
        saying = asyncio.create_task(people.say("Person A", "ask"))
        for name in people.people:
            await people.ballot(name)
            await people.press(name, "Sushi")
        await saying
        await people.hears("winner: Sushi")
