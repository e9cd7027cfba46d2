"""How a poll stands, as far as one person may see it: for pages and exports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo

from shellbot.clocks import BaseClock
from shellbot.markup import unescape
from shellbot.polls.chair import Chair
from shellbot.polls.records import Round
from shellbot.polls.tally import Result
from shellbot.polls.texts import closes, outcome
from shellbot.polls.when import shown

RECENT = 100


@dataclass(frozen=True, slots=True)
class Standing:
    """One poll, for one reader.

    Attributes:
        state: A sentence, with times in the zone of the bot.
        answered: How many have voted; asked: how many people are on the roll.
        result: The count so far, or the result; None where this reader does not see it, or not yet.
    """

    number: int
    question: str
    opener: str
    state: str
    answered: int
    asked: int
    is_over: bool
    result: Result | None = None

    @property
    def verdict(self) -> str:
        """What the group hears of the count, as plain text; ``""`` where this reader does not see it."""
        if self.result is None:
            return ""
        return unescape(outcome(self.result, is_over=self.is_over).replace("**", ""))


class Standings:
    """The polls of one group. On the engine's loop.

    Args:
        chair: Gives who runs them; None before the group's first turn.
    """

    def __init__(self, chair: Callable[[], Chair | None], zone: tzinfo, clock: BaseClock) -> None:
        self._chair = chair
        self._zone = zone
        self._clock = clock

    async def one(self, number: int, person_id: str) -> Standing | None:
        """The poll with this number, as this person may see it; None where there is none in this group."""
        if (chair := self._chair()) is None:
            return None
        rounds = chair.find(number) or await chair.past("number = ?", number)
        if not rounds:
            return None
        round = rounds[0]
        counts = await chair.counts(round) if round.is_shown_to(person_id) else None
        return standing(round, self._clock.utcnow(), self._zone, counts)

    async def recent(self) -> list[Standing]:
        """The last hundred polls of the group without their counts, newest first."""
        if (chair := self._chair()) is None:
            return []
        past = await chair.past("number > (SELECT max(number) FROM polls) - ?", RECENT)
        known = {round.number: round for round in [*past, *chair.find(None)]}
        now = self._clock.utcnow()
        return [standing(known[number], now, self._zone) for number in sorted(known, reverse=True)]


def standing(round: Round, now: datetime, zone: tzinfo, result: Result | None = None) -> Standing:
    """How a poll stands; ``result`` is the count where it may be seen."""
    voted = round.result.answered if round.result else sum(seat.has_voted for seat in round.seats.values())
    return Standing(
        number=round.number,
        question=round.spec.question,
        opener=round.opener.name,
        state=_state(round, now, zone),
        answered=voted,
        asked=round.asked,
        is_over=round.is_over,
        result=result,
    )


def _state(round: Round, now: datetime, zone: tzinfo) -> str:
    match round.state:
        case "planned":
            assert round.opens_at is not None
            return f"Opens at {shown(round.opens_at, now, zone)}."
        case "opening":
            return "Opens as soon as the bus answers."
        case "open" if round.halt == "stopped":
            return f"Stopped while its ballots go out. It closes {closes(round, now, zone)}."
        case "open":
            return f"Open. It closes {closes(round, now, zone)}."
        case "closing":
            return "Closing."
        case "cancelled":
            return "Cancelled."
    return "Closed. Only who opened it sees the result." if round.spec.results == "owner" else "Closed."
