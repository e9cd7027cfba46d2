"""The systems that are compared: shellbot's bus at ``fast``, and the raw sockets it is made of, with equal loops.

*raw* is what a program without shellbot would do that may lose nothing: orjson and one send in the caller's thread,
XPUB with NODROP to SUB, one receive and orjson. No queue, no other process, no checks.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic_ns
from typing import Any, NamedTuple, Self

import orjson
import zmq

from shellbot.bus.bus import Bus
from shellbot.context import Context

CHANNEL = "room"
HIGH_WATER = 1000
# Messages are numbered from here, so that each has the same size; smaller numbers are probes.
FIRST = 1_000_000


class Counted(NamedTuple):
    """What a reader saw of a row of numbered messages."""

    ended: int
    lost: int
    disordered: int


def message(size: int) -> dict[str, Any]:
    """A flat message of so many bytes of JSON, as long as its number has seven digits."""
    found = {"n": FIRST, "person": "person-1", "text": ""}
    found["text"] = "x" * (size - len(orjson.dumps(found)))
    return found


@contextmanager
def address(transport: str) -> Iterator[str]:
    """An address on this machine that nobody uses."""
    if transport == "ipc":
        with TemporaryDirectory(prefix="sb-") as folder:
            yield f"ipc://{Path(folder) / 'bus'}"
    else:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        yield f"tcp://127.0.0.1:{port}"


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
    """The receiving side of raw."""

    def __init__(self, url: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.set(zmq.RCVHWM, HIGH_WATER)
        self._socket.set(zmq.SUBSCRIBE, CHANNEL.encode() + b" ")
        self._socket.connect(url)
        self._skip = len(CHANNEL) + 1

    def get(self, timeout: float | None = None) -> Any:
        """The next message; None when none came in so many seconds."""
        if timeout is not None and not self._socket.poll(timeout * 1000):
            return None
        return orjson.loads(self._socket.recv()[self._skip :])

    def count_row(self, numbers: range) -> Counted:
        """Read numbered messages up to the last one."""
        recv, loads, skip = self._socket.recv, orjson.loads, self._skip
        wanted, last, lost, disordered = numbers.start, numbers[-1], 0, 0
        while wanted <= last:
            number = loads(recv()[skip:])["n"]
            if number != wanted:
                lost, disordered = _judge(number, wanted, lost, disordered)
            wanted = number + 1
        return Counted(monotonic_ns(), lost, disordered)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.destroy(linger=0)


class Fast:
    """The sending side of shellbot's bus."""

    def __init__(self, url: str) -> None:
        self._publisher = Bus(Context({"bus": {"address": url, "guarantee": "fast"}})).publish()
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


class FastReader:
    """The receiving side of shellbot's bus."""

    def __init__(self, url: str, channels: str | list[str] = CHANNEL) -> None:
        context = Context({"bus": {"address": url, "guarantee": "fast"}})
        self._subscriber = Bus(context).subscribe(channels)

    def wait_ready(self) -> None:
        self._subscriber.wait_ready(60)

    def get(self, timeout: float | None = None) -> Any:
        """The next message; None when none came in so many seconds."""
        return self._subscriber.get(block=True, timeout=timeout)

    def count_row(self, numbers: range) -> Counted:
        """Read numbered messages up to the last one."""
        wanted, last, lost, disordered = numbers.start, numbers[-1], 0, 0
        for body in self._subscriber:
            number = body["n"]
            if number != wanted:
                lost, disordered = _judge(number, wanted, lost, disordered)
            wanted = number + 1
            if wanted > last:
                break
        return Counted(monotonic_ns(), lost, disordered)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._subscriber.close()


def _judge(number: int, wanted: int, lost: int, disordered: int) -> tuple[int, int]:
    return (lost + number - wanted, disordered) if number > wanted else (lost, disordered + 1)


SENDERS: dict[str, Callable[[str], Raw | Fast]] = {"raw": Raw, "fast": Fast}
READERS: dict[str, Callable[[str], RawReader | FastReader]] = {"raw": RawReader, "fast": FastReader}
