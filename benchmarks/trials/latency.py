"""How long one message takes, at a steady pace: from just before put() to the decoded message in the reader's hand."""

from __future__ import annotations

import threading
import time
from multiprocessing.connection import Connection
from time import monotonic_ns

from benchmarks.messages import FIRST, message
from benchmarks.peer import begin, reading, sending
from benchmarks.systems import Reader, address


def run(system: str, count: int, rate: int, size: int = 100, busy: bool = False) -> dict[str, float]:
    body = message(size - len(',"t":') - len(str(monotonic_ns())))
    with (
        address("tcp") as url,
        reading(system, url, _time, count) as peer,
        sending(system, url) as sender,
    ):
        begin(sender, peer)
        stopping = threading.Event()
        thread = threading.Thread(target=_compute, args=(stopping,), daemon=True)
        if busy:
            thread.start()
        due = monotonic_ns()
        for number in range(FIRST, FIRST + count):
            due += 1_000_000_000 // rate
            while (left := due - monotonic_ns()) > 0:
                time.sleep(left / 1e9)
            body["n"] = number
            body["t"] = monotonic_ns()
            sender.put(body)
        stopping.set()
        delays = sorted(peer.hear())
    return {"p50": delays[len(delays) // 2] / 1e3, "p99": delays[len(delays) * 99 // 100] / 1e3}


def _time(connection: Connection, reader: Reader, count: int) -> None:
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
