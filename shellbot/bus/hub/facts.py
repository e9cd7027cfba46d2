"""What a hub tells of itself to those who look: ``shellbot bus top``."""

from __future__ import annotations

import socket
from typing import Any

import msgspec

from shellbot.bus import transports
from shellbot.bus.hub.seat import call
from shellbot.bus.options import BusOptions, ContextFace
from shellbot.errors import BusError, BusTimeout

_PATIENCE = 2.0
_BYTES = 1024 * 1024


class Program(msgspec.Struct, frozen=True):
    """One that publishes.

    Attributes:
        pid: Of its process; 0 while that is being started again.
        queued_bytes: What it has put and the hub has not read.
        sent: Messages of it that were sent.
    """

    pid: int
    queued_bytes: int
    sent: int


class Facts(msgspec.Struct, frozen=True):
    """One look at a running bus.

    Attributes:
        position: Messages this bus ever took; 0 at ``fast``, which does not count over processes.
        first: Messages up to this one can not be replayed any more.
        sent: Messages this hub has sent.
        readers: Subscribers of shellbot that are connected; plain sockets cannot be told apart.
        topics: What is subscribed to, counted once each.
        replies: Questions for missed messages that are being answered.
        replied, replied_bytes: Those that were answered, and how much of the past was sent for them.
        gaps: How often a reader had to be told that something is gone.
        cuts: How often a reader was cut off because it was too slow.
        unfinished: Long messages whose writer died in the middle.
    """

    pid: int
    guarantee: str
    slow: str
    uptime: float
    position: int
    first: int
    sent: int
    readers: int
    topics: int
    replies: int
    replied: int
    replied_bytes: int
    gaps: int
    cuts: int
    unfinished: int
    programs: list[Program]


class Look:
    """A connection to the hub of a bus, to look at it again and again.

    Raises:
        BusTimeout: Nobody publishes there, or does not answer.
        BusError: It does not let us look.
    """

    def __init__(self, context: ContextFace) -> None:
        address = BusOptions.read(context).address
        connection = transports.load(address).seat(address).visit(_PATIENCE)
        if connection is None:
            raise BusTimeout(f"nobody publishes on {address.url} now")
        self._address = address.url
        self._connection: socket.socket = connection
        answer = call(connection)
        if answer is None or answer.refused:
            connection.close()
            why = answer.refused if answer else "it does not answer; is it stopped?"
            raise BusError(f"the hub of {address.url} does not let us look: {why}")

    def facts(self) -> Facts:
        try:
            self._connection.send(b"?")
            data = self._connection.recv(_BYTES)
        except OSError as error:
            raise BusTimeout(f"the hub of {self._address} does not answer: {error}") from error
        if not data:
            raise BusTimeout(f"the hub of {self._address} has ended")
        return msgspec.json.decode(data, type=Facts)

    def fileno(self) -> int:
        """Readable when the hub has ended."""
        return self._connection.fileno()

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Look:
        return self

    def __exit__(self, *reason: Any) -> None:
        self.close()
