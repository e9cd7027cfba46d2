"""One connection for many subscribers of a process: each frame is read once and handed to all who hold its channel.

No thread belongs to a line: whoever looks for messages reads for all. Of the threads that wait, one is the leader and
sleeps on the descriptor, the others until it rings; when the leader has what it waited for, another leads. An event
loop watches the descriptor once for all its subscribers.

A tap that is full holds the line up. At ``block``, until it is read, as a socket that is full holds up the bus. At
``disconnect`` it must leave, and goes on with a connection of its own, which asks for what it has missed meanwhile.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from functools import partial
from queue import Empty
from select import POLLIN, poll
from time import monotonic
from typing import TYPE_CHECKING

from shellbot.bus.frames import Gap, covers, subscription
from shellbot.bus.incoming import Incoming
from shellbot.bus.lifeline import Waker
from shellbot.bus.line_watch import LineWatch
from shellbot.bus.options import BusOptions
from shellbot.bus.stream import Hole, Stream
from shellbot.bus.tap import Tap
from shellbot.errors import BusClosed, BusError

if TYPE_CHECKING:
    import asyncio

logger = logging.getLogger(__name__)

# A tap never has more frames than this; ten times as many while a question is out, as the answer comes behind them.
HELD = 2000
HELD_BEFORE_ANSWER = 20_000
# Seconds that a full tap may hold up the others at `disconnect`, untouched. Its thread may have many others to read.
PATIENCE = 1.0

# So many frames are handed out at once, and read before others have their turn.
_AT_ONCE = 256
_AT_A_TIME = 2048
# Before a channel is added, what has come is handed out, but no more frames than this: they may never end.
_AHEAD = 1000

_NOBODY: frozenset[Tap] = frozenset()


class Line:
    """A connection of this process, and the taps that share it.

    ``with line:`` holds it. Nobody who only leaves waits for that: subscribers may be dropped, or closed by a signal
    handler, in the middle of anything; whoever holds the line then lets them go.

    Attributes:
        pid: Of the process it belongs to.
        is_closed: Whether the last tap has gone.
        waker: Wakes the leader.
    """

    def __init__(self, options: BusOptions) -> None:
        self.options = options
        self.incoming = Incoming(options, Stream([]))
        self.stream = self.incoming.stream
        self.pid = os.getpid()
        self.is_closed = False
        self.waker = Waker()
        self._lock = threading.Lock()
        self._taps: set[Tap] = set()
        self._gone: deque[Tap] = deque()
        # Who gets the frames of which topic, and who gets all.
        self._takers: dict[bytes, set[Tap]] = {}
        self._everyone: set[Tap] = set()
        # What is to be changed when nothing is pending: how many want each channel, and what the bus does not know yet.
        self._wanted: Counter[str] = Counter()
        self._fresh: set[str] = set()
        self._stale: set[str] = set()
        self._joining: list[tuple[Tap, list[bytes]]] = []
        self._ahead = 0
        # Which question covers each channel, and who waits for an answer.
        self._asked: dict[str, int] = {}
        self._answered = 0
        self._unanswered: set[Tap] = set()
        # Who is full: when it was last found to have taken something, and how many it had then; and whether that holds
        # the line up.
        self._full: dict[Tap, tuple[float, int]] = {}
        self._is_stuck = False
        self._waiting: dict[Tap, None] = {}
        self._leader: Tap | None = None
        self._watches: dict[asyncio.AbstractEventLoop, LineWatch] = {}
        # Messages of each topic since the anchor, by which a tap that leaves knows what it has.
        self._since: dict[bytes, int] = {}
        self._anchor: tuple[int, int] | None = None
        self._is_counted = True
        self._is_replay = False
        self.incoming.watcher = self

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()
        if self._gone:
            self._let_go()

    # -- coming and going -------------------------------------------------------------------------------------------

    def join(self, incoming: Incoming) -> Tap | None:
        """A tap in the place of a connection that was only prepared; None where this line has just been closed."""
        with self:
            if self.is_closed:
                return None
            tap = Tap(self, incoming.stream.channels, incoming.pending, incoming.watcher)
            self._taps.add(tap)
            self._want(tap, tap.channels)
            return tap

    def change(self, tap: Tap, channels: list[str], fresh: Collection[str], gone: Collection[str]) -> bool:
        """As :meth:`Incoming.change`; False where the tap has left."""
        with self:
            self._check(tap)
            if tap.own is not None:
                return False
            topics = set(map(subscription, gone))
            tap.channels = channels
            tap.topics = set(map(subscription, channels))
            self._displace(tap, topics)
            self._unwant(gone)
            if topics and tap.pending:
                found = [frame for frame in tap.pending if isinstance(frame, Hole) or covers(tap.topics, frame)]
                tap.pending.clear()
                tap.pending.extend(found)
            self._want(tap, fresh)
            self._change_now()
            return True

    def forget(self, tap: Tap) -> None:
        """It was closed. Never waits."""
        if self.pid == os.getpid():
            self._gone.append(tap)
            tap.bell.put(None)
            self.waker.set()
            tap.wake()
            self._let_go()

    def _let_go(self) -> None:
        # Who cannot have the lock leaves it to the holder, who comes here after giving it back.
        while self._gone and self._lock.acquire(blocking=False):
            try:
                while self._gone:
                    tap = self._gone.popleft()
                    if tap.own is not None:
                        tap.own.close()
                    tap.pending.clear()
                    self._remove(tap)
                self._change_now()
            finally:
                self._lock.release()

    def part_with(self, tap: Tap) -> Incoming:
        """Let a tap go on with a connection of its own."""
        with self:
            self._check(tap)
            own = tap.own or self._part_with(tap)
            self._change_now()
            return own

    def _part_with(self, tap: Tap) -> Incoming:
        at = self.incoming.at
        stream = self.stream.part(tap.channels, at, self._since if self._is_counted else None)
        own = Incoming(self.options, stream, tap.pending, at)
        tap.leave(own)
        self._remove(tap)
        self._tell(tap)
        return own

    def _remove(self, tap: Tap) -> None:
        if tap not in self._taps:
            return
        self._taps.remove(tap)
        self._unwant(tap.channels)
        topics, tap.topics = tap.topics, set()
        self._displace(tap, topics)
        self._unanswered.discard(tap)
        self._full.pop(tap, None)
        if not self._taps:
            self.is_closed = True
            self.incoming.watcher = None
            self.incoming.close()

    def _want(self, tap: Tap, names: Collection[str]) -> None:
        for name in names:
            if not self._wanted[name]:
                self._differ(name, self._stale, self._fresh)
            self._wanted[name] += 1
        if names:
            tap.due = 0
            self._ahead = self._ahead if self._joining else _AHEAD
            self._joining.append((tap, list(map(subscription, names))))

    def _unwant(self, names: Iterable[str]) -> None:
        for name in names:
            self._wanted[name] -= 1
            if not self._wanted[name]:
                del self._wanted[name]
                self._differ(name, self._fresh, self._stale)

    def _differ(self, name: str, undone: set[str], done: set[str]) -> None:
        if name in undone:
            undone.remove(name)
        else:
            done.add(name)

    def _place(self, tap: Tap, fresh: list[bytes]) -> None:
        if b"" not in tap.topics:
            for topic in tap.topics.intersection(fresh):
                self._takers.setdefault(topic, set()).add(tap)
        elif b"" in fresh:
            self._displace(tap, tap.topics - {b""})
            self._everyone.add(tap)

    def _displace(self, tap: Tap, gone: Collection[bytes]) -> None:
        for topic in gone:
            if (takers := self._takers.get(topic)) is not None:
                takers.discard(tap)
                if not takers:
                    del self._takers[topic]
        if b"" in gone:
            self._everyone.discard(tap)
            self._place(tap, list(tap.topics))

    @property
    def _is_to_change(self) -> bool:
        return bool(self._joining or self._fresh or self._stale)

    def _change_now(self) -> None:
        """What needs not wait until all is handed out."""
        if not (self.is_closed or self._joining or self.incoming.pending) and self._is_to_change:
            self._change_all()
        self._is_held_up()
        self._pass_on(True)

    def _change_all(self) -> None:
        """Nothing is pending: who is added now gets only what comes from now on."""
        asked = self.stream.asked
        self.incoming.change([], self._fresh, self._stale)
        # Where no question goes with it, the next one covers it: the first, or that behind a reply.
        number = self.stream.asked + (self.stream.asked == asked)
        for name in self._stale:
            self._asked.pop(name, None)
        for name in self._fresh:
            self._asked[name] = number
        self._fresh, self._stale = set(), set()
        joining, self._joining = self._joining, []
        for tap, fresh in joining:
            if tap in self._taps:
                self._place(tap, fresh)
                tap.ask_from(max((self._asked[name] for name in tap.channels), default=1))
                self._unanswered.add(tap)
        self._answered = -1

    # -- reading ----------------------------------------------------------------------------------------------------

    def look(self, tap: Tap, has_enough: Callable[[], object]) -> None:
        """Read and hand out what has come, until this tap has enough.

        Raises:
            BusClosed: It was closed.
        """
        with self:
            self._check(tap)
            if tap.own is None:
                self._pump(has_enough)
                tap.news = False

    def _check(self, tap: Tap) -> None:
        if self.pid != os.getpid():
            raise BusError(
                f"this subscriber was opened in process {self.pid} and cannot be used in {os.getpid()};"
                " make one there with bus.subscribe()"
            )
        if tap.is_closed:
            raise BusClosed("this subscriber was closed; make a new one with bus.subscribe()")

    def _pump(self, has_enough: Callable[[], object]) -> None:
        incoming = self.incoming
        was_stuck = self._is_stuck
        left = _AT_A_TIME
        while not (self._is_held_up() or self.is_closed):
            if incoming.pending:
                self._hand_out()
            elif left <= 0:
                break
            elif self._is_to_change and (self._ahead <= 0 or not incoming.is_open):
                self._change_all()
            elif self._read():
                left -= len(incoming.pending)
                self._ahead -= len(incoming.pending)
            elif self._is_to_change:
                self._change_all()
            else:
                break
            if has_enough():
                break
        self._tell_answered()
        self._pass_on(was_stuck)

    def _read(self) -> bool:
        incoming, replayed = self.incoming, self.stream.replayed
        found = incoming.fill()
        # A frame of a reply comes alone.
        self._is_replay = self.stream.replayed != replayed
        self._see_anchor()
        return found

    def _hand_out(self) -> None:
        """What lies ready, up to one of the bus's own frames: row by row of one channel."""
        pending = self.incoming.pending
        row: list[bytes] = []
        head = control = None
        for _ in range(min(len(pending), _AT_ONCE)):
            frame = pending.popleft()
            its = frame[: frame.find(b" ") + 1]
            if its != head or not its:
                if frame[:1] == b"\xff":
                    control = frame
                    break
                if row:
                    self._give(head, row)
                    row = []
                head = its
            row.append(frame)
        if row:
            self._give(head, row)
        if isinstance(control, Hole):
            self._give_gap(control.gap)
        elif control is not None:
            self.incoming.control(control)
            self._see_anchor()

    def _give(self, head: bytes | None, row: list[bytes]) -> None:
        assert head is not None
        self._since[head] = self._since.get(head, 0) + len(row)
        for takers in (self._takers.get(head, _NOBODY), self._everyone):
            for tap in takers:
                tap.pending.extend(row)
                self._given(tap)
                if self._is_replay:
                    tap.came_out_of_replies += len(row)

    def _give_gap(self, gap: Gap) -> None:
        for tap in self._taps:
            tap.pending.append(Hole.of(gap._replace(channels=tuple(tap.channels))))
            self._given(tap)

    def _given(self, tap: Tap) -> None:
        if len(tap.pending) > HELD - _AT_ONCE:
            self._full[tap] = monotonic(), len(tap.pending)
        if not tap.news:
            self._tell(tap)

    def _see_anchor(self) -> None:
        """What was handed out is counted from the anchor on, which moves only here."""
        anchor = self.stream.anchor
        if anchor is not self._anchor:
            self._anchor = anchor
            self._since = {}
            self._is_counted = self.stream.received(self.incoming.at) == 0

    def _is_held_up(self) -> bool:
        """Whether nothing may be handed out, for one that is full."""
        if self._full or self._is_stuck:
            now = monotonic()
            for tap, (since, count) in list(self._full.items()):
                left = len(tap.pending)
                if left <= HELD - _AT_ONCE:
                    del self._full[tap]
                elif left < count:
                    self._full[tap] = now, left
                elif self.options.slow == "disconnect" and now - since >= PATIENCE:
                    logger.warning("who was not read for %g s goes on with a connection of its own", PATIENCE)
                    self._part_with(tap)
            is_asking = self._unanswered or self._is_to_change
            most = (HELD_BEFORE_ANSWER if is_asking else HELD) - _AT_ONCE
            self._is_stuck = any(len(tap.pending) > most for tap in self._full)
        return self._is_stuck

    def _tell_answered(self) -> None:
        if self._answered != self.stream.answered:
            self._answered = self.stream.answered
            for tap in [tap for tap in self._unanswered if tap.is_ready]:
                self._unanswered.remove(tap)
                self._tell(tap)

    def ask_again(self, tap: Tap) -> bool:
        """Ask the bus where no answer is due, though this tap needs one; False, as it is not ready."""
        with self:
            if tap.due and self.stream.is_ready and not self.incoming.pending and not tap.is_ready:
                self.incoming.ask_ready()
                self._pass_on(True)
        return False

    # -- waiting ----------------------------------------------------------------------------------------------------

    def _tell(self, tap: Tap) -> None:
        tap.news = True
        if tap in self._waiting:
            self._ring(tap)
        tap.wake()

    def _ring(self, tap: Tap) -> None:
        tap.bell.put(None)
        if tap is self._leader:
            self.waker.set()

    def _pass_on(self, was_stuck: bool) -> None:
        """Who watches the descriptor must look without its signal, which was taken, where something may be left."""
        if (was_stuck or self.incoming.pending or not self.incoming.is_drained) and not self._is_stuck:
            if self._leader is not None:
                self.waker.set()
            for watch in self._watches.values():
                watch.stir()

    def tend(self, tap: Tap) -> float | None:
        """As :meth:`Incoming.tend`."""
        with self:
            self._check(tap)
            return self._tend()

    def _tend(self) -> float | None:
        if self._is_stuck:
            # The bus may say what it will, nobody hears it.
            if self.options.slow != "disconnect":
                return None
            return max(0.0, min(since for since, _ in self._full.values()) + PATIENCE - monotonic())
        if self.incoming.pending or not self.incoming.is_drained:
            return 0.0
        due = self.incoming.tend()
        if due == 0:
            self._pass_on(True)
        return due

    def wait(self, tap: Tap, deadline: float | None) -> bool:
        """Sleep until this tap has news; False at the deadline.

        Raises:
            BusClosed: It was closed, also meanwhile.
        """
        try:
            while True:
                with self:
                    self._check(tap)
                    if tap not in self._waiting:
                        self._waiting[tap] = None
                        while not tap.bell.empty():
                            tap.bell.get()
                    if self._leader is None:
                        self._leader = tap
                    is_leader = self._leader is tap
                    due: float | None = None
                    if is_leader and not tap.news:
                        self.waker.clear()
                        self._check(tap)
                        self._pump(lambda: tap.news)
                        due = None if tap.news else self._tend()
                    if tap.news:
                        return True
                    left = None if deadline is None else deadline - monotonic()
                    if left is not None and left <= 0:
                        return False
                    times = [time for time in (left, due) if time is not None]
                    descriptors = [] if self._is_stuck or not is_leader else [self.incoming.fileno()]
                if is_leader:
                    poller = poll()
                    for descriptor in (*descriptors, self.waker.fileno()):
                        poller.register(descriptor, POLLIN)
                    poller.poll(min(times) * 1000 if times else None)
                else:
                    with suppress(Empty):
                        tap.bell.get(timeout=left)
        finally:
            with self:
                self._waiting.pop(tap, None)
                if self._leader is tap:
                    self._leader = next(iter(self._waiting), None)
                    if self._leader is not None:
                        self._ring(self._leader)

    def watch(self, loop: asyncio.AbstractEventLoop) -> Callable[[], object]:
        """Read when something comes, in this loop, until what is given back is called. In the loop."""
        with self:
            if loop not in self._watches:
                self._watches[loop] = LineWatch(self, loop)
            watch = self._watches[loop]
            watch.count += 1
            if watch.count == 1 and not self._is_stuck:
                watch.begin()
            self._pass_on(False)
        return partial(self._unwatch, watch)

    def _unwatch(self, watch: LineWatch) -> None:
        with self:
            watch.count -= 1
            if not watch.count:
                watch.end()
                self._watches.pop(watch.loop, None)

    def look_in(self, watch: LineWatch) -> None:
        """Something has come, or the descriptor is another. In the loop."""
        with self:
            watch.is_stirred = False
            if not watch.count or self.is_closed:
                return
            if watch.is_moved:
                watch.end()
            self._pump(lambda: False)
            if self._is_stuck:
                # Its descriptor may stay readable, and cannot be read.
                watch.end()
            else:
                watch.begin()

    def wake(self) -> None:
        """The line itself knows of what its connection tells a watcher."""

    def unwatch(self) -> None:
        """The descriptor is about to change. The line is held."""
        self.waker.set()
        for watch in self._watches.values():
            watch.is_moved = True
            watch.stir()
