"""Timers of an agent: they fire as turns of it, on the container's clock.

A timer that repeats keeps to its marks (the first one + n periods), however long its turns take. It never overlaps
itself: a mark at which its last turn is not over yet is passed over, not made up for.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shellbot.errors import AgentStopped

if TYPE_CHECKING:
    from shellbot.agents.agent import Agent
    from shellbot.clocks import TimerHandle


class Timer:
    """What ``each``, ``after`` and ``at`` give. ``is_active`` until it was cancelled, or fired for the last time."""

    def __init__(
        self,
        agent: Agent,
        timers: dict[Timer, None],
        when: float | datetime,
        period: float | None,
        f: Callable[..., Any],
        args: tuple[Any, ...],
    ) -> None:
        self.is_active = True
        self._agent = agent
        self._first = 0.0 if isinstance(when, datetime) else float(when)
        self._when = when
        self._period = period
        self._marks = 0
        self._f = f
        self._args = args
        self._timers = timers  # those of the agent that are active; belongs to the loop
        self._handle: TimerHandle | None = None
        self._turn: asyncio.Future[Any] | None = None
        agent.home.on_loop(self._arm)

    def cancel(self) -> None:
        """It fires no more; a turn it began goes on. May be called from any thread, any number of times."""
        if self.is_active:
            self.is_active = False
            try:
                self._agent.home.on_loop(self._end)
            except AgentStopped:
                pass  # everything has ended already

    def _arm(self) -> None:
        if self._agent.is_closed:
            self.is_active = False
        if self.is_active:
            self._timers[self] = None
            self._handle = self._agent.home.clock.call_at(self._when, self._due)

    def _due(self) -> None:
        self._handle = None
        if not self.is_active:
            return
        if self._period is None:
            self._post()
            self.is_active = False
            self._end()
            return
        passed = math.floor((self._agent.home.clock.time() - self._first) / self._period)
        self._marks = max(self._marks, passed) + 1  # counted, not added up: no drift
        self._when = self._first + self._marks * self._period
        if self._turn is None or self._turn.done():
            self._post()
        self._arm()

    def _post(self) -> None:
        try:
            self._turn = self._agent.post(self._f, *self._args)
        except AgentStopped:
            self.cancel()
        except asyncio.QueueFull as error:
            self._agent.report_error(error, getattr(self._f, "__qualname__", repr(self._f)))
        else:
            self._turn.add_done_callback(self._over)

    def _over(self, turn: asyncio.Future[Any]) -> None:
        self._turn = None  # with it goes an error that nobody took, and is reported

    def _end(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.cancel()
        self._timers.pop(self, None)
