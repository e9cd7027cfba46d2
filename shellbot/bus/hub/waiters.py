"""Who waits for subscribers of some channels, and what is subscribed: the hub's side of readiness.py."""

from __future__ import annotations

import os
import select
import socket

from shellbot.bus.frames import is_covered
from shellbot.bus.readiness import DATAGRAM_BYTES


class Waiters:
    """Questions of all programs whose queues the hub reads."""

    def __init__(self, poller: select.poll) -> None:
        self.held: set[bytes] = set()
        self._poller = poller
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
        """Take a question that has come."""
        try:
            data, descriptors, _, _ = socket.recv_fds(asked, DATAGRAM_BYTES, 1, socket.MSG_DONTWAIT)
        except (BlockingIOError, ConnectionError):
            return
        for descriptor in descriptors[:1]:
            self._waiting[descriptor] = data.split(b"\n")
            # Polled for nothing but errors: the other side has gone away.
            self._poller.register(descriptor, 0)
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
            self._poller.unregister(descriptor)
            os.close(descriptor)

    def close(self) -> None:
        for descriptor in list(self._waiting):
            self.forget(descriptor)
