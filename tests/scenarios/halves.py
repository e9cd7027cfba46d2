"""One half of a vote, in a process of its own: an engine with the group's bot, or with the direct ones.

The halves share the address of the bus, the parent's queue to its publisher, the path of the key and the roll. They are
told what their people do over a pipe, and answer over it what those people have heard.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from shellbot.bus.bus import Bus
from shellbot.context import Context
from shellbot.engine import Engine
from shellbot.events import Channel, Person
from shellbot.spaces.memory import MemorySpace

GROUP = "group"
spawn = multiprocessing.get_context("spawn")


class Half:
    """The parent's end. ``ask`` what somebody heard, ``tell`` that somebody does something."""

    def __init__(self, side: str, folder: Path, key: Path, fan: Any, address: str, names: list[str]) -> None:
        self._pipe, theirs = spawn.Pipe()
        arguments = (side, str(folder), str(key), fan, address, names, theirs)
        self.process = spawn.Process(target=serve, args=arguments, name=f"{side} half")
        self.process.start()
        theirs.close()

    async def call(self, what: str, *args: Any, timeout: float = 15) -> Any:
        """Have something done there and get the answer."""
        self._pipe.send((what, *args))
        found = await asyncio.to_thread(self._pipe.poll, timeout)
        if not found:
            raise TimeoutError(f"{self.process.name} did not answer {what!r}{args} within {timeout} s")
        is_fine, answer = self._pipe.recv()
        if not is_fine:
            raise AssertionError(answer)
        return answer

    def end(self) -> None:
        """Ask it to stop, and make sure of it."""
        try:
            self._pipe.send(("stop",))
        except OSError:
            pass
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self._pipe.close()


def person(name: str) -> Person:
    return Person(name.casefold(), name)


def direct(name: str) -> str:
    return f"direct-{name.casefold()}"


def serve(side: str, folder: str, key: str, fan: Any, address: str, names: list[str], pipe: Connection) -> None:
    """What the child does."""
    asyncio.run(_serve(side, folder, key, fan, address, names, pipe))


async def _serve(side: str, folder: str, key: str, fan: Any, address: str, names: list[str], pipe: Connection) -> None:
    context = Context({"bus": {"address": address}})
    publisher = Bus(context).publish()
    publisher.fan = fan  # the parent's queue; this publisher is never started
    space = MemorySpace()
    roll = {GROUP: [(person(name), Channel(direct(name), name, True)) for name in names]}
    sides = ("group",) if side == "group" else ("direct",)
    engine = Engine(context, space=space, instance=folder, key=key, publisher=publisher, sides=sides, roll=roll)
    await engine.start()
    for name in names:
        if side == "group":
            await (await space.join(GROUP, person(name)))
        else:
            await space.open_direct(person(name))
    try:
        while True:
            request = await asyncio.to_thread(pipe.recv)
            if request[0] == "stop":
                return
            try:
                answer = await _do(engine, space, *request)
            except Exception as error:
                pipe.send((False, f"{type(error).__name__}: {error}"))
            else:
                pipe.send((True, answer))
    except EOFError:  # the parent has gone
        os._exit(1)
    finally:
        await engine.stop()


async def _do(engine: Engine, space: MemorySpace, what: str, *args: Any) -> Any:
    match what, args:
        case "ready", ():
            return os.getpid()
        case "say", (name, text):
            await (await space.say(GROUP, person(name), text))
        case "whisper", (name, text):
            await (await space.say(direct(name), person(name), text))
        case "vote", (name, choice):
            cards = [reply.card for reply in space.heard(direct(name)) if reply.card is not None]
            await (await space.press(direct(name), person(name), cards[-1].id, choice))
        case "heard", (channel,):
            return [_flat(reply) for reply in space.heard(channel)]
        case "wait", (channel, text, timeout):
            return _flat(await space.wait_for(channel, lambda reply: text in _flat(reply), timeout))
        case "tally", ():
            query = "SELECT direct, choice FROM poll_ballots ORDER BY direct"
            return dict(await engine.desk.store.read(lambda db: db.execute(query).fetchall()))
    return None


def _flat(reply: Any) -> str:
    return "\n".join([reply.text, reply.fixed, reply.card.note if reply.card is not None else ""])
