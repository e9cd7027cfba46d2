"""An engine on a real bus, with people in memory whose every word passes the inbox as a browser's would."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from shellbot.clocks import ExternalClock
from shellbot.engine import Engine
from shellbot.events import Person
from shellbot.spaces.memory import MemorySpace

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Party:
    """People in one group, by name."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.space: MemorySpace = engine.space
        self.people: dict[str, Person] = {}

    async def join(self, *names: str) -> None:
        for name in names:
            self.people[name] = Person(name.casefold().replace(" ", "-"), name)
            await (await self.space.join("group", self.people[name]))

    async def say(self, name: str, text: str) -> None:
        await (await self.space.say("group", self.people[name], text))

    async def whisper(self, name: str, text: str) -> None:
        await (await self.space.say(self.direct(name), self.people[name], text))

    async def press(self, name: str, value: str) -> None:
        await self.space.wait_for(self.direct(name), lambda reply: reply.card is not None, 10)
        card = [reply.card for reply in self.space.heard(self.direct(name)) if reply.card][-1]
        await (await self.space.press(self.direct(name), self.people[name], card.id, value))

    def direct(self, name: str) -> str:
        return f"direct-{self.people[name].id}"

    async def hears(self, text: str, name: str = "", timeout: float = 10) -> str:
        """Wait until the group, or one person, was told ``text``."""
        channel = self.direct(name) if name else "group"

        def holds(reply):
            return text in reply.text or text in reply.fixed or (reply.card is not None and text in reply.card.note)

        reply = await self.space.wait_for(channel, holds, timeout)
        return f"{reply.text}\n{reply.fixed}"

    def told(self, name: str = "") -> list[str]:
        return [reply.text for reply in self.space.heard(self.direct(name) if name else "group")]

    async def ballot(self, name: str, question: str = "Lunch?"):
        reply = await self.space.wait_for(
            self.direct(name), lambda reply: reply.card is not None and reply.card.title == question, 10
        )
        return reply.card

    async def all_asked(self) -> None:
        """Wait until the group knows of each ballot whether it is shown: what else there is to tell follows at once."""
        group = self.engine.agent("group")
        chair = group.desk.commands["poll"].chair(group)
        async with asyncio.timeout(10):
            for round in chair.find(None):
                await chair.wait(round, lambda round=round: not round.unseen)


@pytest.fixture
def clock():
    return ExternalClock(NOON)


@pytest.fixture
def party(tmp_path, clock):
    """``async with party() as people``; again is a restart: same folder, and the platform knows its people still."""
    space = MemorySpace(clock=clock)

    @asynccontextmanager
    async def start(*names: str, **settings):
        engine = Engine(space=space, instance=tmp_path / "instance", clock=clock, **settings)
        await engine.start()
        try:
            people = Party(engine)
            await people.join(*names)
            yield people
        finally:
            await asyncio.wait_for(engine.stop(), 15)

    return start
