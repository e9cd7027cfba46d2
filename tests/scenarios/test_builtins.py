"""The built-in commands of 2017 that are there for those who ask for them."""

from __future__ import annotations

import asyncio
import json

import pytest

from shellbot.commands.audit import Audit
from shellbot.commands.close import Close
from shellbot.commands.default import Default
from shellbot.commands.empty import Empty
from shellbot.commands.input import GATHERED, Input
from shellbot.commands.noop import Noop
from shellbot.commands.sleep import Sleep
from shellbot.commands.step import Step
from shellbot.commands.update import Update
from shellbot.updaters import FileUpdater, Updater

ADMIN = {"access.admins": ["person-a"]}


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


class Heard(Updater):
    """Keeps what it is given; fails when told to."""

    def __init__(self):
        self.said: list[str] = []
        self.is_broken = False

    def put(self, message):
        if self.is_broken:
            raise OSError("the disk is gone")
        self.said.append(message.text)


async def test_audit_hands_on_what_is_said_in_the_group_from_on_until_off(party, clock):
    updater = Heard()
    async with party("Person A", "Person B", commands=[Audit(updater)], settings=ADMIN) as people:
        await people.say("Person A", "before")
        await people.say("Person A", "audit")
        await people.hears("What is said here is not audited.")
        await people.say("Person A", "audit off")
        await people.say("Person A", "audit on")
        await people.hears("From now on, what is said here is audited.")
        await people.say("Person B", "while it is on")
        await people.whisper("Person B", "in private")
        clock.advance(1)
        await people.say("Person B", "audit off 5m")
        await people.hears("not audited for 5 minutes")
        await people.say("Person B", "while it is off")
        clock.advance(60)
        await people.say("Person A", "audit")
        await people.hears("not audited for another 4 minutes")
        clock.advance(240)
        await people.hears("What is said here is audited again.")
        await people.say("Person A", "on again")
        await people.join("Person C")
        await people.hears("Person C, what is said here is audited.")
        updater.is_broken = True
        await people.say("Person A", "echo this works all the same")
        await people.hears("this works all the same")
    assert updater.said == ["while it is on", "audit off 5m", "on again"]


async def test_a_while_without_audit_lasts_over_a_restart_and_ends_in_time(party, clock, tmp_path):
    log = tmp_path / "audit.log"
    async with party("Person A", commands=[Audit(FileUpdater(log))], settings=ADMIN) as people:
        await people.say("Person A", "audit on")
        await people.say("Person A", 'a "line"\nand another')
        clock.advance(1)
        await people.say("Person A", "audit off 5m")
        await people.hears("not audited for 5 minutes")
    async with party(commands=[Audit(FileUpdater(log))]) as people:
        await people.join("Person A")
        await people.say("Person A", "still off")
        clock.advance(300)
        await people.hears("What is said here is audited again.")
        await people.say("Person A", "on again")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    said = [line["text"] for line in lines]
    assert said == ["audit on", 'a "line"\nand another', "audit off 5m", "on again"][-len(said) :]
    assert "still off" not in said
    assert lines[-1]["name"] == "Person A"
    assert log.stat().st_mode & 0o777 == 0o600


async def test_close_asks_first_and_then_the_bot_is_silent_in_that_group_only(party):
    async with party("Person A", commands=[Close()], settings=ADMIN) as people:
        await people.say("Person A", "close")
        await people.hears("To do it, say: `close now`")
        await people.say("Person A", "echo still open")
        await people.hears("still open")
        await people.say("Person A", 'poll "Lunch?" Pizza, Sushi')
        await people.ballot("Person A")
        await people.say("Person A", "close now")
        await people.hears("There is a vote under way here.")
        await people.say("Person A", "poll cancel")
        await people.hears("cancelled")
        await people.say("Person A", "close now")
        await people.hears("Person A has closed this room. Goodbye!")
    async with party(commands=[Close()]) as people:
        await people.join("Person A")
        await people.say("Person A", "echo nobody hears this")
        await people.whisper("Person A", "echo in private")
        await people.hears("in private", "Person A")
        assert "nobody hears this" not in people.told()
