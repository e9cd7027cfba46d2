"""Who waits for subscribers of some channels, and what is subscribed: the hub's side of readiness.py."""

from __future__ import annotations

import array
import os
import socket
from functools import partial

from shellbot.bus.frames import is_covered
from shellbot.bus.hub.watching import Watching
from shellbot.bus.readiness import DATAGRAM_BYTES

_ROOM = socket.CMSG_LEN(array.array("i").itemsize)


class Waiters:
    """Questions of all programs whose queues the hub reads."""

    def __init__(self, watching: Watching) -> None:
        self.held: set[bytes] = set()
        self._watching = watching
        self._waiting: dict[int, list[bytes]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def note(self, frame: bytes) -> None:
        """A subscription, ``01 topic``, or the end of one, ``00 topic``."""
        if frame[0]:
            self.held.add(frame[1:])
        else:
            self.held.discard(frame[1:])

    def take(self, asked: socket.socket) -> None:
        """Take a question that has come. Never waits: another process may have taken it."""
        try:
            # Not recv_fds(), which does not hand the flags on.
            data, found, _, _ = asked.recvmsg(DATAGRAM_BYTES, _ROOM, socket.MSG_DONTWAIT)
        except (BlockingIOError, ConnectionError):
            return
        descriptors = array.array("i")
        for _, _, carried in found:
            descriptors.frombytes(carried)
        for descriptor in descriptors:
            self._waiting[descriptor] = data.split(b"\n")
            # Looked at for its end only: the other side has gone away.
            self._watching.listen(descriptor, partial(self.forget, descriptor), 0)
        self.answer()

    def answer(self) -> None:
        """Answer those whose topics are all subscribed now."""
        for descriptor, topics in list(self._waiting.items()):
            left = [topic for topic in topics if not is_covered(topic, self.held)]
            if not left:
                try:
                    os.write(descriptor, b"\x01")
                except BrokenPipeError:
                    # Nobody waits any more.
                    pass
                self.forget(descriptor)

    def forget(self, descriptor: int) -> None:
        """One who waited is gone, or is answered."""
        if self._waiting.pop(descriptor, None) is not None:
            self._watching.ignore(descriptor)
            os.close(descriptor)

    def close(self) -> None:
        for descriptor in list(self._waiting):
            self.forget(descriptor)
