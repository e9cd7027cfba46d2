"""Clocks: real time, and time that somebody else moves.

Everything that waits takes a clock, so that a test or a simulation decides when it is ten minutes later.
Seconds count on ``time()``, which never goes back; an aware datetime is a place on the wall.

One rule for both clocks: what is due now or was due before fires at once, which is on the next turn of the event loop
and never inside the call that asked for it.

Source: the clocks of aiomas. New here: one rule for what is already due, and a timer that fires while time is moved
sees its own due time as now.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")
LOOK_AGAIN = 30.0  # seconds after which a deadline on the wall is looked at again: a machine sleeps, a wall clock steps


class TimerHandle:
    """One call that is to come. ``cancel()`` may be called at any time and any number of times."""

    __slots__ = ("_cancel", "_context", "args", "callback", "is_cancelled", "is_dated", "is_fired")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.is_cancelled = False
        self.is_fired = False
        self.is_dated = False  # due by the wall
        self._context = contextvars.copy_context()
        self._cancel: Callable[[], object] | None = None

    def cancel(self) -> None:
        """The call will not come; nothing happens if it came already."""
        if self.is_fired or self.is_cancelled:
            return
        self.is_cancelled = True
        self._forget()

    def _fire(self) -> None:
        """Make the call. An error goes where asyncio sends those of its own timers; others still fire."""
        callback, args = self.callback, self.args
        if callback is None:
            return
        self.is_fired = True
        self.callback, self.args, self._cancel = None, (), None
        try:
            self._context.run(callback, *args)
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"error in timer {callback!r}", "exception": error}
            )

    def _forget(self) -> None:
        cancel, self._cancel = self._cancel, None
        self.callback, self.args = None, ()  # what the timer holds is free at once, not when it would have been due
        if cancel is not None:
            cancel()


class BaseClock(ABC):
    """What a clock can do. All of it is called from the thread of the event loop; ``time`` and ``utcnow`` from any."""

    @abstractmethod
    def time(self) -> float:
        """Seconds that only grow; where they begin says nothing."""

    @abstractmethod
    def utcnow(self) -> datetime:
        """What the clock on the wall shows, as an aware UTC datetime."""

    @abstractmethod
    def call_at(self, when: float | datetime, f: Callable[..., object], *args: Any) -> TimerHandle:
        """Call ``f(*args)`` once on the loop when it is ``when``.

        Args:
            when: Seconds on ``time()``, or an aware datetime. Now or earlier: on the next turn of the loop.
        """

    def call_in(self, delay: float, f: Callable[..., object], *args: Any) -> TimerHandle:
        """Call ``f(*args)`` once on the loop in ``delay`` seconds; 0 or less: on the next turn of the loop."""
        return self.call_at(self.time() + _finite(delay), f, *args)

    async def sleep(self, delay: float, result: T | None = None) -> T | None:
        """Wait ``delay`` seconds, then give ``result``; 0 or less waits one turn of the loop."""
        return await self.sleep_until(self.time() + _finite(delay), result)

    async def sleep_until(self, when: float | datetime, result: T | None = None) -> T | None:
        """Wait until it is ``when``, then give ``result``; see :meth:`ExternalClock.set_time` for what it is then."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        handle = self.call_at(when, _wake, woken)
        try:
            await woken
        finally:
            handle.cancel()
        return result


class AsyncioClock(BaseClock):
    """Real time: seconds since the machine started, and its wall clock."""

    def time(self) -> float:
        return time.monotonic()

    def utcnow(self) -> datetime:
        return datetime.now(UTC)

    def call_at(self, when: float | datetime, f: Callable[..., object], *args: Any) -> TimerHandle:
        handle = TimerHandle(f, args)
        loop = asyncio.get_running_loop()
        if isinstance(when, datetime):
            self._look(loop, _aware(when), handle)
        else:
            delay = _finite(when) - self.time()
            handle._cancel = (
                loop.call_later(delay, handle._fire).cancel if delay > 0 else loop.call_soon(handle._fire).cancel
            )
        return handle

    def _look(self, loop: asyncio.AbstractEventLoop, when: datetime, handle: TimerHandle) -> None:
        delay = (when - self.utcnow()).total_seconds()
        if delay <= 0:
            handle._cancel = loop.call_soon(handle._fire).cancel
        else:
            handle._cancel = loop.call_later(min(delay, LOOK_AGAIN), self._look, loop, when, handle).cancel


class ExternalClock(BaseClock):
    """Time that stands until somebody moves it with ``advance`` or ``set_time``.

    Args:
        utc_start: What the wall shows at ``init_time``; aware.
        init_time: What ``time()`` begins with.
    """

    def __init__(self, utc_start: datetime, init_time: float = 0) -> None:
        self._utc_start = _aware(utc_start).astimezone(UTC)
        self._init_time = _finite(init_time)
        self._time = self._init_time
        self._due: list[tuple[float, int, TimerHandle]] = []
        self._count = itertools.count()
        self._cancelled = 0
        self._is_moving = False

    def time(self) -> float:
        return self._time

    def utcnow(self) -> datetime:
        return self._utc_start + timedelta(seconds=self._time - self._init_time)

    @property
    def next_due(self) -> float | None:
        """When the next timer is due on ``time()``; None when there is none."""
        while self._due and self._due[0][2].is_cancelled:
            heapq.heappop(self._due)
            self._cancelled -= 1
        return self._due[0][0] if self._due else None

    def call_at(self, when: float | datetime, f: Callable[..., object], *args: Any) -> TimerHandle:
        if isinstance(when, datetime):
            due = self._init_time + (_aware(when) - self._utc_start).total_seconds()
        else:
            due = _finite(when)
        handle = TimerHandle(f, args)
        handle.is_dated = isinstance(when, datetime)
        if due <= self._time:
            # not within the step: a timer that asks for "now" again and again must not hold the loop for ever
            handle._cancel = asyncio.get_running_loop().call_soon(handle._fire).cancel
        else:
            handle._cancel = self._drop_cancelled
            heapq.heappush(self._due, (due, next(self._count), handle))
        return handle

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass; see :meth:`set_time`."""
        if not seconds >= 0:
            raise ValueError(f"time cannot go back: advance({seconds!r})")
        self.set_time(self._time + seconds)

    def set_time(self, t: float) -> None:
        """Let it become ``t``.

        Timers that are due on the way fire before this returns, in the order of their due times, those of one time
        in the order they were made, each seeing its own due time as now. What they start within the way fires too.
        Coroutines that sleep are woken, and go on when the loop comes to them: then it is ``t``.

        Raises:
            ValueError: ``t`` lies before now.
            RuntimeError: Called by a timer that this very call fires.
        """
        t = _finite(t)
        if t < self._time:
            raise ValueError(f"time cannot go back: it is {self._time}, not {t}")
        if self._is_moving:
            raise RuntimeError("a timer cannot move the clock that fires it")
        self._is_moving = True
        try:
            while (due := self.next_due) is not None and due <= t:
                _, _, handle = heapq.heappop(self._due)
                self._time = due
                handle._fire()
            self._time = t
        finally:
            self._is_moving = False

    def step(self, seconds: float) -> None:
        """Set the wall forwards or back, as an operator may, or a machine that has slept; ``time()`` stays.

        What is due by the wall moves along; what is due now fires with the next move of the time, be it by 0.
        """
        self._utc_start += timedelta(seconds=_finite(seconds))
        self._due = [
            (max(due - seconds, self._time) if handle.is_dated else due, number, handle)
            for due, number, handle in self._due
        ]
        heapq.heapify(self._due)

    def _drop_cancelled(self) -> None:
        """Take cancelled timers out once they are the greater part, so that they do not pile up."""
        self._cancelled += 1
        if self._cancelled > 64 and self._cancelled * 2 > len(self._due):
            self._due = [entry for entry in self._due if not entry[2].is_cancelled]
            heapq.heapify(self._due)
            self._cancelled = 0


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _finite(seconds: float) -> float:
    if not math.isfinite(seconds):
        raise ValueError(f"seconds must be a finite number, not {seconds!r}")
    return float(seconds)


def _aware(when: datetime) -> datetime:
    if when.tzinfo is None:
        raise ValueError(f"a date needs a time zone, as in datetime.now(UTC): {when!r}")
    return when
