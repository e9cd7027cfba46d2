"""A subscriber that is stopped for a while under load: what is lost, and how the publisher's side grows."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing.connection import Connection
from time import monotonic

from benchmarks.messages import FIRST, message
from benchmarks.peer import Peer, begin, reading, sending
from benchmarks.spent import resident
from benchmarks.systems import Reader, Sender, address

MIB = 1024 * 1024


def run(system: str, count: int, seconds: float, size: int = 1024, warm: int = 10_000) -> dict[str, float]:
    first, second = range(FIRST, FIRST + warm), range(FIRST + warm, FIRST + warm + count)
    body = message(size)
    with address("tcp") as url, reading(system, url, _count, first, second) as peer, sending(system, url) as sender:
        begin(sender, peer)
        # Queues and buffers have been used once before memory is looked at.
        sender.put_row(body, first)
        peer.hear()
        before = _resident(sender)
        stop = _Stop(peer, sender, seconds)
        stop.start()
        stop.begun.wait()
        sender.put_row(body, second)
        ended = monotonic()
        sender.put({"n": second.stop})
        counted = peer.hear()
        stop.join()
        growth = max(stop.resident, _resident(sender)) - before
    if ended < stop.ended:
        raise AssertionError("everything was put before the stop was over: it proves nothing; raise count")
    return {**counted._asdict(), "mib": growth / MIB}


class _Stop(threading.Thread):
    """Stops a process for some seconds."""

    def __init__(self, peer: Peer, sender: Sender, seconds: float) -> None:
        super().__init__(daemon=True)
        self.begun = threading.Event()
        self.ended = 0.0
        self.resident = 0
        self._peer = peer
        self._sender = sender
        self._seconds = seconds

    def run(self) -> None:
        os.kill(self._peer.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self._peer.pid, os.WSTOPPED | os.WNOWAIT)
        self.begun.set()
        threading.Event().wait(self._seconds)
        # All queues are full by now.
        self.resident = _resident(self._sender)
        self.ended = monotonic()
        os.kill(self._peer.pid, signal.SIGCONT)


def _resident(sender: Sender) -> int:
    """Bytes of memory of the caller and, where there is one, of the publisher's process."""
    return resident(os.getpid(), *([sender.pid] if sender.pid else []))


def _count(connection: Connection, reader: Reader, first: range, second: range) -> None:
    reader.count_row(first)
    connection.send("taken")
    connection.send(reader.count_row(second))
