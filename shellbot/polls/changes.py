"""What who opened a poll may change while it is open: its close, and whether further ballots go out; reminders."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from shellbot.clocks import BaseClock
from shellbot.events import Reply
from shellbot.markup import plain, sentence
from shellbot.polls.keeping import Keeper, Note
from shellbot.polls.records import Halt, Round
from shellbot.polls.timers import Timers


class Changes:
    """Changes the polls of one group, and has all channels told that it concerns.

    Args:
        go_on: Called with a poll of which there is something else to say now.
    """

    def __init__(self, clock: BaseClock, timers: Timers, keeper: Keeper, go_on: Callable[[Round], None]) -> None:
        self._clock = clock
        self._timers = timers
        self._keeper = keeper
        self._go_on = go_on

    async def extend(self, round: Round, closes_at: datetime, text: str, note: Note | None = None) -> None:
        """Have it close later, and tell all channels and the group."""
        with self._keeper.changing(round):
            self.set_close(round, closes_at)
            await self._keeper.save(round, note, Reply(id=f"{round.id}/extended/{round.version}", text=text))
        self._go_on(round)

    async def remind(self, round: Round, note: Note | None = None, *, is_last: bool = False) -> None:
        """Remind those who have a ballot and have not voted. ``is_last``: none comes by itself any more."""
        with self._keeper.changing(round):
            round.reminders += 1
            round.remind_at = None if is_last else round.remind_at
            await self._keeper.save(round, note)
        round.look_again()
        self._go_on(round)

    async def stop(self, round: Round, text: str, note: Note | None = None) -> None:
        """Put no further ballots, until it is let go on, or cancelled. Who has one is told, and may vote meanwhile."""
        await self._halt(round, "stopped", text, note)

    async def resume(self, round: Round, text: str, note: Note | None = None) -> None:
        """Put the ballots that were held back."""
        await self._halt(round, "resumed", text, note)

    def set_close(self, round: Round, closes_at: datetime | None) -> None:
        """Give it another close, of which its channels are to be told; to be stored by the caller."""
        round.closes_at = closes_at
        round.version += 1
        if round.halt == "resumed" or round.state == "closed":
            round.halt = ""
        round.remind_at = None
        if closes_at is not None and round.spec.remind:
            remind_at = closes_at - timedelta(seconds=round.spec.remind)
            round.remind_at = remind_at if remind_at > self._clock.utcnow() else None
        self._timers.stop(round, "deadline", "remind")
        round.look_again()

    async def _halt(self, round: Round, halt: Halt, text: str, note: Note | None) -> None:
        with self._keeper.changing(round):
            round.halt = halt
            round.version += 1
            round.look_again()
            await self._keeper.save(round, note, Reply(id=f"{round.id}/{halt}/{round.version}", text=text))
        self._go_on(round)


def lapsed(round: Round) -> str:
    """What the group hears of a poll that is still stopped at its close: it would have a result of a few."""
    question = sentence(plain(round.spec.question))
    return (
        f"**Vote #{round.number} is cancelled: {question}** It was stopped while its ballots went "
        "out, and nobody let it go on before its close. There is no result."
    )
