"""ZeroMQ over tcp and ipc: XPUB that never drops, XSUB that can ask; plain SUB sockets of any language read along."""

from __future__ import annotations

import errno
import os
import socket
from time import monotonic
from typing import Any, NamedTuple
from weakref import WeakSet

import zmq

from shellbot.bus.address import Address
from shellbot.bus.connections import close_inherited, finish, kept_connections
from shellbot.bus.frames import parse_ask, private_uid
from shellbot.bus.holder import holder_of
from shellbot.bus.hub.seat import FileSeat
from shellbot.bus.lifeline import out_of_descriptors
from shellbot.bus.scheduling import Handing
from shellbot.bus.transports import Slow
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
        self.handing = Handing()

    # Where it is not named in the class, zmq.Context takes it for an option.
    handing: Handing


def _socket(context: zmq.Context[Any], kind: int, handing: Handing, *, is_hub: bool = False) -> zmq.Socket[Any]:
    """
    Raises:
        BusError: There is no room for one more.
    """
    try:
        # The first one of a context starts its threads.
        with handing.starting(with_caller=is_hub):
            socket: zmq.Socket[Any] = context.socket(kind)
    except zmq.ZMQError as error:
        raise out_of_descriptors(error) from error
    return socket


class ZmqSending:
    """An XPUB socket, bound."""

    blocked = zmq.Again

    def __init__(self, address: Address, welcome: bytes, slow: Slow) -> None:
        where = address.to_bind
        self.address = address
        self._path = address.place if address.scheme == "ipc" else ""
        self._connections: dict[bytes, _Connection] | None = {} if slow.policy == "disconnect" else None
        self._context: zmq.Context[Any] = zmq.Context()
        self._handing = Handing()
        self.adapt = self._handing.adapt
        self.socket = _socket(self._context, zmq.XPUB, self._handing, is_hub=True)
        try:
            self.socket.set(zmq.XPUB_NODROP, slow.policy != "drop")
            if self._connections is not None:
                self.socket.set(zmq.XPUB_VERBOSE, 1)
            self.socket.set(zmq.XPUB_WELCOME_MSG, welcome)
            self.socket.set(zmq.SNDHWM, HIGH_WATER)
            self.socket.set(zmq.RCVHWM, 0)
            self.socket.set(zmq.SNDTIMEO, int(slow.patience * 1000))
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
                text = f"{holder_of(address)} listens on {address.url} already; stop it, or set another bus.address"
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
            recv = self.socket.recv if self._connections is None else self._recv_named
            try:
                while True:
                    found.append(recv(1))
            except zmq.Again:
                pass
        return found

    def _recv_named(self, flags: int) -> bytes:
        """As recv(); remembers which connection a subscriber of ours has."""
        frame = self.socket.recv(flags, copy=False)
        data = bytes(frame.buffer)
        if self._connections is not None:
            # libzmq subscribes again by itself on a new connection, before its program has looked at it.
            uid = question.uid if (question := parse_ask(data)) else private_uid(data)
            if uid and data[0] == 0:
                self._connections.pop(uid, None)
            elif uid and (one := _Connection.of(int(frame.get(zmq.SRCFD)))) is not None:
                self._connections[uid] = one
        return data

    def asked(self) -> list[bytes]:
        return list(self._connections or ())

    def cut(self, uid: bytes) -> bool:
        one = self._connections.pop(uid, None) if self._connections else None
        return one is not None and one.shutdown()

    def fileno(self) -> int:
        number: int = self.socket.FD
        return number

    def close(self, linger: float) -> None:
        """Hand on what subscribers still take in ``linger`` seconds."""
        if not self.socket.closed:
            self._handing.rest()
            deadline = monotonic() + linger
            connections = kept_connections(self.address) if linger else []
            self.socket.close(linger=int(linger * 1000))
            self._context.term()
            finish(connections, deadline)
            if self._path and os.path.exists(self._path):
                os.unlink(self._path)


class _Connection(NamedTuple):
    """One that libzmq accepted: its descriptor, and whom it led to when we saw it, for numbers are given away again."""

    number: int
    peer: object
    inode: int

    @classmethod
    def of(cls, number: int) -> _Connection | None:
        try:
            with_copy = socket.socket(fileno=os.dup(number))
        except OSError:
            return None
        with with_copy as one:
            try:
                return cls(number, one.getpeername(), os.fstat(number).st_ino)
            except OSError:
                return None

    def shutdown(self) -> bool:
        """End it as if the network had broken; libzmq sees that and cleans up."""
        if self != _Connection.of(self.number):
            return False
        with socket.socket(fileno=os.dup(self.number)) as one:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                return False
        return True


class ZmqReceiving:
    """An XSUB socket, connected. What comes before the publisher is there waits for it."""

    blocked = zmq.Again

    def __init__(self, address: Address, room: int) -> None:
        context = _Context.instance()
        self.adapt = context.handing.adapt
        self.socket = _socket(context, zmq.XSUB, context.handing)
        where = address.to_connect
        self.address = address
        self.socket.set(zmq.RCVHWM, room)
        # Above this mark libzmq drops subscriptions silently.
        self.socket.set(zmq.SNDHWM, 0)
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.RECONNECT_IVL, 10)
        self.socket.set(zmq.RECONNECT_IVL_MAX, 200)
        # Where nothing answers at all the system would go on asking, and ever more seldom.
        self.socket.set(zmq.CONNECT_TIMEOUT, 1000)
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


def seat(address: Address) -> FileSeat:
    return FileSeat(address)


def bind(address: Address, welcome: bytes, slow: Slow) -> ZmqSending:
    """Listen.

    Raises:
        AddressInUse, BadAddress: It cannot be.
    """
    return ZmqSending(address, welcome, slow)


def connect(address: Address, room: int) -> ZmqReceiving:
    return ZmqReceiving(address, room)
