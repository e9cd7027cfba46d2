"""The close of a poll: no more votes, direct channels hand over what they have, one result is announced."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable

from shellbot.clocks import BaseClock
from shellbot.events import Reply
from shellbot.polls import records, sealed
from shellbot.polls.crier import Crier
from shellbot.polls.keeping import Keeper, Note
from shellbot.polls.records import Round
from shellbot.polls.secrecy import Secrets
from shellbot.polls.tally import Result
from shellbot.polls.texts import EVERY, group_result, owner_missed, owner_result
from shellbot.polls.timers import Timers

HAND_OVER = 5.0  # seconds direct channels have, at the close and after the last report, to hand over what they hold


class Closing:
    """Closes the polls of one group.

    Args:
        tell_waiters: Called when a result is there.
    """

    def __init__(
        self,
        clock: BaseClock,
        timers: Timers,
        crier: Crier,
        keeper: Keeper,
        secrets: Secrets,
        tell_waiters: Callable[[], Awaitable[None]],
    ) -> None:
        self._clock = clock
        self._timers = timers
        self._crier = crier
        self._keeper = keeper
        self._secrets = secrets
        self._tell_waiters = tell_waiters

    async def close(self, round: Round, note: Note | None = None) -> None:
        """Take no more votes: tell all channels, announce when they have handed over or no more come for 5 s."""
        if round.state == "closing" or round.is_over:
            return
        with self._keeper.changing(round):
            round.state = "closing"
            await self._keeper.save(round, note)
        self._timers.stop(round, "deadline", "remind")
        self.wait_for_votes(round)
        self._crier.begin(round)
        await self.announce_when_all_closed(round)

    def wait_for_votes(self, round: Round) -> None:
        """Announce when nobody has reported for 5 s, whoever has not handed over by then."""
        self._timers.after(round, "announce", HAND_OVER, self._announce_when_quiet)

    async def _announce_when_quiet(self, round: Round) -> None:
        left = HAND_OVER - self._crier.quiet(round)
        if left > 0:
            self._timers.after(round, "announce", left, self._announce_when_quiet)
        else:
            await self._announce(round)

    async def announce_when_all_closed(self, round: Round) -> None:
        """Announce a poll that is closing, if nothing is to be waited for any more."""
        if round.state == "closing" and not round.unclosed:
            await self._announce(round)

    async def _announce(self, round: Round) -> None:
        """Count, close and keep the announcement in one transaction: one result, whatever happens to the program."""
        if round.state != "closing":
            return
        round.state = "closed"
        self._timers.stop(round, "announce", "live")
        again, now = f"/{round.reopened}" if round.reopened else "", self._clock.utcnow()

        def close(db: sqlite3.Connection) -> tuple[Result, Reply]:
            urn = round.urn
            votes = sealed.open_all(db, round, urn) if urn is not None else records.votes(db, round)
            result = records.close(db, self._keeper.log, round, votes, now)
            text, fixed = group_result(round, result, now)
            note = {"id": f"{round.id}/note{again}", "text": owner_missed(round, result), "fixed": ""}
            if round.spec.results == "owner":
                note["text"], note["fixed"] = group_result(round, result, now, EVERY)
                text, fixed = owner_result(round, result, now), ""
            if note["text"]:
                round.note = note
                records.save(db, round)
            return result, Reply(id=f"{round.id}/result{again}", text=text, fixed=fixed)

        try:
            round.result = await self._keeper.write(close, is_erasing=round.spec.anonymous)
        except Exception:  # also where counting fails: a close that nobody hears of would be for good
            round.state = "closing"
            self.wait_for_votes(round)
            raise
        await self._secrets.destroy(round)
        if round.note is not None:
            self._crier.come(round, 0.0)
        await self._tell_waiters()
