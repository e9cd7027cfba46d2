"""A vote rehearsed, in the direct channel of who asked: the ballot as everybody would see it, which counts nothing.

Kept nowhere: after a restart a press on such a ballot is told what it was.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any

from shellbot.bot import ShellBot
from shellbot.errors import UnknownChoice
from shellbot.events import CardAction, Message, Reply
from shellbot.markup import plain
from shellbot.polls import ballot
from shellbot.polls.ballot import DONE
from shellbot.polls.invitation import Printer
from shellbot.polls.papers import Paper
from shellbot.polls.spec import REHEARSED
from shellbot.polls.texts import closing_time

MOST = 10  # of which the latest are remembered
NOTHING = "That was a rehearsal: nothing is counted."


class Mirror:
    """The rehearsals in one direct channel."""

    def __init__(self, bot: ShellBot, zone: tzinfo, printer: Printer) -> None:
        self._bot = bot
        self._zone = zone
        self._printer = printer
        self._papers: dict[str, Paper] = {}

    def show(self, message: dict[str, Any]) -> None:
        """Show the ballot as it would come, and behind it what else is to be known."""
        spec, closes_at = self._printer.spec(message), message["closes_at"]
        paper = Paper(message["poll"], message["number"], "", "", spec, closes_at)
        self._papers[paper.poll] = paper
        if len(self._papers) > MOST:
            del self._papers[next(iter(self._papers))]
        closes = datetime.fromtimestamp(closes_at, UTC) if closes_at is not None else None
        when = closing_time(closes, self._bot.clock.utcnow(), self._zone)
        self._bot.reply(self._printer.invitation(paper, when, self._bot.desk.capabilities))
        self._bot.reply(Reply(id=f"{paper.poll}/summary", text=message["summary"]))

    def pressed(self, action: CardAction) -> bool:
        """Take the press of a button; False if the card is of no rehearsal."""
        if not action.card.startswith(REHEARSED):
            return False
        paper = self._papers.get(action.card)
        is_known = paper is not None and action.value in (*paper.spec.choices, DONE)
        said = f"You pressed **{plain(action.value)}**. " if is_known and action.value != DONE else ""
        self._say(action.card, action.id, f"{said}{NOTHING}")
        return True

    def typed(self, message: Message) -> bool:
        """Take a line that would be a vote on the latest ballot; False if it would not."""
        if not self._papers:
            return False
        paper = list(self._papers.values())[-1]
        number, words = ballot.split_number(message.text)
        if number not in (None, paper.number):
            return False
        try:
            vote = ballot.read(words, paper.spec)
        except UnknownChoice:
            return False
        self._say(paper.poll, message.id, f"You said **{plain(ballot.worded(vote) or 'none')}**. {NOTHING}")
        return True

    def _say(self, poll: str, event: str, text: str) -> None:
        self._bot.reply(Reply(id=f"{poll}/{event}", text=text))
