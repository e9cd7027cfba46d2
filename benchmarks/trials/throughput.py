"""How many messages a second reach one reader: from the first put to the last message decoded."""

from __future__ import annotations

from multiprocessing.connection import Connection
from time import monotonic_ns

from benchmarks.peer import begin, reading, sending
from benchmarks.systems import FIRST, FastReader, RawReader, address, message


def run(system: str, transport: str, size: int, count: int) -> dict[str, float]:
    numbers = range(FIRST, FIRST + count)
    with address(transport) as url, reading(system, url, _count, numbers) as peer, sending(system, url) as sender:
        begin(sender, peer)
        started = monotonic_ns()
        sender.put_row(message(size), numbers)
        # Ends the reader also where the last message was lost.
        sender.put({"n": numbers.stop})
        ended, lost, disordered = peer.hear()
    return {"rate": count / (ended - started) * 1e9, "lost": lost, "disordered": disordered}


def _count(connection: Connection, reader: RawReader | FastReader, numbers: range) -> None:
    connection.send(tuple(reader.count_row(numbers)))
