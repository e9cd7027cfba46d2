"""What comes while the engine begins, and what an earlier run left, is dealt with in the right order."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import msgspec

from shellbot.engine import Engine
from shellbot.events import Channel, Join, Message, Person
from shellbot.inbox import Inbox
from shellbot.spaces.memory import MemorySpace
from shellbot.stores.sqlite import SqliteStore
from tests.scenarios.conftest import NOON


class EagerSpace(MemorySpace):
    """Its people talk as soon as it starts, and while the engine is still at it, as those of a console do."""

    async def start(self, deliver):
        await super().start(deliver)
        self.talking = asyncio.create_task(self.talk())

    async def talk(self):
        person = Person("person-a", "Person A")
        await self.join("group", person)
        for number in range(20):
            await self.say("group", person, f"echo {number}")


async def test_what_is_said_while_the_engine_begins_is_not_forgotten(tmp_path):
    for _ in range(2):  # the second run has bots to make while it begins
        space = EagerSpace()
        engine = Engine(space=space, instance=tmp_path / "instance")
        await engine.start()
        try:
            await space.wait_for("group", lambda reply: reply.text == "19", 10)
            assert [reply.text for reply in space.heard("group")] == [str(number) for number in range(20)]
        finally:
            await space.talking
            await engine.stop()


async def test_d03_a_vote_in_the_inbox_from_before_the_deadline_counts_after_a_restart_past_it(party, clock, tmp_path):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", 'poll "Lunch?" Pizza, Sushi in 10m')
        await people.ballot("Person B")
        direct = Channel(people.direct("Person B"), "Person B", True)
        voter = people.people["Person B"]

    # as a crash leaves it that came right after the vote was taken in
    vote = Message(id="last-moment", channel=direct, person=voter, time=NOON + timedelta(seconds=599), text="sushi")
    late = replace(vote, id="too-late", time=NOON + timedelta(seconds=600), text="pizza")
    store = SqliteStore(tmp_path / "instance" / "store.db")
    await store.open()
    for event in (vote, late):
        assert (await Inbox(store).accept(msgspec.convert(event, Message)))[0]
    await store.close()

    clock.advance(900)
    connect = people.space.start

    async def slowly(deliver):
        await asyncio.sleep(0.3)  # as a platform may take; the bus is quicker, and the deadline has passed
        await connect(deliver)

    people.space.start = slowly
    async with party() as people:
        await people.join("Person A", "Person B")
        result = await people.hears("Result of vote #1")
        assert "Sushi 1" in result
        assert "Pizza 0" in result
        await people.hears("Vote #1 is closed", "Person B")


async def test_an_event_that_comes_twice_while_the_engine_begins_has_one_turn(tmp_path):
    class Stutter(EagerSpace):
        async def talk(self):
            person = Person("person-a", "Person A")
            group = Channel("group", "group")
            self._channels["group"] = group
            self._direct(person)
            await self._give(Join(id="joined", channel=group, person=person, time=NOON))
            said = Message(id="said", channel=group, person=person, time=NOON, text="echo once")
            turns = [await self._give(said) for _ in range(3)]
            await asyncio.gather(*turns)

    space = Stutter()
    engine = Engine(space=space, instance=tmp_path / "instance")
    await engine.start()
    try:
        await space.talking
        await space.wait_for("group", lambda reply: reply.text == "once", 10)
    finally:
        await engine.stop()
    assert len(space.heard("group")) == 1
