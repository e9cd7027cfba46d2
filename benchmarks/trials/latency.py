"""How long one message takes, at a steady pace: from just before put() to the decoded message in the reader's hand.

All systems that are compared live at the same time and take turns of a tenth of a second, while the others sleep: a
wake-up takes 10 us or 30, and that changes every few seconds on a virtual machine.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from multiprocessing.connection import Connection
from time import monotonic_ns

from benchmarks.messages import FIRST, message
from benchmarks.peer import Peer, begin, reading, sending
from benchmarks.systems import Reader, Sender, address

TURN = 100


def run(systems: list[str], count: int, rate: int, size: int = 100, busy: bool = False) -> dict[str, float]:
    """``count`` messages of each, in turns."""
    body = message(size - len(',"t":') - len(str(monotonic_ns())))
    turns = [range(start, min(start + TURN, FIRST + count)) for start in range(FIRST, FIRST + count, TURN)]
    found: dict[str, list[int]] = {system: [] for system in systems}
    with ExitStack() as stack:
        urls = {system: stack.enter_context(address("tcp")) for system in systems}
        # All processes before the first thread, so that fork is safe.
        peers = {name: stack.enter_context(reading(name, url, _time)) for name, url in urls.items()}
        senders = {name: stack.enter_context(sending(name, url)) for name, url in urls.items()}
        for name in systems:
            begin(senders[name], peers[name])
        stopping = threading.Event()
        thread = threading.Thread(target=_compute, args=(stopping,), daemon=True)
        if busy:
            thread.start()
        for number, turn in enumerate(turns):
            for name in systems if number % 2 == 0 else reversed(systems):
                found[name] += _turn(senders[name], peers[name], body, turn, 1_000_000_000 // rate)
        stopping.set()
        for peer in peers.values():
            peer.tell(0)
    return {
        f"{name} {title}": sorted(delays)[len(delays) * percent // 100] / 1e3
        for name, delays in found.items()
        for title, percent in (("p50", 50), ("p99", 99))
    }


def _turn(sender: Sender, peer: Peer, body: dict[str, object], numbers: range, step: int) -> list[int]:
    peer.tell(len(numbers))
    peer.hear()
    due = monotonic_ns()
    for number in numbers:
        due += step
        while (left := due - monotonic_ns()) > 0:
            time.sleep(left / 1e9)
        body["n"] = number
        body["t"] = monotonic_ns()
        sender.put(body)
    delays: list[int] = peer.hear()
    return delays


def _time(connection: Connection, reader: Reader) -> None:
    while count := connection.recv():
        connection.send("reads")
        delays = []
        for _ in range(count):
            put_at = reader.get()["t"]
            delays.append(monotonic_ns() - put_at)
        connection.send(delays)


def _compute(stopping: threading.Event) -> None:
    """Python code that never waits and never lets go of the interpreter by itself."""
    total = 0
    while not stopping.is_set():
        for number in range(1000):
            total += number
