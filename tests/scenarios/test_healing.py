"""A vote goes on whatever happens to the bus below it: hub, publisher and readers killed, a reader that hangs."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shellbot.bus import Bus, Publisher
from shellbot.bus.hub.facts import Look
from shellbot.context import Context
from shellbot.errors import QueueFull
from shellbot.testing import kill, stopped
from shellbot.testing.people import ScriptedPerson
from shellbot.testing.servers import PRODUCT, Server
from tests.bus.watching import is_gone, wait_until
from tests.processes import started

FLOOD = 3000
PIECE = "x" * 10_000


@pytest.fixture
def address(runtime_folder: Path, tmp_path: Path) -> str:
    return f"ipc://{runtime_folder}/{abs(hash(tmp_path)):x}"


@contextmanager
def other_program(address: str, slow: str) -> Iterator[Publisher]:
    """A program of its own on the server's bus. The first one there decides how the bus is run."""
    context = Context({"bus": {"address": address, "slow": slow, "linger": 0.2, "put_timeout": 10}})
    with Bus(context).publish() as publisher:
        yield publisher


async def test_a_vote_with_its_hub_its_publisher_and_a_subscriber_killed(tmp_path: Path, address: str) -> None:
    with other_program(address, "disconnect") as other, started("-m", "shellbot", "spy", "--bus", address) as spy:
        async with Server(tmp_path / "instance", "--bus", address, program=PRODUCT) as server:
            people = [ScriptedPerson(server.url, f"Person {name}", patience=30) for name in "ABCDE"]
            try:
                await asyncio.gather(*(person.join() for person in people))
                await people[0].say('poll "Lunch?" Pizza, Sushi')
                await asyncio.gather(*(person.ballot() for person in people))
                await people[0].press("Pizza")
                # the hub, which is the other program's; its parent starts another process, the server's goes on
                before = other.pid
                kill(before)
                await people[1].press("Sushi")
                # the server's publisher, now the hub
                second = server.publisher_pid
                kill(second)
                await people[2].press("Sushi")
                spy.kill()
                await people[3].press("Pizza")
                wait_until(lambda: server.publisher_pid != second)
                kill(server.publisher_pid)
                wait_until(lambda: other.pid not in (before, None))
                kill(other)
                await people[4].press("Sushi")
                result = await people[0].heard("Result")
                assert "Pizza 2" in result
                assert "Sushi 3" in result
            finally:
                await asyncio.gather(*(person.close() for person in people))


def flood(publisher: Publisher) -> int:
    """Put so much that a reader of everything that does not read has no room; how much was taken."""
    for number in range(FLOOD):
        try:
            publisher.put("flood", PIECE)
        except QueueFull:
            return number
    return FLOOD


def test_a_hanging_spy_stalls_all_others_where_the_bus_waits_for_it(address: str) -> None:
    """The harm that is repaired."""
    context = Context({"bus": {"address": address, "slow": "block", "linger": 0.2, "put_timeout": 0.5}})
    with Bus(context).publish() as publisher, started("-m", "shellbot", "spy", "--bus", address) as spy:
        publisher.wait_ready("flood", 15)
        with stopped(spy.pid):
            assert flood(publisher) < FLOOD
        spy.kill()


async def test_a_hanging_spy_never_delays_a_vote(tmp_path: Path, address: str) -> None:
    async with Server(tmp_path / "instance", "--bus", address, program=PRODUCT) as server:
        with (
            other_program(address, "block") as other,
            started("-m", "shellbot", "spy", "--bus", address) as spy,
            stopped_when_connected(address, spy.pid),
        ):
            assert await asyncio.to_thread(flood, other) == FLOOD
            async with ScriptedPerson(server.url, "Person A") as person:
                await person.say('poll "Lunch?" Pizza, Sushi')
                await person.press("Sushi")
                assert "Sushi 1" in await person.heard("Result")
            assert not is_gone(spy.pid)
            os.kill(spy.pid, signal.SIGCONT)
            assert spy.stdout is not None
            # what it missed comes after all
            line = await asyncio.to_thread(spy.stdout.readline)
            while '"op":"close"' not in line:
                assert line
                line = await asyncio.to_thread(spy.stdout.readline)


@contextmanager
def stopped_when_connected(address: str, pid: int) -> Iterator[None]:
    """Stop a subscriber once the hub has answered its first question."""
    with Look(Context({"bus": {"address": address}})) as look:
        # Beside the server's own.
        wait_until(lambda: look.facts().replied >= 1)
    with stopped(pid):
        yield
