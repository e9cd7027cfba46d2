"""Forms of one person while very many others have a stream open and are told what is said: how long, what is lost."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from random import Random
from time import monotonic, monotonic_ns, perf_counter, sleep
from urllib.parse import urlsplit

from benchmarks.chat_server import serve
from benchmarks.messages import Tally, worst
from benchmarks.peer import Peer
from benchmarks.spent import percentile, resident
from benchmarks.visitor import Visitor

_KEY = re.compile(rb'"key": "talk-(\d{6})"')
_WARM = 20
_READ_TIMEOUT = 30.0


def run(streams: int, talks: int, rate: int, seconds: float) -> dict[str, float]:
    """``talks`` messages to all at even times; meanwhile forms of another person, ``rate`` a second on average."""
    with Peer(_read, streams, talks) as readers, Peer(serve) as server:
        url = server.hear()
        readers.tell(url)
        readers.hear()  # all have joined
        before = resident(server.pid)
        readers.tell("open")
        readers.hear()
        growth = resident(server.pid) - before
        said: list[int] = []
        with Visitor(url, "Talker") as talker, Visitor(url, "Writer") as writer:
            for number in range(_WARM):
                writer.say("noop", f"warm-{number:06}")
            talking = threading.Thread(target=_talk, args=(talker, talks, seconds / talks, said), daemon=True)
            talking.start()
            delays = _write(writer, talking, rate)
            talking.join()
            counted, arrived = readers.hear()
    spread = [(last - began) / 1e6 for began, last in zip(said, arrived, strict=True)]
    return {
        **worst(counted)._asdict(),
        "post 50": percentile(delays, 50) * 1e3,
        "post 99": percentile(delays, 99) * 1e3,
        "all told 50": percentile(spread, 50),
        "all told 99": percentile(spread, 99),
        "kB": max(growth, 0) / streams / 1e3,
    }


def _talk(talker: Visitor, talks: int, pause: float, said: list[int]) -> None:
    due = monotonic()
    for number in range(talks):
        sleep(max(due - monotonic(), 0))
        due += pause
        said.append(monotonic_ns())
        talker.say("to all", f"talk-{number:06}", "group")


def _write(writer: Visitor, talking: threading.Thread, rate: int) -> list[float]:
    """Say things to the bot alone, at times that keep no step with those of the other one."""
    chance, delays = Random(1), []
    while talking.is_alive():
        began = perf_counter()
        writer.say(f"echo {len(delays)}", f"write-{len(delays):06}")
        delays.append(perf_counter() - began)
        sleep(chance.expovariate(rate))
    return delays


# --- the process of the readers


def _read(connection: Connection, streams: int, talks: int) -> None:
    url = connection.recv()
    asks = []
    for number in range(streams):
        with Visitor(url, f"Person {number}") as person:
            asks.append(person.asking_for_events)
    connection.send("joined")
    connection.recv()
    readers = asyncio.run(_listen(url, asks, talks, connection))
    counted = [reader.tally.counted()._replace(lost=talks - reader.taken) for reader in readers]
    connection.send((counted, [max(reader.stamps.get(number, 0) for reader in readers) for number in range(talks)]))
    connection.recv()


async def _listen(url: str, asks: Sequence[bytes], talks: int, connection: Connection) -> list[_Stream]:
    loop = asyncio.get_running_loop()
    where = urlsplit(url)
    streams = [_Stream(ask, talks) for ask in asks]
    for stream in streams:
        await loop.create_connection(lambda stream=stream: stream, where.hostname, where.port)
        await asyncio.wait_for(stream.is_open.wait(), _READ_TIMEOUT)
    connection.send("open")
    try:
        await asyncio.wait_for(asyncio.gather(*(stream.is_over.wait() for stream in streams)), _READ_TIMEOUT)
    except TimeoutError:
        pass  # what has not come by then is lost
    for stream in streams:
        stream.close()
    return streams


class _Stream(asyncio.Protocol):
    """One open stream; follows the numbers of what comes, and knows when each came."""

    def __init__(self, ask: bytes, talks: int) -> None:
        self.is_open = asyncio.Event()
        self.is_over = asyncio.Event()
        self.tally = Tally()
        self.stamps: dict[int, int] = {}
        self._ask = ask
        self._talks = talks
        self._wanted = 0
        self._unread = b""
        self._transport: asyncio.Transport | None = None

    @property
    def taken(self) -> int:
        """Of how many posts it was told."""
        return len(self.stamps)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._ask)

    def data_received(self, data: bytes) -> None:
        now = monotonic_ns()
        self._unread += data
        self.is_open.set()
        *whole, self._unread = self._unread.split(b"\n\n")
        for event in whole:
            if found := _KEY.search(event):
                number = int(found[1])
                self._wanted = self._wanted + 1 if number == self._wanted else self.tally.judge(number, self._wanted)
                self.stamps.setdefault(number, now)
        if self.taken == self._talks:
            self.is_over.set()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
