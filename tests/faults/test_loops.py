"""Bots that talk to each other, and to themselves: row C10 of docs/faults.md."""

from __future__ import annotations

import asyncio

from shellbot.commands.base import Command
from shellbot.engine import Engine
from shellbot.events import Person
from shellbot.pace import Pace
from shellbot.spaces.memory import MemorySpace
from tests.scenarios.conftest import Party

MANY = 400  # lines: more than a bot answers without a pause


class Parrot(Command):
    keyword = "parrot"

    async def execute(self, bot, arguments="", **kwargs):
        bot.say("parrot once more")


class Loop(Command):
    """The group answers each report of a direct channel, and the direct channel each word of the group."""

    keyword = "loop"

    def __init__(self):
        self.rounds = 0

    async def execute(self, bot, arguments="", **kwargs):
        bot.broadcast({"do": "loop"})

    async def on_instruction(self, bot, message):
        bot.report({"pong": True})

    async def on_report(self, bot, report):
        self.rounds += 1
        bot.broadcast({"do": "loop"})


async def wired(tmp_path, settings) -> tuple[int, list[str]]:
    """Two bots: what one says in the group is said to the other, as by a person. Gives how often, and what was said."""
    spaces = [MemorySpace(), MemorySpace()]
    lines: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
    said = []

    def wire(number):
        post = spaces[number].post

        async def posted(channel, reply):
            await post(channel, reply)
            said.append(reply.text)
            lines.put_nowait((1 - number, reply.text))

        spaces[number].post = posted

    engines = []
    other = Person("other", "The other")
    try:
        for number in (0, 1):
            wire(number)
            engine = Engine(
                space=spaces[number], instance=tmp_path / str(number), commands=[Parrot()], settings=settings
            )
            engines.append(engine)
            await engine.start()
            await (await spaces[number].join("group", other))
        lines.put_nowait((0, "parrot"))
        while len(said) < MANY + 100:
            is_silent = any("I am silent" in text for text in said)
            try:
                to, text = await asyncio.wait_for(lines.get(), 1 if is_silent else 10)
            except TimeoutError:  # nobody says anything any more
                break
            await (await spaces[to].say("group", other, text))
    finally:
        for engine in engines:
            await engine.stop()
    return len(said), said


async def test_c10_two_bots_without_a_limit_answer_each_other_for_ever(tmp_path):
    count, _ = await wired(tmp_path, {"bot.burst": 0})
    assert count >= MANY


async def test_c10_two_bots_that_answer_each_other_stop_and_say_so(tmp_path):
    count, said = await wired(tmp_path, {"bot.burst": 50})
    assert 50 < count < MANY
    assert "The other says more than people do, so I am silent until there is a pause." in said[-1]


async def test_c10_who_pauses_is_answered_again(party, clock):
    async with party("Person A", "Person B", settings={"bot.burst": 20}) as people:
        for number in range(30):
            await people.say("Person A", f"echo {number}")
            await people.say("Person A", "what people say to each other is not counted")
        await people.hears("Person A says more than people do")
        assert sum("says more" in text for text in people.told()) == 1
        assert people.told()[-2] == "19"
        await people.say("Person B", "echo of another")
        await people.hears("of another")
        clock.advance(15)
        await people.say("Person A", "echo back")
        await people.hears("back")


def test_c10_silence_lasts_until_there_is_a_pause():
    pace = Pace(10)
    assert [pace.take("a", 0.0)[0] for _ in range(12)] == [True] * 10 + [False] * 2
    for second in range(1, 5):
        assert pace.take("a", float(second)) == (False, False)
    assert pace.take("a", 6.0) == (True, False)
    assert pace.take("b", 6.0) == (True, False)
    assert all(Pace(0).take("a", 0.0)[0] for _ in range(1000))


async def test_c10_bots_of_one_room_that_answer_each_other_on_the_bus_stop_and_say_so(party, monkeypatch):
    monkeypatch.setattr("shellbot.bot.LOOP_LIMIT", 100)
    loop = Loop()
    async with party("Person A", "Person B", "Person C", commands=[loop]) as people:
        await people.say("Person A", "loop")
        await people.hears("I stopped `loop`: bots answered each other 100 times", timeout=15)
        await people.say("Person A", "echo alive")
        await people.hears("alive", timeout=15)
        rounds = loop.rounds
        await people.say("Person B", "echo and silent")
        await people.hears("and silent")
        assert sum("I stopped" in text for text in people.told()) == 1
        assert rounds <= 3 * (1 + 3 + 9 + 27 + 100)


async def test_c10_a_bot_does_not_hear_itself(party):
    async with party("Person A") as people:
        await people.say("Person A", "echo echo echo")
        await people.say("Person A", "echo last")
        await people.hears("last")
        assert people.told() == ["echo echo", "last"]
        assert isinstance(people, Party)
