"""With ``retention.days``, what is older is forgotten once a day, and all goes on."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from shellbot.bus.bus import Bus
from shellbot.context import Context
from shellbot.engine import Engine
from shellbot.events import Channel, Person
from shellbot.files import shelf
from shellbot.instance import read_key
from shellbot.spaces.memory import MemorySpace
from tests.scenarios.later import hears_later
from tests.scenarios.traces import files_in

DAY = 86_400
SECRET = 'poll "Shall Zanzibar go?" Quetzal, Xylophone in 10m'


def traces(folder):
    return [path.name for path, data in files_in(folder).items() if b"Zanzibar" in data]


async def looked(people):
    """Let the store do what stands in its line."""
    await people.engine.desk.store.read(lambda db: None)


async def gone(people, folder, clock):
    """Let days pass until nothing is left."""
    async with asyncio.timeout(10):
        while traces(folder):
            clock.advance(DAY)
            await looked(people)


async def held(people, clock):
    await people.say("Person A", SECRET)
    for name in ("Person A", "Person B"):
        await people.ballot(name, "Shall Zanzibar go?")
        await people.press(name, "Quetzal")
    await people.hears("Result of vote #1")
    for name in ("Person A", "Person B"):
        await people.hears("Closed. Your vote", name)


async def test_a_vote_that_is_over_is_forgotten_and_one_that_is_open_is_not(party, clock, tmp_path):
    folder = tmp_path / "instance"
    async with party("Person A", "Person B", settings={"retention.days": 30}) as people:
        await held(people, clock)
        await people.say("Person A", 'poll "Lunch?" Pizza, Sushi')
        await people.ballot("Person B")
        await people.press("Person B", "Sushi")
        await people.hears("Your vote is counted: Sushi", "Person B")
        for _ in range(29):
            clock.advance(DAY)
            await looked(people)
        assert traces(folder)
        await gone(people, folder, clock)
        await people.say("Person A", "poll show #1")
        assert re.search(r"forgotten, \d\d [A-Z][a-z]{2} 20\d\d\.", await people.hears("Vote #1 was forgotten, "))
        await people.press("Person A", "Pizza")
        assert "Sushi 1" in await hears_later(people, clock, "Result of vote #2")


async def test_what_became_old_while_nobody_served_is_forgotten_at_the_start(party, clock, tmp_path):
    async with party("Person A", "Person B") as people:
        await held(people, clock)
    clock.advance(31 * DAY)
    async with party(settings={"retention.days": 30}) as people:
        await gone(people, tmp_path / "instance", clock)
        await people.join("Person A")
        await people.say("Person A", "poll history")
        await people.hears("No vote has closed here yet.")


async def test_a_vote_that_is_opened_again_while_what_is_old_is_sought_is_kept(party, clock):
    async with party("Person A", "Person B", settings={"retention.days": 30}) as people:
        await held(people, clock)
        store = people.engine.desk.store
        erase = store.erase

        async def after_a_reopening(job):
            store.erase = erase
            await people.say("Person A", "poll reopen #1 in 10m")
            await people.hears("is open again")
            return await erase(job)

        store.erase = after_a_reopening
        clock.advance(31 * DAY)
        await people.hears("is open again", "Person B")
        await people.press("Person B", "Xylophone")
        await people.hears("Your vote is counted: Xylophone", "Person B")
        clock.advance(600)
        assert "Xylophone 1" in await hears_later(people, clock, "A tie")


async def test_who_opens_a_vote_again_that_was_just_forgotten_is_told_so(party, clock, tmp_path):
    async with party("Person A", "Person B", settings={"retention.days": 30}) as people:
        await held(people, clock)
        chair = people.engine.desk.commands.get("poll").chair(await people.engine.get_bot("group"))
        reopen = chair.reopen

        async def after_its_end(*args):
            await gone(people, tmp_path / "instance", clock)
            await reopen(*args)

        chair.reopen = after_its_end
        await people.say("Person A", "poll reopen #1")
        await people.hears("Vote #1 was forgotten just now.")
        await people.say("Person A", "poll list")
        await people.hears("No vote is open.")
        assert not any("open again" in text for text in people.told())


class Halves:
    """A group and its direct channels with a folder each, and nothing between them but the bus."""

    def __init__(self, folder, publisher, address, clock):
        read_key(key := folder / "key")
        self.people = {name: Person(name.casefold().replace(" ", "-"), name) for name in ("Person A", "Person B")}
        channels = [(person, Channel(f"direct-{person.id}", person.name, True)) for person in self.people.values()]
        self.engines = {
            side: Engine(
                Context({"bus": {"address": address}, "retention": {"days": 30}}),
                space=MemorySpace(clock=clock),
                instance=folder / side,
                key=key,
                publisher=publisher,
                sides=(side,),
                roll={"group": channels},
                clock=clock,
            )
            for side in ("group", "direct")
        }

    async def say(self, text):
        await (await self.engines["group"].space.say("group", self.people["Person A"], text))

    async def press(self, name, choice):
        space, channel = self.engines["direct"].space, f"direct-{self.people[name].id}"
        card = [reply.card for reply in space.heard(channel) if reply.card][-1]
        await (await space.press(channel, self.people[name], card.id, choice))

    async def hears(self, text, name=""):
        side, channel = ("direct", f"direct-{self.people[name].id}") if name else ("group", "group")
        space = self.engines[side].space
        await space.wait_for(channel, lambda said: text in said.text or (said.card and text in said.card.note), 10)


@pytest.fixture
def halves(tmp_path, runtime_folder, clock):
    @asynccontextmanager
    async def start():
        address = f"ipc://{runtime_folder}/halves"
        async with AsyncExitStack() as stack:
            publisher = stack.enter_context(Bus(Context({"bus": {"address": address}})).publish())
            halves = Halves(tmp_path, publisher, address, clock)
            for engine in halves.engines.values():
                await engine.start()
                stack.push_async_callback(engine.stop)
            for person in halves.people.values():
                await (await halves.engines["group"].space.join("group", person))
                await halves.engines["direct"].space.open_direct(person)
            yield halves

    return start


async def kept_for_30_days(store, folder, clock):
    """Let days pass until nothing is left, and see that it is there until then."""
    for _ in range(29):
        clock.advance(DAY)
        await store.read(lambda db: None)
    assert "store.db" in traces(folder)
    async with asyncio.timeout(10):
        while traces(folder):
            clock.advance(DAY)
            await store.read(lambda db: None)


async def test_ballots_of_direct_channels_with_a_folder_of_their_own_are_forgotten_too(halves, clock, tmp_path):
    async with halves() as people:
        await people.say(SECRET)
        for name in people.people:
            await people.hears("Vote #1", name)
        await people.press("Person B", "Quetzal")
        await people.hears("Your vote is counted: Quetzal", "Person B")
        clock.advance(600)
        await people.hears("Closed. Your vote: Quetzal", "Person B")
        await people.hears("Closed. No vote of yours was counted.", "Person A")
        await people.say('poll "Lunch?" Pizza, Sushi')
        await people.hears("Vote #2", "Person B")
        await kept_for_30_days(people.engines["direct"].desk.store, tmp_path / "direct", clock)
        await people.press("Person B", "Pizza")
        await people.hears("Your vote is counted: Pizza", "Person B")


async def test_a_ballot_that_was_open_again_is_kept_so_long_after_its_last_close(halves, clock, tmp_path):
    async with halves() as people:
        await people.say(SECRET)
        await people.hears("Vote #1", "Person B")
        clock.advance(600)
        await people.hears("Closed.", "Person B")
        await people.hears("Result of vote #1")
        clock.advance(20 * DAY)
        await people.say("poll reopen #1 in 10m")
        await people.hears("is open again", "Person B")
        await people.press("Person B", "Quetzal")
        await people.hears("Your vote is counted: Quetzal", "Person B")
        clock.advance(600)
        await people.hears("Closed. Your vote: Quetzal", "Person B")
        await kept_for_30_days(people.engines["direct"].desk.store, tmp_path / "direct", clock)


async def test_without_the_setting_all_is_kept(party, clock, tmp_path):
    async with party("Person A", "Person B") as people:
        await held(people, clock)
    clock.advance(4000 * DAY)
    async with party() as people:
        await people.join("Person A")
        await people.say("Person A", "poll history")
        await people.hears("Shall Zanzibar go?")


async def test_the_history_of_the_web_chat_goes_with_its_files(dialogue, monkeypatch):
    monkeypatch.setenv("SHELLBOT_RETENTION_DAYS", "30")
    group = await dialogue.group("Person A", "Person B")
    folder = dialogue.server.folder
    await group.say("Person A", "echo Zanzibar", files=[("zanzibar.txt", b"Zanzibar")])
    assert traces(folder)
    await dialogue.clock.advance(20 * DAY)
    await group.say("Person A", "echo young")
    await dialogue.clock.advance(10 * DAY)
    async with asyncio.timeout(10):
        while traces(folder) or list((folder / "files").iterdir()):
            await dialogue.clock.advance(DAY / 4)
    db = sqlite3.connect(folder / "store.db")
    texts = [text for (text,) in db.execute("SELECT text FROM web_posts")]
    assert texts == ["echo young", "young"]
    assert shelf.all_sizes(db) == {}
    db.close()
    await dialogue.clock.advance(40 * DAY)
    assert "later" in await group.say("Person B", "echo later")
    await dialogue.restart(kill=True)
    assert "again" in await group.say("Person B", "echo again")
