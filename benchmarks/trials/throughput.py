"""How many messages a second reach one reader: from the first put to the last message decoded."""

from __future__ import annotations

from multiprocessing.connection import Connection
from time import monotonic_ns

from benchmarks.messages import FIRST, message
from benchmarks.peer import begin, reading, sending
from benchmarks.systems import Reader, address


def run(system: str, transport: str, size: int, count: int, sender: str = "") -> dict[str, float]:
    """Put with ``sender``; with the same system that reads unless told."""
    numbers = range(FIRST, FIRST + count)
    with (
        address(transport) as url,
        reading(system, url, _count, numbers) as peer,
        sending(sender or system, url) as source,
    ):
        begin(source, peer)
        started = monotonic_ns()
        source.put_row(message(size), numbers)
        # Ends the reader also where the last message was lost.
        source.put({"n": numbers.stop})
        counted = peer.hear()
    return {"rate": count / (counted.ended - started) * 1e9, **counted._asdict()}


def _count(connection: Connection, reader: Reader, numbers: range) -> None:
    connection.send(reader.count_row(numbers))
