"""The frames of one subscriber, in order, from connections that come and go."""

from __future__ import annotations

import logging
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from itertools import repeat
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

from shellbot.bus import transports
from shellbot.bus.frames import covers
from shellbot.bus.injected import Injected, NoFrame
from shellbot.bus.lifeline import Waker
from shellbot.bus.options import BusOptions, ContextFace
from shellbot.bus.pulse import Pulse, Step
from shellbot.bus.stream import Hole, Stream
from shellbot.errors import BusClosed, BusError

if TYPE_CHECKING:
    import asyncio

logger = logging.getLogger(__name__)

_BURST = 256
# These, decoded one after the other, stay in the fastest cache.
_BURST_BYTES = 16 * 1024


class Watcher(Protocol):
    """Who waits on fileno() in an event loop."""

    def wake(self) -> None:
        """Look again. From any thread."""

    def unwatch(self) -> None:
        """fileno() is about to change."""


class WayIn(Protocol):
    """How frames reach one subscriber: by a connection of its own, or by a share of one.

    Attributes:
        pending: Frames to take, from the left; always the same object. One that cannot be decoded is to be given to
            control() if it begins with 0xFF and is no :class:`Hole`.
        watcher: Told when something has changed that no descriptor tells.
        stream: What is held of the bus, perhaps together with others.
    """

    pending: deque[bytes]
    watcher: Watcher | None
    is_closed: bool

    @property
    def stream(self) -> Stream: ...
    @property
    def socket(self) -> Any: ...
    @property
    def is_open(self) -> bool: ...
    @property
    def state(self) -> str: ...

    @property
    def reconnects(self) -> int:
        """How many connections there were after the first."""

    @property
    def replayed(self) -> int:
        """How many messages came out of replies."""

    @property
    def connection(self) -> object:
        """What watch() watches: where this is another object, it is to be watched anew."""

    @property
    def has_news(self) -> bool:
        """Whether something has changed since it was last looked at, of which the watcher was told before."""

    def fill(self) -> bool:
        """With nothing pending, read what has come; whether something is pending now."""

    def control(self, frame: bytes) -> None:
        """Deal with one of the bus's own frames, which was pending and has been taken."""

    def ask_ready(self) -> None: ...
    def look_ready(self) -> bool: ...
    def change(self, channels: list[str], fresh: Collection[str], gone: Collection[str]) -> None: ...

    def tend(self) -> float | None:
        """To be called where nothing was found to read; seconds until it is to be called again, None is never."""

    def wait(self, deadline: float | None) -> bool:
        """Sleep until something may have come; False at the deadline."""

    def fileno(self) -> int: ...

    def watch(self, loop: asyncio.AbstractEventLoop, look: Callable[[], object]) -> Callable[[], object]:
        """Call this in the loop when something may have come, until what is given back is called. In the loop."""

    def close(self) -> None: ...


class Incoming:
    """What has come on a connection and was not taken yet; see :class:`WayIn`.

    Args:
        settings: Where to connect; a context is read with the first use.
        stream: What is held of the bus.
        pending: Where to put what has come; what is there already was taken into account by the stream.
        at: How many messages the stream has counted.

    Attributes:
        socket: None until open(); may be given something with ``recv`` before.
        is_drained: Whether nothing was left to read when it was last read, and nothing was sent since.
    """

    def __init__(
        self,
        settings: ContextFace | BusOptions,
        stream: Stream,
        pending: deque[bytes] | None = None,
        at: int = 0,
    ) -> None:
        self.pending: deque[bytes] = deque() if pending is None else pending
        self.stream = stream
        self.socket: Any = None
        self.watcher: Watcher | None = None
        self.is_closed = False
        self.is_drained = True
        self._settings = settings
        self._closing: Waker | None = None
        self._pulse = Pulse(0.0)
        self._end: transports.ReceivingEnd | None = None
        self._pid = 0
        self._lock = threading.RLock()
        self._burst = 1
        # Gives the frame that comes next, where nothing is pending and the stream need not look at it.
        self._next: Callable[[int], bytes] | None = None
        self._blocked: type[Exception] = NoFrame
        # How many messages and gaps ever lay in `pending`, and raw frames that do now.
        self._index = at
        self._is_raw = False
        self._answered = 0
        self._renewed_at = -1
        # The answer before the silence, and how often the connection was renewed in it.
        self._silent_since, self._silences = -1, 0

    # -- the connection ---------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        return self._end is not None

    @property
    def state(self) -> str:
        if self.is_closed or self._renewed_at == self.stream.welcomes:
            return "disconnected"
        return self.stream.state

    @property
    def options(self) -> BusOptions:
        """The settings, read once.

        Raises:
            BadAddress, ConfigError, GuaranteeUnavailable: A value cannot be used.
        """
        if not isinstance(self._settings, BusOptions):
            self._settings = BusOptions.read(self._settings)
        return self._settings

    @property
    def at(self) -> int:
        """How many messages and gaps lay ready before what is pending."""
        return self._index - len(self.pending)

    @property
    def reconnects(self) -> int:
        return max(0, self.stream.welcomes - 1)

    @property
    def replayed(self) -> int:
        return self.stream.replayed

    @property
    def connection(self) -> object:
        return self

    @property
    def has_news(self) -> bool:
        return self.is_closed

    def open(self) -> transports.ReceivingEnd:
        """The connection, made now where there is none.

        Raises:
            BusClosed: After close().
        """
        if self._end is None:
            with self._lock:
                if self.is_closed:
                    raise BusClosed("this subscriber was closed; make a new one with bus.subscribe()")
                if self._end is None:
                    self._end = self._connect()
                    self._pid = os.getpid()
                    _opened.here.add(self)
        return self._end

    def _connect(self) -> transports.ReceivingEnd:
        uid = os.urandom(16).hex().encode()
        if self.socket is not None:
            self.stream.open(uid, "", replays=False, is_exact=False)
            return Injected(self.socket)
        options = self.options
        transport = transports.load(options.address)
        end = transport.connect(options.address, options.room)
        self.stream.open(uid, options.address.url, replays=options.guarantee != "fast", is_exact=options.exact_gaps)
        self._pulse = Pulse(0.0 if transport.IN_PROCESS else options.probe)
        self._subscribe(end)
        return end

    def _subscribe(self, end: transports.ReceivingEnd) -> None:
        self.socket = end.socket
        self.stream.subscribe()
        self._send(end)

    def _opened(self) -> transports.ReceivingEnd:
        """The connection that is there, for whoever reads or sends on it. The lock is held."""
        if self._end is None:
            raise BusClosed("this subscriber was closed; make a new one with bus.subscribe()")
        self._next = None
        return self._end

    def disown(self) -> None:
        """In a child that was just forked: the connection is the parent's."""
        self._next = None
        self._end = _Elsewhere(self._pid, self._end)

    def _renew(self) -> None:
        """Give the connection up, and make a new one; what we have stays."""
        with self._lock:
            end = self._opened()
            address = self.options.address
            self._log_silence(address.url)
            if self.watcher is not None:
                self.watcher.unwatch()
            end.close()
            self._end = transports.load(address).connect(address, self.options.room)
            self._renewed_at = self.stream.welcomes
            self._subscribe(self._end)

    def _log_silence(self, url: str) -> None:
        """Once for each time that it is gone; a machine that is busy for a moment is no matter for a warning."""
        if self._silent_since != self.stream.answered:
            self._silent_since, self._silences = self.stream.answered, 0
        self._silences += 1
        level = {1: logging.INFO, 2: logging.WARNING}.get(self._silences, logging.DEBUG)
        text = "the bus on %s does not answer; " + ("connecting anew" if self._silences == 1 else "waiting for it")
        logger.log(level, text, url)

    def _send(self, end: transports.ReceivingEnd) -> None:
        """Send what the stream has to say. The lock is held."""
        for frame in self.stream.out:
            end.send(frame)
            self.is_drained = False
        self.stream.out.clear()

    def close(self) -> None:
        self.is_closed = True
        if self._pid not in (0, os.getpid()):
            # The connection, and the pipe of who waits, belong to the process we were forked from.
            return
        if self._closing is not None:
            self._closing.set()
        with self._lock:
            end, self._end = self._end, None
            self._next = None
            self.pending.clear()
            if end is not None:
                end.close()
            self.socket = None
        self._wake()

    def _wake(self) -> None:
        if self.watcher is not None:
            self.watcher.wake()

    # -- reading ----------------------------------------------------------------------------------------------------

    def fill(self) -> bool:
        """With nothing pending, read what has come: one frame after a wait, and more at once the longer it goes on.

        Returns:
            Whether something is pending now.
        """
        with self._lock:
            if self._next is None:
                self._fill(self._end or self.open())
                return bool(self.pending)
            # Who was woken for one message has cold caches: each step here is felt.
            try:
                self.pending.append(self._next(1))
            except self._blocked:
                return False
            self._next = None
            self.is_drained = False
            self._index += 1
            self._is_raw = True
            return True

    def _fill(self, end: transports.ReceivingEnd) -> None:
        """The same where much has come, or the stream sorts it. The lock is held."""
        pending, stream = self.pending, self.stream
        while not pending:
            try:
                # Without a step of Python per frame; what came before there was nothing is kept. A frame of a
                # reply has very many messages; and nothing is read behind a frame that may move the anchor.
                pending.extend(map(end.recv, repeat(1, self._burst if stream.is_plain else 1)))
                self.is_drained = False
                self._burst = min(_BURST, 2 * self._burst, 1 + _BURST_BYTES // (1 + len(pending[-1])))
            except end.blocked:
                self._burst = 1
                self.is_drained = True
                if not pending:
                    self._next, self._blocked = end.recv if stream.is_plain else None, end.blocked
                    return
            self._index += len(pending)
            self._is_raw = True
            if not stream.is_plain:
                self._sort()

    def control(self, frame: bytes) -> None:
        """Deal with one of the bus's own frames, which was pending and has been taken."""
        with self._lock:
            if self._end is None:
                return
            stream, pending = self.stream, self.pending
            self._index -= 1
            at = self._index - len(pending)
            found = stream.control(frame, at)
            if found or not stream.is_plain:
                found += pending if stream.is_plain else stream.sort(pending, at + len(found))
                self._is_raw = stream.is_plain
                self._line_up(found, at)
            self._follow()

    def _sort(self) -> None:
        """Let the stream deal with all that is pending. The lock is held."""
        at = self._index - len(self.pending)
        self._line_up(self.stream.sort(self.pending, at), at)
        self._is_raw = False
        self._follow()

    def _line_up(self, found: list[bytes], at: int) -> None:
        self.pending.clear()
        self.pending.extend(found)
        self._index = at + len(found)

    def _follow(self) -> None:
        """Do what the stream has found necessary. The lock is held."""
        if self._end is not None and self.stream.out:
            self._send(self._end)
        if self._answered != self.stream.answered:
            self._answered = self.stream.answered
            self._wake()

    def ask_ready(self) -> None:
        """Ask the publisher, where no answer is due anyway."""
        self.open()
        with self._lock:
            self._opened()
            if self._is_raw:
                self._sort()
            # Before the first welcome there is nobody to ask; that will be answered with the question.
            if self.stream.is_ready:
                self.stream.ask()
                self._follow()

    def look_ready(self) -> bool:
        """Read what has come, and say whether the publisher has answered the last question."""
        with self._lock:
            end = self._opened()
            if self._is_raw:
                self._sort()
            try:
                while not self.stream.is_ready:
                    found = self.stream.sort((end.recv(1),), self._index)
                    self.pending.extend(found)
                    self._index += len(found)
                    self._follow()
            except end.blocked:
                return False
            return True

    def change(self, channels: list[str], fresh: Collection[str], gone: Collection[str]) -> None:
        """Hold these channels, ``fresh`` more and ``gone`` less; nothing of the latter is taken any more.

        Raises:
            BusClosed: After close().
        """
        with self._lock:
            if self.is_closed:
                raise BusClosed("this subscriber was closed")
            if self._end is not None:
                self._opened()
                if self._is_raw:
                    self._sort()
            self.stream.change(channels, fresh, gone)
            if gone and self.pending:
                held = self.stream.held
                found = [frame for frame in self.pending if isinstance(frame, Hole) or covers(held, frame)]
                self.stream.forget(len(self.pending) - len(found))
                self._line_up(found, self._index - len(self.pending))
            self._follow()
        # libzmq deals with what has come also while it sends, and takes the signal for it from the descriptor.
        self._wake()

    # -- waiting ----------------------------------------------------------------------------------------------------

    def tend(self) -> float | None:
        """Look after a bus that may have gone: to be called where nothing was found to read.

        Returns:
            Seconds until it is to be called again, 0 if there may be something to read; None is never.
        """
        pulse, stream, end = self._pulse, self.stream, self._end
        if end is None:
            return None
        now = monotonic()
        end.adapt(now)
        # Before the first welcome ZeroMQ tries to connect by itself.
        if not pulse.every or not stream.welcomes:
            return None
        step = pulse.look(now, self._index + stream.heard, self._index, not stream.is_ready)
        if step is Step.WAIT:
            return max(0.0, pulse.due - now)
        with self._lock:
            if step is Step.RENEW:
                self._renew()
            else:
                self._opened()
                stream.ask()
                self._follow()
        # Sending took the signal from the descriptor.
        self._wake()
        return 0.0

    def wait(self, deadline: float | None) -> bool:
        """Sleep until something may have come; False at the deadline, a time of ``monotonic()``.

        Raises:
            BusClosed: After close(), also when that happens while it waits.
        """
        left = None if deadline is None else deadline - monotonic()
        if left is not None and left <= 0:
            self.tend()
            return False
        end = self.open()
        if end.fileno() < 0:
            self.pending.append(end.recv(0))
            self._index += 1
            self._is_raw = True
            return True
        due = self.tend()
        if due == 0:
            return True
        poller = select.poll()
        poller.register(self.open().fileno(), select.POLLIN)
        if self._closing is None:
            self._closing = Waker()
        if self.is_closed:
            raise BusClosed("this subscriber was closed")
        poller.register(self._closing.fileno(), select.POLLIN)
        waits = [wait for wait in (left, due) if wait is not None]
        poller.poll(min(waits) * 1000 if waits else None)
        if self.is_closed:
            raise BusClosed("this subscriber was closed while it waited")
        return True

    def fileno(self) -> int:
        """Readable, once, when something has come since nothing was left."""
        return self.open().fileno()

    def watch(self, loop: asyncio.AbstractEventLoop, look: Callable[[], object]) -> Callable[[], object]:
        number = self.fileno()
        loop.add_reader(number, look)
        return partial(unwatch, loop, number)


class _Elsewhere:
    """In the place of a connection that belongs to the process we were forked from; that is kept, not to be closed."""

    socket: Any = None
    blocked: type[Exception] = NoFrame

    def __init__(self, pid: int, end: transports.ReceivingEnd | None) -> None:
        self._pid = pid
        self._kept = end

    def recv(self, flags: int) -> bytes:
        raise self._error()

    def send(self, frame: bytes) -> None:
        raise self._error()

    def fileno(self) -> int:
        raise self._error()

    def adapt(self, now: float) -> None:
        """Its threads are not here."""

    def close(self) -> None:
        """It is not ours."""

    def _error(self) -> BusError:
        return BusError(
            f"this subscriber was opened in process {self._pid} and cannot be used in {os.getpid()};"
            " make one there with bus.subscribe()"
        )


class _Opened:
    """Those that have a connection in this process; asked once in each child, not with each message."""

    def __init__(self) -> None:
        self.here: WeakSet[Incoming] = WeakSet()
        os.register_at_fork(after_in_child=self._disown)

    def _disown(self) -> None:
        for incoming in self.here:
            incoming.disown()
        self.here = WeakSet()


_opened = _Opened()


def unwatch(loop: asyncio.AbstractEventLoop, number: int) -> None:
    """Watch a descriptor no more, in a loop that may be closed."""
    if not loop.is_closed():
        loop.remove_reader(number)
