"""Says to each channel what it has not reported on; a repeat only reports there.

Of very many channels so many are told at once as can be heard in a moment, and others as these report. It is said
again after 1, 2, 4 ... 30 s, where no more reports come: while they do, the rest is on its way, and a repeat of it
would only hold it up.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from itertools import groupby

from shellbot.bot import ShellBot
from shellbot.errors import BusTimeout
from shellbot.polls import frames
from shellbot.polls.records import Round
from shellbot.polls.timers import Timers

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds until an instruction is said again
WINDOW = 1000  # channels that were told something and have not reported


@dataclass(slots=True)
class _Round:
    """How far a poll is told.

    ``pause``: seconds waited since it was said; ``line``: what is still to be said, by operation, id and channel;
    ``out``: the channels it was said to that have not reported since; ``heard_at``: when one of them did; ``context``:
    of who says it, for what is said when a report makes room is no answer to that report.
    """

    pause: float = 0.0
    line: deque[tuple[str, str, str]] = field(default_factory=deque)
    out: set[str] = field(default_factory=set)
    heard_at: float = -math.inf
    context: Context = field(default_factory=copy_context)


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
        self._told: dict[str, _Round] = {}
        self._is_heard = False

    def begin(self, round: Round) -> None:
        """Say what there is to say now, with short pauses again."""
        self._told[round.id] = _Round()
        self.come(round, 0.0)

    def come(self, round: Round, delay: float) -> None:
        """Say it in so many seconds."""
        self._timers.after(round, "put", delay, self._put)

    def heard(self, round: Round, channel: str) -> None:
        """A channel has reported, so that another may be told."""
        told = self._told.get(round.id)
        if told is None or channel not in told.out:
            return
        told.out.discard(channel)
        told.heard_at = self._bot.clock.time()
        if told.line and len(told.out) <= self._window // 2:
            told.context.run(self._say, round, told)

    def quiet(self, round: Round) -> float:
        """Seconds since a channel last reported."""
        told = self._told.get(round.id)
        return self._bot.clock.time() - told.heard_at if told is not None else math.inf

    async def _put(self, round: Round) -> None:
        if not await self._may_put(round):
            return
        await self._wait_heard()
        told = self._told.setdefault(round.id, _Round())
        if told.out and self.quiet(round) < told.pause / 2:
            self.come(round, told.pause / 2)
            return
        is_pending = self._line_up(round, told)
        self._say(round, told)
        if round.note is not None and (owner := self._owner(round)):
            is_pending = True
            self._bot.broadcast(frames.note(round), id=round.note["id"], channels=[owner])
        if not is_pending:
            del self._told[round.id]
            self._is_done(round)
            return
        told.pause = min(told.pause * 2, LONGEST_PAUSE) or FIRST_PAUSE
        self.come(round, told.pause)

    def _line_up(self, round: Round, told: _Round) -> bool:
        """Who was not told yet, then who was and has not reported; whether there is anybody."""
        waiting = {channel for _, _, channel in told.line}
        for op, id_, waits in frames.due(round):
            told.line.extend((op, id_, one) for one in round.seats if one in waits and one not in waiting)
        told.out.clear()
        return bool(told.line)

    def _say(self, round: Round, told: _Round) -> None:
        """Tell as many more as there is room for, of those who have not reported meanwhile."""
        waits = {id_: waits for _, id_, waits in frames.due(round)}
        more: list[tuple[str, str, str]] = []
        while told.line and len(told.out) < self._window:
            op, id_, channel = told.line.popleft()
            if channel in waits.get(id_, ()):
                more.append((op, id_, channel))
                told.out.add(channel)
        for (op, id_), those in groupby(more, lambda one: one[:2]):
            self._bot.broadcast(frames.message(round, op), id=id_, channels=[channel for _, _, channel in those])

    @property
    def _window(self) -> int:
        """Enough to keep the platform busy, and no more: a ballot that was told cannot be held back."""
        at_once = self._bot.desk.capabilities.at_once
        return min(2 * at_once, WINDOW) if at_once else WINDOW

    async def _wait_heard(self) -> None:
        """Put nothing, at the start of a run, before its answers are heard: it would be said for nothing."""
        if not self._is_heard:
            with contextlib.suppress(BusTimeout):  # then it is said again, as whatever is lost
                await self._bot.in_force()
            self._is_heard = True
