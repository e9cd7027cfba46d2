"""Says to each channel what it has not reported on, and again after 1, 2, 4 ... 30 s; a repeat only reports there."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

from shellbot.bot import ShellBot
from shellbot.errors import BusTimeout
from shellbot.polls import frames
from shellbot.polls.records import Round
from shellbot.polls.timers import Timers

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds until an instruction is said again


class Crier:
    """Puts the instructions of one group's polls.

    Args:
        may_put: Asked before each putting of a poll; False: it is to come again later, by whoever answered so.
        is_done: Told when there is nothing left to say of a poll.
        owner: Gives the direct channel of who opened a poll.
    """

    def __init__(
        self,
        bot: ShellBot,
        timers: Timers,
        may_put: Callable[[Round], Awaitable[bool]],
        is_done: Callable[[Round], None],
        owner: Callable[[Round], str | None],
    ) -> None:
        self._bot = bot
        self._timers = timers
        self._may_put = may_put
        self._is_done = is_done
        self._owner = owner
        self._pauses: dict[str, float] = {}
        self._is_heard = False

    def begin(self, round: Round) -> None:
        """Say what there is to say now, with short pauses again."""
        self._pauses[round.id] = FIRST_PAUSE
        self.come(round, 0.0)

    def come(self, round: Round, delay: float) -> None:
        """Say it in so many seconds."""
        self._timers.after(round, "put", delay, self._put)

    async def _put(self, round: Round) -> None:
        if not await self._may_put(round):
            return
        await self._wait_heard()
        is_pending = False
        for op, id_, waits in frames.due(round):
            pending = [channel for channel in round.seats if channel in waits]
            if pending:
                is_pending = True
                self._bot.broadcast(frames.message(round, op), id=id_, channels=pending)
        if round.note is not None and (owner := self._owner(round)):
            is_pending = True
            self._bot.broadcast(frames.note(round), id=round.note["id"], channels=[owner])
        if not is_pending:
            if round.is_over:
                self._pauses.pop(round.id, None)
            self._is_done(round)
            return
        pause = self._pauses[round.id]
        self._pauses[round.id] = min(pause * 2, LONGEST_PAUSE)
        self.come(round, pause)

    async def _wait_heard(self) -> None:
        """Put nothing, at the start of a run, before its answers are heard: it would be said for nothing."""
        if not self._is_heard:
            with contextlib.suppress(BusTimeout):  # then it is said again, as whatever is lost
                await self._bot.in_force()
            self._is_heard = True
