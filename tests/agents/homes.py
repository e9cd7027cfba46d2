"""A container whose timers and limits go by clocks that the test moves, and what it was told of errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from shellbot.agents import Agent, Container
from shellbot.clocks import AsyncioClock, ExternalClock

START = datetime(2026, 11, 20, tzinfo=UTC)


class Told(Container):
    """Keeps the errors it is told of, in place of logging them."""

    def __init__(self, **settings: Any) -> None:
        self.timers = ExternalClock(START)
        self.seconds = ExternalClock(START)
        super().__init__(clock=self.timers, stopwatch=self.seconds, **settings)
        self.errors: list[tuple[str, BaseException, str]] = []
        self.heard = asyncio.Event()

    def on_error(self, agent: Agent, error: BaseException, what: str) -> None:
        self.errors.append((agent.name, error, what.rpartition(".")[2]))
        self.heard.set()


@asynccontextmanager
async def told(**settings: Any) -> AsyncIterator[Told]:
    async with Told(**settings) as home:
        try:
            yield home
        finally:
            home.stopwatch = AsyncioClock()  # nobody moves the other one any more


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until ``condition`` holds."""
    while not condition():  # noqa: ASYNC110 - nothing tells of it, and a turn of the loop costs nothing
        await asyncio.sleep(0)
