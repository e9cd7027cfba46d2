"""A poll from Python: open it in a group, see who can be reached, wait for the result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from shellbot.bot import ShellBot
from shellbot.errors import PollError, UsageError
from shellbot.events import Person
from shellbot.polls.chair import Chair
from shellbot.polls.commands import PollCommand
from shellbot.polls.grammar import SHORTEST, span
from shellbot.polls.records import Round
from shellbot.polls.spec import Kind, Showing, make
from shellbot.polls.tally import Result
from shellbot.polls.when import FARTHEST, check_words, duration
from shellbot.turns import current_topic, new_id


@dataclass(frozen=True, slots=True)
class Reach:
    """Who got a ballot: ``asked`` people are on the roll, ``unreachable`` of them were not shown one."""

    asked: int
    unreachable: tuple[Person, ...]


class Poll:
    """A vote of a group, answered in the direct channels.

    Args:
        question: At most 300 characters.
        choices: 2 to 50, at most 80 characters each, all different. None for the kinds that bring theirs along.
        closes: ``"in 10m"``, ``"tomorrow 9:00"``, seconds, an aware datetime, or None: when all have voted, or it is
            closed.
        kind: ``single``, ``multiple``, ``yesno`` or ``rating``.
        most: Of ``multiple``, choices on one ballot (all by default); of ``rating``, the highest number (5 by default).
        opens: When, in words or as a datetime; None: at once. Seconds and ``in 10m`` of ``closes`` count from there.
        results: Who sees the count: ``hidden`` (the group, at the close), ``live``, or ``owner`` alone.
        remind: How long before the close those who have not voted are reminded, e.g. ``"1h"``.
        quorum: ``"5"`` or ``"50%"``; threshold: ``"60%"`` or ``"2/3"``. What misses them has no winner.
        anonymous: Votes are sealed until the close, and then tied to nobody.
        roll: Name of a roll whose people are asked, wherever they are, instead of those in the group.
    """

    def __init__(
        self,
        question: str,
        choices: Iterable[str] = (),
        *,
        closes: str | float | datetime | None = None,
        kind: Kind = "single",
        most: int | None = None,
        opens: str | datetime | None = None,
        results: Showing = "hidden",
        remind: str = "",
        quorum: str = "",
        threshold: str = "",
        anonymous: bool = False,
        roll: str = "",
    ) -> None:
        for at in (opens, closes):
            if isinstance(at, datetime) and at.tzinfo is None:
                raise UsageError("A date needs a time zone: datetime.now(UTC) + timedelta(minutes=10)")
            if isinstance(at, str):  # what cannot be read at any time is told here, where the mistake is
                check_words(at)
        if isinstance(closes, int | float) and not SHORTEST.total_seconds() <= closes <= FARTHEST.total_seconds():
            raise UsageError("A poll is open between one second and a year; closes is in seconds.")
        self._opens, self._closes = opens, closes
        self.spec = make(
            question,
            tuple(choices),
            kind=kind,
            most=most,
            results=results,
            quorum=quorum,
            threshold=threshold,
            remind=duration(remind) if remind else 0.0,
            anonymous=anonymous,
            roll=roll,
        )
        self._chair: Chair | None = None
        self._round: Round | None = None

    async def open(self, bot: ShellBot) -> None:
        """Freeze the roll of the bot's group and give everybody a ballot. Use it inside a command or another turn.

        Opened again in the repeat of a turn that a crash cut off, it is the same poll.
        """
        if bot.is_direct:
            raise UsageError("A poll is opened in a group channel.")
        command = bot.desk.commands.get("poll")
        if not isinstance(command, PollCommand):
            raise PollError("This engine has no poll command; leave it among the built-in ones to use polls.")
        topic = current_topic.get()
        person = topic.event.person if topic is not None and topic.event is not None else Person("", "the bot")
        now = bot.clock.utcnow()
        start = topic.event.time if topic is not None and topic.event is not None else now
        opens_at, closes_at = span(self._opens, self._closes, self.spec, start, command.zone(bot))
        self._chair = command.chair(bot)
        self._round = await self._chair.open(new_id(), self.spec, person, now, closes_at, opens_at)

    async def reachable(self) -> Reach:
        """Wait until every channel of the roll has reported whether its ballot was shown, or the poll is closed."""
        chair, round = self._opened()
        await chair.wait(round, lambda: round.is_over or (round.state != "planned" and not round.unseen))
        return Reach(round.asked, tuple(round.unreachable()))

    async def close(self) -> None:
        """Take no more votes."""
        chair, round = self._opened()
        await chair.close(round)

    async def result(self) -> Result:
        """Wait for the deadline, all votes, or :meth:`close`; gives the result that was announced.

        Raises:
            PollError: It was cancelled.
        """
        chair, round = self._opened()
        await chair.wait(round, lambda: round.result is not None or round.state == "cancelled")
        if round.result is None:
            raise PollError(f"Vote #{round.number} was cancelled; it has no result.")
        return round.result

    def _opened(self) -> tuple[Chair, Round]:
        if self._chair is None or self._round is None:
            raise PollError("This poll is not open; call `await poll.open(bot)` first.")
        return self._chair, self._round
