"""Who is asked in a vote: those in the group, or those on a named roll, wherever they are. Frozen when it opens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from shellbot.bot import ShellBot
from shellbot.errors import PollError, RateLimited, SpaceError, UsageError
from shellbot.events import Person
from shellbot.polls.acquaintances import acquaintances
from shellbot.polls.records import Round, Seat
from shellbot.polls.roll import Match, Roll, match
from shellbot.polls.rolls import Rolls
from shellbot.polls.spec import Spec
from shellbot.roster import Member

AT_ONCE = 20  # people looked for on the platform at the same time
TRIES, PAUSE, LONGEST = 4, 1.0, 30.0  # how often the platform is asked for one of them, and seconds between

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Electorate:
    """Those who are asked, in the order of the roll, and those who are on it and cannot be asked."""

    members: tuple[Member, ...]
    absent: tuple[Person, ...]


class Seating:
    """Finds who is asked, for one group."""

    def __init__(self, bot: ShellBot) -> None:
        self._bot = bot
        self._rolls = Rolls(bot.desk.folder)

    async def check(self, spec: Spec) -> None:
        """Return if there is the roll that a vote is for.

        Raises:
            UsageError: There is none, or it cannot be read.
        """
        if spec.roll:
            await self._read(spec.roll)

    async def fill(self, round: Round) -> None:
        """Give a round its seats.

        Raises:
            UsageError: There is nobody to ask, or no such roll.
        """
        found = await self.find(round.spec)
        if not found.members and not found.absent and (round.spec.roll or round.state != "planned"):
            raise UsageError("There is nobody here to ask yet.")
        round.seats = {member.direct: Seat(member) for member in found.members}
        round.absent = list(found.absent)
        round.look_again()

    async def find(self, spec: Spec) -> Electorate:
        """Those who would be asked now. UsageError: there is no such roll, or nobody of it can be reached."""
        here = self._bot.desk.roster.members(self._bot.id)
        if not spec.roll:
            return Electorate(
                tuple(member for member in here if member.direct),
                tuple(member.person for member in here if not member.direct),
            )
        roll = await self._read(spec.roll)
        known = await self._bot.desk.store.read(acquaintances)
        directs = {member.person.id: member.direct for member in here}
        gate = asyncio.Semaphore(AT_ONCE)

        async def seated(each: Match) -> tuple[Person, str]:
            async with gate:
                person, is_found = await self._person(each)
                if not is_found or person is None:
                    return person or _nobody(each), ""
                return person, directs.get(person.id) or await self._direct(person)

        matches = [each for each in match(roll.entries, known) if not each.first]
        found = await self._bot.wait(asyncio.gather(*map(seated, matches)))
        people: dict[str, tuple[Person, str]] = {}
        for person, direct in found:  # two lines may turn out to be one person only now
            people.setdefault(person.id, (person, direct))
        return Electorate(
            tuple(Member(person, direct) for person, direct in people.values() if direct),
            tuple(person for person, direct in people.values() if not direct),
        )

    async def _read(self, name: str) -> Roll:
        try:
            return await asyncio.to_thread(self._rolls.read, name)
        except PollError as error:
            text = str(error)
            raise UsageError(f"{text[:1].upper()}{text[1:]}") from error

    async def _person(self, each: Match) -> tuple[Person | None, bool]:
        """Who is meant: known here, or named by an id of the platform, or found there by the address."""
        entry = each.entry
        if each.known is not None:
            return each.known.person, True
        if each.why in ("torn", "ambiguous"):
            return None, False
        if entry.id:
            return Person(entry.id, entry.name or str(entry), entry.address), True
        if entry.address:
            found = await self._patiently(lambda: self._bot.desk.find(entry.address))
            return found, found is not None
        return None, False

    async def _direct(self, person: Person) -> str:
        channel = await self._patiently(lambda: self._bot.desk.meet(person))
        return channel.id if channel is not None else ""

    async def _patiently(self, ask: Callable[[], Awaitable[T | None]]) -> T | None:
        """What the platform answers, asked a few times; None where it does not."""
        pause = PAUSE
        for left in reversed(range(TRIES)):
            try:
                return await ask()
            except SpaceError as error:
                if not left:
                    return None
                longer = error.retry_after if isinstance(error, RateLimited) else 0.0
                await self._bot.clock.sleep(min(max(pause, longer), LONGEST))
                pause *= 2
        return None


def _nobody(each: Match) -> Person:
    """Who stands for a line of a roll that means nobody; the id is that of no person."""
    name = each.entry.name or str(each.entry)
    why = " (several people are called so)" if each.why == "ambiguous" else ""
    return Person(":".join(each.entry.key), f"{name}{why}")
