"""A subscriber's share of a connection that it has with others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any
from weakref import ref

from shellbot.bus.frames import subscription
from shellbot.bus.incoming import Incoming, Watcher
from shellbot.bus.stream import Stream

if TYPE_CHECKING:
    import asyncio

    from shellbot.bus.line import Line


class Tap:
    """A share of a line, in the place of a connection; see :class:`~shellbot.bus.incoming.WayIn`. One thread reads.

    Attributes:
        topics: Of its channels.
        news: Whether there is something that it has not looked at since.
        due: The question whose answer says that all its channels are in force; 0 while it was not asked.
        bell: Where its thread sleeps when it does not lead; unlike an event it may be rung in a signal handler.
        own: The connection that it has when it has left the line.
    """

    def __init__(self, line: Line, channels: list[str], pending: deque[bytes], watcher: Watcher | None) -> None:
        self.pending = pending
        self.channels = channels
        self.topics = set(map(subscription, channels))
        self.news = False
        self.is_closed = False
        self.due = 0
        self.own: Incoming | None = None
        self.bell: SimpleQueue[None] = SimpleQueue()
        self.came_out_of_replies = 0
        self._line = line
        self._first_welcome = max(1, line.stream.welcomes)
        self._first_due = 0
        self._watcher: ref[Watcher] | None = None
        self.watcher = watcher

    @property
    def watcher(self) -> Watcher | None:
        # The line holds its taps, so a tap must not hold its subscriber.
        return self._watcher() if self._watcher else None

    @watcher.setter
    def watcher(self, watcher: Watcher | None) -> None:
        self._watcher = None if watcher is None else ref(watcher)
        if self.own is not None:
            self.own.watcher = watcher

    @property
    def stream(self) -> Stream:
        return self._line.stream if self.own is None else self.own.stream

    @property
    def socket(self) -> Any:
        return None if self.is_closed else self._line.incoming.socket if self.own is None else self.own.socket

    @property
    def is_open(self) -> bool:
        return not self.is_closed

    @property
    def is_ready(self) -> bool:
        """Whether the bus has answered since all its channels were asked for."""
        return 0 < self.due <= self._line.stream.answered

    @property
    def state(self) -> str:
        if self.is_closed:
            return "disconnected"
        if self.own is not None:
            return self.own.state
        state = self._line.incoming.state
        return "new" if state == "live" and not 0 < self._first_due <= self.stream.answered else state

    @property
    def reconnects(self) -> int:
        return max(0, self.stream.welcomes - self._first_welcome) if self.own is None else self.own.reconnects

    @property
    def replayed(self) -> int:
        return self.came_out_of_replies if self.own is None else self.own.replayed

    @property
    def has_news(self) -> bool:
        return self.news if self.own is None else self.own.has_news

    @property
    def connection(self) -> object:
        return self._line if self.own is None else self.own

    def ask_from(self, due: int) -> None:
        """All channels are in force when this question is answered."""
        self.due = due
        self._first_due = self._first_due or due

    def leave(self, own: Incoming) -> None:
        """Go on with a connection of its own. The line is held."""
        own.stream.replayed = self.came_out_of_replies
        if own.stream.welcomes:
            own.stream.welcomes += self.reconnects
        own.watcher = self.watcher
        self.own = own

    def fill(self) -> bool:
        if self.own is not None:
            return self.own.fill()
        self._line.look(self, lambda: self.pending)
        return bool(self.pending)

    def control(self, frame: bytes) -> None:
        if self.own is not None:
            self.own.control(frame)

    def ask_ready(self) -> None:
        if self.own is not None:
            self.own.ask_ready()

    def look_ready(self) -> bool:
        if self.own is None:
            self._line.look(self, lambda: self.is_ready)
        if self.own is not None:
            self.own.open()
            return self.own.look_ready()
        return self.is_ready or self._line.ask_again(self)

    def change(self, channels: list[str], fresh: Collection[str], gone: Collection[str]) -> None:
        if self.own is None and self._line.change(self, channels, fresh, gone):
            return
        if self.own is not None:
            self.own.change(channels, fresh, gone)

    def tend(self) -> float | None:
        return self._line.tend(self) if self.own is None else self.own.tend()

    def wait(self, deadline: float | None) -> bool:
        return self._line.wait(self, deadline) if self.own is None else self.own.wait(deadline)

    def fileno(self) -> int:
        """Of a connection of its own, which it has from now on: that of the line tells of others' messages."""
        own = self.own or self._line.part_with(self)
        return own.fileno()

    def watch(self, loop: asyncio.AbstractEventLoop, look: Callable[[], object]) -> Callable[[], object]:
        return self._line.watch(loop) if self.own is None else self.own.watch(loop, look)

    def wake(self) -> None:
        """Let the tasks that wait look again. From any thread."""
        if (watcher := self.watcher) is not None:
            watcher.wake()

    def close(self) -> None:
        self.is_closed = self.news = True
        self.pending.clear()
        if self.own is not None:
            self.own.close()
        self._line.forget(self)
