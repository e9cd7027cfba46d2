"""Counts the ballots that direct channels put on the bus, and confirms each on the way back.

What comes while the disk is busy is counted together: a ballot goes into the transaction that waits for the disk, so
that ten thousand at once are a few writes, and each is in the store before anything that is written after it came.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from dataclasses import dataclass
from logging import getLogger
from typing import Any

from shellbot.bot import ShellBot
from shellbot.observation import Report
from shellbot.polls import ballot, records, sealed
from shellbot.polls.ballot import Vote
from shellbot.polls.log import Entry, Log
from shellbot.polls.records import Round

logger = getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Ballot:
    """One that is to be counted, with the report it came by. ``version`` is that of its poll when it came."""

    round: Round
    report: Report
    n: int
    vote: Vote
    at: float
    is_done: bool
    choice: str  # as it came
    version: int
    is_late: bool

    def count(self, db: sqlite3.Connection, entries: list[Entry], *, has_ended: bool) -> dict[str, Any]:
        """Count it, which may add to ``entries`` of the log; gives what is to be said to its voter."""
        round, channel = self.round, self.report.channel
        # once refused it stays so, also where a repeat of it comes when the poll is open again
        is_late = self.is_late or (round.reopened > 0 and records.was_refused(db, round, channel, self.n))
        if not is_late and self._put(db, entries, has_ended):
            return {"is_counted": True}
        stands: object
        if round.spec.anonymous:
            stands = sealed.has_voted(db, round, channel)
        else:
            records.refuse(db, round, channel, self.n)
            stands = ballot.to_wire(records.vote_of(db, round, channel), round.spec)
        return {"is_counted": False, "stands": stands, "version": self.version}

    def _put(self, db: sqlite3.Connection, entries: list[Entry], has_ended: bool) -> bool:
        round, channel = self.round, self.report.channel
        if round.spec.anonymous:
            has_voted = bool(self.vote)
            return sealed.put(db, round, channel, self.n, self.choice, has_voted=has_voted, has_ended=has_ended)
        if has_ended:
            return records.has_counted(db, round, channel, self.n)
        entry = records.put_ballot(db, round, channel, self.n, self.vote, self.at, is_done=self.is_done)
        if entry is not None:
            entries.append(entry)
        return True


class _Batch:
    """Ballots that are counted in one transaction. More may be added until it begins, which is in another thread."""

    def __init__(self, log: Log) -> None:
        self.ballots: list[_Ballot] = []
        self._log = log
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._is_begun = False
        self._lock = threading.Lock()

    def add(self, one: _Ballot) -> bool:
        """Take it in; False if it is too late for that."""
        with self._lock:
            if not self._is_begun:
                self.ballots.append(one)
            return not self._is_begun

    def count(self, db: sqlite3.Connection) -> list[dict[str, Any]]:
        with self._lock:
            self._is_begun = True
        ended = {poll: records.has_ended(db, poll) for poll in {one.round.id for one in self.ballots}}
        entries: dict[str, list[Entry]] = {poll: [] for poll in ended}
        said = [one.count(db, entries[one.round.id], has_ended=ended[one.round.id]) for one in self.ballots]
        for poll, those in entries.items():
            if those:
                self._log.add(db, poll, *those)
        return said


class Counter:
    """Takes the ballots of one group's polls."""

    def __init__(self, bot: ShellBot) -> None:
        self._bot = bot
        self._log = Log(bot.desk.switchboard.seal)
        self._batch: _Batch | None = None  # the latest
        self._uncounted: _Batch | None = None  # the latest, while nobody has begun to count it
        self._counting: dict[tuple[str, str], _Batch] = {}  # by poll and channel

    def take(self, round: Round, report: Report, body: dict[str, Any]) -> None:
        """Take a ballot that came on a channel of the roll, to be counted once: by the next :meth:`count`."""
        choice, n, at = body.get("choice"), body.get("n"), body.get("at")
        vote = self._read(round, report.channel, choice)
        if vote is None or type(n) is not int or not isinstance(at, float):
            logger.warning("ballot is not one of this poll's poll=%s channel=%s", round.id, report.channel)
            return
        seat = round.seats[report.channel]
        if n == seat.counting:
            return  # its repeat came before its receipt could go out
        if n <= seat.n:  # counted before, or less than what counts: confirmed, and nothing else
            self._receipt(round, report, n, {"is_counted": True})
            return
        seat.counting = n
        is_late = round.closes_at is not None and at >= round.closes_at.timestamp()
        is_done = body.get("is_done", True) is True
        one = _Ballot(round, report, n, vote, at, is_done, str(choice), round.version, is_late)
        if self._batch is None or not self._batch.add(one):
            self._batch = self._uncounted = _Batch(self._log)
            self._batch.add(one)
        self._counting[round.id, report.channel] = self._batch

    async def settled(self, round: Round, channel: str) -> None:
        """Return when the ballot of this channel, if one is being counted, is counted; raises what prevented it."""
        if (batch := self._counting.get((round.id, channel))) is not None:
            await self._bot.wait(asyncio.shield(batch.over))

    async def count(self) -> set[str]:
        """Count what was taken. Gives the turn back; what is taken meanwhile may be counted with it.

        Returns:
            Ids of the polls whose count has changed; none where another call counts it, see :meth:`settled`.
        """
        batch, self._uncounted = self._uncounted, None
        if batch is None:
            return set()
        try:
            found = await self._bot.wait(self._bot.desk.store.write(batch.count))
        except BaseException as error:
            self._settle(batch)
            batch.over.set_exception(error)
            batch.over.exception()  # who waits for it gets it; nobody need
            raise
        changed = set()
        self._settle(batch)
        for one, said in zip(batch.ballots, found, strict=True):
            if said["is_counted"]:
                seat = one.round.seats[one.report.channel]
                if one.n >= seat.n:  # an earlier one, that came later, stands for nothing
                    seat.n = one.n
                    one.round.mark(one.report.channel, has_voted=bool(one.vote), is_done=one.is_done)
                changed.add(one.round.id)
            self._receipt(one.round, one.report, one.n, said)
        batch.over.set_result(None)
        return changed

    def _settle(self, batch: _Batch) -> None:
        if self._batch is batch:
            self._batch = None
        for one in batch.ballots:
            one.round.seats[one.report.channel].counting = 0
            if self._counting.get((one.round.id, one.report.channel)) is batch:
                del self._counting[one.round.id, one.report.channel]

    @staticmethod
    def _read(round: Round, channel: str, choice: object) -> Vote | None:
        if not round.spec.anonymous:
            return ballot.from_wire(choice, round.spec)
        if round.urn is None:  # it is over: nobody knows what this is, and it comes too late
            return ()
        return round.urn.open(choice, round.spec, round.id, channel)

    def _receipt(self, round: Round, report: Report, n: int, said: dict[str, Any]) -> None:
        self._bot.receipt(report, {"op": "receipt", "poll": round.id, "n": n, **said})
