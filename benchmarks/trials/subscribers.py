"""Many subscribers of one channel in few processes: how many messages a second they take together."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from queue import SimpleQueue
from time import monotonic_ns
from typing import Any

import zmq

from benchmarks.messages import CHANNEL, FIRST, START, Counted, Tally, message, worst
from benchmarks.peer import TIMEOUT, Peer, begin, sending
from benchmarks.systems import RawReader, address, bus
from shellbot.bus.subscriber import Subscriber


def run(system: str, subscribers: int, processes: int, count: int) -> dict[str, float]:
    """``raw``: a thread and a socket for each subscriber. Else subscribers of the bus, in each process read in turn."""
    numbers = range(FIRST, FIRST + count)
    share = subscribers // processes
    work = _threads if system == "raw" else _loop
    with ExitStack() as stack:
        url = stack.enter_context(address("tcp"))
        peers = [stack.enter_context(Peer(work, system, url, share, numbers)) for _ in range(processes)]
        sender = stack.enter_context(sending(system, url))
        begin(sender, *peers)
        started = monotonic_ns()
        sender.put_row(message(100), numbers)
        sender.put({"n": numbers.stop})
        counted = worst([peer.hear() for peer in peers])
    return {"rate": share * processes * count / (counted.ended - started) * 1e9, **counted._asdict()}


def _threads(connection: Connection, system: str, url: str, share: int, numbers: range) -> None:
    connection.recv()
    said: SimpleQueue[Any] = SimpleQueue()
    with _many_files(), zmq.Context() as context:
        context.set(zmq.MAX_SOCKETS, 2 * share)
        for _ in range(share):
            threading.Thread(target=_read, args=(context, url, numbers, said), daemon=True).start()
        for step in ("reached", "ready"):
            for _ in range(share):
                said.get()
            connection.send(step)
        connection.send(worst([said.get() for _ in range(share)]))
        connection.recv()


def _read(context: zmq.Context[Any], url: str, numbers: range, said: SimpleQueue[Any]) -> None:
    with RawReader(url, context) as reader:
        reader.get()
        said.put("reached")
        while reader.get()["n"] != START:
            pass
        said.put("ready")
        said.put(reader.count_row(numbers))


def _loop(connection: Connection, system: str, url: str, share: int, numbers: range) -> None:
    connection.recv()
    with _many_files(), ExitStack() as stack:
        one_bus = bus(url, system)
        subscribers = [stack.enter_context(one_bus.subscribe(CHANNEL)) for _ in range(share)]
        for one in subscribers:
            one.get()
        for one in subscribers:
            one.wait_ready(TIMEOUT)
        connection.send("reached")
        _turn([_until_start(one) for one in subscribers])
        connection.send("ready")
        rows = [_Row(one, numbers) for one in subscribers]
        _turn([row.take for row in rows])
        connection.send(worst([row.counted for row in rows]))
        connection.recv()


def _turn(steps: list[Callable[[], bool]]) -> None:
    """Take one step after the other, round and round, until each has said that it is done."""
    while steps:
        steps = [step for step in steps if not step()]


def _until_start(subscriber: Subscriber) -> Callable[[], bool]:
    """A step that takes what is here, up to the message before the first."""

    def step() -> bool:
        while (body := subscriber.get()) is not None:
            if body["n"] == START:
                return True
        return False

    return step


class _Row:
    """A row of numbered messages as one subscriber sees it."""

    def __init__(self, subscriber: Subscriber, numbers: range) -> None:
        self.counted = Counted(0, 0, 0, 0)
        self._get = subscriber.get
        self._tally = Tally()
        self._wanted = numbers.start
        self._last = numbers[-1]

    def take(self) -> bool:
        """Take what is here; whether it was the last."""
        get, wanted = self._get, self._wanted
        while wanted <= self._last and (body := get()) is not None:
            number = body["n"]
            wanted = number + 1 if number == wanted else self._tally.judge(number, wanted)
        self._wanted = wanted
        if wanted <= self._last:
            return False
        self.counted = self._tally.counted()
        return True


@contextmanager
def _many_files() -> Iterator[None]:
    """With as many open files as the machine allows: a socket needs two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
