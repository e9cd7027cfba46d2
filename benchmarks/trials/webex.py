"""How long it takes until very many people of a Webex room have their ballot, where each call takes a while."""

from __future__ import annotations

import asyncio
from multiprocessing.connection import Connection
from tempfile import TemporaryDirectory
from time import monotonic

from benchmarks.peer import Peer
from shellbot.engine import Engine
from shellbot.testing import FakeWebex

_POLL = 'poll "Lunch?" Pizza, Sushi, Salad in 1h'
_PATIENCE = 100.0  # seconds


def run(people: int, latency: float, parallel: int) -> dict[str, float]:
    """The platform and its people are a process of their own, the server is this one."""
    with Peer(_platform, people, latency) as platform, TemporaryDirectory(prefix="sb-") as folder:
        return asyncio.run(_serve(platform, folder, parallel))


async def _serve(platform: Peer, folder: str, parallel: int) -> dict[str, float]:
    url, token = platform.hear()
    settings = {
        "space.token": token,
        "webex.api_url": url,
        "webex.way": "webhook",
        "webex.parallel": parallel,
        "server.port": 0,
    }
    async with Engine(type="webex", settings=settings, instance=f"{folder}/instance"):
        platform.tell("open")
        found: dict[str, float] = await asyncio.to_thread(platform.hear)
        return found


def _platform(connection: Connection, count: int, latency: float) -> None:
    with FakeWebex() as fake:
        bot = fake.bot("Shelly")
        people = [fake.person(f"Person {number}") for number in range(count)]
        room = fake.room("Everybody", people, bots=[bot])
        connection.send((fake.url, bot.token))
        connection.recv()
        # All have been met once somebody is answered.
        people[0].say(room, "echo ready", mention=bot)
        fake.wait_for(room, lambda message: message.text == "ready", timeout=_PATIENCE)
        fake.latency = latency
        began = monotonic()
        people[0].say(room, _POLL, mention=bot)
        for person in people:
            fake.wait_for((bot, person), lambda message: "Lunch?" in message.text, timeout=_PATIENCE)
        took = monotonic() - began
        doubled = sum(len([m for m in fake.messages((bot, person)) if "Lunch?" in m.text]) - 1 for person in people)
        connection.send({"s": took, "doubled": doubled})
        connection.recv()
