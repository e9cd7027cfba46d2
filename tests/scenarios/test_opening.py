"""While the ballots go out: who opened the vote sees how far they are, may stop it, and let it go on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from shellbot.engine import Engine
from shellbot.events import Capabilities
from shellbot.spaces.memory import MemorySpace
from shellbot.testing.stillness import Stillness
from tests.scenarios.conftest import Party
from tests.scenarios.later import hears_later

MERGE = 'poll "Merge?" Yes, No in 2h'
NAMES = [f"Person {letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]


class Slow(MemorySpace):
    """A platform that takes two messages side by side, and shows ballots only as they are let through."""

    capabilities = Capabilities(cards=True, edit=True, ids=True, veils=True, at_once=2, a_second=2.0)

    def __init__(self, **options):
        super().__init__(**options)
        self.gate = asyncio.Semaphore(1000)
        self.free = set()
        self.posted = []

    def hold(self, but=""):
        self.gate = asyncio.Semaphore(0)
        self.free = {but}

    def let(self, count):
        for _ in range(count):
            self.gate.release()

    async def post(self, channel_id, reply):
        if reply.id.endswith("/ballot") and reply.version == 1:
            if channel_id not in self.free:
                await self.gate.acquire()
            self.posted.append(channel_id)
        await super().post(channel_id, reply)


@pytest.fixture
def slow(tmp_path, clock):
    space = Slow(clock=clock)

    @asynccontextmanager
    async def start(*names):
        engine = Engine(space=space, instance=tmp_path / "instance", clock=clock)
        await engine.start()
        try:
            people = Party(engine)
            await people.join(*names)
            yield people
        finally:
            space.let(1000)
            await asyncio.wait_for(engine.stop(), 15)

    return start


async def shown(people, count):
    """Wait until the group knows that so many have a ballot."""
    bot = await people.engine.get_bot("group")
    async with asyncio.timeout(10):
        while True:
            (round,) = bot.desk.commands["poll"].chair(bot).find(None)
            if len(round.seats) - len(round.unseen) >= count:
                return round
            await asyncio.sleep(0.01)


async def passing(people, clock, minutes):
    """Let minutes pass, and after each all come to rest that it has brought."""
    still = Stillness(people.engine, patience=10)
    await still.start()
    for _ in range(minutes):
        clock.advance(60)
        await still.wait()


async def test_who_opened_it_is_told_how_far_it_is_on_one_message(slow, clock):
    async with slow(*NAMES) as people:
        people.space.hold()
        people.space.unreachable |= {"person-y2", "person-z"}
        await people.join("Person Y2")  # gets no direct channel, so there is no ballot to go out
        await people.say("Person A", MERGE)
        people.space.let(4)
        await shown(people, 4)
        clock.advance(3)
        told = await people.hears("Vote #1: 4 of 26 ballots are out; about 10 s more.", "Person A")
        assert "`poll stop #1` holds the others back." in told
        people.space.let(18)
        await shown(people, 22)
        clock.advance(8)
        await people.hears("Vote #1: 22 of 26 ballots are out; about 2 s more.", "Person A")
        people.space.let(100)
        await people.hears("Vote #1: 25 of 27 have a ballot. Could not be reached: Person Z and Person Y2.", "Person A")
        progress = [reply for reply in people.space.heard(people.direct("Person A")) if "/progress/" in reply.id]
        assert len(progress) == 1
        assert progress[0].version <= 9
        assert not any("ballots are out" in text for text in people.told() + people.told("Person B"))
        bot = await people.engine.get_bot("group")
        assert bot.recall("poll pace") == pytest.approx(11 / 26)  # 26 ballots in 11 s
        await people.say("Person A", "poll rehearse " + MERGE.removeprefix("poll "))
        await people.hears("26 people would get this ballot, in about 10 s.", "Person A")


async def test_where_messages_cannot_be_changed_it_is_told_once_and_at_the_end(slow, clock, monkeypatch):
    monkeypatch.setattr(Slow, "capabilities", replace(Slow.capabilities, edit=False))
    async with slow(*NAMES[:5]) as people:
        people.space.hold(but=people.direct("Person A"))  # who is told how far it is, behind the ballot
        await people.say("Person A", MERGE)
        await shown(people, 1)
        await passing(people, clock, 10)
        await people.hears("ballots are out", "Person A")
        people.space.let(10)
        await people.hears("Vote #1: 5 of 5 have a ballot.", "Person A")
        told = [reply.text for reply in people.space.heard(people.direct("Person A")) if "/progress/" in reply.id]
        assert len(told) == 2


async def test_of_an_opening_that_takes_long_a_handful_is_told(slow, clock):
    async with slow(*NAMES[:3]) as people:
        people.space.hold(but=people.direct("Person A"))  # who is told how far it is, behind the ballot
        await people.say("Person A", MERGE)
        await shown(people, 1)
        await passing(people, clock, 60)
        await people.hears("ballots are out", "Person A")
        told = [reply for reply in people.space.heard(people.direct("Person A")) if "/progress/" in reply.id]
        assert len(told) == 1
        people.space.let(10)
        await shown(people, 3)
        await people.hears("3 of 3 have a ballot.", "Person A")
        (last,) = [reply for reply in people.space.heard(people.direct("Person A")) if "/progress/" in reply.id]
        assert last.version <= 9


async def stopped(people, clock):
    people.space.hold()
    await people.say("Person A", MERGE)
    people.space.let(6)
    await shown(people, 6)
    await people.whisper("Person A", "poll stop #1")
    await people.hears("Vote #1 is stopped by Person A: Merge?**")
    people.space.let(1000)  # the platform would take them all now
    await shown(people, 6)
    has_ballot = [name for name in NAMES if people.direct(name) in people.space.posted]
    for name in has_ballot[:2]:
        await hears_later(people, clock, "Vote #1 is stopped for now", name)
    return has_ballot


async def test_once_stopped_no_further_ballots_go_out_and_who_has_one_is_told(slow, clock):
    async with slow(*NAMES) as people:
        await stopped(people, clock)
        clock.advance(120)
        await people.say("Person A", "poll list")
        await people.hears("is stopped, ")
        asked = set(people.space.posted)
        assert 6 <= len(asked) <= 6 + 4  # two windows of what was under way
        for name in NAMES:
            if people.direct(name) in asked:
                await hears_later(people, clock, "Vote #1 is stopped for now", name)
            else:
                assert people.told(name) == []
        await people.say("Person A", "poll stop #1")
        await people.hears("Vote #1 is stopped; `poll resume #1` or `poll cancel #1`.")


async def test_let_go_on_the_others_get_their_ballots_and_votes_of_before_count(slow, clock):
    async with slow(*NAMES) as people:
        first = (await stopped(people, clock))[0]
        await people.press(first, "Yes")
        await people.hears("Your vote is counted: Yes", first)
        await people.say("Person A", "poll resume #1")
        await people.hears("Vote #1 goes on, by Person A: Merge?**")
        await people.hears("Vote #1 goes on. It closes when all have voted, at the latest at 14:00", first)
        for name in NAMES:
            await hears_later(people, clock, "**Vote #1**", name)
        assert sorted(people.space.posted) == sorted(map(people.direct, NAMES))  # each once
        for name in NAMES:
            if name != first:
                await people.press(name, "No")
        result = await people.hears("Result of vote #1")
        assert "No 25" in result
        assert "Yes 1" in result


async def test_cancelled_who_has_a_ballot_is_told_and_nobody_else(slow, clock):
    async with slow(*NAMES) as people:
        await stopped(people, clock)
        await people.whisper("Person A", "poll cancel #1")
        await people.hears("Vote #1 is cancelled by Person A")
        for name in NAMES:
            if people.direct(name) in people.space.posted:
                await hears_later(people, clock, "Cancelled. There is no result.", name)
            else:
                assert people.told(name) == []


async def test_still_stopped_at_its_close_it_is_cancelled_also_after_a_restart(slow, clock):
    async with slow(*NAMES) as people:
        await stopped(people, clock)
    async with slow() as people:
        await people.join(*NAMES)
        asked = len(people.space.posted)
        clock.advance(60)
        await people.say("Person A", "poll list")
        await people.hears("is stopped, ")
        clock.advance(7200)
        await people.hears("Vote #1 is cancelled: Merge?** It was stopped while its ballots went out")
        assert len(people.space.posted) == asked
        assert not any("Result" in text for text in people.told())


async def test_when_all_have_theirs_there_is_nothing_to_stop(party):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", MERGE)
        await people.ballot("Person B", "Merge?")
        await shown(people, 2)
        await people.say("Person A", "poll stop #1")
        await people.hears("All ballots of vote #1 are out.")
        await people.say("Person A", "poll resume #1")
        await people.hears("Vote #1 is not stopped.")
        await people.say("Person B", "poll stop #1")
        await people.hears("Only Person A, who opened it, can stop vote #1.")
