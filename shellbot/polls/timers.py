"""The timers of a group's polls: one for each poll and purpose; a new one takes the place of the old."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from shellbot.agents.timers import Timer
from shellbot.bot import ShellBot
from shellbot.polls.records import Round

Call = Callable[[Round], Awaitable[None]]


class Timers:
    """Each calls with its poll, in a turn of the bot."""

    def __init__(self, bot: ShellBot) -> None:
        self._bot = bot
        self._timers: dict[tuple[str, str], Timer] = {}  # (poll, purpose)

    def after(self, round: Round, purpose: str, delay: float, call: Call) -> None:
        """Call in so many seconds."""
        self.stop(round, purpose)
        self._timers[round.id, purpose] = self._bot.after(delay, call, round)

    def at(self, round: Round, purpose: str, when: datetime, call: Call) -> None:
        """Call at a time; at once where that is over."""
        self.stop(round, purpose)
        self._timers[round.id, purpose] = self._bot.at(when, call, round)

    def stop(self, round: Round, *purposes: str) -> None:
        """Call no more for these."""
        for purpose in purposes:
            if (timer := self._timers.pop((round.id, purpose), None)) is not None:
                timer.cancel()

    def has(self, round: Round, purpose: str) -> bool:
        """Whether one was set and not stopped, though it may have called."""
        return (round.id, purpose) in self._timers
