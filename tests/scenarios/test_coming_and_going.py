"""Who comes and goes: the hooks of commands, and a word to some people only."""

from __future__ import annotations

import asyncio

from shellbot.commands.base import Command
from shellbot.events import Person


class Door(Command):
    """Tells who comes and goes, and tells it to that person, too."""

    keyword = "door"

    async def on_join(self, bot, person):
        bot.say(f"{person.name} came, and is one of {len(bot.direct_channels)}")
        bot.broadcast({"do": "door", "text": "come in"}, people=[person])

    async def on_leave(self, bot, person):
        bot.say(f"{person.name} went, and left {len(bot.direct_channels)}")
        bot.broadcast({"do": "door", "text": "come back"}, people=[person])

    async def on_instruction(self, bot, message):
        bot.say(message["text"])


class Call(Command):
    keyword = "call"

    async def execute(self, bot, *names: str):
        bot.broadcast({"do": "call"}, people=[Person(name, name) for name in names])
        bot.say("called")

    async def on_instruction(self, bot, message):
        bot.say("you are called")


async def test_who_comes_and_who_goes_is_told_to_commands(party):
    async with party("Person A", "Person B", commands=[Door()]) as people:
        await people.hears("come in", "Person A")
        await people.hears("come in", "Person B")
        await (await people.space.leave("group", people.people["Person B"]))
        await people.hears("come back", "Person B")
        await people.hears("Person B went")
        assert people.told() == [
            "Person A came, and is one of 1",
            "Person B came, and is one of 2",
            "Person B went, and left 1",
        ]
        assert people.told("Person A") == ["come in"]


async def test_nobody_hears_what_is_for_somebody_else(party):
    async with party("Person A", "Person B", "Person C", commands=[Call()]) as people:
        await people.say("Person A", "call person-c person-x")
        await people.hears("you are called", "Person C")
        await people.say("Person A", "call")
        await people.hears("called")
        await people.say("Person A", "call person-b person-c")
        await people.hears("you are called", "Person B")
        assert people.told("Person A") == []


class Greet(Command):
    """Greets who comes, once it may."""

    keyword = "greet"

    def __init__(self, is_open):
        self.may = asyncio.Event()
        if is_open:
            self.may.set()

    async def on_join(self, bot, person):
        await bot.wait(self.may.wait())
        bot.say(f"hello {person.name}")


async def test_who_came_before_a_stop_is_greeted_after_it(party):
    async with party(commands=[Greet(is_open=False)]) as people:
        await people.space.join("group", Person("person-a", "Person A"))
    async with party(commands=[Greet(is_open=True)]) as people:
        await people.hears("hello Person A")
        assert people.told() == ["hello Person A"]


async def test_a_greeting_that_fails_keeps_nobody_out(party):
    class Broken(Command):
        keyword = "broken"

        async def on_join(self, bot, person):
            raise ValueError("broken")

    async with party("Person A", commands=[Broken(), Call()]) as people:
        await people.hears("Something went wrong here")
        await people.say("Person A", "call person-a")
        await people.hears("you are called", "Person A")
