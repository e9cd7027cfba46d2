"""A vote of very many scripted people in memory space: opened, all ballots in, result announced; and their memory."""

from __future__ import annotations

import asyncio
import gc
import os
import re
from collections.abc import Callable
from tempfile import TemporaryDirectory
from time import monotonic

from benchmarks.spent import resident
from shellbot.engine import Engine
from shellbot.events import Card, Person, Reply
from shellbot.spaces.memory import MemorySpace

CHOICES = ("Pizza", "Sushi", "Salad")
_POLL = f'poll "Lunch?" {", ".join(CHOICES)} in 1h'
_PATIENCE = 100.0  # seconds for any step
_AT_ONCE = 500  # people who come in at the same time


class Crowd(MemorySpace):
    """Knows which of its people have a ballot, a receipt on it, and have seen it closed."""

    def __init__(self) -> None:
        super().__init__()
        self.ballots: dict[str, Card] = {}
        self.counted: dict[str, str] = {}  # the button that is shown as counted, by channel
        self.closed: set[str] = set()
        self.result = ""
        self._news = asyncio.Event()

    async def post(self, channel_id: str, reply: Reply) -> None:
        await super().post(channel_id, reply)
        if (card := reply.card) is not None:
            if not card.is_open:
                self.closed.add(channel_id)
            elif card.chosen:
                self.counted[channel_id] = card.chosen
            else:
                self.ballots[channel_id] = card
        elif "Result of vote" in reply.text:
            self.result = f"{reply.text}\n{reply.fixed}"
        self._news.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Look again after each post, until this holds."""
        async with asyncio.timeout(_PATIENCE):
            while not condition():
                self._news.clear()
                await self._news.wait()


def run(people: int) -> dict[str, float]:
    with TemporaryDirectory(prefix="sb-") as folder:
        return asyncio.run(_run(people, folder))


async def _run(count: int, folder: str) -> dict[str, float]:
    crowd = Crowd()
    people = [Person(f"person-{number}", f"Person {number}") for number in range(count)]
    async with Engine(space=crowd, instance=folder) as engine:
        assert engine.publisher is not None
        pids = os.getpid(), engine.publisher.pid or os.getpid()
        gc.collect()
        nobody = resident(*pids)

        came = monotonic()
        for start in range(0, count, _AT_ONCE):
            turns = await asyncio.gather(*(crowd.join("group", one) for one in people[start : start + _AT_ONCE]))
            await asyncio.gather(*turns)
        gc.collect()
        there = resident(*pids)

        opened = monotonic()
        await crowd.say("group", people[0], _POLL)
        await crowd.until(lambda: len(crowd.ballots) == count)
        voting = monotonic()
        await asyncio.gather(*(_vote(crowd, number, one) for number, one in enumerate(people)))
        taken = monotonic()
        await crowd.until(lambda: crowd.result)
        announced = monotonic()
        await crowd.until(lambda: len(crowd.closed) == count)
        closed = monotonic()
        gc.collect()
        after = resident(*pids)
    wanted = [len(range(number, count, len(CHOICES))) for number in range(len(CHOICES))]
    found = [votes(crowd.result, choice) for choice in CHOICES]
    return {
        "joined": opened - came,
        "opened": voting - opened,
        "ballots": taken - voting,
        "result": announced - taken,
        "whole": announced - opened,
        "closed": closed - announced,
        "there kB": (there - nobody) / count / 1e3,
        "after kB": (after - nobody) / count / 1e3,
        "lost": count - len(crowd.ballots) + count - len(crowd.closed),
        "wrong": sum(abs(one - other) for one, other in zip(found, wanted, strict=True)),
    }


async def _vote(crowd: Crowd, number: int, person: Person) -> None:
    """Every fourth types, the others press."""
    channel = f"direct-{person.id}"
    card, choice = crowd.ballots[channel], number % len(CHOICES)
    if number % 4 == 3:
        await crowd.say(channel, person, str(choice + 1))
    else:
        await crowd.press(channel, person, card.id, card.buttons[choice].value)


def votes(result: str, choice: str) -> int:
    """How many votes the announced result gives a choice; -1 if it does not name it."""
    found = re.search(rf"^{choice}\D*?([\d,]+)", result, re.MULTILINE)
    return int(found[1].replace(",", "")) if found else -1
