"""A vote rehearsed, on the group's side: who asks sees the ballot and how many would get it; nobody else is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, tzinfo

from shellbot.bot import ShellBot
from shellbot.errors import UsageError
from shellbot.events import Person
from shellbot.markup import plain
from shellbot.polls.grammar import Asked, parse
from shellbot.polls.numbers import next_number
from shellbot.polls.seating import Electorate, Seating
from shellbot.polls.spec import rehearsed
from shellbot.polls.texts import EVERY, closing_time, names
from shellbot.polls.when import shown


class Rehearsal:
    """Rehearses the votes of one group.

    Args:
        direct: Gives the direct channel of somebody in the group.
        estimate: How long so many ballots take, in words.
    """

    def __init__(
        self, bot: ShellBot, zone: tzinfo, direct: Callable[[Person], str | None], estimate: Callable[[int], str]
    ) -> None:
        self._bot = bot
        self._zone = zone
        self._seating = Seating(bot)
        self._direct = direct
        self._estimate = estimate

    async def hold(self, id: str, words: str, person: Person, at: datetime) -> None:
        """Show somebody, in the direct channel, what everybody would get. Nothing is kept of it, and nothing counts.

        Args:
            id: Rehearsed again with this id, it is shown once.
            words: What would stand after ``poll``. ``at``: when they were said.

        Raises:
            UsageError: It could not be opened so; the text says why.
        """
        found = parse(words, at, self._zone)
        channel = self._direct(person)
        if channel is None:
            raise UsageError("You have no direct channel to rehearse in; write to the bot there once.")
        electorate = await self._seating.find(found.spec)
        number = await self._bot.desk.store.read(next_number)
        rehearsal = f"{rehearsed(found.spec.question)}/{hashlib.sha256(id.encode()).hexdigest()[:12]}"
        body = {
            "do": "poll",
            "op": "rehearse",
            "poll": rehearsal,
            "number": number,
            "question": found.spec.question,
            "choices": list(found.spec.choices),
            "rules": found.spec.rules,
            "closes_at": found.closes_at.timestamp() if found.closes_at else None,
            "summary": self._summary(number, found, electorate),
        }
        self._bot.broadcast(body, id=rehearsal, channels=[channel])

    def _summary(self, number: int, found: Asked, electorate: Electorate) -> str:
        now = self._bot.clock.utcnow()
        asked = len(electorate.members)
        of_roll = f" of the roll {plain(found.spec.roll)}" if found.spec.roll else ""
        lines = [
            f"That was a rehearsal of vote #{number}: only you see it, and nothing counts.",
            f"{asked} {'person' if asked == 1 else 'people'}{of_roll} would get this ballot, in "
            f"{self._estimate(asked)}. It would close {closing_time(found.closes_at, now, self._zone)}.",
        ]
        if found.opens_at is not None:
            lines[1] += f" It would open at {shown(found.opens_at, now, self._zone)}."
        if absent := tuple(person.name for person in electorate.absent):
            lines.append(f"Could not be reached ({len(absent)}): {names(absent, EVERY)}.")
        return "\n\n".join(lines)
