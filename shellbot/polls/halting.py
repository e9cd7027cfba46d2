"""A poll held back while its ballots go out: no more of them do, until it is let go on, or cancelled."""

from __future__ import annotations

from collections.abc import Callable

from shellbot.events import Reply
from shellbot.markup import plain, sentence
from shellbot.polls.keeping import Keeper, Note
from shellbot.polls.records import Halt, Round


class Halting:
    """Stops the polls of one group and lets them go on. Who has a ballot is told either, and may vote meanwhile.

    Args:
        go_on: Called with a poll of which there is something else to say now.
    """

    def __init__(self, keeper: Keeper, go_on: Callable[[Round], None]) -> None:
        self._keeper = keeper
        self._go_on = go_on

    async def stop(self, round: Round, text: str, note: Note | None = None) -> None:
        """Put no further ballots."""
        await self._set(round, "stopped", text, note)

    async def resume(self, round: Round, text: str, note: Note | None = None) -> None:
        """Put the ballots that were held back."""
        await self._set(round, "resumed", text, note)

    async def _set(self, round: Round, halt: Halt, text: str, note: Note | None) -> None:
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
