"""From nothing to the first message: the bus made, its process and a reading process started, one message decoded."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from time import monotonic_ns

from benchmarks.peer import Peer
from benchmarks.systems import SENDERS, RawReader, ShellbotReader, address


def run(system: str, method: str) -> dict[str, float]:
    multiprocessing.set_start_method(method)
    with address("tcp") as url:
        started = monotonic_ns()
        # The reader first: it is forked before there is a thread.
        with Peer(_READERS[system], url) as peer, SENDERS[system](url) as sender:
            if system == "raw":
                while not peer.connection.poll(0.001):
                    sender.put({"n": 0})
            else:
                peer.hear()
                sender.put({"n": 1})
            arrived = peer.hear()
    return {"ms": (arrived - started) / 1e6}


def _read_raw(connection: Connection, url: str) -> None:
    with RawReader(url) as reader:
        reader.get()
        connection.send(monotonic_ns())


def _read_ours(connection: Connection, url: str) -> None:
    with ShellbotReader(url, guarantee="replay") as reader:
        reader.wait_ready()
        connection.send("ready")
        reader.get()
        connection.send(monotonic_ns())


_READERS = {"raw": _read_raw, "replay": _read_ours}
