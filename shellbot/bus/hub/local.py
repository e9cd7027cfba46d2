"""Texts that do not come out of a pipe of ours: out of a queue that was put in its place, or through a process() of
somebody else's, which may do with each what it likes."""

from __future__ import annotations

import logging
import queue
import select
from collections.abc import Callable
from time import monotonic
from typing import Any

from shellbot.bus.fan import Fan
from shellbot.bus.hub.life import Life
from shellbot.bus.options import ContextFace

logger = logging.getLogger(__name__)

COUNTER = "publisher.counter"

# A queue without a descriptor (queue.Queue, a double in a test) can only be asked again.
BLIND_SECONDS = 0.005
_AT_ONCE = 1000


class Local:
    """The queue of such a publisher.

    Args:
        process: Called with each text; sends it, or not.
    """

    def __init__(self, fan: Any, process: Callable[[str], object]) -> None:
        self._fan = fan
        self._process = process
        reader = getattr(fan, "_reader", None)
        self.reading: int = fan.reading if type(fan) is Fan else reader.fileno() if reader else -1
        self.has_ended = False
        self._held: Any = None

    def work(self) -> bool:
        """Deal with what is there; whether there was something."""
        found = False
        for _ in range(_AT_ONCE):
            # One whose process() failed because the hub has gone is dealt with again.
            item, self._held = self._held, None
            try:
                item = self._fan.get_nowait() if item is None else item
            except queue.Empty:
                self.has_ended = type(self._fan) is Fan and self._fan.page.is_closing
                return found
            found = True
            if item is None:
                self.has_ended = True
                return True
            if isinstance(item, bytes):
                item = item.decode(errors="surrogateescape")
            if isinstance(item, str):
                self._held = item
                self._process(item)
                self._held = None
            else:
                logger.error("dropped what is no text from the queue type=%s", type(item).__name__)
        return found


class Socket:
    """What a process() of somebody else's sends with, whoever is the hub.

    Args:
        send: Takes a text; waits where there is no room.
        socket: The real one, for all else; None where this process has none.
    """

    def __init__(self, send: Callable[[bytes], object], socket: Any = None) -> None:
        self._send = send
        self._socket = socket

    def send_string(self, text: str) -> None:
        self._send(text.encode(errors="surrogateescape"))

    def close(self) -> None:
        """The loop closes it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


def run_with_socket(fan: Any, process: Callable[[str], object], socket: Any, life: Life, context: ContextFace) -> None:
    """Send all through a socket that a program has put in the place of ours: no address, no hub, no history."""
    context.set(COUNTER, 0)

    def send(text: str) -> None:
        process(text)
        context.increment(COUNTER)

    local = Local(fan, send)
    poller = select.poll()
    serving = dict(life.watched())
    for descriptor in (*serving, local.reading):
        if descriptor >= 0:
            poller.register(descriptor, select.POLLIN)
    if type(fan) is Fan:
        fan.page.begin_reading()
    try:
        while True:
            is_over = life.must_stop(monotonic())
            came = local.work()
            if local.has_ended or (is_over and not came):
                return
            if not came:
                for descriptor, _ in poller.poll(life.patience(None if local.reading >= 0 else BLIND_SECONDS)):
                    if action := serving.get(descriptor):
                        action()
    finally:
        if type(fan) is Fan:
            fan.page.end_reading(is_final=False)
        socket.close()
