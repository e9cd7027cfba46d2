"""Subscriber: read the messages of some channels, by polling, blocking, iterating, or with asyncio."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import orjson
import six

from shellbot.bus.frames import CONTROL, Frame, Gap, subscription
from shellbot.bus.incoming import Incoming, WayIn
from shellbot.bus.options import ContextFace
from shellbot.bus.shared import way_in
from shellbot.bus.stream import Hole, Stream
from shellbot.codecs import MAX_BYTES, SHALLOW_BYTES, is_deep, may_be_deep
from shellbot.errors import BusClosed, BusTimeout, ConfigError, InvalidChannel

if TYPE_CHECKING:
    from shellbot.bus.aio import AsyncSubscriber

logger = logging.getLogger(__name__)

KEPT_LETTERS = 100
KEPT_BYTES = 4096
MAX_LAST = 1_000_000

_KNOWN_NAMES = 20_000
_NAMES_IN_LOG = 5

_loads = orjson.loads

_LIST = ord("[")

# What take() gives when there is no message.
NOTHING: Any = object()


class Subscriber:
    """Messages of the channels named here, and of no other, in the order they were put.

    Nothing is connected before the first ``get()``, ``wait_ready()`` or iteration; what was published before that
    connection is in force is not seen, but for the ``last`` messages. What is missed while a connection is broken
    comes after all, in its place, or a :class:`Gap` says that it is gone. Use one subscriber per thread; ``close()``
    may be called from any.

    Of very many in one process, those after the first 8 of an address share one connection. Where one of these holds
    2,000 messages and is not read, the others wait for it; with ``bus.slow: disconnect`` a second at most.

    Args:
        context: Settings, or only the address, e.g. ``"tcp://127.0.0.1:5555"``.
        channels: One name or several; ``''`` means all.
        last: Begin with so many messages from before, where the bus still has them; 0 to 1,000,000.

    Attributes:
        channels: The names held now.
        on_gap: Called with each :class:`Gap` in the place of what is missing; may be set, its errors are only logged.
        delivered: How many messages were given out.
        gaps: How many gaps were passed, also by ``get()``, which skips them.
        broken: How many frames could not be read.
        dead_letters: The first 4 KiB of the last hundred of them.

    Raises:
        InvalidChannel: No channel, or one that is not valid.
        ConfigError: ``last`` is no such number; a ValueError.

    Source: shellbot 2017, whose names it keeps.
    """

    def __init__(self, context: ContextFace | str, channels: str | list[str] | tuple[str, ...], last: int = 0) -> None:
        if isinstance(context, str):
            from shellbot.context import Context

            context = Context({"bus": {"address": context}})
        if type(last) is not int or not 0 <= last <= MAX_LAST:
            raise ConfigError(f"last is {last!r}; it should be a number of messages, 0 to {MAX_LAST:,}")
        self.context = context
        self.channels = _listed(channels)
        self.on_gap: Callable[[Gap], object] | None = None
        self.delivered = 0
        self.gaps = 0
        self.broken = 0
        self.dead_letters: deque[bytes] = deque(maxlen=KEPT_LETTERS)
        self._prepared = Incoming(context, Stream(self.channels, last))
        self.incoming: WayIn = self._prepared
        self._pending = self.incoming.pending
        self._is_begun = False
        self._fill = self._begin
        self._names: dict[bytes, str] = {}
        self._head = b""
        self._aio: AsyncSubscriber | None = None

    # -- reading ----------------------------------------------------------------------------------------------------

    def get(self, block: bool = False, timeout: float | None = None) -> Any:
        """The next message, or None when there is none. Gaps are skipped.

        Args:
            block: Wait for one.
            timeout: With ``block``, seconds to wait; None waits for ever.

        Raises:
            BusClosed: After close(), also when that happens while it waits.
        """
        found = self.take()
        if found is NOTHING:
            if not block:
                self.incoming.tend()
                return None
            found = self._await(timeout)
        return None if found is NOTHING else found

    def receive(self, timeout: float | None = None) -> Frame | Gap | None:
        """The next message with its channel, a gap in its place, or None when nothing came in time.

        Args:
            timeout: Seconds to wait; None waits for ever.

        Raises:
            BusClosed: After close(), also when that happens while it waits.
        """
        found = self.take(True)
        if found is NOTHING:
            found = self._await(timeout, True)
        return None if found is NOTHING else self.frame(found)

    def frames(self) -> Iterator[Frame | Gap]:
        """Messages with their channels, and gaps in their places, until close()."""
        try:
            while True:
                found = self.take(True)
                yield self.frame(self._await(None, True) if found is NOTHING else found)
        except BusClosed:
            return

    def __iter__(self) -> Iterator[Any]:
        """Messages, until close(). Gaps are skipped."""
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

            self._aio = self.incoming.watcher = AsyncSubscriber(self)
        return self._aio

    def _await(self, timeout: float | None, with_gaps: bool = False) -> Any:
        """What comes next in this time, or NOTHING."""
        deadline = None if timeout is None else monotonic() + timeout
        while self.incoming.wait(deadline):
            found = self.take(with_gaps)
            if found is not NOTHING:
                return found
        return NOTHING

    def take(self, with_gaps: bool = False) -> Any:
        """The next message that is here, or a gap, or NOTHING; never waits. frame() then knows its channel."""
        pending = self._pending
        while True:
            if not pending and not self._fill():
                return NOTHING
            try:
                data = pending.popleft()
            except IndexError:
                # Closed by another thread meanwhile; fill() says so.
                continue
            head, _, body = data.partition(b" ")
            try:
                message = _loads(body)
            except ValueError:
                if (gap := self._set_aside(data)) is not None and with_gaps:
                    return gap
                continue
            size = len(body)
            # Flat texts, however long, need no more than two fast looks.
            if size > SHALLOW_BYTES and (
                ((_LIST in body or body.rfind(b"{") > 0) and may_be_deep(body) and is_deep(message)) or size > MAX_BYTES
            ):
                message = None
            if message is None or not head:
                self._set_aside(data)
            else:
                self._head = head
                self.delivered += 1
                return message

    def frame(self, found: Any) -> Any:
        """What take() gave last: the message with its channel, or the gap as it is."""
        head = self._head
        name = self._names.get(head)
        if name is None:
            if not head:
                return found
            name = head.decode(errors="replace")
            if len(self._names) >= _KNOWN_NAMES:
                self._names.clear()
            self._names[head] = name
        return Frame(name, found, self.delivered)

    def _set_aside(self, data: bytes) -> Gap | None:
        """What is no message: a gap, one of the bus's own frames, or broken."""
        if isinstance(data, Hole):
            self._pass(data.gap)
            return data.gap
        if data and data[0] == CONTROL:
            self.incoming.control(data)
            return None
        self.broken += 1
        self.dead_letters.append(data[:KEPT_BYTES])
        if self.broken & (self.broken - 1) == 0:
            logger.warning("frames that could not be read: %d; see dead_letters", self.broken)
        return None

    def _pass(self, gap: Gap) -> None:
        self._head = b""
        self.gaps += 1
        named = [channel or "all" for channel in gap.channels[:_NAMES_IN_LOG]]
        more = len(gap.channels) - len(named)
        logger.warning(
            "messages are gone for good: at most %s, positions %s to %s, channels %s%s",
            "nobody knows how many" if gap.at_most is None else f"{gap.at_most:,}",
            gap.first,
            gap.last,
            ", ".join(named),
            f" and {more} more" if more else "",
        )
        if self.on_gap is not None:
            try:
                self.on_gap(gap)
            except Exception:
                logger.exception("on_gap has failed")

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
            if not self.incoming.wait(deadline):
                where = self.context.get("bus.address", "")
                raise BusTimeout(f"no publisher on {where} has answered within {timeout:g} s; is it running?")

    def ask_ready(self) -> None:
        """Begin to wait: ask the publisher, where no answer is due anyway."""
        self._open()
        self.incoming.ask_ready()

    def look_ready(self) -> bool:
        """Read what has come, and say whether the publisher has answered the last question."""
        return self.incoming.look_ready()

    def add(self, channels: str | list[str] | tuple[str, ...]) -> None:
        """Subscribe to more channels; wait_ready() then covers them. From the thread that reads."""
        held = set(self.channels)
        fresh = [name for name in dict.fromkeys(_listed(channels)) if name not in held]
        self._change(self.channels + fresh, fresh, [])

    def remove(self, channels: str | list[str] | tuple[str, ...]) -> None:
        """Read these channels no more; what is not held is ignored. From the thread that reads."""
        gone = set(_listed(channels))
        left = [name for name in self.channels if name not in gone]
        self._change(left, [], [name for name in self.channels if name in gone])

    def _change(self, channels: list[str], fresh: list[str], gone: list[str]) -> None:
        self.incoming.change(channels, fresh, gone)
        self.channels = channels

    # -- the connection ---------------------------------------------------------------------------------------------

    def _begin(self) -> bool:
        """The fill() of the first look."""
        self._open()
        return self._fill()

    def _open(self) -> None:
        """With the first use: have a connection, or share one."""
        if not self._is_begun:
            found = way_in(self._prepared)
            found.watcher = self._prepared.watcher
            self.incoming = found
            if self._prepared.is_closed:
                # Meanwhile, by another thread or a signal, which saw only this one.
                found.close()
            self._fill = found.fill
            self._is_begun = True

    @property
    def socket(self) -> Any:
        """None until first used; may be given something with ``recv``, which gives str or bytes."""
        return self.incoming.socket

    @socket.setter
    def socket(self, socket: Any) -> None:
        self._prepared.socket = socket

    @property
    def state(self) -> str:
        """``new`` until the bus has answered, ``live``, ``syncing`` while what was missed comes, ``disconnected``."""
        return self.incoming.state

    @property
    def reconnects(self) -> int:
        """How many connections there were after the first."""
        return self.incoming.reconnects

    @property
    def replayed(self) -> int:
        """How many messages came after all, which were missed while a connection was broken, or put before it."""
        return self.incoming.replayed

    def fileno(self) -> int:
        """Readable, once, when something has come since nothing was left."""
        self._open()
        return self.incoming.fileno()

    @property
    def is_closed(self) -> bool:
        return self.incoming.is_closed

    def close(self) -> None:
        """Leave the bus. Whoever waits, in any thread, gets BusClosed. From any thread, any number of times."""
        incoming = self.incoming
        incoming.close()
        if self.incoming is not incoming:
            self.incoming.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if "incoming" in self.__dict__ and self.incoming.is_open:
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
