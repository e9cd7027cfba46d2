"""Time limits of turns. Those that have the same limit share one timer: a timer each costs more than many a turn."""

from __future__ import annotations

from typing import Protocol

from shellbot.clocks import BaseClock, TimerHandle


class Limited(Protocol):
    """Who runs under a limit."""

    def overrun(self) -> None:
        """Called, once, when the time is over."""


class Timekeeper(Protocol):
    """Who has the clock."""

    stopwatch: BaseClock


class Limits:
    """The limits of one container. Belongs to its event loop; there is nothing of a limit that nobody runs under."""

    def __init__(self, home: Timekeeper) -> None:
        self._home = home
        self._by_seconds: dict[float, _Limit] = {}

    def begin(self, who: Limited, seconds: float, now: float) -> None:
        """``who`` runs since ``now``, and is called after ``seconds`` unless it has ended."""
        limit = self._by_seconds.get(seconds)
        if limit is None:
            limit = self._by_seconds[seconds] = _Limit(self._home.stopwatch)
        limit.running[who] = now + seconds
        if limit.timer is None:
            limit.wait()

    def end(self, who: Limited, seconds: float) -> None:
        """``who`` does not run any more. Nothing happens if it was called."""
        limit = self._by_seconds.get(seconds)
        if limit is None:
            return
        limit.running.pop(who, None)
        if not limit.running:
            del self._by_seconds[seconds]
            if limit.timer is not None:
                limit.timer.cancel()


class _Limit:
    """Those who run under one limit, in the order of their ends: who has begun first."""

    __slots__ = ("clock", "running", "timer")

    def __init__(self, clock: BaseClock) -> None:
        self.clock = clock
        self.running: dict[Limited, float] = {}
        self.timer: TimerHandle | None = None

    def wait(self) -> None:
        """For who ends first, which may by then have ended long ago."""
        self.timer = self.clock.call_at(next(iter(self.running.values())), self._look)

    def _look(self) -> None:
        self.timer = None
        now = self.clock.time()
        while self.running:
            who, due = next(iter(self.running.items()))
            if due > now:
                self.wait()
                return
            del self.running[who]
            who.overrun()
