"""One connection through a fault proxy: its two sockets, and the bytes that go each way between them."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from collections import deque
from typing import Literal

from shellbot.testing.ways import PIECE_BYTES, Way

TOGETHER = 0.001  # seconds: what comes within them leaves together, so that small pieces cost little


class Pair:
    """One connection: the client's end, the server's (None: a black hole lies before it), and both ways between."""

    def __init__(self, client: End, server: End | None, up: Way, down: Way) -> None:
        self.client, self.server = client, server
        self.up = Flow(self, up, client, server)
        self.down = Flow(self, down, server, client)
        client.join(self, self.up, self.down)
        if server is None:
            self.down.is_over = True
        else:
            server.join(self, self.down, self.up)


class End:
    """One socket, and for which events it is watched. ``outward`` flows from it, ``inward`` to it."""

    pair: Pair
    outward: Flow
    inward: Flow

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.mask = 0
        self.is_connecting = self.is_closed = False

    def join(self, pair: Pair, outward: Flow, inward: Flow) -> None:
        self.pair, self.outward, self.inward = pair, outward, inward

    def has_connected(self) -> bool:
        """Whether connecting has succeeded, now that it is over."""
        self.is_connecting = False
        if self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return False
        # Where nobody listens, TCP may meet itself on the port it chose to come from.
        return self.sock.family == socket.AF_UNIX or self.sock.getsockname() != self.sock.getpeername()

    def has_unsent(self) -> bool:
        """Whether the other side's system has not confirmed all yet; then a reset would lose it."""
        if self.sock.family == socket.AF_UNIX:
            return False
        unsent: int = struct.unpack("i", fcntl.ioctl(self.sock, termios.TIOCOUTQ, b"\0" * 4))[0]
        return unsent > 0


class Flow:
    """Bytes that go one way in one connection, and those that wait: with the time they came."""

    def __init__(self, pair: Pair, way: Way, source: End | None, sink: End | None) -> None:
        self.pair, self.way, self.sink = pair, way, sink
        self._source = source
        self.waiting: deque[tuple[float, bytearray]] = deque()
        self.size_bytes = 0
        self.ending: Literal["", "closed", "reset"] = ""
        self.ended_at = 0.0
        self.swallows = way.swallows
        self.is_over = self.is_blocked = self.is_cutting = False

    @property
    def source(self) -> End:
        assert self._source is not None
        return self._source

    @property
    def back(self) -> Flow:
        """The other way of this connection."""
        return self.pair.down if self is self.pair.up else self.pair.up

    def wants_more(self, buffer_bytes: int) -> bool:
        if self.ending or self.is_over or self.is_cutting:
            return False
        return self.swallows or self.size_bytes < (buffer_bytes if self.way.keeps else PIECE_BYTES)

    def keep(self, data: memoryview, now: float) -> None:
        self.size_bytes += len(data)
        if self.waiting and now - self.waiting[-1][0] < TOGETHER:
            self.waiting[-1][1].extend(data)
        else:
            self.waiting.append((now, bytearray(data)))

    def take(self, size_bytes: int) -> None:
        self.size_bytes -= size_bytes
        data = self.waiting[0][1]
        if size_bytes == len(data):
            self.waiting.popleft()
        else:
            del data[:size_bytes]

    def clear(self) -> None:
        self.waiting.clear()
        self.size_bytes = 0
