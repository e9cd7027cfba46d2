"""What who opened a poll is told while its ballots go out, on one message that changes a few times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shellbot.bot import ShellBot
from shellbot.polls.records import Round
from shellbot.polls.speed import Speed, worded
from shellbot.polls.texts import EVERY, names
from shellbot.polls.timers import Timers

FIRST = 3.0  # seconds after which it is worth telling; each pause is longer than the one before it
TELLINGS = 7  # at most, and one more when all is out: platforms let a message be changed some ten times
PACE = "poll pace"  # note of the group: seconds a ballot


@dataclass(slots=True)
class _Told:
    """Of one opening: when it began, how many had a ballot then, and how often it was told of."""

    id: str
    began: float
    had: int
    count: int = 0


class Opening:
    """Watches the openings of one group's polls.

    Args:
        owner: Gives the direct channel of who opened a poll.
    """

    def __init__(self, bot: ShellBot, timers: Timers, owner: Callable[[Round], str | None]) -> None:
        self._bot = bot
        self._timers = timers
        self._owner = owner
        self._told: dict[str, _Told] = {}

    def estimate(self, ballots: int) -> str:
        """How long so many ballots will take, in words."""
        return worded(self._speed().left(ballots))

    def begin(self, round: Round) -> None:
        """Ballots begin to go out, or go on to."""
        if round.unseen:
            began = self._bot.clock.time()
            id_ = f"{round.id}/progress/{self._bot.clock.utcnow().timestamp():.0f}"
            self._told[round.id] = _Told(id_, began, _reached(round))
            self._timers.after(round, "progress", FIRST, self._tell)

    def heard(self, round: Round) -> None:
        """A direct channel has reported on its ballot."""
        if not round.unseen and (told := self._told.get(round.id)) is not None:
            if self._measured(round, told, speed := self._speed()):
                self._bot.remember(PACE, speed.each)
            self.end(round)
            if told.count:
                self._say(round, told, _done(round), is_last=True)

    def end(self, round: Round) -> None:
        """Tell no more of it."""
        self._told.pop(round.id, None)
        self._timers.stop(round, "progress")

    async def _tell(self, round: Round) -> None:
        told = self._told.get(round.id)
        if told is None or round.state != "open" or round.halt == "stopped":
            self.end(round)
            return
        speed = self._speed()
        self._measured(round, told, speed)
        out, left = _reached(round), speed.left(len(round.unseen))
        if told.count == 0 or self._bot.desk.capabilities.edit:
            text = f"Vote #{round.number}: {out} of {len(round.seats)} ballots are out; {worded(left)} more."
            self._say(round, told, f"{text} `poll stop #{round.number}` holds the others back.")
        if told.count < TELLINGS:
            self._timers.after(round, "progress", FIRST * 2 ** (told.count - 1), self._tell)

    def _speed(self) -> Speed:
        kept = self._bot.recall(PACE)
        measured = float(kept) if isinstance(kept, int | float) else 0.0
        return Speed(self._bot.desk.capabilities.a_second, measured)

    def _measured(self, round: Round, told: _Told, speed: Speed) -> bool:
        return speed.measure(_reached(round) - told.had, self._bot.clock.time() - told.began)

    def _say(self, round: Round, told: _Told, text: str, *, is_last: bool = False) -> None:
        channel = self._owner(round)
        if channel is None:
            return
        told.count += 1
        # where nothing can be changed, the last is a message of its own
        id_ = f"{told.id}/done" if is_last and not self._bot.desk.capabilities.edit else told.id
        body: dict[str, Any] = {"do": "poll", "op": "note", "poll": round.id, "number": round.number, "id": id_}
        body |= {"text": text, "fixed": "", "version": told.count}
        self._bot.broadcast(body, id=f"{id_}/{told.count}", channels=[channel])


def _reached(round: Round) -> int:
    return len(round.seats) - len(round.unseen)


def _done(round: Round) -> str:
    missed = tuple(person.name for person in round.unreachable())
    text = f"Vote #{round.number}: {round.asked - len(missed)} of {round.asked} have a ballot."
    return f"{text} Could not be reached: {names(missed, EVERY)}." if missed else text
