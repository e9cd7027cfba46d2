"""The group's side of a poll: it opens the vote in all direct channels, counts what they report, tells the result.

Extended, reopened, reminded of, closed or cancelled, a poll has one instruction for each channel at any time, made of
its state and of what that channel has reported. It knows the direct channels only by what comes over the bus. Every
instruction is said again, after 1, 2, 4 ... 30 s without reports, to each channel that has not reported on it; a repeat
does nothing there but report again.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, tzinfo
from logging import getLogger
from typing import Any

from shellbot.bot import ShellBot
from shellbot.errors import BusTimeout, StoreError, UsageError
from shellbot.events import Person, Reply
from shellbot.markup import plain, sentence
from shellbot.observation import Report
from shellbot.polls import records, sealed
from shellbot.polls.changes import Changes, lapsed
from shellbot.polls.closing import HAND_OVER, Closing
from shellbot.polls.counting import Counter
from shellbot.polls.crier import FIRST_PAUSE, Crier
from shellbot.polls.keeping import Keeper, Note
from shellbot.polls.live import Live
from shellbot.polls.opening import Opening
from shellbot.polls.records import Round
from shellbot.polls.seating import Seating
from shellbot.polls.secrecy import Secrets
from shellbot.polls.spec import Spec
from shellbot.polls.tally import Result
from shellbot.polls.texts import group_opened, group_planned, owner_planned
from shellbot.polls.timers import Timers

logger = getLogger(__name__)

ORDERS_REMEMBERED = timedelta(days=30)  # longer than a direct channel repeats one


class Chair:
    """Runs the polls of one group channel, in the turns of its bot. ``zone`` is that of the times it says."""

    def __init__(self, bot: ShellBot, zone: tzinfo) -> None:
        self._bot = bot
        self._zone = zone
        self._store = bot.desk.store
        self._rounds: dict[str, Round] = {}
        self._changed = asyncio.Condition()
        self._timers = Timers(bot)
        self._crier = Crier(bot, self._timers, self._may_put, self._let_go, self._direct_of_owner)
        self._keeper = Keeper(bot, self._undone)
        self._counter = Counter(bot)
        self._secrets = Secrets(bot)
        self._seating = Seating(bot)
        self.opening = Opening(bot, self._timers, self._direct_of_owner)
        self.changes = Changes(bot.clock, self._timers, self._keeper, self._go_on)
        self._live = Live(bot, self._timers, zone, self.counts)
        self._closing = Closing(bot.clock, self._timers, self._crier, self._keeper, self._secrets, self._tell_waiters)

    async def resume(self) -> None:
        """Take up the polls an earlier run left, those included that some channel does not know to be closed."""
        unfinished = (
            "(state NOT IN ('closed', 'cancelled') OR note IS NOT NULL "
            "OR EXISTS (SELECT 1 FROM poll_roll WHERE poll = polls.id AND closed = 0))"
        )
        here = {member.person.id for member in self._bot.desk.roster.members(self._bot.id)}
        long_ago = self._bot.clock.utcnow() - ORDERS_REMEMBERED
        self._store.post(lambda db: records.forget_answers(db, long_ago))
        await self._secrets.tidy()
        for round in await self._store.read(lambda db: records.select(db, self._bot.id, unfinished)):
            self._rounds[round.id] = round
            can_go_on = await self._secrets.restore(round)
            for channel, seat in round.seats.items():
                round.mark(channel, is_gone=not round.spec.roll and seat.member.person.id not in here)
            self._bot.listen_to(seat.member for seat in round.seats.values())
            if not can_go_on:
                question = sentence(plain(round.spec.question))
                text = f"**Vote #{round.number} is cancelled: {question}** The key that opens its votes is gone."
                await self.cancel(round, text)
                continue
            self._go_on(round)
            if round.state == "open" and round.halt != "stopped":
                self.opening.begin(round)
            if round.state == "closing":
                self._closing.wait_for_votes(round)
            elif round.state == "open" and round.have_all_voted():
                await self.close(round)

    async def open(
        self,
        poll: str,
        spec: Spec,
        opener: Person,
        now: datetime,
        closes_at: datetime | None,
        opens_at: datetime | None = None,
    ) -> Round:
        """Freeze the roll, keep the instruction, begin to put it; all this at ``opens_at``, where that is to come.

        Opened twice with one id it is one poll.

        Raises:
            UsageError: There is nobody to ask, or no such roll.
        """
        if poll in self._rounds:
            return self._rounds[poll]
        new = Round(poll, self._bot.id, 0, spec, opener, now, closes_at, "opening", opens_at=opens_at)
        if spec.results == "owner" and self.direct_of(opener) is None:
            raise UsageError("You have no direct channel to be told the result in; leave out `results owner`.")
        if closes_at is not None and spec.remind:
            new.remind_at = closes_at - timedelta(seconds=spec.remind)
        if opens_at is not None and opens_at > now:
            new.state = "planned"
            await self._seating.check(spec)
        else:
            await self._seating.fill(new)
            if poll in self._rounds:  # opened meanwhile by the same words
                return self._rounds[poll]

        await self._secrets.make(new)

        def keep(db: sqlite3.Connection) -> tuple[Round, Reply | None]:
            kept = records.insert(db, self._keeper.log, new)
            kept.urn = new.urn
            if kept.state != "planned" or kept.note is not None:
                return kept, None
            kept.note = {"id": f"{poll}/note/planned", "text": owner_planned(kept, now, self._zone), "fixed": ""}
            records.save(db, kept)
            return kept, Reply(id=f"{poll}/planned", text=group_planned(kept, now, self._zone))

        round = self._rounds[poll] = await self._keeper.write(keep)
        if round.is_over:
            await self._secrets.destroy(round)
        self._bot.listen_to(seat.member for seat in round.seats.values())
        self._go_on(round)
        return round

    def drop(self, poll: str) -> None:
        """Know nothing more of a poll that is over and was forgotten."""
        if (round := self._rounds.get(poll)) is not None and round.is_over:
            self._timers.stop(round, "put", "announce", "live", "progress")
            del self._rounds[poll]

    def find(self, number: int | None) -> list[Round]:
        """The polls that are not over: the one with this number, or all."""
        return [r for r in self._rounds.values() if not r.is_over and (number is None or r.number == number)]

    async def look_up(self, poll: str) -> Round | None:
        """A poll of this group by its id, however long ago it was."""
        if poll in self._rounds:
            return self._rounds[poll]
        found = await self._store.read(lambda db: records.select(db, self._bot.id, "polls.id = ?", poll))
        return found[0] if found else None

    async def past(self, where: str, *values: object) -> list[Round]:
        """Polls of this group as they are kept, oldest first."""
        return await self._store.read(lambda db: records.select(db, self._bot.id, where, *values))

    async def counts(self, round: Round) -> Result:
        """The result, or what the votes come to so far. Who may see it is for the caller to know."""
        if round.result is not None:
            return round.result
        return records.tally(round, await self._store.read(lambda db: records.votes(db, round)))

    async def wait(self, round: Round, condition: Callable[[], bool]) -> None:
        """Wait until ``condition()`` holds, looked at after each change of one of the polls. Gives the turn back."""
        async with self._bot.waiting(), self._changed:
            await self._changed.wait_for(condition)

    async def close(self, round: Round, note: Note | None = None) -> None:
        """Take no more votes: tell all channels, and announce when they have handed over or after 5 s."""
        await self._closing.close(round, note)

    async def cancel(self, round: Round, text: str, note: Note | None = None) -> None:
        """End it without a result, and tell all channels and the group. Votes with names stay in the store."""

        def keep(db: sqlite3.Connection) -> None:
            records.end(db, round, self._bot.clock.utcnow())
            if round.spec.anonymous:
                sealed.destroy(db, round)
            if note is not None:
                note(db)

        with self._keeper.changing(round):
            round.state, round.note = "cancelled", None
            reply = Reply(id=f"{round.id}/cancelled", text=text)
            await self._keeper.save(round, keep, reply, is_erasing=round.spec.anonymous)
        await self._secrets.destroy(round)
        self._timers.stop(round, "deadline", "remind", "opens", "live")
        self._go_on(round)
        await self._tell_waiters()

    async def reopen(self, round: Round, closes_at: datetime | None, text: str, note: Note | None = None) -> None:
        """Take votes again, of the same roll. A time or a word closes it, not that all have voted: they may have."""
        reply = Reply(id=f"{round.id}/reopened/{round.reopened + 1}", text=text)

        def keep(db: sqlite3.Connection) -> None:
            records.reopen(db, self._keeper.log, round)
            if note is not None:
                note(db)

        with self._keeper.changing(round):
            self.changes.set_close(round, closes_at)
            round.state, round.result, round.reopened = "opening", None, round.reopened + 1
            await self._keeper.save(round, keep, reply)
        for channel in round.seats:
            round.mark(channel, has_closed=False)
        self._rounds[round.id] = round
        self._bot.listen_to(seat.member for seat in round.seats.values())
        self._go_on(round)
        await self._tell_waiters()

    async def leave(self, person: Person) -> None:
        """Wait no more for the vote of somebody who has left; what was voted stays. Who is on a named roll stays on."""
        for round in self.find(None):
            if round.spec.roll:
                continue
            for channel, seat in round.seats.items():
                if seat.member.person.id == person.id:
                    round.mark(channel, is_gone=True)
            if round.state == "open" and round.have_all_voted():
                await self.close(round)
        await self._tell_waiters()

    # --- what the direct channels report

    async def hear(self, reports: Sequence[Report]) -> None:
        """Take what direct channels have reported, oldest first. An error with one is reported, and harms no other."""
        heard: dict[str, Round] = {}
        handed_over: list[tuple[Round, Report]] = []  # closed, with a ballot that is yet to be counted
        for report in reports:
            try:
                if (round := await self._take(report)) is not None:
                    heard[round.id] = round
                    if report.message.get("op") == "closed" and isinstance(report.message.get("ballot"), dict):
                        handed_over.append((round, report))
            except Exception as error:
                self._bot.report_error(error, "report")
        changed = await self._count(handed_over)
        for poll in heard | dict.fromkeys(changed):
            if (each := self._rounds.get(poll)) is not None:
                if poll in changed:
                    self._live.show_soon(each)
                try:
                    await self._go_further(each)
                except Exception as error:
                    self._bot.report_error(error, "report")
        await self._tell_waiters()

    async def _count(self, handed_over: list[tuple[Round, Report]]) -> set[str]:
        """Count the ballots that were taken, and note the closes that came with one; gives the polls with news."""
        try:
            changed = await self._counter.count()
        except Exception as error:  # they are said again, and so are those closes
            self._bot.report_error(error, "ballots")
            return set()
        for round, report in handed_over:
            try:
                await self._counter.settled(round, report.channel)
                self._has_closed(round, report)
            except Exception as error:
                self._bot.report_error(error, "ballots")
        return changed

    async def _take(self, report: Report) -> Round | None:
        """Note what was reported, all but ballots, which :meth:`hear` counts; gives the poll that it is about."""
        body = report.message
        round = self._rounds.get(poll := str(body.get("poll"))) or await self.look_up(poll)
        if round is not None and body.get("op") == "noted":
            await self._noted(round, report, body)
            return None
        seat = round.seats.get(report.channel) if round is not None else None
        if round is None or seat is None:
            logger.warning("report on a poll that is not for this channel channel=%s", report.channel)
            return None
        self._crier.heard(round, report.channel)
        match body.get("op"):
            case "shown" | "unreachable" as reached:
                round.mark(report.channel, reached=reached, told=_number(body, "version"))
                self._store.put(*records.seat_row(round.id, seat))
                if round.halt and report.channel in round.untold:  # it was under way while the others were told
                    self._crier.come(round, FIRST_PAUSE)
            case "extended":
                round.mark(report.channel, told=_number(body, "version"))
                self._store.put(*records.seat_row(round.id, seat))
            case "reminded":
                round.mark(report.channel, reminded=_number(body, "reminder"))
                self._store.put(*records.seat_row(round.id, seat))
            case "ballot":
                self._counter.take(round, report, body)
            case "closed" if isinstance(last := body.get("ballot"), dict):
                self._counter.take(round, report, last)
            case "closed":
                self._has_closed(round, report)
            case other:
                logger.warning("report of an unknown kind channel=%s op=%.40r", report.channel, other)
        return round

    def _has_closed(self, round: Round, report: Report) -> None:
        """A channel takes no more votes, unless that was of a close that was taken back."""
        if _number(report.message, "reopened") == round.reopened:
            round.mark(report.channel, has_closed=True)
        self._store.put(*records.seat_row(round.id, round.seats[report.channel]))

    async def _go_further(self, round: Round) -> None:
        """Do what is due after reports."""
        self.opening.heard(round)
        if round.state == "open" and round.have_all_voted():
            await self.close(round)
        await self._closing.announce_when_all_closed(round)

    # --- from opening to closed

    def _go_on(self, round: Round) -> None:
        """Begin with what the state of the poll asks for, with short pauses again."""
        if round.state == "planned" and round.opens_at is not None:
            self._timers.at(round, "opens", round.opens_at, self._begin)
        if round.state in ("opening", "open") and round.closes_at is not None:
            self._timers.at(round, "deadline", round.closes_at, self._deadline)
            if round.remind_at is not None:
                self._timers.at(round, "remind", round.remind_at, self._remind_in_time)
        self._crier.begin(round)

    async def _deadline(self, round: Round) -> None:
        if round.halt == "stopped" and not round.is_over:
            await self.cancel(round, lapsed(round))
        else:
            await self.close(round)
        await self._tell_waiters()

    async def _begin(self, round: Round) -> None:
        """It is time to open what was planned: now the roll is frozen."""
        if round.state != "planned":
            return
        try:
            await self._seating.fill(round)
        except UsageError as error:
            question = sentence(plain(round.spec.question))
            await self.cancel(round, f"**Vote #{round.number} is cancelled: {question}** {error}")
            return
        if round.is_over:  # cancelled meanwhile
            return
        round.state, round.note = "opening", None

        def keep(db: sqlite3.Connection) -> None:
            records.put_roll(db, self._keeper.log, round)
            records.save(db, round)

        try:
            await self._store.write(keep)
        except StoreError:
            round.state = "planned"
            self._timers.after(round, "opens", HAND_OVER, self._begin)
            raise
        self._bot.listen_to(seat.member for seat in round.seats.values())
        self._go_on(round)

    async def _remind_in_time(self, round: Round) -> None:
        if round.state == "opening":  # the bus does not answer
            self._timers.after(round, "remind", HAND_OVER, self._remind_in_time)
        elif round.state == "open" and round.halt != "stopped":
            await self.changes.remind(round, is_last=True)

    async def _may_put(self, round: Round) -> bool:
        return round.state != "opening" or await self._come_into_force(round)

    async def _come_into_force(self, round: Round) -> bool:
        """Open the poll once all its channels are listened to; say once if the bus does not answer, and try on."""
        try:
            await self._bot.in_force()
        except BusTimeout:
            logger.warning("poll cannot open yet, the bus does not answer poll=%s", round.id)
            text = "The bus does not answer yet. The vote opens as soon as it does."
            self._bot.reply(Reply(id=f"{round.id}/waits", text=text))
            self._crier.come(round, FIRST_PAUSE)
            return False
        if round.state != "opening":  # closed meanwhile
            return True
        round.state = "open"
        opened = Reply(id=f"{round.id}/opened", text=group_opened(round, self._bot.clock.utcnow(), self._zone))
        reply = None if round.reopened else opened  # that it is open again was said already

        def keep(db: sqlite3.Connection) -> tuple[None, Reply | None]:
            records.set_state(db, round.id, "open")
            return None, reply

        try:
            await self._keeper.write(keep)
        except StoreError:
            round.state = "opening"
            self._crier.come(round, HAND_OVER)
            raise
        self.opening.begin(round)
        await self._tell_waiters()
        return True

    async def _noted(self, round: Round, report: Report, body: dict[str, Any]) -> None:
        """Who opened it has been told what is for nobody else."""
        is_owner = report.channel in (round.owner, self.direct_of(round.opener))
        if is_owner and round.note is not None and round.note["id"] == body.get("note"):
            round.note = None
            await self._keeper.save(round, None)

    # --- within

    def direct_of(self, person: Person) -> str | None:
        """The direct channel of somebody in the group."""
        members = self._bot.desk.roster.members(self._bot.id)
        return next((member.direct for member in members if member.direct and member.person.id == person.id), None)

    def _direct_of_owner(self, round: Round) -> str | None:
        return round.owner or self.direct_of(round.opener)

    def _undone(self, round: Round) -> None:
        if round.id in self._rounds:
            self._go_on(round)

    def _let_go(self, round: Round) -> None:
        """A poll that is over, which every channel knows, needs no more place here."""
        if round.is_over:
            self._rounds.pop(round.id, None)

    async def _tell_waiters(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _number(body: dict[str, Any], name: str) -> int:
    """A number that a report carries; 0 where it has none, as those of before had."""
    value = body.get(name, 0)
    return value if type(value) is int else 0
