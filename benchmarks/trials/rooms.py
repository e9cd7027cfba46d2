"""Rooms in which nothing happens: what people who are there and say nothing cost a server, in memory and processor."""

from __future__ import annotations

import asyncio
import os
import threading
from multiprocessing.connection import Connection
from tempfile import TemporaryDirectory
from time import monotonic

from benchmarks.peer import Peer
from benchmarks.spent import resident, spent
from shellbot.engine import Engine
from shellbot.events import Person
from shellbot.spaces.memory import MemorySpace
from shellbot.spaces.web import WebSpace

_AT_ONCE = 100  # people who come in at the same time


def run(space: str, rooms: int, settle: float, seconds: float) -> dict[str, float]:
    """The engine's process and the publisher's together."""
    never = threading.Event()
    with Peer(_serve, space, rooms) as peer:
        pids: tuple[int, ...] = peer.hear()
        empty = resident(*pids)
        peer.tell("come")
        peer.hear()
        full = resident(*pids)
        # Nothing to wait for but time itself.
        never.wait(settle)
        before, since = [spent(pid) for pid in pids], monotonic()
        never.wait(seconds)
        after, passed = [spent(pid) for pid in pids], monotonic() - since
    wakes, ran = (sum(new[i] - old[i] for new, old in zip(after, before, strict=True)) / passed for i in (0, 1))
    return {"MB": (full - empty) / 1e6, "wake-ups": wakes, "cpu": ran / 1e9 * 100}


def _serve(connection: Connection, space: str, rooms: int) -> None:
    with TemporaryDirectory(prefix="sb-") as folder:
        engine = Engine(type=space, instance=folder, settings={"server.port": 0})
        asyncio.run(engine.serve(lambda engine: _fill(engine, connection, rooms)))


async def _fill(engine: Engine, connection: Connection, rooms: int) -> None:
    assert engine.publisher is not None
    # One is there before: what the first room needs is not the price of a room.
    await _come(engine, 0, 1)
    connection.send((os.getpid(), engine.publisher.pid))
    await asyncio.to_thread(connection.recv)
    for start in range(1, rooms + 1, _AT_ONCE):
        await _come(engine, start, min(start + _AT_ONCE, rooms + 1))
    connection.send(None)
    await asyncio.to_thread(connection.recv)
    engine.ended.set()


async def _come(engine: Engine, start: int, stop: int) -> None:
    space = engine.space
    if isinstance(space, WebSpace):
        await asyncio.gather(*(space.join(f"Person {number}") for number in range(start, stop)))
    elif isinstance(space, MemorySpace):
        people = [Person(f"person-{number}", f"Person {number}") for number in range(start, stop)]
        await asyncio.gather(*(space.join("group", person) for person in people))
    await engine.reception.settle(30)
