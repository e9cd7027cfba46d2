"""The systems that are compared: shellbot's bus, and the raw sockets it is made of, with equal loops.

*raw* is what a program without shellbot would do that may lose nothing: orjson and one send in the caller's thread,
XPUB with NODROP to SUB, one receive and orjson. No queue, no other process, no checks. *fast* and *replay* are the bus
at these guarantees. What else is compared is in ``benchmarks.others``, and imported only when it is asked for.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, Self

import orjson
import zmq

from benchmarks.messages import CHANNEL, Counted, Tally
from shellbot.bus.bus import Bus
from shellbot.context import Context

HIGH_WATER = 1000


class Sender(AbstractContextManager["Sender"], Protocol):
    """The sending side of a system; ``pid`` is its process where it has one of its own, else 0."""

    pid: int

    def put(self, body: Any) -> None: ...

    def put_row(self, body: dict[str, Any], numbers: range) -> None:
        """Put a message many times, numbered."""


class Reader(AbstractContextManager["Reader"], Protocol):
    """The receiving side of a system."""

    def get(self, timeout: float | None = None) -> Any:
        """The next message; None when none came in so many seconds."""

    def count_row(self, numbers: range) -> Counted:
        """Read numbered messages up to the last one."""


def free_port() -> int:
    """A TCP port of this machine that nobody uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


@contextmanager
def address(transport: str) -> Iterator[str]:
    """Where both sides meet: ``tcp``, ``ipc``, or a server that is started and ended, ``nats`` or ``redis``.

    Raises:
        NotRun: The server is not installed.
    """
    if transport == "ipc":
        with TemporaryDirectory(prefix="sb-") as folder:
            yield f"ipc://{Path(folder) / 'bus'}"
    elif transport == "tcp":
        yield f"tcp://127.0.0.1:{free_port()}"
    else:
        with import_module(f"benchmarks.others.{transport}").serve(free_port()) as url:
            yield url


class Raw:
    """The sending side of raw."""

    def __init__(self, url: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.set(zmq.XPUB_NODROP, 1)
        self._socket.set(zmq.SNDHWM, HIGH_WATER)
        self._socket.bind(url)
        self._head = CHANNEL.encode() + b" "
        self.pid = 0

    def put(self, body: Any) -> None:
        self._socket.send(self._head + orjson.dumps(body))

    def put_row(self, body: dict[str, Any], numbers: range) -> None:
        """Put a message many times, numbered."""
        send, head, dumps = self._socket.send, self._head, orjson.dumps
        for number in numbers:
            body["n"] = number
            send(head + dumps(body))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.destroy(linger=0)


class RawReader:
    """The receiving side of raw.

    Args:
        context: Of ZeroMQ, shared with other readers in this process; one of its own unless given.
    """

    def __init__(self, url: str, context: zmq.Context[Any] | None = None) -> None:
        self._context = context or zmq.Context()
        self._is_shared = context is not None
        self._socket = self._context.socket(zmq.SUB)
        self._socket.set(zmq.RCVHWM, HIGH_WATER)
        self._socket.set(zmq.SUBSCRIBE, CHANNEL.encode() + b" ")
        self._socket.connect(url)
        self._skip = len(CHANNEL) + 1

    def get(self, timeout: float | None = None) -> Any:
        """The next message; None when none came in so many seconds."""
        if timeout is not None and not self._socket.poll(int(timeout * 1000)):
            return None
        return orjson.loads(self._socket.recv()[self._skip :])

    def count_row(self, numbers: range) -> Counted:
        """Read numbered messages up to the last one."""
        recv, loads, skip, tally = self._socket.recv, orjson.loads, self._skip, Tally()
        wanted, last = numbers.start, numbers[-1]
        while wanted <= last:
            number = loads(recv()[skip:])["n"]
            wanted = number + 1 if number == wanted else tally.judge(number, wanted)
        return tally.counted()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close(linger=0)
        if not self._is_shared:
            self._context.destroy(linger=0)


class Shellbot:
    """The sending side of shellbot's bus."""

    def __init__(self, url: str, guarantee: str = "fast") -> None:
        self._publisher = bus(url, guarantee).publish()
        self._publisher.start()
        self.pid = self._publisher.pid or 0

    def put(self, body: Any) -> None:
        self._publisher.put(CHANNEL, body)

    def put_row(self, body: dict[str, Any], numbers: range) -> None:
        """Put a message many times, numbered."""
        put = self._publisher.put
        for number in numbers:
            body["n"] = number
            put(CHANNEL, body)

    def put_around(self, body: dict[str, Any], numbers: range, channels: Sequence[str]) -> None:
        """Put a numbered message to one channel after the other, and begin again."""
        put, count = self._publisher.put, len(channels)
        for number in numbers:
            body["n"] = number
            put(channels[number % count], body)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._publisher.close()


class ShellbotReader:
    """The receiving side of shellbot's bus, read by iterating."""

    def __init__(self, url: str, channels: str | list[str] = CHANNEL, guarantee: str = "fast") -> None:
        self._subscriber = bus(url, guarantee).subscribe(channels)

    def wait_ready(self) -> None:
        self._subscriber.wait_ready(60)

    def get(self, timeout: float | None = None) -> Any:
        """The next message; None when none came in so many seconds."""
        return self._subscriber.get(block=True, timeout=timeout)

    def count_row(self, numbers: range) -> Counted:
        """Read numbered messages up to the last one."""
        wanted, last, tally = numbers.start, numbers[-1], Tally()
        for body in self._subscriber:
            number = body["n"]
            wanted = number + 1 if number == wanted else tally.judge(number, wanted)
            if wanted > last:
                break
        return tally.counted()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._subscriber.close()


class GetReader(ShellbotReader):
    """The same, read by one blocking get() after the other."""

    def count_row(self, numbers: range) -> Counted:
        wanted, last, tally, get = numbers.start, numbers[-1], Tally(), self._subscriber.get
        while wanted <= last:
            number = get(True)["n"]
            wanted = number + 1 if number == wanted else tally.judge(number, wanted)
        return tally.counted()


class AsyncReader(ShellbotReader):
    """The same, each get() awaited in an event loop."""

    def count_row(self, numbers: range) -> Counted:
        return asyncio.run(self._count_row(numbers))

    async def _count_row(self, numbers: range) -> Counted:
        wanted, last, tally, get = numbers.start, numbers[-1], Tally(), self._subscriber.aio.get
        while wanted <= last:
            number = (await get())["n"]
            wanted = number + 1 if number == wanted else tally.judge(number, wanted)
        return tally.counted()


def bus(url: str, guarantee: str) -> Bus:
    return Bus(Context({"bus": {"address": url, "guarantee": guarantee}}))


def _other(module: str, name: str) -> Callable[[str], Any]:
    """What makes one side of another system, imported then."""
    return lambda url: getattr(import_module(f"benchmarks.others.{module}"), name)(url)


SENDERS: dict[str, Callable[[str], Sender]] = {
    "raw": Raw,
    "fast": Shellbot,
    "replay": partial(Shellbot, guarantee="replay"),
    "nats": _other("nats", "Sender"),
    "redis": _other("redis", "Sender"),
    "redis pipelined": _other("redis", "PipelinedSender"),
}
READERS: dict[str, Callable[[str], Reader]] = {
    "raw": RawReader,
    "fast": ShellbotReader,
    "replay": partial(ShellbotReader, guarantee="replay"),
    "get": GetReader,
    "await get": AsyncReader,
    "nats": _other("nats", "Reader"),
    "redis": _other("redis", "Reader"),
    "redis pipelined": _other("redis", "Reader"),
}
