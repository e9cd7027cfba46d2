"""To wait until somebody has subscribed: how a program asks the hub.

A question is one datagram on a socket pair whose other end the hub has: the topics, and the writing end of a pipe made
for this question. The answer is one byte in that pipe. So many threads may wait at the same time, nobody waits for a
clock, and the end of a hub is seen as the end of the pipe: then the next one is asked.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Sequence
from time import monotonic

from shellbot.errors import BusTimeout, NotRunning

DATAGRAM_BYTES = 64 * 1024
# Topics have up to 256 bytes, and a datagram should stay well below what a socket takes.
_TOPICS_AT_ONCE = 200
# A question in a socket that nobody reads any more is not seen to be lost.
_LOOK_EVERY = 0.5


def wait_covered(
    asking: socket.socket, topics: Sequence[bytes], timeout: float | None, is_served: Callable[[], bool]
) -> None:
    """Return when each topic has a subscriber.

    Args:
        is_served: Whether there is, or will be again, somebody who answers.

    Raises:
        BusTimeout: Not in time.
        NotRunning: Nobody will answer.
    """
    deadline = None if timeout is None else monotonic() + timeout
    for start in range(0, len(topics), _TOPICS_AT_ONCE):
        some = b"\n".join(topics[start : start + _TOPICS_AT_ONCE])
        while not _ask(asking, some, deadline, is_served):
            if deadline is not None and monotonic() >= deadline:
                text = f"not every channel has a subscriber after {timeout:g} s; is the other side running?"
                raise BusTimeout(text)


def _ask(asking: socket.socket, topics: bytes, deadline: float | None, is_served: Callable[[], bool]) -> bool:
    """One question; False when it was lost with the hub, or is not answered in time."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            socket.send_fds(asking, [topics], [writing])
        except OSError as error:
            raise NotRunning("the publisher process has ended, so nobody is seen to subscribe") from error
        finally:
            os.close(writing)
        poller = select.poll()
        poller.register(reading, select.POLLIN)
        while True:
            left = _LOOK_EVERY if deadline is None else min(_LOOK_EVERY, deadline - monotonic())
            if poller.poll(max(0.0, left) * 1000):
                if os.read(reading, 1):
                    return True
                if is_served():
                    return False
            if not is_served():
                raise NotRunning("the publisher process has ended, so nobody is seen to subscribe")
            if deadline is not None and monotonic() >= deadline:
                return False
    finally:
        os.close(reading)
