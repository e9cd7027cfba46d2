"""A server's clock, moved by a test: its end in the server, and the test's end. Between them is an inherited pipe.

Never over HTTP: who can reach the pages of a server must not be able to move its time.
"""

from __future__ import annotations

import asyncio
import math
import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from shellbot.clocks import ExternalClock

if TYPE_CHECKING:
    from shellbot.testing.stillness import Stillness

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
STOPS = 1_000  # at most so often is it waited for what fell due on the way, in one move


class Clock:
    """The test's end. It goes on over restarts, and also while no server is up.

    Attributes:
        now: Seconds that have passed since ``start``.
    """

    def __init__(self, start: datetime = NOON, *, timeout: float = 10.0) -> None:
        self.now = 0.0
        self._stepped = 0.0
        self._start = start
        self._timeout = timeout
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._moving = asyncio.Lock()

    @property
    def utc(self) -> datetime:
        """What the server's clock shows on the wall."""
        return self._start + timedelta(seconds=self.now + self._stepped)

    async def advance(self, seconds: float) -> None:
        """Let time pass in the server; returns when all that fell due has begun, and what followed from it is over.

        Raises:
            ValueError: Time cannot go back.
            ConnectionError: The server ended meanwhile.
            TimeoutError: It did not answer; a turn of a bot may be stuck.
        """
        if not 0 <= seconds < math.inf:
            raise ValueError(f"time goes on by a number of seconds, 0 or more: advance({seconds!r})")
        async with self._moving:
            await self._tell(f"pass {seconds!r}")
            self.now += seconds

    async def step(self, seconds: float) -> None:
        """Set the server's clock on the wall forwards or back, as an operator may, or a machine that has slept.

        Nothing is waited for on the way, as no time passes. What is due by the wall now begins, and is over on return.
        """
        async with self._moving:
            await self._tell(f"step {seconds!r}")
            self._stepped += seconds

    async def _tell(self, line: str) -> None:
        if self._reader is not None and self._writer is not None:
            self._writer.write(f"{line}\n".encode())
            try:
                async with asyncio.timeout(self._timeout):
                    answer = await self._reader.readline()
            except TimeoutError:
                text = f"the server did not come to rest within {self._timeout:g} s; a turn of a bot may be stuck"
                raise TimeoutError(text) from None
            if not answer:
                raise ConnectionError("the server ended while its time was moved")

    async def settle(self) -> None:
        """Return when nothing goes on in the server: what was said to it has been dealt with."""
        await self.advance(0)

    async def connect(self) -> socket.socket:
        """Make the pipe to a new server; the caller closes its end once the server has inherited it."""
        await self.disconnect()
        ours, theirs = socket.socketpair()
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        return theirs

    async def disconnect(self) -> None:
        """The server is down."""
        writer, self._reader, self._writer = self._writer, None, None
        if writer is not None:
            writer.close()
            try:
                await writer.wait_closed()
            except OSError:
                pass


async def follow(descriptor: int, clock: ExternalClock, stillness: Stillness) -> None:
    """The server's end: move ``clock`` as the inherited pipe says. Returns when the other end is closed."""
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
    try:
        while line := await reader.readline():
            what, seconds = line.split()
            if what == b"step":
                clock.step(float(seconds))
                seconds = b"0"
            await _pass(float(seconds), clock, stillness)
            writer.write(b"%r\n" % clock.time())
    finally:
        writer.close()


async def _pass(seconds: float, clock: ExternalClock, stillness: Stillness) -> None:
    """Go from one due time to the next and let things come to rest at each: what follows finds its own time as now."""
    target = clock.time() + seconds
    await stillness.wait()
    while (due := clock.next_due) is not None and due <= target:
        clock.set_time(min(max(due, clock.time() + seconds / STOPS), target))
        await stillness.wait()
    clock.set_time(target)
