"""A space on a platform of its own, with what a test wants to see of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from shellbot.clocks import AsyncioClock, BaseClock, ExternalClock
from shellbot.errors import RateLimited, SignatureInvalid, SpaceError
from shellbot.events import Event, Join, Message, Person
from shellbot.files.shelf import SCHEMA, Shelf
from shellbot.spaces.base import bus_safe, direct_channel
from shellbot.spaces.webex import Options, WebexSpace
from shellbot.stores.base import Store
from shellbot.stores.memory import MemoryStore
from shellbot.testing import FakeWebex

QUICK = 0.05  # seconds between looks, where a test polls


class NotingClock(ExternalClock):
    """Notes who slept how long: what else takes time on a machine that is busy does not count.

    Attributes:
        slept: Name of the task and seconds, in the order they began.
    """

    def __init__(self, utc_start: datetime) -> None:
        super().__init__(utc_start)
        self.slept: list[tuple[str, float]] = []

    async def sleep(self, delay: float, result: Any = None) -> Any:
        task = asyncio.current_task()
        self.slept.append((task.get_name() if task is not None else "", delay))
        return await super().sleep(delay, result)


class Ear:
    """Takes events as an engine does: each id once. ``fails`` makes it lose its inbox."""

    def __init__(self) -> None:
        self.heard: list[Event] = []
        self.fails = False
        self._changed = asyncio.Event()

    async def deliver(self, event: Event) -> asyncio.Future[None]:
        if self.fails:
            raise SpaceError("the bot is stopping")
        if event.id not in {known.id for known in self.heard}:
            self.heard.append(event)
        self._changed.set()
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        over.set_result(None)
        return over

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.heard if isinstance(event, kind)]

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.heard if isinstance(event, Message)]

    @property
    def joined(self) -> list[str]:
        return [event.person.name for event in self.heard if isinstance(event, Join)]

    async def wait(self, kind: type[Event], count: int = 1, timeout: float = 10) -> list[Event]:
        """Wait until so many of these were heard."""
        try:
            async with asyncio.timeout(timeout):
                while len(found := self.of(kind)) < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"not {count} of {kind.__name__}, but {self.heard}") from None
        return found


@asynccontextmanager
async def on_webex(
    fake: FakeWebex,
    *,
    store: Store | None = None,
    clock: BaseClock | None = None,
    shelf: Shelf | None = None,
    token: str | None = None,
    ear: Ear | None = None,
    hook_url: str = "",
    **options: object,
) -> AsyncIterator[tuple[WebexSpace, Ear]]:
    """A started space of the bot "Shelly"; closed at the end."""
    kept = store or MemoryStore()
    if store is None:
        await kept.open()
    if shelf is not None:
        await kept.create(SCHEMA)
        shelf.open({})
    ear = ear or Ear()
    space = WebexSpace(
        token=fake.bot("Shelly").token if token is None else token,
        store=kept,
        clock=clock or AsyncioClock(),
        options=Options(**{"api_url": fake.url, "poll_every": QUICK} | options),
        shelf=shelf,
        hook_url=hook_url,
    )
    try:
        await space.start(ear.deliver)
        yield space, ear
    finally:
        await space.close()
        if store is None:
            await kept.close()


def group_id(room) -> str:
    return bus_safe(room.id)


def direct_id(person) -> str:
    return direct_channel(Person(person.id, person.name)).id


@asynccontextmanager
async def door() -> AsyncIterator[tuple[str, dict[str, WebexSpace]]]:
    """An HTTP door for webhooks: its address, and where to put the space that it leads to."""
    behind: dict[str, WebexSpace] = {}
    open_now: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now[writer] = asyncio.current_task()
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                headers = dict(
                    line.lower().split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:] if ": " in line
                )
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                status = await _status(behind, body, headers.get("x-spark-signature"))
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            del open_now[writer]
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook", behind
    finally:
        server.close()
        serving = dict(open_now)
        for writer in serving:
            writer.close()
        await asyncio.gather(*filter(None, serving.values()), return_exceptions=True)
        await server.wait_closed()


async def _status(behind: dict[str, WebexSpace], body: bytes, signature: str | None) -> int:
    if "space" not in behind:
        return 503
    try:
        await behind["space"].receive(body, signature)
    except SignatureInvalid:
        return 401
    except RateLimited:
        return 503
    except SpaceError:
        return 400
    return 200


@asynccontextmanager
async def hurried(clock: ExternalClock) -> AsyncIterator[None]:
    """Meanwhile a second of the clock passes with each turn of the loop in which somebody waits for it."""

    async def move() -> None:
        while True:
            await asyncio.sleep(0.002)
            if clock.next_due is not None:
                clock.set_time(max(clock.time(), min(clock.next_due, clock.time() + 1)))

    task = asyncio.create_task(move())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object], timeout: float = 10) -> None:
    """Wait for what nobody announces."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
