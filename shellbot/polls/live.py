"""The count of a live poll, kept up to date where its opening was said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import tzinfo

from shellbot.bot import ShellBot
from shellbot.events import Reply
from shellbot.polls.log import length
from shellbot.polls.records import Round
from shellbot.polls.tally import Result, bars
from shellbot.polls.texts import group_opened
from shellbot.polls.timers import Timers

PAUSE = 2.0  # seconds between two showings


class Live:
    """Shows the counts of one group's polls.

    Args:
        counts: Gives what the votes come to so far.
    """

    def __init__(
        self, bot: ShellBot, timers: Timers, zone: tzinfo, counts: Callable[[Round], Awaitable[Result]]
    ) -> None:
        self._bot = bot
        self._timers = timers
        self._zone = zone
        self._counts = counts

    def show_soon(self, round: Round) -> None:
        """The count has changed: show it in a moment, if it is one to be shown."""
        if round.spec.results == "live" and not self._timers.has(round, "live"):
            self._timers.after(round, "live", PAUSE, self._show)

    async def _show(self, round: Round) -> None:
        self._timers.stop(round, "live")
        if round.state not in ("open", "closing") or not self._bot.desk.capabilities.edit:
            return
        now = self._bot.clock.utcnow()
        result = await self._counts(round)
        # grows with each vote and each order, over restarts, and wherever somebody sets the clock
        version = 2 + round.version + await self._bot.desk.store.read(lambda db: length(db, round.id))
        text = group_opened(round, now, self._zone)
        self._bot.reply(Reply(id=f"{round.id}/opened", version=version, text=text, fixed=bars(result)))
