"""Message to reply in some rooms while a command in another one takes long, by turns with the same where none does."""

from __future__ import annotations

import asyncio
import threading
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from benchmarks.spent import percentile
from shellbot.bot import ShellBot
from shellbot.commands.base import Command
from shellbot.engine import Engine
from shellbot.events import Person, Reply
from shellbot.spaces.memory import MemorySpace

_PEOPLE = 20
_WARM = 50
_PATIENCE = 30.0


class Slow(Command):
    """A plain command that lasts until the trial lets it go; it computes meanwhile, or waits."""

    keyword = "slow"

    def __init__(self, computes: bool) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()
        self._computes = computes

    def execute(self, bot: ShellBot, arguments: str = "", **kwargs: Any) -> None:
        self.begun.set()
        if self._computes:
            total = 0
            while not self.go.is_set():
                for number in range(1000):
                    total += number
        self.go.wait(_PATIENCE)
        bot.say("done")


class Room(MemorySpace):
    """Tells when the reply that is waited for is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: dict[str, asyncio.Future[float]] = {}

    async def post(self, channel_id: str, reply: Reply) -> None:
        await super().post(channel_id, reply)
        if (shown := self.shown.pop(reply.text, None)) is not None:
            shown.set_result(perf_counter())


def run(count: int, turns: int, computes: bool) -> dict[str, float]:
    """``turns`` times ``count`` messages with the slow command, and as many without."""
    with TemporaryDirectory(prefix="sb-") as folder:
        return asyncio.run(_run(count, turns, computes, folder))


async def _run(count: int, turns: int, computes: bool, folder: str) -> dict[str, float]:
    room, slow = Room(), Slow(computes)
    others = [Person(f"person-{number}", f"Person {number}") for number in range(_PEOPLE)]
    delays: dict[str, list[float]] = {"with": [], "without": []}
    async with Engine(space=room, instance=folder, commands=[slow], settings={"bot.burst": 0}):
        for person in others:
            await (await room.join("group", person))
        await _talk(room, others, "warm", _WARM)
        for turn in range(turns):
            # First without, then with; and in the next turn the other way round.
            for name in ("without", "with") if turn % 2 == 0 else ("with", "without"):
                over = await _begin(room, others[0], slow) if name == "with" else None
                delays[name] += await _talk(room, others[1:], f"{name} {turn}", count)
                slow.go.set()
                if over is not None:
                    await over
    result = {f"{name} {share}": percentile(found, share) * 1e3 for name, found in delays.items() for share in (50, 99)}
    return {**result, "moved": result["with 99"] / result["without 99"]}


async def _begin(room: Room, person: Person, slow: Slow) -> asyncio.Future[None]:
    """Start it; gives the end of its turn."""
    slow.begun.clear()
    slow.go.clear()
    over = await room.say(f"direct-{person.id}", person, "slow")
    await asyncio.to_thread(slow.begun.wait, _PATIENCE)
    return over


async def _talk(room: Room, people: list[Person], name: str, count: int) -> list[float]:
    """One message after the other, each in the next room; seconds until each was answered."""
    delays = []
    async with asyncio.timeout(_PATIENCE):
        for number in range(count):
            person, text = people[number % len(people)], f"{name} {number}"
            shown = room.shown[text] = asyncio.get_running_loop().create_future()
            began = perf_counter()
            await room.say(f"direct-{person.id}", person, f"echo {text}")
            delays.append(await shown - began)
    return delays
