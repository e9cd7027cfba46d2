"""Counts the ballots that direct channels put on the bus, and confirms each on the way back."""

from __future__ import annotations

import sqlite3
from logging import getLogger
from typing import Any

from shellbot.bot import ShellBot
from shellbot.observation import Report
from shellbot.polls import ballot, records, sealed
from shellbot.polls.ballot import Vote
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
        choice, n, at = body.get("choice"), body.get("n"), body.get("at")
        is_done = body.get("is_done", True) is True
        vote = self._read(round, report.channel, choice)
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

        def put(db: sqlite3.Connection) -> bool:
            if round.spec.anonymous:
                return sealed.put(db, round, report.channel, n, str(choice), has_voted=bool(vote))
            return records.put_ballot(db, self._log, round, report.channel, n, vote, at, is_done=is_done)

        try:
            is_counted = is_in_time and await self._bot.wait(self._bot.desk.store.write(put))
        finally:
            seat.counting = 0
        if is_counted:
            seat.n = max(seat.n, n)
            round.mark(report.channel, has_voted=bool(vote), is_done=is_done)
        self._receipt(round, report, n, is_counted=is_counted)
        return is_counted

    @staticmethod
    def _read(round: Round, channel: str, choice: object) -> Vote | None:
        if not round.spec.anonymous:
            return ballot.from_wire(choice, round.spec)
        if round.urn is None:  # it is over: nobody knows what this is, and it comes too late
            return ()
        return round.urn.open(choice, round.spec, round.id, channel)

    def _receipt(self, round: Round, report: Report, n: int, *, is_counted: bool) -> None:
        self._bot.receipt(report, {"op": "receipt", "poll": round.id, "n": n, "is_counted": is_counted})
