"""The loop that takes texts from the queue and sends them: the body of the publisher process.

It sleeps in one poll() on the queue, the subscribers, the questions of wait_ready(), signals and the parent's end.
Only ``general.switch`` is looked at by the clock, once a second, because changing it wakes nobody.
"""

from __future__ import annotations

import logging
import queue
import select
import socket
from collections import deque
from collections.abc import Callable
from operator import length_hint
from time import monotonic
from typing import Any, Protocol

from shellbot.bus.fan import READ_BYTES, Fan
from shellbot.bus.frames import Ask, parse_ask, reply
from shellbot.bus.lifeline import ProcessWatch, Waker
from shellbot.bus.options import ContextFace
from shellbot.bus.readiness import Waiters
from shellbot.bus.transports import SendingEnd

logger = logging.getLogger(__name__)

COUNTER = "publisher.counter"
SWITCH = "general.switch"

# Together less than a second, so that the end of the parent is followed in time.
_ORPHAN_DRAIN = 0.4
_ORPHAN_LINGER = 0.3

_IDLE_MS = 1000
_LOOK_EVERY = 0.4
# A queue without a descriptor (queue.Queue, a double in a test) can only be asked again.
_BLIND_MS = 5
_BUSY = 32

_exhaust = deque[object](maxlen=0).extend


class Source(Protocol):
    """Where the texts come from."""

    @property
    def reading(self) -> int: ...
    @property
    def has_ended(self) -> bool: ...
    def take(self) -> list[bytes]: ...
    def take_last(self) -> list[bytes]: ...
    def go_on(self) -> None: ...
    def tidy(self) -> None: ...


class FanSource:
    """Our own queue."""

    def __init__(self, fan: Fan) -> None:
        self._fan = fan
        self.reading = fan.reading
        self.take = fan.take
        self.go_on = fan.go_on
        self.tidy = fan.drop_dead

    @property
    def has_ended(self) -> bool:
        return self._fan.has_ended

    def take_last(self) -> list[bytes]:
        found: list[bytes] = []
        # What is put from now on is not waited for: others may put for ever.
        left = self._fan.queued_bytes
        while left > 0 and not self._fan.has_ended:
            found += self._fan.take()
            left -= READ_BYTES
        return found


class QueueSource:
    """A queue that was put in the place of ours, such as a multiprocessing.Queue."""

    def __init__(self, fan: Any) -> None:
        self._fan = fan
        reader = getattr(fan, "_reader", None)
        self.reading = reader.fileno() if reader else -1
        self.has_ended = False

    def take(self) -> list[bytes]:
        return self._take(1000)

    def take_last(self) -> list[bytes]:
        return self._take(1_000_000)

    def _take(self, count: int) -> list[bytes]:
        found: list[bytes] = []
        try:
            while len(found) < count:
                item = self._fan.get_nowait()
                if item is None:
                    self.has_ended = True
                    break
                if isinstance(item, str):
                    found.append(item.encode(errors="surrogateescape"))
                elif isinstance(item, bytes):
                    found.append(item)
                else:
                    logger.error("dropped what is no text from the queue type=%s", type(item).__name__)
        except queue.Empty:
            pass
        return found

    def go_on(self) -> None: ...

    def tidy(self) -> None: ...


class GaveUp(Exception):
    """Subscribers took nothing for as long as a stop may wait."""


class Sender:
    """One run of the loop.

    Args:
        process: Called with each text in place of sending it; for a Publisher with a ``process()`` of its own.
        watch: The process without which this one ends.
        stopping: Set by a signal handler; ``is_stopping`` too.
    """

    def __init__(
        self,
        source: Source,
        end: SendingEnd | None,
        context: ContextFace,
        *,
        epoch: int,
        linger: float,
        asked: socket.socket,
        process: Callable[[str], object] | None = None,
        watch: ProcessWatch | None = None,
        stopping: Waker | None = None,
    ) -> None:
        self.is_stopping = False
        self.is_orphan = False
        self.sent = 0
        self._counted = 0
        self._source = source
        self._end = end
        self._context = context
        self._epoch = epoch
        self._linger = linger
        self._process = process
        self._watch = watch
        self._stopping = stopping
        self._owed: dict[bytes, Ask] = {}
        self._next_look = 0.0
        self._poller = select.poll()
        self._waiters = Waiters(asked, self._poller)
        for descriptor in (source.reading, end.fileno() if end else -1, watch.fileno() if watch else -1):
            if descriptor >= 0:
                self._poller.register(descriptor, select.POLLIN)
        if stopping:
            self._poller.register(stopping.fileno(), select.POLLIN)

    def run(self) -> None:
        """Send until the queue ends, or until a stop; then what was queued before it."""
        try:
            self._run()
        except GaveUp:
            self._linger = _ORPHAN_LINGER
            logger.error("stopped with messages that no subscriber took; sent=%d", self.sent)
        finally:
            self._count()
            self._waiters.close()

    @property
    def closing_time(self) -> float:
        """Seconds that the transport may go on handing over."""
        return _ORPHAN_LINGER if self.is_orphan else self._linger

    def _run(self) -> None:
        source, poll = self._source, self._poller.poll
        reading = source.reading
        patience = _IDLE_MS if reading >= 0 else _BLIND_MS
        busy = 0
        while True:
            texts = source.take()
            if texts:
                self._send(texts)
            if source.has_ended:
                return
            # While texts keep coming, the rest is looked after now and then.
            ready = poll(0) if texts else ()
            busy = busy + 1 if ready and busy < _BUSY else 0
            if busy == 0:
                self._count()
                self._serve_upstream()
                if self._must_stop():
                    self._send(source.take_last())
                    return
                if not texts:
                    source.tidy()
                if not ready:
                    ready = poll(0 if texts and reading < 0 else patience)
            for descriptor, _ in ready:
                if descriptor != reading:
                    self._serve(descriptor)

    def _serve(self, descriptor: int) -> None:
        """Something else than the queue wants attention."""
        if descriptor == self._waiters.fileno():
            self._waiters.take()
        elif self._stopping and descriptor == self._stopping.fileno():
            self._stopping.clear()
            self._next_look = 0.0
        elif self._watch and descriptor == self._watch.fileno():
            self.is_stopping = self.is_orphan = True
        elif self._end and descriptor == self._end.fileno():
            self._serve_upstream()
        else:
            self._waiters.forget(descriptor)

    def _send(self, texts: list[bytes]) -> None:
        if not texts:
            return
        if self._process is not None:
            for text in texts:
                self._process(text.decode(errors="surrogateescape"))
                self.sent += 1
        elif self._end is not None:
            coming = iter(texts)
            try:
                while length_hint(coming):
                    try:
                        # Without a step of Python per text.
                        _exhaust(map(self._end.send, coming))
                    except self._end.blocked:
                        self.push(texts[-1 - length_hint(coming)])
            except GaveUp:
                self.sent -= 1 + length_hint(coming)
                raise
            finally:
                self.sent += len(texts)
        self._source.go_on()

    def _count(self) -> None:
        """Let others see how much was sent."""
        more, self._counted = self.sent - self._counted, self.sent
        if more:
            self._context.increment(COUNTER, more)

    def push(self, frame: bytes) -> None:
        """Send a frame for which there was no room, however long it takes; when stopping, only so long.

        Raises:
            GaveUp: It took too long.
        """
        if self._end is None:
            return
        since = monotonic()
        while True:
            # Others wait for answers meanwhile.
            self._count()
            self._serve_upstream()
            for descriptor, _ in self._poller.poll(0):
                if descriptor != self._source.reading:
                    self._serve(descriptor)
            if self._must_stop() and monotonic() - since > (_ORPHAN_DRAIN if self.is_orphan else self._linger):
                raise GaveUp
            try:
                self._end.send(frame)
            except self._end.blocked:
                continue
            self._source.go_on()
            return

    def _must_stop(self) -> bool:
        now = monotonic()
        if now >= self._next_look and not self.is_stopping:
            self._next_look = now + _LOOK_EVERY
            self.is_stopping = self._context.get(SWITCH, "on") != "on"
            if self._watch and self._watch.fileno() < 0 and self._watch.has_ended():
                self.is_stopping = self.is_orphan = True
        return self.is_stopping

    def _serve_upstream(self) -> None:
        """Take note of subscriptions, and answer who asks: its subscriptions came before, so they are in force."""
        if self._end is None:
            return
        changed = False
        for frame in self._end.upstream():
            if not frame:
                continue
            if frame[0] <= 1:
                self._waiters.note(frame)
                changed = True
            elif question := parse_ask(frame):
                self._owed[question.uid] = question
        if self._owed:
            for question in list(self._owed.values()):
                if all(map(self._end.send_now, reply(question, self._epoch, self.sent))):
                    del self._owed[question.uid]
        if changed and self._waiters.has_waiting():
            self._waiters.answer()


class Patient:
    """What a process() of somebody else's sends with: it waits for room as our own loop does."""

    def __init__(self, sender: Sender, socket: Any) -> None:
        self._sender = sender
        self._socket = socket

    def send_string(self, text: str) -> None:
        self._sender.push(text.encode(errors="surrogateescape"))

    def close(self) -> None:
        """The loop closes it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)
