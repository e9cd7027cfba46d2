"""ZeroMQ over tcp and ipc: XPUB that never drops, XSUB that can ask; plain SUB sockets of any language read along."""

from __future__ import annotations

import errno
import os
from time import monotonic
from typing import Any
from weakref import WeakSet

import zmq

from shellbot.bus.address import Address
from shellbot.bus.connections import close_inherited, finish, kept_connections
from shellbot.bus.lock import AddressLock
from shellbot.bus.transports import PATIENCE
from shellbot.errors import AddressInUse, BadAddress

IN_PROCESS = False

HIGH_WATER = 1000
_ASK_BYTES = 1024 * 1024
_FRAME_BYTES = 2 * 1024 * 1024
_SOCKETS = 16_384
_EVENTS = int(zmq.EVENTS)


class _Context(zmq.Context[Any]):
    """Our own, so that many subscribers fit and nobody's settings are touched; one per process (see instance())."""

    def __init__(self, io_threads: int = 1) -> None:
        super().__init__(io_threads)
        self.set(zmq.MAX_SOCKETS, _SOCKETS)


class ZmqSending:
    """An XPUB socket, bound."""

    blocked = zmq.Again

    def __init__(self, address: Address, welcome: bytes) -> None:
        where = address.to_bind
        self.address = address
        self._path = address.place if address.scheme == "ipc" else ""
        # A second bind on a path steals it without a word; on tcp the system refuses.
        self._lock = AddressLock(f"ipc://{os.path.realpath(self._path)}") if self._path else None
        self._context: zmq.Context[Any] = zmq.Context()
        self.socket = self._context.socket(zmq.XPUB)
        try:
            self.socket.set(zmq.XPUB_NODROP, 1)
            self.socket.set(zmq.XPUB_WELCOME_MSG, welcome)
            self.socket.set(zmq.SNDHWM, HIGH_WATER)
            self.socket.set(zmq.RCVHWM, 0)
            self.socket.set(zmq.SNDTIMEO, int(PATIENCE * 1000))
            self.socket.set(zmq.LINGER, 0)
            self.socket.set(zmq.BACKLOG, 1024)
            self.socket.set(zmq.MAXMSGSIZE, _ASK_BYTES)
            self.socket.set(zmq.HANDSHAKE_IVL, 1000)
            if "[" in where:
                self.socket.set(zmq.IPV6, 1)
            self._bind(where, address)
        except BaseException:
            self.close(0)
            raise
        _inherited.ends.add(self)
        # The backend's own send(): zmq.Socket.send is a Python function around it.
        self.send = zmq.backend.Socket.send.__get__(self.socket)

    def _bind(self, where: str, address: Address) -> None:
        try:
            self.socket.bind(where)
        except zmq.ZMQError as error:
            if error.errno == errno.EADDRINUSE:
                text = f"another program listens on {address.url} already; stop it, or set another bus.address"
                raise AddressInUse(text, address=address.url) from error
            raise BadAddress(f"cannot listen on {address.url}: {error}", address=address.url) from error
        if self._path:
            os.chmod(self._path, 0o600)

    def send_string(self, text: str) -> None:
        self.send(text.encode())

    def send_now(self, frame: bytes) -> bool:
        try:
            self.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def upstream(self) -> list[bytes]:
        found: list[bytes] = []
        if int(self.socket.get(_EVENTS)) & 1:
            recv = self.socket.recv
            try:
                while True:
                    found.append(recv(1))
            except zmq.Again:
                pass
        return found

    def fileno(self) -> int:
        number: int = self.socket.FD
        return number

    def close(self, linger: float) -> None:
        """Hand on what subscribers still take in ``linger`` seconds."""
        if not self.socket.closed:
            deadline = monotonic() + linger
            connections = kept_connections(self.address) if linger else []
            self.socket.close(linger=int(linger * 1000))
            self._context.term()
            finish(connections, deadline)
            if self._path and os.path.exists(self._path):
                os.unlink(self._path)
        if self._lock:
            self._lock.release()


class ZmqReceiving:
    """An XSUB socket, connected. What comes before the publisher is there waits for it."""

    blocked = zmq.Again

    def __init__(self, address: Address) -> None:
        self.socket = _Context.instance().socket(zmq.XSUB)
        where = address.to_connect
        self.address = address
        self.socket.set(zmq.RCVHWM, HIGH_WATER)
        # Above this mark libzmq drops subscriptions silently.
        self.socket.set(zmq.SNDHWM, 0)
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.RECONNECT_IVL, 10)
        self.socket.set(zmq.RECONNECT_IVL_MAX, 200)
        self.socket.set(zmq.HANDSHAKE_IVL, 1000)
        self.socket.set(zmq.MAXMSGSIZE, _FRAME_BYTES)
        # No heartbeats: with a full queue libzmq 4.3.5 then aborts the process (libzmq #3937, #4364).
        if "[" in where:
            self.socket.set(zmq.IPV6, 1)
        try:
            self.socket.connect(where)
        except zmq.ZMQError as error:
            self.socket.close()
            raise BadAddress(f"cannot connect to {address.url}: {error}", address=address.url) from error
        _inherited.ends.add(self)
        self.recv = self.socket.recv
        self.send = zmq.backend.Socket.send.__get__(self.socket)

    def fileno(self) -> int:
        number: int = self.socket.FD
        return number

    def close(self) -> None:
        self.socket.close()


class _Inherited:
    """The ends that are open in this process, for the children it forks."""

    def __init__(self) -> None:
        self.ends: WeakSet[ZmqSending | ZmqReceiving] = WeakSet()
        os.register_at_fork(after_in_child=self._close)

    def _close(self) -> None:
        for address in {end.address for end in self.ends if not end.socket.closed}:
            close_inherited(address)
        self.ends = WeakSet()


_inherited = _Inherited()


def bind(address: Address, welcome: bytes) -> ZmqSending:
    """Listen.

    Raises:
        AddressInUse, BadAddress: It cannot be.
    """
    return ZmqSending(address, welcome)


def connect(address: Address) -> ZmqReceiving:
    return ZmqReceiving(address)
