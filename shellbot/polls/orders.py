"""What people say of polls that are there: ``list``, ``show``, ``history``; who opened it, ``close`` and more.

Said in the group or handed over from a direct channel, an order is carried out once: its answer is kept in the
transaction of its effect, and is given again to its repeat.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from shellbot.bot import ShellBot
from shellbot.commands.base import NEAR
from shellbot.errors import UsageError
from shellbot.events import Person
from shellbot.markup import one_line, plain, sentence
from shellbot.polls import numbers, records
from shellbot.polls.chair import Chair
from shellbot.polls.grammar import OPENERS, check_span
from shellbot.polls.keeping import Note
from shellbot.polls.records import Round
from shellbot.polls.rehearsal import Rehearsal
from shellbot.polls.spec import USAGE
from shellbot.polls.tally import bars
from shellbot.polls.texts import EVERY, NAMED, closing_time, details, outcome, past, status
from shellbot.polls.when import FARTHEST, closing_words, duration, moment, shown
from shellbot.trail import Attempt, Use

READING = ("list", "show", "history", "rehearse")
CHANGING = ("close", "cancel", "extend", "reopen", "remind", "stop", "resume")
HISTORY = 10  # polls shown
SEVERAL = 5  # polls named in one line

_WORDS = re.compile(rf"({'|'.join(READING + CHANGING)})(?:\s+#(\S*))?(?:\s+(.*))?\Z", re.IGNORECASE | re.DOTALL)
_BEHIND = r"\s*\Z|\s+(?:\d|(?:in|for|by|until|to|at|today|tomorrow)\b)"
_BARE = re.compile(  # a number without its mark; `extend 10 minutes` has none
    rf"((?:{'|'.join(READING + CHANGING)})\s+)(\d{{1,9}})(?={_BEHIND})", re.IGNORECASE
)
# What is behind the word of an order; a question has other things there.
_SLIP = re.compile(r"([a-z]+)((?:\s+(?:#|\d|(?:in|for|by|until)\b)[^?\"“„«,]*)?)\Z", re.IGNORECASE)
_KNOWN = READING + CHANGING + OPENERS
_MEANT = {  # other words for them
    "end": "close",
    "finish": "close",
    "delete": "cancel",
    "remove": "cancel",
    "abort": "cancel",
    "result": "show",
    "results": "show",
    "status": "show",
}


@dataclass(frozen=True, slots=True)
class Words:
    """An order as it was written: what to do, with which poll, and what stands behind."""

    op: str
    number: int | None
    rest: str


def read(text: str) -> Words | None:
    """The order that this is; None if it opens a poll instead.

    Raises:
        UsageError: It is one, with something that it cannot have.
    """
    found = _WORDS.match(text.strip())
    if found is not None and found[1].casefold() not in ("rehearse", "list", "history") and _BARE.match(text.strip()):
        found = _WORDS.match(_BARE.sub(r"\1#\2", text.strip()))
    if found is not None and found[1].casefold() == "rehearse":
        return Words("rehearse", None, text.strip()[len("rehearse") :].strip())
    if found is None or (found[2] is None and re.search(r'[?"“„«]', found[3] or "")):
        _check_slip(text)
        return None  # `Show me? yes, no` asks something
    op, number, rest = found[1].casefold(), found[2], (found[3] or "").strip()
    if number is not None and not re.fullmatch(r"[0-9]{1,9}", number):
        raise UsageError(f"Write the number of the vote, e.g. `poll {op} #3`.")
    if rest and op not in ("extend", "reopen"):
        raise UsageError(f"Write `poll {op}`, with the number of a vote where there are several: `poll {op} #3`.")
    if op == "extend" and not rest:
        raise UsageError("By how long, or until when? Write e.g. `poll extend #3 10m` or `poll extend #3 until 17:00`.")
    return Words(op, int(number) if number else None, rest)


def meant(line: str) -> str:
    """What to say to an order with a slip in the word before it, `pol list`; ``""`` where it is none."""
    word, _, rest = line.strip().partition(" ")
    if not difflib.get_close_matches(word.casefold().rstrip(":,"), ("poll",), cutoff=NEAR):
        return ""
    try:
        return f"Did you mean `poll {_short(rest)}`?" if rest.strip() and read(rest) is not None else ""
    except UsageError as error:
        return str(error)


def _check_slip(text: str) -> None:
    """UsageError where this is an order by another word, `end #1`, or by one with a slip, and can be no question."""
    if text.strip().casefold() == "help":
        raise UsageError("Did you mean `help poll`?")
    found = _SLIP.match(text.strip())
    if found is not None and (meant := _MEANT.get(found[1].casefold())):
        number = re.match(r"\s+#?\d{1,9}\s*\Z", found[2])
        raise UsageError(f"Did you mean `poll {meant}{number[0].rstrip() if number else ''}`?")
    near = difflib.get_close_matches(found[1].casefold(), _KNOWN, n=1, cutoff=NEAR) if found is not None else []
    if found is not None and near and near[0] in READING + CHANGING:
        raise UsageError(f"Did you mean `poll {_short(near[0] + found[2])}`?")


def _short(text: str) -> str:
    """Words of somebody, to be told back between backticks."""
    return one_line(text)[:60].replace("`", "'")


@dataclass(frozen=True, slots=True)
class Order:
    """Who wants what, and when it was said. ``poll`` is the id where the writer's channel knows it."""

    id: str
    words: Words
    person: Person
    at: datetime
    is_direct: bool
    poll: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said to it. ``is_told``: the whole group is told of the effect anyway."""

    text: str
    fixed: str = ""
    is_told: bool = False


class Orders:
    """Carries out the orders of one group, in the turns of its bot."""

    def __init__(self, bot: ShellBot, chair: Chair, zone: tzinfo) -> None:
        self._bot = bot
        self._chair = chair
        self._zone = zone
        self._rehearsal = Rehearsal(bot, zone, chair.direct_of, chair.opening.estimate)

    async def carry_out(self, order: Order) -> Answer:
        """Do it, once.

        Raises:
            CommandError: It cannot be done; the text says why.
        """
        match order.words.op:
            case "list":
                return self._list(order)
            case "history":
                past_ones = await self._chair.past("state IN ('closed', 'cancelled')")
                rounds = [round for round in past_ones if self._knows(order, round)]
                lines = [past(round, self._zone) for round in rounds[-HISTORY:]]
                return Answer("\n".join(lines) or "No vote has closed here yet.")
            case "rehearse":
                await self._rehearsal.hold(order.id, order.words.rest, order.person, order.at)
                return Answer(
                    "Nobody else is asked." if order.is_direct else "The rehearsal is in your direct channel."
                )
            case "show":
                return await self._show(await self._meant(order, "", is_any=True), order)
        known = await self._bot.desk.store.read(lambda db: records.answered(db, order.id))
        if known is not None:
            return Answer(known, is_told=True)
        return await self._change(order)

    def _knows(self, order: Order, round: Round) -> bool:
        """Whether this is of the business of who asks: who is in the group, opened it, or is on its roll."""
        person = order.person.id
        return (
            not order.is_direct
            or person == round.opener.id
            or any(member.person.id == person for member in self._bot.desk.roster.members(self._bot.id))
            or any(seat.member.person.id == person for seat in round.seats.values())
        )

    def _list(self, order: Order) -> Answer:
        now = self._bot.clock.utcnow()
        rounds = [round for round in self._chair.find(None) if self._knows(order, round)]
        lines = [status(round, now, self._zone) for round in rounds]
        where = "Open one in the group" if order.is_direct else "Write"
        return Answer("\n".join(lines) or f"No vote is open. {where}: `{USAGE}`")

    async def _show(self, round: Round, order: Order) -> Answer:
        most = EVERY if order.is_direct and order.person.id == round.opener.id else NAMED
        text = details(round, self._bot.clock.utcnow(), self._zone, most)
        # what is only for who opened it is not said in the group
        is_hidden = round.spec.results == "owner" and not order.is_direct
        if is_hidden or not round.is_shown_to(order.person.id):
            return Answer(text)
        result = await self._chair.counts(round)
        return Answer(f"{text}\n\n{outcome(result, is_over=round.is_over)}", bars(result))

    async def _change(self, order: Order) -> Answer:
        op, rest = order.words.op, order.words.rest
        round = await self._meant(order, "closed" if op == "reopen" else "", is_any=False)
        refusal = f"Only {plain(round.opener.name)}, who opened it, can {op} vote #{round.number}."
        self._bot.desk.guard.check(self._attempt(order, round), refusal)
        name, who = f"vote #{round.number}", plain(order.person.name)
        question = sentence(plain(round.spec.question))
        match op:
            case "close":
                self._must_be(round, "opening", "open")
                text = f"{name.capitalize()} is closing."
                await self._chair.close(round, self._note(order, round, text))
                return Answer(text, is_told=True)
            case "cancel":
                self._must_be(round, "planned", "opening", "open")
                text = f"**{name.capitalize()} is cancelled by {who}: {question}** There is no result."
                await self._chair.cancel(round, text, self._note(order, round, text))
            case "remind":
                self._must_be(round, "open")
                left = len([seat for seat in round.seats.values() if seat.reached == "shown" and not seat.has_voted])
                text = f"{name.capitalize()}: reminded {left} who {'has' if left == 1 else 'have'} not voted."
                await self._chair.changes.remind(round, self._note(order, round, text))
                return Answer(text)
            case "stop" | "resume":
                text = self._check_halt(round, op, who)
                change = self._chair.changes.stop if op == "stop" else self._chair.changes.resume
                await change(round, text, self._note(order, round, text))
                if op == "resume":
                    self._chair.opening.begin(round)
            case "extend":
                self._must_be(round, "opening", "open")
                closes_at = self._extended(round, rest, order.at)
                when = closing_time(closes_at, self._bot.clock.utcnow(), self._zone, is_reopened=bool(round.reopened))
                text = f"**{name.capitalize()} is extended by {who}: {question}** It closes {when}."
                await self._chair.changes.extend(round, closes_at, text, self._note(order, round, text))
            case _:
                self._must_be(round, "closed")
                if round.spec.anonymous:
                    raise UsageError(
                        f"Vote #{round.number} was anonymous: its key is gone and its votes belong to nobody any more, "
                        "so that none could be changed. Open a new one instead."
                    )
                until_then = self._until(rest, order.at) if rest else None
                when = closing_time(until_then, self._bot.clock.utcnow(), self._zone, is_reopened=True)
                until = (
                    f"It closes {when}." if rest else f"It stays open until {who} says `poll close #{round.number}`."
                )
                text = (
                    f"**{name.capitalize()} is open again, by {who}: {question}** {until} The votes cast still count."
                )
                await self._chair.reopen(round, until_then, text, self._note(order, round, text))
        return Answer(text, is_told=True)

    def _attempt(self, order: Order, round: Round) -> Attempt:
        return Attempt(
            cause=order.id,
            person=order.person,
            channel=self._bot.channel,
            keyword="poll",
            use=Use("own", f"poll {order.words.op} #{round.number}", is_noted=True),
            owner=round.opener.id,
            way="order" if order.is_direct else "typed",
        )

    def _note(self, order: Order, round: Round, text: str) -> Note:
        return lambda db: records.put_answer(db, order.id, round.id, text, order.at)

    async def _meant(self, order: Order, state: str, *, is_any: bool) -> Round:
        """The poll an order is about: by id, by number, or the only one that can be meant."""
        number = order.words.number
        if order.poll:
            found = await self._chair.look_up(order.poll)
            if found is not None and found.is_over:  # read anew: it may have been forgotten from the shell
                found = next(iter(await self._chair.past("polls.id = ?", order.poll)), None)
            if found is not None:
                return found
        if number is not None:
            rounds = self._chair.find(number) or await self._chair.past("number = ?", number)
            if not rounds or not self._knows(order, rounds[0]):
                gone = await self._bot.desk.store.read(numbers.forgotten)
                if (when := gone.get(number)) is not None:
                    raise UsageError(f"Vote #{number} was forgotten, {when.astimezone(self._zone):%d %b %Y}.")
                raise UsageError(f"There is no vote #{number} here.")
            return rounds[0]
        rounds = await self._chair.past("state = 'closed'") if state == "closed" else self._chair.find(None)
        if state == "closed" or (is_any and not rounds):
            rounds = (rounds or await self._chair.past("state = 'closed'"))[-1:]
        rounds = [round for round in rounds if self._knows(order, round)]
        if not rounds:
            raise UsageError("No vote is open.")
        mine = [round for round in rounds if round.opener.id == order.person.id]
        if not mine and order.words.op in CHANGING and len(rounds) > 1:
            whose = ", ".join(f"#{round.number} is {plain(round.opener.name)}'s" for round in rounds[-SEVERAL:])
            refusal = f"None of the votes here is yours, and only who opened one can {order.words.op} it: {whose}."
            self._bot.desk.guard.check(self._attempt(order, rounds[-1]), refusal)  # an admin may
        mine = mine or rounds
        if len(mine) > 1:
            raise UsageError("Which one? " + ", ".join(f"`poll {order.words.op} #{round.number}`" for round in mine))
        return mine[0]

    def _check_halt(self, round: Round, op: str, who: str) -> str:
        """What the group is told of it. UsageError: there is nothing to stop, or to go on with."""
        self._must_be(round, "opening", "open")
        is_stopped, number = round.halt == "stopped", round.number
        head = f"{sentence(plain(round.spec.question))}**"
        out = f"{len(round.seats) - len(round.unseen)} of {round.asked} ballots are out"
        if op == "resume":
            if not is_stopped:
                raise UsageError(f"Vote #{number} is not stopped.")
            return f"**Vote #{number} goes on, by {who}: {head} {out}; the others follow."
        if is_stopped:
            raise UsageError(f"Vote #{number} is stopped; `poll resume #{number}` or `poll cancel #{number}`.")
        if not round.unseen:
            raise UsageError(
                f"All ballots of vote #{number} are out. `poll close #{number}` ends it with a result, "
                f"`poll cancel #{number}` without one."
            )
        return (
            f"**Vote #{number} is stopped by {who}: {head} {out}, but for some under way no further ones go. "
            f"`poll resume #{number}` lets it go on, `poll cancel #{number}` ends it; still stopped at its close it is "
            "cancelled."
        )

    def _must_be(self, round: Round, *states: str) -> None:
        if round.state in states:
            return
        why = {
            "planned": f"has not opened yet; `poll cancel #{round.number}` calls it off",
            "opening": "is just opening; try again in a moment",
            "open": "is open",
            "closing": "is closing just now",
            "closed": f"is closed; `poll reopen #{round.number} in 10m` opens it again",
            "cancelled": "is cancelled",
        }[round.state]
        raise UsageError(f"Vote #{round.number} {why}.")

    def _extended(self, round: Round, words: str, at: datetime) -> datetime:
        """A bare duration is added to the close that was set; everything else is a time from now."""
        by = re.sub(r"\A(?:by|for)\s+", "", words, flags=re.IGNORECASE)
        if round.closes_at is not None and re.match(r"\d+(\.\d+)?\s*[a-z]", by, re.IGNORECASE) and ":" not in by:
            seconds = duration(by)
            if seconds > FARTHEST.total_seconds():
                raise UsageError("A poll is open between one second and a year.")
            closes_at = round.closes_at + timedelta(seconds=seconds)
        else:
            closes_at = self._until(by, at)
        if round.closes_at is not None and closes_at <= round.closes_at:
            when = shown(round.closes_at, at, self._zone)
            raise UsageError(
                f"It closes at {when} already; extend it beyond that, or say `poll close #{round.number}`."
            )
        self._check(at, closes_at)
        return closes_at

    def _until(self, words: str, at: datetime) -> datetime:
        closes_at = moment(closing_words(words), at, self._zone)
        self._check(at, closes_at)
        return closes_at

    def _check(self, at: datetime, closes_at: datetime) -> None:
        check_span(at, closes_at)
        now = self._bot.clock.utcnow()
        if closes_at <= now:  # it was some time on its way
            raise UsageError(f"That time is over: it is {shown(now, now, self._zone)} now.")


def of_report(body: dict[str, Any], person: Person) -> Order | None:
    """The order in a report of a direct channel; None if it makes no sense."""
    id_, words, at = body.get("order"), body.get("words"), body.get("at")
    if not (isinstance(id_, str) and isinstance(words, str) and isinstance(at, float)):
        return None
    found = read(words)
    poll = body.get("poll", "")
    if found is None or not isinstance(poll, str):
        return None
    return Order(id_, found, person, datetime.fromtimestamp(at, UTC), is_direct=True, poll=poll)
