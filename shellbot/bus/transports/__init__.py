"""Transports: how frames travel, one module per kind of address, loaded when first used.

A module has ``seat(address) -> Seat``, ``bind(address, welcome, slow) -> SendingEnd`` and ``connect(address) ->
ReceivingEnd``, and says with ``IN_PROCESS`` whether its publisher is a thread of this process. Prefix matching, the
welcome frame and what comes upstream are those of a ZeroMQ XPUB and XSUB pair; tests/bus/test_conformance.py asks every
transport the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from shellbot.bus.address import Address
from shellbot.bus.hub.seat import Seat
from shellbot.errors import BusUnavailable

_MODULES = {
    "tcp": ("zmq", "pyzmq"),
    "ipc": ("zmq", "pyzmq"),
    "memory": ("memory", ""),
}

# A send that finds no room waits this long in the transport before it looks whether it should go on.
PATIENCE = 0.1


@dataclass(frozen=True, slots=True)
class Slow:
    """What happens to a reader that takes nothing.

    Attributes:
        policy: ``block``, ``disconnect`` or ``drop``.
        grace: Seconds that ``disconnect`` gives it.
    """

    policy: str = "block"
    grace: float = 0.005

    @property
    def patience(self) -> float:
        """Seconds that one send waits."""
        return max(self.grace, 0.001) if self.policy == "disconnect" else PATIENCE


class SendingEnd(Protocol):
    """The publisher's side. One thread.

    Attributes:
        socket: What ``Publisher.socket`` shows.
        blocked: Raised by send() when a subscriber of the frame had no room for a while; nobody got the frame then.
    """

    socket: Any
    blocked: type[Exception]

    def send(self, frame: bytes) -> object: ...

    def send_now(self, frame: bytes) -> bool:
        """Send without waiting; False where there is no room."""

    def upstream(self) -> list[bytes]:
        """What subscribers have sent: ``01 topic`` first of a topic, ``00 topic`` last of it, or an ask."""

    def fileno(self) -> int:
        """Readable, once, when something has come since upstream() was last empty."""

    def asked(self) -> list[bytes]:
        """Ids of the subscribers of ours that are connected; for ``disconnect`` only."""

    def cut(self, uid: bytes) -> bool:
        """Break the connection of this subscriber; False where it is gone already."""

    def adapt(self, now: float) -> None:
        """To be called before it is slept, at a time of ``monotonic()``: its threads follow what the machine does."""

    def close(self, linger: float) -> None: ...


class ReceivingEnd(Protocol):
    """The subscriber's side. One thread at a time.

    Attributes:
        socket: What ``Subscriber.socket`` shows.
        blocked: Raised by recv() when there is nothing.
    """

    socket: Any
    blocked: type[Exception]

    def recv(self, flags: int) -> bytes:
        """The next frame; called with 1, it does not wait."""

    def send(self, frame: bytes) -> object:
        """Send upstream: ``01 topic``, ``00 topic`` or an ask. Never waits."""

    def fileno(self) -> int:
        """Readable, once, when something has come since recv() had nothing."""

    def adapt(self, now: float) -> None:
        """To be called before it is slept, at a time of ``monotonic()``: its threads follow what the machine does."""

    def close(self) -> None: ...


class Transport(Protocol):
    """A module of this package."""

    IN_PROCESS: bool

    def seat(self, address: Address) -> Seat: ...
    def bind(self, address: Address, welcome: bytes, slow: Slow) -> SendingEnd: ...
    def connect(self, address: Address, room: int) -> ReceivingEnd:
        """A connection that takes in at least so many messages before they are read."""


def load(address: Address) -> Transport:
    """The transport for an address.

    Raises:
        BusUnavailable: Its library is not installed.
    """
    name, library = _MODULES[address.scheme]
    try:
        module: Any = import_module(f"shellbot.bus.transports.{name}")
    except ImportError as error:
        raise BusUnavailable(f"{address.url} needs a library that is not here; pip install {library}") from error
    found: Transport = module
    return found
