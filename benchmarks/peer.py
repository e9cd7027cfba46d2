"""A second process for a trial, with a pipe to it, and the handshake before a clock starts."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Self

from benchmarks.systems import READERS, SENDERS, Fast, FastReader, Raw, RawReader

TIMEOUT = 60.0
PROBE, START = 0, 1
_PROBE_EVERY = 0.005


class Peer:
    """Runs ``work(connection, *arguments)`` in a process; started before this one has threads, so that fork is safe."""

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.Process(target=work, args=(theirs, *arguments), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def tell(self, what: Any) -> None:
        self.connection.send(what)

    def hear(self) -> Any:
        """What it says next.

        Raises:
            TimeoutError, EOFError: It says nothing, or has ended.
        """
        if not self.connection.poll(TIMEOUT):
            raise TimeoutError("the other process says nothing")
        return self.connection.recv()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            # Said, not closed: a forked process has a copy of this end, so it would see no end of it.
            self.connection.send("done")
        except OSError:
            # It has ended before.
            pass
        self._process.join(5)
        self._process.kill()
        self._process.join()


def reading(system: str, url: str, work: Callable[..., None], *arguments: Any) -> Peer:
    """A process that reads: connects when told so by begin(), then runs ``work(connection, reader, *arguments)``."""
    return Peer(_read, system, url, work, arguments)


def _read(connection: Connection, system: str, url: str, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    connection.recv()
    with READERS[system](url) as reader:
        await_start(connection, reader)
        work(connection, reader, *arguments)
        # The other side may still be sending: it must not lose its only reader meanwhile.
        connection.recv()


def sending(system: str, url: str) -> Raw | Fast:
    return SENDERS[system](url)


def begin(sender: Raw | Fast, peer: Peer) -> None:
    """Return when what is sent reaches the reader, and the reader has taken all that was sent to find out."""
    peer.tell("connect")
    while not peer.connection.poll(_PROBE_EVERY):
        sender.put({"n": PROBE})
    peer.hear()
    sender.put({"n": START})
    peer.hear()


def await_start(connection: Connection, reader: RawReader | FastReader) -> None:
    """The reader's side of begin()."""
    reader.get()
    connection.send("reached")
    while reader.get()["n"] != START:
        pass
    connection.send("ready")
