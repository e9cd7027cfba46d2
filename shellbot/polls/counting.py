"""Counts the ballots that direct channels put on the bus, and confirms each on the way back."""

from __future__ import annotations

from logging import getLogger
from typing import Any

from shellbot.bot import ShellBot
from shellbot.observation import Report
from shellbot.polls import ballot, records
from shellbot.polls.log import Log
from shellbot.polls.records import Round

logger = getLogger(__name__)


class Counter:
    """Takes the ballots of one group's polls."""

    def __init__(self, bot: ShellBot) -> None:
        self._bot = bot
        self._log = Log(bot.desk.switchboard.seal)

    async def take(self, round: Round, report: Report, body: dict[str, Any]) -> bool:
        """Count a ballot that came on a channel of the roll, once; whether it changed the count."""
        vote, n, at = ballot.from_wire(body.get("choice"), round.spec), body.get("n"), body.get("at")
        is_done = body.get("is_done", True) is True
        if vote is None or type(n) is not int or not isinstance(at, float):
            logger.warning("ballot is not one of this poll's poll=%s channel=%s", round.id, report.channel)
            return False
        seat = round.seats[report.channel]
        if n == seat.counting:
            return False  # its repeat came before its receipt could go out
        if n <= seat.n:  # counted before, or less than what counts: confirmed, and nothing else
            self._receipt(round, report, n, is_counted=True)
            return False
        is_in_time = round.closes_at is None or at < round.closes_at.timestamp()
        seat.counting = n
        try:
            is_counted = is_in_time and await self._bot.wait(
                self._bot.desk.store.write(
                    lambda db: records.put_ballot(db, self._log, round, report.channel, n, vote, at, is_done=is_done)
                )
            )
        finally:
            seat.counting = 0
        if is_counted:
            seat.n = max(seat.n, n)
            round.mark(report.channel, has_voted=bool(vote), is_done=is_done)
        self._receipt(round, report, n, is_counted=is_counted)
        return is_counted

    def _receipt(self, round: Round, report: Report, n: int, *, is_counted: bool) -> None:
        self._bot.receipt(report, {"op": "receipt", "poll": round.id, "n": n, "is_counted": is_counted})
