"""What a group bot hears of its direct channels while it observes them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from shellbot.clocks import BaseClock
from shellbot.events import Person
from shellbot.turns import Topic

MAX_UNREAD = 100_000  # reports kept for a reader that does not come; the oldest go first and are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One thing a direct channel reported.

    Attributes:
        person: Who speaks in that channel.
        channel: Id of the direct channel it came on. It, not the text, tells who speaks.
        message: What was reported.
        id: Of this report; re: of the instruction it answers; n: grows with each report of the channel.
    """

    person: Person
    channel: str
    message: dict[str, Any]
    do: str
    id: str
    re: str
    n: int


class Observed(Protocol):
    """What an observation needs of its bot."""

    observations: dict[Observation, None]

    async def in_force(self) -> None: ...

    async def wait(self, awaitable: Any) -> Any: ...


class Observation:
    """Reports of the direct channels, from the moment ``async with`` is entered. Made by ``bot.observe()``."""

    def __init__(self, bot: Observed, clock: BaseClock, topic: Topic | None, *, is_all: bool) -> None:
        self._bot = bot
        self._clock = clock
        self._topic = topic
        self._is_all = is_all
        self._unread: deque[Report] = deque()
        self._news = asyncio.Event()
        self.dropped = 0

    async def __aenter__(self) -> Self:
        self._bot.observations[self] = None
        try:
            await self._bot.in_force()
        except BaseException:
            self._bot.observations.pop(self, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bot.observations.pop(self, None)

    def hear(self, report: Report) -> None:
        """Take a report if it is one of ours: an answer to what this run broadcast, unless all were asked for."""
        if not self._is_all and (self._topic is None or report.re not in self._topic.broadcasts):
            return
        if len(self._unread) >= MAX_UNREAD:
            self._unread.popleft()
            self.dropped += 1
        self._unread.append(report)
        self._news.set()

    async def within(self, seconds: float | None, count: int | None = None) -> AsyncIterator[Report]:
        """Give reports as they come, until ``seconds`` are over or ``count`` have come."""
        is_over = False

        def end() -> None:
            nonlocal is_over
            is_over = True
            self._news.set()

        timer = self._clock.call_in(seconds, end) if seconds is not None else None
        given = 0
        try:
            while count is None or given < count:
                while not self._unread and not is_over:
                    self._news.clear()
                    await self._bot.wait(self._news.wait())
                if not self._unread:
                    return
                given += 1
                yield self._unread.popleft()
        finally:
            if timer is not None:
                timer.cancel()

    def __aiter__(self) -> AsyncIterator[Report]:
        return self.within(None)
