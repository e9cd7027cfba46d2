"""Many channels in one subscriber: how long until all are in force, and how fast messages to all of them come."""

from __future__ import annotations

from multiprocessing.connection import Connection
from time import monotonic_ns

from benchmarks.messages import FIRST, message
from benchmarks.peer import Peer
from benchmarks.systems import Shellbot, ShellbotReader, address


def run(channels: int, count: int, used: int | None = None) -> dict[str, float]:
    """Put to the first ``used`` of them in turn; to all of them unless told."""
    names = [f"room-{number:06}" for number in range(channels)]
    numbers = range(FIRST, FIRST + count)
    with address("tcp") as url, Peer(_count, url, names, numbers) as peer, Shellbot(url) as sender:
        peer.tell("connect")
        active = peer.hear()
        started = monotonic_ns()
        sender.put_around(message(100), numbers, names[:used])
        sender.put_around(message(100), range(numbers.stop, numbers.stop + 1), names[:1])
        counted = peer.hear()
    return {"active": active / 1e9, "rate": count / (counted.ended - started) * 1e9, **counted._asdict()}


def _count(connection: Connection, url: str, names: list[str], numbers: range) -> None:
    connection.recv()
    started = monotonic_ns()
    with ShellbotReader(url, names) as reader:
        reader.wait_ready()
        connection.send(monotonic_ns() - started)
        connection.send(reader.count_row(numbers))
        connection.recv()
