"""The group's side of a poll: it opens the vote in all direct channels, counts what they report, tells the result.

It knows the direct channels only by what comes over the bus. Every instruction is said again, after 1, 2, 4 ... 30 s,
to each channel that has not reported on it; a repeat does nothing there but report again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, tzinfo
from logging import getLogger
from typing import Any

from shellbot.agents.timers import Timer
from shellbot.bot import ShellBot
from shellbot.errors import BusTimeout, StoreError, UsageError
from shellbot.events import Person, Reply
from shellbot.observation import Report
from shellbot.outbox import insert as keep_reply
from shellbot.polls import ballot, records
from shellbot.polls.records import Round, Seat
from shellbot.polls.spec import Spec
from shellbot.polls.tally import Result
from shellbot.polls.texts import group_opened, group_result

logger = getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds until an instruction is said again
HAND_OVER = 5.0  # seconds direct channels have, at the close, to hand over what is not confirmed


class Chair:
    """Runs the polls of one group channel, in the turns of its bot. ``zone`` is that of the times it says."""

    def __init__(self, bot: ShellBot, zone: tzinfo) -> None:
        self._bot = bot
        self._zone = zone
        self._store = bot.desk.store
        self._rounds: dict[str, Round] = {}
        self._pauses: dict[str, float] = {}
        self._timers: dict[tuple[str, str], Timer] = {}  # (poll, what for)
        self._changed = asyncio.Condition()

    async def resume(self) -> None:
        """Take up the polls an earlier run left, those included that some channel does not know to be closed."""
        unfinished = "(state != 'closed' OR EXISTS (SELECT 1 FROM poll_roll WHERE poll = polls.id AND closed = 0))"
        here = {member.person.id for member in self._bot.desk.roster.members(self._bot.id)}
        for round in await self._store.read(lambda db: records.select(db, self._bot.id, unfinished)):
            self._rounds[round.id] = round
            for channel, seat in round.seats.items():
                round.mark(channel, is_gone=seat.member.person.id not in here)
            self._bot.listen_to(seat.member for seat in round.seats.values())
            self._go_on(round)
            if round.state == "closing":
                self._timer(round, "announce", HAND_OVER, self._announce)
            elif round.state == "open" and round.have_all_voted():
                await self.close(round)

    async def open(self, poll: str, spec: Spec, opener: Person, now: datetime, closes_at: datetime | None) -> Round:
        """Freeze the roll, keep the instruction, begin to put it. Opened twice with one id it is one poll.

        Raises:
            UsageError: There is nobody to ask.
        """
        if poll in self._rounds:
            return self._rounds[poll]
        members = self._bot.desk.roster.members(self._bot.id)
        if not members:
            raise UsageError("There is nobody here to ask yet.")
        seats = {member.direct: Seat(member) for member in members if member.direct}
        absent = [member.person for member in members if not member.direct]
        new = Round(poll, self._bot.id, 0, spec, opener, now, closes_at, "opening", seats, absent)
        round = await self._store.write(lambda db: records.insert(db, new))
        self._rounds[poll] = round
        self._bot.listen_to(seat.member for seat in round.seats.values())
        self._go_on(round)
        return round

    def find(self, number: int | None) -> list[Round]:
        """The polls that are not closed: the one with this number, or all."""
        return [r for r in self._rounds.values() if r.state != "closed" and (number is None or r.number == number)]

    async def wait(self, round: Round, condition: Callable[[], bool]) -> None:
        """Wait until ``condition()`` holds, looked at after each change of one of the polls. Gives the turn back."""
        async with self._bot.waiting(), self._changed:
            await self._changed.wait_for(condition)

    async def close(self, round: Round) -> None:
        """Take no more votes: tell all channels, and announce when they have handed over or after 5 s."""
        if round.state in ("closing", "closed"):
            return
        round.state = "closing"
        self._stop_timer(round, "deadline")
        await self._store.write(lambda db: records.set_state(db, round.id, "closing"))
        self._timer(round, "announce", HAND_OVER, self._announce)
        self._go_on(round)
        await self._announce_when_all_closed(round)

    async def leave(self, person: Person) -> None:
        """Wait no more for the vote of somebody who has left; what was voted stays."""
        for round in self.find(None):
            for channel, seat in round.seats.items():
                if seat.member.person.id == person.id:
                    round.mark(channel, is_gone=True)
            if round.state == "open" and round.have_all_voted():
                await self.close(round)
        await self._tell_waiters()

    # --- what the direct channels report

    async def hear(self, report: Report) -> None:
        """Take one report of a direct channel."""
        body = report.message
        round = await self._known(str(body.get("poll")))
        seat = round.seats.get(report.channel) if round is not None else None
        if round is None or seat is None:
            logger.warning("report on a poll that is not for this channel channel=%s", report.channel)
            return
        match body.get("op"):
            case "shown" | "unreachable" as reached:
                round.mark(report.channel, reached=reached)
                self._store.post(lambda db: records.set_seat(db, round.id, seat))
            case "ballot":
                await self._count(round, report, body)
            case "closed":
                if isinstance(last := body.get("ballot"), dict):
                    await self._count(round, report, last)
                round.mark(report.channel, has_closed=True)
                self._store.post(lambda db: records.set_seat(db, round.id, seat))
            case other:
                logger.warning("report of an unknown kind channel=%s op=%.40r", report.channel, other)
        if round.state == "open" and round.have_all_voted():
            await self.close(round)
        await self._announce_when_all_closed(round)
        await self._tell_waiters()

    async def _count(self, round: Round, report: Report, body: dict[str, Any]) -> None:
        vote, n, at = ballot.from_wire(body.get("choice"), round.spec), body.get("n"), body.get("at")
        is_done = body.get("is_done", True) is True
        if vote is None or type(n) is not int or not isinstance(at, float):
            logger.warning("ballot is not one of this poll's poll=%s channel=%s", round.id, report.channel)
            return
        seat = round.seats[report.channel]
        if n == seat.counting:
            return  # its repeat came before its receipt could go out
        if n <= seat.n:  # counted before, or less than what counts: confirmed, and nothing else
            self._receipt(round, report, n, is_counted=True)
            return
        is_in_time = round.closes_at is None or at < round.closes_at.timestamp()
        seat.counting = n
        try:
            is_counted = is_in_time and await self._bot.wait(
                self._store.write(
                    lambda db: records.put_ballot(db, round, report.channel, n, vote, at, is_done=is_done)
                )
            )
        finally:
            seat.counting = 0
        if is_counted:
            seat.n = max(seat.n, n)
            round.mark(report.channel, has_voted=bool(vote), is_done=is_done)
        self._receipt(round, report, n, is_counted=is_counted)

    def _receipt(self, round: Round, report: Report, n: int, *, is_counted: bool) -> None:
        self._bot.receipt(report, {"op": "receipt", "poll": round.id, "n": n, "is_counted": is_counted})

    # --- from opening to closed

    def _go_on(self, round: Round) -> None:
        """Begin with what the state of the poll asks for, with short pauses again."""
        self._pauses[round.id] = FIRST_PAUSE
        if round.state in ("opening", "open") and round.closes_at is not None:
            self._timers[round.id, "deadline"] = self._bot.at(round.closes_at, self._deadline, round)
        self._timer(round, "put", 0.0, self._put)

    async def _deadline(self, round: Round) -> None:
        await self.close(round)
        await self._tell_waiters()

    async def _put(self, round: Round) -> None:
        """Say the instruction of the hour to all who have not reported on it, and come again."""
        if round.state == "opening" and not await self._come_into_force(round):
            return
        is_open = round.state == "open"
        waits = round.unseen if is_open else round.unclosed
        pending = [channel for channel in round.seats if channel in waits]
        if not pending:
            self._let_go(round)
            return
        op = "open" if is_open else "close"
        message: dict[str, Any] = {"do": "poll", "op": op, "poll": round.id}
        if is_open:
            message |= {
                "number": round.number,
                "question": round.spec.question,
                "choices": list(round.spec.choices),
                "closes_at": round.closes_at.timestamp() if round.closes_at else None,
            }
            if rules := round.spec.rules:
                message["rules"] = rules
        self._bot.broadcast(message, id=f"{round.id}/{op}", channels=pending)
        pause = self._pauses[round.id]
        self._pauses[round.id] = min(pause * 2, LONGEST_PAUSE)
        self._timer(round, "put", pause, self._put)

    async def _come_into_force(self, round: Round) -> bool:
        """Open the poll once all its channels are listened to; say once if the bus does not answer, and try on."""
        try:
            await self._bot.in_force()
        except BusTimeout:
            logger.warning("poll cannot open yet, the bus does not answer poll=%s", round.id)
            text = "The bus does not answer yet. The vote opens as soon as it does."
            self._bot.reply(Reply(id=f"{round.id}/waits", text=text))
            self._timer(round, "put", FIRST_PAUSE, self._put)
            return False
        if round.state != "opening":  # closed meanwhile
            return True
        round.state = "open"
        reply = Reply(id=f"{round.id}/opened", text=group_opened(round, self._bot.clock.utcnow(), self._zone))

        def keep(db: Any) -> None:
            records.set_state(db, round.id, "open")
            keep_reply(db, self._bot.id, reply)

        try:
            await self._store.write(keep)
        except StoreError:
            round.state = "opening"
            self._timer(round, "put", HAND_OVER, self._put)
            raise
        self._bot.desk.outbox.send(self._bot.id, reply, is_kept=True)
        await self._tell_waiters()
        return True

    async def _announce_when_all_closed(self, round: Round) -> None:
        if round.state == "closing" and not round.unclosed:
            await self._announce(round)

    async def _announce(self, round: Round) -> None:
        """Count, close and keep the announcement in one transaction: one result, whatever happens to the program."""
        if round.state == "closed":
            return
        round.state = "closed"
        self._stop_timer(round, "announce")

        def close(db: Any) -> tuple[Result, Reply]:
            result = records.close(db, round)
            text, fixed = group_result(round, result)
            reply = Reply(id=f"{round.id}/result", text=text, fixed=fixed)
            keep_reply(db, self._bot.id, reply)
            return result, reply

        try:
            round.result, reply = await self._store.write(close)
        except StoreError:
            round.state = "closing"
            self._timer(round, "announce", HAND_OVER, self._announce)
            raise
        self._bot.desk.outbox.send(self._bot.id, reply, is_kept=True)
        await self._tell_waiters()

    # --- within

    async def _known(self, poll: str) -> Round | None:
        if poll in self._rounds:
            return self._rounds[poll]
        found = await self._store.read(lambda db: records.select(db, self._bot.id, "polls.id = ?", poll))
        return found[0] if found else None

    def _let_go(self, round: Round) -> None:
        """A closed poll that every channel knows to be closed needs no more place here."""
        if round.state == "closed":
            self._rounds.pop(round.id, None)
            self._pauses.pop(round.id, None)

    async def _tell_waiters(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _timer(self, round: Round, what: str, delay: float, call: Any) -> None:
        self._stop_timer(round, what)
        self._timers[round.id, what] = self._bot.after(delay, call, round)

    def _stop_timer(self, round: Round, what: str) -> None:
        timer = self._timers.pop((round.id, what), None)
        if timer is not None:
            timer.cancel()
