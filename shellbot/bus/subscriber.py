"""Subscriber: read the messages of some channels, by polling, blocking, iterating, or with asyncio."""

from __future__ import annotations

import logging
import os
import select
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import repeat
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import orjson
import six

from shellbot.bus import transports
from shellbot.bus.frames import CONTROL, HEADS, Frame, ask, private_topic, subscription
from shellbot.bus.injected import Injected
from shellbot.bus.lifeline import Waker
from shellbot.bus.options import BusOptions, ContextFace
from shellbot.codecs import MAX_BYTES, SHALLOW_BYTES, is_deep
from shellbot.errors import BusClosed, BusError, BusTimeout, InvalidChannel

if TYPE_CHECKING:
    from shellbot.bus.aio import AsyncSubscriber

logger = logging.getLogger(__name__)

KEPT_LETTERS = 100
KEPT_BYTES = 4096

_BURST = 256
_BURST_BYTES = 64 * 1024
_KNOWN_NAMES = 20_000

_loads = orjson.loads

# What take() gives when there is no message.
NOTHING: Any = object()


class Subscriber:
    """Messages of the channels named here, and of no other, in the order they were put.

    Nothing is connected before the first ``get()``, ``wait_ready()`` or iteration; what was published before that
    connection is in force is not seen. Use one subscriber per thread; ``close()`` may be called from any.

    Args:
        context: Settings, or only the address, e.g. ``"tcp://127.0.0.1:5555"``.
        channels: One name or several; ``''`` means all.

    Attributes:
        channels: The names held now.
        socket: None until first used; may be given something with ``recv``, which gives str or bytes.
        broken: How many frames could not be read.
        dead_letters: The first 4 KiB of the last hundred of them.

    Raises:
        InvalidChannel: No channel, or one that is not valid.

    Source: shellbot 2017, whose names it keeps.
    """

    def __init__(self, context: ContextFace | str, channels: str | list[str] | tuple[str, ...]) -> None:
        if isinstance(context, str):
            from shellbot.context import Context

            context = Context({"bus": {"address": context}})
        self.context = context
        self.channels = _listed(channels)
        self.socket: Any = None
        self.broken = 0
        self.dead_letters: deque[bytes] = deque(maxlen=KEPT_LETTERS)
        self._held = {subscription(channel) for channel in self.channels}
        self._is_filtering = False
        self._names: dict[bytes, str] = {}
        self._head = b""
        self._number = 0
        self._pending: deque[bytes] = deque()
        self._burst = 1
        self._end: transports.ReceivingEnd | None = None
        self._uid = b""
        self._private = b""
        self._asked = 0
        self._answered = 0
        self._is_closed = False
        self._pid = 0
        self._lock = threading.RLock()
        self._waker = Waker()
        self._aio: AsyncSubscriber | None = None

    # -- reading ----------------------------------------------------------------------------------------------------

    def get(self, block: bool = False, timeout: float | None = None) -> Any:
        """The next message, or None when there is none.

        Args:
            block: Wait for one.
            timeout: With ``block``, seconds to wait; None waits for ever.

        Raises:
            BusClosed: After close(), also when that happens while it waits.
        """
        found = self.take()
        if found is NOTHING and block:
            found = self._await(timeout)
        return None if found is NOTHING else found

    def receive(self, timeout: float | None = None) -> Frame | None:
        """The next message with its channel, or None when none came in time.

        Args:
            timeout: Seconds to wait; None waits for ever.

        Raises:
            BusClosed: After close(), also when that happens while it waits.
        """
        found = self.take()
        if found is NOTHING:
            found = self._await(timeout)
        return None if found is NOTHING else self.frame(found)

    def frames(self) -> Iterator[Frame]:
        """Messages with their channels, until close()."""
        try:
            while True:
                found = self.take()
                yield self.frame(self._await(None) if found is NOTHING else found)
        except BusClosed:
            return

    def __iter__(self) -> Iterator[Any]:
        """Messages, until close()."""
        try:
            while True:
                found = self.take()
                yield self._await(None) if found is NOTHING else found
        except BusClosed:
            return

    def __aiter__(self) -> AsyncIterator[Any]:
        return self.aio.__aiter__()

    @property
    def aio(self) -> AsyncSubscriber:
        """The same names, to be awaited."""
        if self._aio is None:
            from shellbot.bus.aio import AsyncSubscriber

            self._aio = AsyncSubscriber(self)
        return self._aio

    def _await(self, timeout: float | None) -> Any:
        """The next message that comes in this time, or NOTHING."""
        deadline = None if timeout is None else monotonic() + timeout
        found = NOTHING
        while found is NOTHING and self._wait(deadline):
            found = self.take()
        return found

    def take(self) -> Any:
        """The next message that is here, or NOTHING; never waits. frame() then knows its channel."""
        pending = self._pending
        while True:
            if not pending and not self._fill():
                return NOTHING
            data = pending.popleft()
            head, _, body = data.partition(b" ")
            try:
                message = _loads(body)
            except ValueError:
                self._set_aside(data)
                continue
            size = len(body)
            # Flat texts, however long, need no more than two fast looks.
            is_deeper = size > SHALLOW_BYTES and (body.rfind(b"{") > 0 or body.rfind(b"[") > 0) and is_deep(message)
            if is_deeper or message is None or not head or size > MAX_BYTES:
                self._set_aside(data)
            elif not self._is_filtering or head + b" " in self._held or b"" in self._held:
                self._head = head
                self._number += 1
                return message

    def frame(self, message: Any) -> Frame:
        """The message that take() gave last, with its channel."""
        head = self._head
        name = self._names.get(head)
        if name is None:
            name = head.decode(errors="replace")
            if len(self._names) >= _KNOWN_NAMES:
                self._names.clear()
            self._names[head] = name
        return Frame(name, message, self._number)

    # -- being ready ------------------------------------------------------------------------------------------------

    def wait_ready(self, timeout: float | None = 5.0) -> None:
        """Return when the publisher has seen all subscriptions: what is put from then on arrives.

        Args:
            timeout: Seconds; None waits for ever.

        Raises:
            BusTimeout: No publisher answered in time.
            BusClosed: After close(), also when that happens while it waits.
        """
        deadline = None if timeout is None else monotonic() + timeout
        self.ask_ready()
        while not self.look_ready():
            if not self._wait(deadline):
                where = self.context.get("bus.address", "")
                raise BusTimeout(f"no publisher on {where} has answered within {timeout:g} s; is it running?")

    def ask_ready(self) -> None:
        """Begin to wait: ask the publisher, where no answer is due anyway."""
        self._open()
        with self._lock:
            self._sort()
            # Before the first welcome there is nobody to ask; that will be answered with the question.
            if 0 < self._asked == self._answered:
                self._ask()

    def look_ready(self) -> bool:
        """Read what has come, and say whether the publisher has answered the last question."""
        self._check_mine()
        with self._lock:
            end = self._opened()
            try:
                while not 0 < self._asked == self._answered:
                    data = end.recv(1)
                    if data[:1] == HEADS[:1]:
                        self._control(data)
                    else:
                        self._pending.append(data)
            except end.blocked:
                return False
            return True

    def add(self, channels: str | list[str] | tuple[str, ...]) -> None:
        """Subscribe to more channels; wait_ready() then covers them. From the thread that reads."""
        fresh = [name for name in _listed(channels) if name not in set(self.channels)]
        self._change(fresh, b"\x01", self._held.add)
        self.channels = self.channels + fresh

    def remove(self, channels: str | list[str] | tuple[str, ...]) -> None:
        """Read these channels no more; what is not held is ignored. From the thread that reads."""
        gone = set(_listed(channels))
        self._change([name for name in self.channels if name in gone], b"\x00", self._held.discard)
        self.channels = [name for name in self.channels if name not in gone]
        # Frames sent before are still on their way.
        self._is_filtering = True

    def _change(self, channels: list[str], sign: bytes, note: Callable[[bytes], None]) -> None:
        if self._end is not None:
            self._check_mine()
        with self._lock:
            if self._is_closed:
                raise BusClosed("this subscriber was closed")
            for channel in channels:
                topic = subscription(channel)
                note(topic)
                if self._end is not None:
                    self._end.send(sign + topic)
            if self._end is not None and self._asked:
                self._ask()
        if self._aio is not None:
            # libzmq deals with what has come also while it sends, and takes the signal for it from the descriptor.
            self._aio.wake()

    def _ask(self) -> None:
        self._asked += 1
        self._opened().send(ask(self._uid, self._asked))

    def _control(self, data: bytes) -> None:
        """What the bus itself has to say."""
        if data.startswith(HEADS):
            if data[len(HEADS) :].split(b" ")[0] == b"W":
                # A new connection: what was asked on an old one is not answered any more.
                self._ask()
        elif data.startswith(self._private):
            fields = data[len(self._private) :].split(b" ")
            if fields[1:] == [b"E"] and fields[0] == b"%d" % self._asked:
                self._answered = self._asked
                if self._aio is not None:
                    self._aio.wake()

    # -- the connection ---------------------------------------------------------------------------------------------

    def _open(self) -> transports.ReceivingEnd:
        if self._end is None:
            with self._lock:
                if self._is_closed:
                    raise BusClosed("this subscriber was closed; make a new one with bus.subscribe()")
                if self._end is None:
                    self._pid = os.getpid()
                    self._end = self._connect()
        return self._end

    def _connect(self) -> transports.ReceivingEnd:
        if self.socket is not None:
            return Injected(self.socket)
        address = BusOptions.read(self.context).address
        end = transports.load(address).connect(address)
        self._uid = os.urandom(16).hex().encode()
        self._private = private_topic(self._uid)
        for topic in (HEADS, self._private, *self._held):
            end.send(b"\x01" + topic)
        self.socket = end.socket
        return end

    def _opened(self) -> transports.ReceivingEnd:
        """The connection that is there. The lock is held."""
        if self._end is None:
            raise BusClosed("this subscriber was closed; make a new one with bus.subscribe()")
        return self._end

    def _check_mine(self) -> None:
        if self._pid != os.getpid():
            raise BusError(
                f"this subscriber was opened in process {self._pid} and cannot be used in {os.getpid()};"
                " make one there with bus.subscribe()"
            )

    def _fill(self) -> bool:
        """Read what has come: one frame after a wait, and more at once the longer it goes on."""
        if self._end is None:
            self._open()
        self._check_mine()
        pending = self._pending
        with self._lock:
            end = self._opened()
            try:
                # Without a step of Python per frame; what came before there was nothing is kept.
                pending.extend(map(end.recv, repeat(1, self._burst)))
            except end.blocked:
                self._burst = 1
                return bool(pending)
            self._burst = min(_BURST, 2 * self._burst, 1 + _BURST_BYTES // (1 + len(pending[-1])))
            return True

    def _sort(self) -> None:
        """Take the bus's own frames out of what was read. The lock is held."""
        for _ in range(len(self._pending)):
            data = self._pending.popleft()
            if data[:1] == HEADS[:1]:
                self._control(data)
            else:
                self._pending.append(data)

    def _set_aside(self, data: bytes) -> None:
        """A frame that is no message: the bus's own, or broken."""
        if data and data[0] == CONTROL:
            with self._lock:
                if self._end is not None:
                    self._control(data)
            return
        self.broken += 1
        self.dead_letters.append(data[:KEPT_BYTES])
        if self.broken & (self.broken - 1) == 0:
            logger.warning("frames that could not be read: %d; see dead_letters", self.broken)

    def _wait(self, deadline: float | None) -> bool:
        """Sleep until something may have come; False at the deadline."""
        left = None if deadline is None else deadline - monotonic()
        if left is not None and left <= 0:
            return False
        end = self._open()
        if end.fileno() < 0:
            self._pending.append(end.recv(0))
            return True
        poller = select.poll()
        poller.register(end.fileno(), select.POLLIN)
        poller.register(self._waker.fileno(), select.POLLIN)
        poller.poll(None if left is None else left * 1000)
        if self._is_closed:
            raise BusClosed("this subscriber was closed while it waited")
        return True

    def fileno(self) -> int:
        """Readable, once, when something has come since nothing was left."""
        return self._open().fileno()

    @property
    def closing(self) -> Waker:
        """Readable after close()."""
        return self._waker

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def close(self) -> None:
        """Leave the bus. Whoever waits, in any thread, gets BusClosed. From any thread, any number of times."""
        self._is_closed = True
        self._waker.set()
        if self._pid not in (0, os.getpid()):
            # The connection belongs to the process we were forked from.
            return
        with self._lock:
            end, self._end = self._end, None
            self._pending.clear()
            if end is not None:
                end.close()
            self.socket = None
        if self._aio is not None:
            self._aio.wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self.__dict__.get("_end") is not None:
            self.close()


def _listed(channels: object) -> list[str]:
    """Channels as a list, each checked."""
    if isinstance(channels, six.string_types):
        found = [channels]
    elif isinstance(channels, list | tuple):
        found = list(channels)
    else:
        kind = type(channels).__name__
        raise InvalidChannel(f"channels are a name or a list of names, not {kind}", channel=channels)
    if not found:
        raise InvalidChannel("no channel was named; give at least one, or '' for all", channel=channels)
    for channel in found:
        subscription(channel)
    return found
