"""nats-py, core NATS, with Debian's nats-server: at most once, no reader holds up the sender."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import orjson

from benchmarks.messages import CHANNEL, Counted, Tally
from benchmarks.others import no_package, server

try:
    import nats
except ImportError as error:
    raise no_package("nats-py") from error

# A round trip so often bounds what client and server keep; without any the server cuts the reader.
_FLUSH_EVERY = 200


@contextmanager
def serve(port: int) -> Iterator[str]:
    with server("nats-server", ["-a", "127.0.0.1", "-p", str(port)], "Server is ready"):
        yield f"nats://127.0.0.1:{port}"


class _Side:
    """One connection, on an event loop that runs while something is asked of it."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = self._loop.run_until_complete(nats.connect(url))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._client.close())
        self._loop.close()


class Sender(_Side):
    pid = 0

    def put(self, body: Any) -> None:
        self._loop.run_until_complete(self._put(body))

    async def _put(self, body: Any) -> None:
        await self._client.publish(CHANNEL, orjson.dumps(body))
        await self._client.flush()

    def put_row(self, body: dict[str, Any], numbers: range) -> None:
        self._loop.run_until_complete(self._put_row(body, numbers))

    async def _put_row(self, body: dict[str, Any], numbers: range) -> None:
        publish, flush, dumps = self._client.publish, self._client.flush, orjson.dumps
        for number in numbers:
            body["n"] = number
            await publish(CHANNEL, dumps(body))
            if not number % _FLUSH_EVERY:
                await flush()


class Reader(_Side):
    """Read by a callback: its iterator makes a task for each message."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._early: asyncio.Queue[Any] = asyncio.Queue()
        self._take: Callable[[Any], None] = self._early.put_nowait
        self._loop.run_until_complete(self._subscribe())

    async def _subscribe(self) -> None:
        # Without limits: what its client drops for being slow would be called lost.
        await self._client.subscribe(CHANNEL, cb=self._arrived, pending_msgs_limit=0, pending_bytes_limit=0)
        await self._client.flush()

    async def _arrived(self, found: Any) -> None:
        self._take(orjson.loads(found.data))

    def get(self, timeout: float | None = None) -> Any:
        """The next message; None when none came in so many seconds."""
        try:
            return self._loop.run_until_complete(asyncio.wait_for(self._early.get(), timeout))
        except TimeoutError:
            return None

    def count_row(self, numbers: range) -> Counted:
        """Nothing of the row may have been read before: the loop stands still between two calls."""
        wanted, last, tally, over = numbers.start, numbers[-1], Tally(), asyncio.Event()

        def take(body: Any) -> None:
            nonlocal wanted
            number = body["n"]
            wanted = number + 1 if number == wanted else tally.judge(number, wanted)
            if wanted > last:
                over.set()

        self._take = take
        self._loop.run_until_complete(over.wait())
        return tally.counted()
