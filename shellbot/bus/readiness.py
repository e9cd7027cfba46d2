"""To wait until somebody has subscribed: how a program asks its publisher process, and how that answers.

A question is one datagram on a socket pair: the topics, and the writing end of a pipe made for this question. The
answer is one byte in that pipe. So many threads may wait at the same time, nobody waits for a clock, and the end of
either side is seen by the other as the end of the pipe.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Sequence
from time import monotonic

from shellbot.bus.frames import is_covered
from shellbot.bus.lifeline import ProcessWatch
from shellbot.errors import BusTimeout, NotRunning

# Topics have up to 256 bytes, and a datagram should stay well below what a socket takes.
_TOPICS_AT_ONCE = 200
_DATAGRAM_BYTES = 64 * 1024


def wait_covered(
    asking: socket.socket, topics: Sequence[bytes], timeout: float | None, watch: ProcessWatch | None
) -> None:
    """Return when each topic has a subscriber.

    Raises:
        BusTimeout: Not in time.
        NotRunning: The publisher has ended.
    """
    deadline = None if timeout is None else monotonic() + timeout
    for start in range(0, len(topics), _TOPICS_AT_ONCE):
        some = topics[start : start + _TOPICS_AT_ONCE]
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                socket.send_fds(asking, [b"\n".join(some)], [writing])
            except OSError as error:
                raise NotRunning("the publisher process has ended, so nobody is seen to subscribe") from error
            finally:
                os.close(writing)
            _wait_answer(reading, deadline, timeout, watch)
        finally:
            os.close(reading)


def _wait_answer(reading: int, deadline: float | None, timeout: float | None, watch: ProcessWatch | None) -> None:
    poller = select.poll()
    poller.register(reading, select.POLLIN)
    if watch and watch.fileno() >= 0:
        poller.register(watch.fileno(), select.POLLIN)
    left = None if deadline is None else max(0.0, deadline - monotonic()) * 1000
    ready = dict(poller.poll(left))
    if not ready:
        raise BusTimeout(f"not every channel has a subscriber after {timeout:g} s; is the other side running?")
    if not (ready.get(reading, 0) & select.POLLIN and os.read(reading, 1)):
        raise NotRunning("the publisher process has ended, so nobody is seen to subscribe")


class Waiters:
    """The publisher's side: who waits, and what is subscribed."""

    def __init__(self, asked: socket.socket, poller: select.poll) -> None:
        self.held: set[bytes] = set()
        self._asked = asked
        self._poller = poller
        self._waiting: dict[int, list[bytes]] = {}
        poller.register(asked, select.POLLIN)

    def fileno(self) -> int:
        return self._asked.fileno()

    def note(self, frame: bytes) -> None:
        """A subscription, ``01 topic``, or the end of one, ``00 topic``."""
        if frame[0]:
            self.held.add(frame[1:])
        else:
            self.held.discard(frame[1:])

    def take(self) -> None:
        """Take a question that has come."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._asked, _DATAGRAM_BYTES, 1, socket.MSG_DONTWAIT)
        except (BlockingIOError, ConnectionError):
            return
        for descriptor in descriptors[:1]:
            self._waiting[descriptor] = data.split(b"\n")
            # Polled for nothing but errors: the other side has gone away.
            self._poller.register(descriptor, 0)
        self.answer()

    def has_waiting(self) -> bool:
        return bool(self._waiting)

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
        self._poller.unregister(self._asked)
