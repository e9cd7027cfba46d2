"""Reports that a command hears together, and instructions that it keeps with their effect."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from shellbot.commands.base import Command
from shellbot.engine import Engine
from shellbot.events import Person
from shellbot.polls.chair import Chair
from shellbot.spaces.memory import MemorySpace
from shellbot.testing import stopped

PEOPLE = [Person(f"person-{number}", f"Person {number}") for number in range(30)]


class Roll(Command):
    """Calls the names of all; each answers."""

    keyword = "roll"

    def __init__(self):
        self.turns = []
        self.heard = asyncio.Queue()

    async def execute(self, bot, arguments="", **kwargs):
        bot.broadcast({"do": "roll"}, id=arguments)

    async def on_instruction(self, bot, message):
        bot.report({"here": bot.id})

    def is_one_of_many(self, report):
        return True

    async def on_reports(self, bot, reports):
        self.turns.append(len(reports))
        for report in reports:
            self.heard.put_nowait(report)


class Effect(Command):
    """Keeps each instruction together with what it does, which is to say it once."""

    keyword = "effect"

    def __init__(self):
        self.heard = asyncio.Queue()

    async def execute(self, bot, arguments="", **kwargs):
        bot.broadcast({"do": "effect"}, id=arguments)

    def takes(self, message):
        return True

    async def on_instruction(self, bot, message):
        if await bot.take(lambda db: db.execute("INSERT INTO numbers VALUES (?, 1)", (f"effect {bot.id}",))):
            bot.say("Done.")
            bot.report({"done": bot.id})

    async def on_report(self, bot, report):
        self.heard.put_nowait((report.channel, report.message))


@asynccontextmanager
async def group(tmp_path, command, people):
    space = MemorySpace()
    async with asyncio.timeout(15), Engine(space=space, instance=tmp_path, commands=[command]) as engine:
        for person in people:
            await (await space.join("group", person))
        yield engine, space


async def test_what_many_report_while_the_bus_is_held_comes_in_a_few_turns_and_each_once(tmp_path):
    command = Roll()
    async with group(tmp_path, command, PEOPLE) as (engine, space):
        with stopped(engine.publisher.pid):
            await (await space.say("group", PEOPLE[0], "roll first"))
        heard = [(await command.heard.get()).channel for _ in PEOPLE]
        assert sorted(heard) == sorted(f"direct-{person.id}" for person in PEOPLE)
        assert command.heard.empty()
        assert sum(command.turns) == len(PEOPLE)
        assert len(command.turns) < len(PEOPLE)


async def test_more_than_one_turn_takes_are_taken_by_the_next_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr("shellbot.hearing.TOGETHER", 4)
    command = Roll()
    async with group(tmp_path, command, PEOPLE[:1]) as (engine, _):
        bot = engine.agent(f"direct-{PEOPLE[0].id}")
        with stopped(engine.publisher.pid):
            for number in range(10):
                bot.report_to("group", "roll", "none", {"number": number})
        assert [(await command.heard.get()).message["number"] for _ in range(10)] == list(range(10))
        assert sum(command.turns) == 10
        assert max(command.turns) <= 4


async def test_a_report_that_fails_a_poll_harms_no_other(tmp_path, monkeypatch, caplog):
    take = Chair._take

    async def failing(self, report):
        if report.channel == f"direct-{PEOPLE[0].id}" and report.message["op"] == "shown" and not failed:
            failed.append(report)
            raise RuntimeError("this one only")
        return await take(self, report)

    failed = []
    monkeypatch.setattr(Chair, "_take", failing)
    async with group(tmp_path, Roll(), PEOPLE[:3]) as (engine, space):
        with stopped(engine.publisher.pid):
            await (await space.say("group", PEOPLE[0], 'poll "Lunch?" Pizza, Sushi'))
        for person in PEOPLE[:3]:
            channel = f"direct-{person.id}"
            card = (await space.wait_for(channel, lambda reply: reply.card is not None, 10)).card
            await (await space.press(channel, person, card.id, card.buttons[0].value))
        result = await space.wait_for("group", lambda reply: "Result of vote" in reply.text, 10)
        assert "3" in result.fixed
        assert len(failed) == 1
        assert "this one only" in caplog.text


async def test_an_instruction_kept_with_its_effect_has_it_once_and_its_repeat_is_reported_again(tmp_path):
    command = Effect()
    person = PEOPLE[0]
    channel = f"direct-{person.id}"

    def count(db):
        return db.execute("SELECT count(*) FROM numbers WHERE channel = ?", (f"effect {channel}",)).fetchone()

    for run in range(2):  # also over a restart
        async with group(tmp_path, command, [person]) as (engine, space):
            for _ in range(2):
                await (await space.say("group", person, "effect the-one"))
                assert await command.heard.get() == (channel, {"done": channel})
            if run == 0:
                await space.wait_for(channel, lambda reply: reply.text == "Done.", 10)
            assert await engine.agent("group").desk.store.read(count) == (1,)
            assert [reply.text for reply in space.heard(channel)].count("Done.") == (run == 0)


async def test_a_vote_that_cannot_go_on_harms_no_other_that_is_heard_of_with_it(tmp_path, monkeypatch, caplog):
    go_further = Chair._go_further

    async def failing(self, round):
        if round.number == 1 and round.have_all_voted():
            raise RuntimeError("this vote only")
        await go_further(self, round)

    monkeypatch.setattr(Chair, "_go_further", failing)
    person = PEOPLE[0]
    channel, cards = f"direct-{person.id}", []
    async with group(tmp_path, Roll(), [person]) as (engine, space):
        for question in ("Lunch?", "Dinner?"):
            await (await space.say("group", person, f'poll "{question}" Pizza, Sushi'))
            shown = await space.wait_for(
                f"direct-{person.id}",
                lambda reply, title=question: reply.card is not None and reply.card.title == title,
            )
            cards.append(shown.card)
        with stopped(engine.publisher.pid):
            for card in cards:
                await (await space.press(channel, person, card.id, card.buttons[0].value))
        await space.wait_for("group", lambda reply: "Result of vote #2" in reply.text, 10)
        assert "this vote only" in caplog.text
