"""The built-in commands of 2017 that are there for those who ask for them."""

from __future__ import annotations

import asyncio

import pytest

from shellbot.commands.default import Default
from shellbot.commands.empty import Empty
from shellbot.commands.input import GATHERED, Input
from shellbot.commands.noop import Noop
from shellbot.commands.sleep import Sleep
from shellbot.commands.step import Step
from shellbot.commands.update import Update


async def test_pass_does_nothing(party):
    async with party("Person A", commands=[Noop()]) as people:
        await people.say("Person A", "pass")
        await people.say("Person A", "echo next")
        await people.hears("next")
        assert people.told() == ["next"]


async def test_sleep_waits_on_the_clock_and_holds_up_nobody(party, clock):
    async with party("Person A", commands=[Sleep()]) as people:
        asleep = asyncio.create_task(people.say("Person A", "sleep 60"))
        await people.say("Person A", "echo meanwhile")
        await people.hears("meanwhile")
        assert not asleep.done()
        clock.advance(60)
        await people.hears("That were 60 s.")
        await asleep


@pytest.mark.parametrize("line", ["sleep -1", "sleep 1e9", "sleep nan", "sleep long"])
async def test_what_is_no_time_to_sleep_gets_one_line(party, line):
    async with party("Person A", commands=[Sleep()]) as people:
        await people.say("Person A", line)
        await people.hears("sleep")
        assert len(people.told()) == 1


async def test_what_was_answered_is_shown_and_corrected(party):
    async with party("Person A", commands=[Input(), Update()]) as people:
        await people.whisper("Person A", "input")
        await people.hears("Nothing was answered here yet.", "Person A")
        await people.whisper("Person A", "update street 12 <b>Long</b> Road")
        await people.hears("street is now", "Person A")
        await people.whisper("Person A", "input")
        await people.hears("- street: 12", "Person A")
        assert "<b>" not in people.told("Person A")[-1]
        await people.whisper("Person A", "update street")
        await people.hears("update KEY VALUE", "Person A")
    async with party() as people:
        await people.join("Person A")
        await people.whisper("Person A", "input")
        await people.hears("- street: 12", "Person A")


async def test_step_where_nothing_goes_on_says_so(party):
    async with party("Person A", commands=[Step()]) as people:
        await people.say("Person A", "step")
        await people.hears("Nothing goes on here that could take a step.")


async def test_the_name_of_the_bot_alone_is_answered(party):
    async with party("Person A", commands=[Empty()]) as people:
        for line in ("Shelly", "shelly:", "@"):
            await people.say("Person A", line)
        await people.say("Person A", "Shelly echo done")
        await people.hears("done")
        assert people.told() == ["Yes? Say `help` for what I can do."] * 3 + ["done"]


async def test_what_is_no_command_goes_to_default_where_there_is_one(party):
    class Talk(Default):
        async def execute(self, bot, arguments="", **kwargs):
            bot.say(f"You said: {arguments}")

    async with party("Person A", commands=[Talk()]) as people:
        await people.say("Person A", "not for the bot")
        await people.say("Person A", "shelly, ehco this")
        await people.whisper("Person A", "whatever it is")
        await people.hears("You said: whatever it is", "Person A")
        await people.hears("You said: ehco this")
        assert people.told() == ["You said: ehco this"]
        await people.whisper("Person A", "help")
        assert "*default" not in await people.hears("What you can say here", "Person A")


def test_answers_stand_where_machines_keep_them():
    assert GATHERED == "input"
