"""A subscriber for asyncio: read without waiting first, and wait on the descriptor only when nothing is there.

That is as fast as plain get(); zmq.asyncio, which makes a future per message, has an eighth of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from shellbot.bus.frames import Frame, Gap
from shellbot.bus.subscriber import NOTHING, Subscriber
from shellbot.errors import BusClosed, BusTimeout

# So often others get their turn when there is always something to read.
_FAIR = 256


class AsyncSubscriber:
    """``subscriber.aio``: the names of the subscriber, to be awaited in one event loop.

    One task may read while others wait for wait_ready().
    """

    def __init__(self, subscriber: Subscriber) -> None:
        self._subscriber = subscriber
        self._waiting: list[asyncio.Future[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        # What is watched, and how to end that.
        self._watched: object = None
        self._end_watch: Callable[[], object] | None = None
        self._reads = 0

    async def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """The next message, or None when there is none in time."""
        found = await self._next(self._subscriber.take, timeout if block else 0.0)
        return None if found is NOTHING else found

    async def receive(self, timeout: float | None = None) -> Frame | Gap | None:
        """The next message with its channel, a gap in its place, or None when nothing came in time."""
        found = await self._next(self._take, timeout)
        return None if found is NOTHING else self._subscriber.frame(found)

    async def wait_ready(self, timeout: float | None = 5.0) -> None:
        """As :meth:`Subscriber.wait_ready`."""
        subscriber = self._subscriber
        subscriber.ask_ready()
        try:
            found = await self._until(lambda: subscriber.look_ready() or NOTHING, timeout)
        finally:
            self.wake()  # looking took the signal of what else has come, also where it gave up
        if found is NOTHING:
            raise BusTimeout(f"no publisher has answered within {timeout:g} s; is it running?")

    async def frames(self) -> AsyncIterator[Frame | Gap]:
        """Messages with their channels, and gaps in their places, until close()."""
        try:
            while True:
                yield self._subscriber.frame(await self._next(self._take, None))
        except BusClosed:
            return

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Messages, until close(). Gaps are skipped."""
        try:
            while True:
                yield await self._next(self._subscriber.take, None)
        except BusClosed:
            return

    def _take(self) -> Any:
        return self._subscriber.take(True)

    async def _next(self, take: Callable[[], Any], timeout: float | None) -> Any:
        self._reads += 1
        if not self._reads % _FAIR:
            await asyncio.sleep(0)
        found = take()
        if found is not NOTHING:
            return found
        return await self._until(take, timeout)

    async def _until(self, look: Callable[[], Any], timeout: float | None) -> Any:
        """What look() finds, looked for again whenever something has come; NOTHING at the deadline."""
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while (found := look()) is NOTHING:
            due = self._subscriber.incoming.tend()
            now = loop.time()
            if deadline is not None and now >= deadline:
                return NOTHING
            if due == 0:
                # A question was sent, or there is another connection.
                continue
            times = [time for time in (deadline, now + due if due is not None else None) if time is not None]
            waiter: asyncio.Future[None] = loop.create_future()
            timer = loop.call_at(min(times), _settle, waiter) if times else None
            self._waiting.append(waiter)
            try:
                self._watch(loop)
                if self._subscriber.incoming.has_news:
                    # Of which nobody was told that waited.
                    _settle(waiter)
                await waiter
            finally:
                self._waiting.remove(waiter)
                if timer:
                    timer.cancel()
                if not self._waiting:
                    self.unwatch()
        if self._waiting:
            # Reading took the signal, which came perhaps for somebody else.
            self.wake()
        return found

    def wake(self) -> None:
        """Let all who wait look again. From any thread."""
        loop = self._loop
        if loop is not None and self._waiting:
            # A loop that was closed has nobody who waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for waiter in self._waiting:
            _settle(waiter)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        incoming = self._subscriber.incoming
        self._loop = loop
        if self._watched is not incoming.connection:
            self.unwatch()
            self._end_watch = incoming.watch(loop, self._wake)
            self._watched = incoming.connection

    def unwatch(self) -> None:
        """The descriptor is about to change, or nobody waits."""
        end, self._watched, self._end_watch = self._end_watch, None, None
        if end is not None:
            end()


def _settle(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
