"""Hands a vote over to its group: puts it on the bus, and again after 2, 4 ... 30 s, until it is confirmed."""

from __future__ import annotations

from typing import Any

from shellbot.agents.timers import Timer
from shellbot.bot import ShellBot
from shellbot.polls import ballot
from shellbot.polls.papers import Paper

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 30.0  # seconds until an unconfirmed vote is put again


class Handing:
    """Hands over the votes of one direct channel."""

    def __init__(self, bot: ShellBot) -> None:
        self._bot = bot
        self._again: dict[str, Timer] = {}

    def begin(self, paper: Paper) -> None:
        """Put the vote that is on the paper, now and until it is confirmed."""
        self._put(paper, FIRST_PAUSE)

    def stop(self, paper: Paper) -> None:
        """Put it no more."""
        if (timer := self._again.pop(paper.poll, None)) is not None:
            timer.cancel()

    def _put(self, paper: Paper, pause: float) -> None:
        self.stop(paper)
        body = {"op": "ballot", **wire(paper)}
        id_ = f"{paper.poll}/{self._bot.id}/{paper.n}"
        self._bot.report_to(paper.group, "poll", paper.instruction, body, id=id_, n=paper.n)
        self._again[paper.poll] = self._bot.after(pause, self._put_again, paper, min(pause * 2, LONGEST_PAUSE))

    async def _put_again(self, paper: Paper, pause: float) -> None:
        if not paper.is_confirmed:
            self._put(paper, pause)


def wire(paper: Paper) -> dict[str, Any]:
    """The vote on a paper as it travels."""
    choice = paper.sealed if paper.spec.anonymous else ballot.to_wire(paper.vote, paper.spec)
    body = {"poll": paper.poll, "choice": choice, "n": paper.n, "at": paper.at}
    return body if paper.is_done else {**body, "is_done": False}
