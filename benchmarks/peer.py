"""A second process for a trial, with a pipe to it, and the handshake before a clock starts."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Self

from benchmarks.messages import PROBE, START
from benchmarks.systems import READERS, SENDERS, Reader, Sender

TIMEOUT = 60.0
_PROBE_EVERY = 0.005


class Peer:
    """Runs ``work(connection, *arguments)`` in a process; started before this one has threads, so that fork is safe.

    It may have processes of its own. It ends with the ``with`` block.
    """

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.Process(target=work, args=(theirs, *arguments))
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


def sending(system: str, url: str) -> Sender:
    return SENDERS[system](url)


def begin(sender: Sender, *peers: Peer) -> None:
    """Return when what is sent reaches all these readers, and they have taken all that was sent to find out."""
    for peer in peers:
        peer.tell("connect")
    probe(lambda: sender.put({"n": PROBE}), *peers)
    sender.put({"n": START})
    for peer in peers:
        peer.hear()


def probe(send: Callable[[], None], *peers: Peer) -> None:
    """Send again and again until all these have said something."""
    waiting = list(peers)
    while waiting:
        send()
        waiting = [peer for peer in waiting if not peer.connection.poll(_PROBE_EVERY)]
    for peer in peers:
        peer.hear()


def await_start(connection: Connection, reader: Reader) -> None:
    """The reader's side of begin()."""
    reader.get()
    connection.send("reached")
    while reader.get()["n"] != START:
        pass
    connection.send("ready")
