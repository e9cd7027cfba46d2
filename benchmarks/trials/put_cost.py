"""What one put() costs the caller while nothing pushes back: bursts that fit into every queue on the way."""

from __future__ import annotations

from multiprocessing.connection import Connection
from statistics import median
from time import perf_counter_ns

from benchmarks.messages import FIRST, message
from benchmarks.peer import begin, reading, sending
from benchmarks.systems import Reader, address

# Below the 1,000 messages that a raw socket takes before it waits.
BURST = 500


def run(system: str, bursts: int, size: int = 100) -> dict[str, float]:
    rows = [range(FIRST + start, FIRST + start + BURST) for start in range(0, bursts * BURST, BURST)]
    body = message(size)
    costs = []
    with address("tcp") as url, reading(system, url, _take, rows) as peer, sending(system, url) as sender:
        begin(sender, peer)
        for row in rows:
            started = perf_counter_ns()
            sender.put_row(body, row)
            costs.append((perf_counter_ns() - started) / BURST)
            # Everything has arrived before the next burst.
            peer.hear()
    return {"us": median(costs) / 1e3}


def _take(connection: Connection, reader: Reader, rows: list[range]) -> None:
    for row in rows:
        reader.count_row(row)
        connection.send("taken")
