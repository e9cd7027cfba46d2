"""Hands a vote over to its group: puts it on the bus, and again after 2, 4 ... 30 s, until it is confirmed.

A group confirms votes in the order they come. While it is busy with those that were put before, none is put again: it
would only hold the others up. One that was overtaken is lost, and is put at once when its time has come. Each gives the
group time for those that wait before it: thousands at once are confirmed together, and late.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from shellbot.agents.timers import Timer
from shellbot.bot import ShellBot
from shellbot.polls import ballot
from shellbot.polls.papers import Paper

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 30.0  # seconds until an unconfirmed vote is put again
EACH = 0.002  # seconds more for each that waits before it; a slow machine takes half of that


class Queues:
    """How far the groups are with the votes put from one process, by the order in which they were put."""

    def __init__(self) -> None:
        self._count = 0
        self._waiting: Counter[str] = Counter()  # by group
        self._confirmed: dict[str, tuple[int, float]] = {}  # group -> place of the furthest one, and when that was

    def enter(self, group: str) -> tuple[int, float]:
        """The place of a vote which is put now, and the seconds that those before it may take."""
        self._count += 1
        self._waiting[group] += 1
        return self._count, (self._waiting[group] - 1) * EACH

    def leave(self, group: str) -> None:
        """One is waited for no more."""
        self._waiting[group] -= 1

    def confirm(self, group: str, place: int, now: float) -> None:
        """The group has confirmed one."""
        furthest = self._confirmed.get(group, (0, 0.0))[0]
        self._confirmed[group] = max(furthest, place), now

    def is_moving(self, group: str, place: int, since: float) -> bool:
        """Whether the group has confirmed others since then, and none that was put behind this one."""
        furthest, at = self._confirmed.get(group, (0, 0.0))
        return since < at and furthest < place


class Handing:
    """Hands over the votes of one direct channel. ``queues``: of all channels of the process."""

    def __init__(self, bot: ShellBot, queues: Queues) -> None:
        self._bot = bot
        self._queues = queues
        self._again: dict[str, tuple[Timer, int]] = {}  # poll -> when it is due again, and its place

    def begin(self, paper: Paper) -> None:
        """Put the vote that is on the paper, now and until it is confirmed."""
        self._put(paper, FIRST_PAUSE)

    def stop(self, paper: Paper) -> int:
        """Put it no more; gives its place, 0 if it was put no more before."""
        timer, place = self._again.pop(paper.poll, (None, 0))
        if timer is not None:
            timer.cancel()
            self._queues.leave(paper.group)
        return place

    def confirm(self, paper: Paper) -> None:
        """The group has it."""
        if place := self.stop(paper):
            self._queues.confirm(paper.group, place, self._bot.clock.time())

    def _put(self, paper: Paper, pause: float) -> None:
        self.stop(paper)
        body = {"op": "ballot", **wire(paper)}
        id_ = f"{paper.poll}/{self._bot.id}/{paper.n}"
        self._bot.report_to(paper.group, "poll", paper.instruction, body, id=id_, n=paper.n)
        place, longer = self._queues.enter(paper.group)
        self._wait(paper, pause + longer, pause, place)

    def _wait(self, paper: Paper, seconds: float, pause: float, place: int) -> None:
        self._again[paper.poll] = self._bot.after(seconds, self._put_again, paper, pause, place), place

    async def _put_again(self, paper: Paper, pause: float, place: int) -> None:
        if paper.is_confirmed:
            return
        if self._queues.is_moving(paper.group, place, self._bot.clock.time() - pause / 2):
            self._wait(paper, pause / 2, pause, place)
        else:
            self._put(paper, min(pause * 2, LONGEST_PAUSE))


def wire(paper: Paper) -> dict[str, Any]:
    """The vote on a paper as it travels."""
    choice = paper.sealed if paper.spec.anonymous else ballot.to_wire(paper.vote, paper.spec)
    body = {"poll": paper.poll, "choice": choice, "n": paper.n, "at": paper.at}
    return body if paper.is_done else {**body, "is_done": False}
