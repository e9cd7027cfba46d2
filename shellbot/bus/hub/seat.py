"""The seat of an address: one process has it and is the hub; the others come to its door and hand over their queues.

A lock of the file system stands for the seat, because the kernel takes it back from a process that dies, however that
happens. The door is a socket beside it, in a folder that only this user can enter; who comes in must be of the same
user, and must show the cookie that lies in that folder.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import os
import secrets
import socket
import struct
from pathlib import Path
from time import time
from typing import Protocol
from weakref import WeakSet

import msgspec

from shellbot.bus.address import Address
from shellbot.bus.lock import AddressLock
from shellbot.bus.ring import Ring
from shellbot.runtime import runtime_folder

_HELLO_BYTES = 64 * 1024
_MAX_DESCRIPTORS = 3
_KEPT_SECONDS = 24 * 3600
_CREDENTIALS = struct.Struct("3i")


class Hello(msgspec.Struct, frozen=True):
    """What a program says that comes to the door.

    Attributes:
        guarantee: What it asks for.
        is_look: It brings no queue and only wants to look.
    """

    cookie: str
    pid: int
    guarantee: str = ""
    is_look: bool = False
    version: int = 1


class Answer(msgspec.Struct, frozen=True):
    """What the hub says to it: how this bus is run, or why it must go.

    Attributes:
        refused: What to tell the people, or ``''``.
        offered: With ``refused``, the level that is kept here.
    """

    pid: int
    refused: str = ""
    offered: str = ""
    guarantee: str = ""
    slow: str = "block"
    slow_grace: float = 0.0
    history: int = 0
    exact_gaps: bool = False


class Guest:
    """One that came to the door: its connection, and the descriptors it brought."""

    def __init__(self, connection: socket.socket, hello: Hello, descriptors: list[int]) -> None:
        self.connection = connection
        self.hello = hello
        self.descriptors = descriptors


class Seat(Protocol):
    """The seat of one address, as one process, or one thread, sees it."""

    def claim(self) -> bool:
        """Take the seat if it is free."""

    @property
    def holder(self) -> str:
        """Who had it when claim() failed."""

    def open_door(self) -> socket.socket:
        """Listen for others. Only with the seat, and once the address is ours too."""

    def visit(self, timeout: float) -> socket.socket | None:
        """A connection to the hub; None while nobody listens."""

    def ring(self, size: int) -> Ring: ...

    def release(self, is_last: bool = False) -> None:
        """Leave it to others; is_last: nobody is known who would take it."""


class FileSeat:
    """Of an address that other processes see too."""

    def __init__(self, address: Address) -> None:
        where = f"ipc://{os.path.realpath(address.place)}" if address.scheme == "ipc" else address.to_bind
        self._url = address.url
        self._place = runtime_folder() / hashlib.sha256(where.encode()).hexdigest()[:16]
        self._lock: AddressLock | None = None
        self._door: socket.socket | None = None
        self._ring: Ring | None = None
        self.holder = ""

    def claim(self) -> bool:
        if self._lock is None:
            lock = AddressLock(self._place.with_suffix(".lock"))
            self.holder = lock.holder
            self._lock = lock if lock.is_held else None
        return self._lock is not None

    def open_door(self) -> socket.socket:
        path = self._place.with_suffix(".in")
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._door.bind(str(path))
        self._door.listen(128)
        self._door.setblocking(False)
        return self._door

    def visit(self, timeout: float) -> socket.socket | None:
        return _connect(str(self._place.with_suffix(".in")), timeout)

    def ring(self, size: int) -> Ring:
        self._ring = Ring(self._place.with_suffix(".ring"), size, self._url)
        if self._ring.is_new:
            _sweep(self._place.parent)
        return self._ring

    def release(self, is_last: bool = False) -> None:
        if self._ring is not None:
            if is_last:
                self._ring.trim()
            self._ring.close()
            self._ring = None
        if self._door is not None:
            self._place.with_suffix(".in").unlink(missing_ok=True)
            self._door.close()
            self._door = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None


class Shelf(Protocol):
    """Where the rings of an address inside this process lie as long as somebody uses it."""

    rings: dict[str, Ring]


class MemorySeat:
    """Of an address inside this process: a name that is bound stands for the lock, and goes with the process."""

    def __init__(self, address: Address, shelf: Shelf) -> None:
        digest = hashlib.sha256(address.place.encode()).hexdigest()[:16]
        self._name = f"\0shellbot-{os.getpid()}-{digest}"
        self._place = address.place
        self._shelf = shelf
        self._door: socket.socket | None = None
        self.holder = str(os.getpid())
        _doors.seats.add(self)

    def claim(self) -> bool:
        if self._door is None:
            door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                door.bind(self._name)
            except OSError:
                door.close()
                return False
            self._door = door
        return True

    def open_door(self) -> socket.socket:
        assert self._door is not None
        self._door.listen(128)
        self._door.setblocking(False)
        return self._door

    def visit(self, timeout: float) -> socket.socket | None:
        return _connect(self._name, timeout)

    def ring(self, size: int) -> Ring:
        found = self._shelf.rings.get(self._place)
        if found is None or found.size != size:
            found = self._shelf.rings[self._place] = Ring(None, size)
        return found

    def release(self, is_last: bool = False) -> None:
        if self._door is not None:
            self._door.close()
            self._door = None


class _Doors:
    """A forked child must not keep a name of its parent bound."""

    def __init__(self) -> None:
        self.seats: WeakSet[MemorySeat] = WeakSet()
        os.register_at_fork(after_in_child=self._close)

    def _close(self) -> None:
        for seat in self.seats:
            seat.release()
        self.seats = WeakSet()


_doors = _Doors()


def _sweep(folder: Path) -> None:
    """Remove what buses left here that nobody has used for a day. Nothing tells whether a bus will be used again."""
    for path in folder.glob("*.lock"):
        with contextlib.suppress(OSError):
            if time() - path.stat().st_mtime > _KEPT_SECONDS:
                lock = AddressLock(path)
                if lock.is_held:
                    for kind in (".ring", ".in", ".lock"):
                        path.with_suffix(kind).unlink(missing_ok=True)
                    lock.release()


def _connect(name: str, timeout: float) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(timeout)
    try:
        connection.connect(name)
    except OSError:
        connection.close()
        return None
    return connection


def is_served(path: str) -> bool:
    """Whether a process listens on this path; a file that a killed one has left does not count."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.setblocking(False)
        return one.connect_ex(path) in (0, errno.EAGAIN)


def hand_over(connection: socket.socket, guarantee: str, descriptors: list[int]) -> Answer | None:
    """Give the hub the ends of a queue, and hear its answer; None when it is gone, or silent."""
    return _say_hello(connection, Hello(_cookie(runtime_folder()), os.getpid(), guarantee), descriptors)


def call(connection: socket.socket) -> Answer | None:
    """Only look: each word sent then is answered with facts.py."""
    return _say_hello(connection, Hello(_cookie(runtime_folder()), os.getpid(), is_look=True), [])


def _say_hello(connection: socket.socket, hello: Hello, descriptors: list[int]) -> Answer | None:
    try:
        socket.send_fds(connection, [msgspec.json.encode(hello)], descriptors)
        data = connection.recv(_HELLO_BYTES)
        return msgspec.json.decode(data, type=Answer) if data else None
    except (OSError, msgspec.DecodeError):
        return None


def receive(connection: socket.socket) -> Guest | str:
    """Who has come to the door, with its queue; or why it may not come in."""
    try:
        data, descriptors, _, _ = socket.recv_fds(connection, _HELLO_BYTES, _MAX_DESCRIPTORS)
    except OSError as error:
        return str(error)
    try:
        if not data:
            raise ValueError("it has gone before it said who it is")
        if hasattr(socket, "SO_PEERCRED"):
            raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            if _CREDENTIALS.unpack(raw)[1] != os.getuid():
                raise ValueError("this bus belongs to another user")
        hello = msgspec.json.decode(data, type=Hello)
        if not hmac.compare_digest(hello.cookie.encode(), _cookie(runtime_folder()).encode()):
            raise ValueError("the cookie is not that of this bus")
        if len(descriptors) != (0 if hello.is_look else _MAX_DESCRIPTORS):
            raise ValueError("the ends of the queue are missing")
    except (ValueError, msgspec.DecodeError) as error:
        for descriptor in descriptors:
            os.close(descriptor)
        return str(error)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return Guest(connection, hello, descriptors)


def _cookie(folder: Path) -> str:
    """What only this user's programs can read."""
    path = folder / "cookie"
    while True:
        try:
            return path.read_text()
        except FileNotFoundError:
            pass
        # Whole or not at all: another program may read it at this moment.
        part = folder / f"cookie-{os.getpid()}-{secrets.token_hex(4)}"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, secrets.token_hex(16).encode())
        finally:
            os.close(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(part, path)
        part.unlink()
