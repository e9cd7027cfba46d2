"""What a bus costs on which nothing happens: wake-ups and processor time of its process and of a waiting reader."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from time import monotonic

from benchmarks.messages import FIRST, message
from benchmarks.peer import begin, reading, sending
from benchmarks.spent import spent
from benchmarks.systems import Reader, address


def run(systems: Sequence[str], settle: float, seconds: float, count: int = 1000) -> dict[str, float]:
    """All these beside each other: who does nothing disturbs nobody, and each is looked at by its processes."""
    numbers = range(FIRST, FIRST + count)
    with ExitStack() as stack:
        urls = [stack.enter_context(address("tcp")) for _ in systems]
        peers = [
            stack.enter_context(reading(system, url, _wait, numbers)) for system, url in zip(systems, urls, strict=True)
        ]
        senders = [stack.enter_context(sending(system, url)) for system, url in zip(systems, urls, strict=True)]
        watched: dict[str, int] = {}
        for system, sender, peer in zip(systems, senders, peers, strict=True):
            begin(sender, peer)
            sender.put_row(message(100), numbers)
            peer.hear()
            watched |= {f"{system} publisher": sender.pid, f"{system} subscriber": peer.pid}
        # Nothing to wait for but time itself: the figure is "so long after the last message".
        never = threading.Event()
        never.wait(settle)
        before, since = {name: spent(pid) for name, pid in watched.items()}, monotonic()
        never.wait(seconds)
        after, passed = {name: spent(pid) for name, pid in watched.items()}, monotonic() - since
        for sender, peer in zip(senders, peers, strict=True):
            sender.put({"n": numbers.stop})
            peer.hear()
    result = {}
    for name in watched:
        result[f"{name} wake-ups"] = (after[name][0] - before[name][0]) / passed
        result[f"{name} cpu"] = (after[name][1] - before[name][1]) / passed / 1e9 * 100
    return result


def _wait(connection: Connection, reader: Reader, numbers: range) -> None:
    reader.count_row(numbers)
    connection.send("taken")
    reader.get()
    connection.send("woken")
