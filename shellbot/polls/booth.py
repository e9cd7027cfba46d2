"""The direct side of a poll: it shows the ballot when the frame arrives, keeps the vote, hands it over until confirmed.

It knows the group only by what comes over the bus. A vote is kept here before the click is answered; the person's
receipt appears when the group's receipt has come back.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, tzinfo
from typing import Any

from shellbot.bot import ShellBot
from shellbot.errors import PollClosed, UnknownChoice
from shellbot.events import Event, Reply
from shellbot.inbox import finish
from shellbot.markup import plain
from shellbot.outbox import insert as keep_reply
from shellbot.polls import ballot
from shellbot.polls.ballot import DONE, Vote
from shellbot.polls.handing import Handing, wire
from shellbot.polls.invitation import invitation
from shellbot.polls.papers import Paper, Papers
from shellbot.polls.spec import restored
from shellbot.polls.texts import closing_time
from shellbot.turns import current_topic


class Booth:
    """The ballots of one direct channel. Used only in the turns of its bot. ``zone`` is that of the times it says."""

    def __init__(self, bot: ShellBot, zone: tzinfo) -> None:
        self._bot = bot
        self._zone = zone
        self._store = bot.desk.store
        self._papers: dict[str, Paper] = {}
        self._stored = Papers(bot.desk.store, bot.id)
        self._handing = Handing(bot)

    async def resume(self) -> None:
        """Read the papers of an earlier run and put again what was not confirmed."""
        for paper in await self._stored.unfinished():
            self._papers[paper.poll] = paper
            if not paper.is_confirmed:
                self._handing.begin(paper)

    # --- what the group says

    async def open(self, message: dict[str, Any]) -> None:
        """Show the ballot and report whether the person could be reached."""
        topic = current_topic.get()
        if topic is None or topic.instruction is None:
            return
        paper = self._papers.get(message["poll"])
        if paper is None:
            paper = Paper(
                poll=message["poll"],
                number=self._free_number(message["number"]),
                group=topic.instruction.group,
                instruction=topic.instruction.id,
                spec=restored(message["question"], tuple(message["choices"]), message.get("rules", {})),
                closes_at=message["closes_at"],
                told=message.get("version", 0),
            )
            self._papers[paper.poll] = paper
        reply = invitation(paper, self._when(paper), self._bot.desk.capabilities)

        def keep(db: sqlite3.Connection) -> None:
            self._stored.keep(db, paper)
            keep_reply(db, self._bot.id, reply)

        await self._store.write(keep)
        is_shown = await self._bot.wait(self._bot.desk.outbox.send(self._bot.id, reply, is_kept=True))
        op = "shown" if is_shown else "unreachable"
        self._bot.report({"op": op, "poll": paper.poll, "version": message.get("version", 0)})

    async def extend(self, message: dict[str, Any]) -> None:
        """Take votes until another time, also where it was closed; a version that is not newer changes nothing."""
        paper = self._papers.get(message["poll"]) or await self._stored.find(message["poll"])
        if paper is None:
            await self.open(message)
            return
        self._papers[paper.poll] = paper
        version = message["version"]
        if version > paper.told and not paper.is_cancelled:
            was_open, paper.is_open = paper.is_open, True
            paper.told, paper.closes_at = version, message["closes_at"]
            state = "stays open" if was_open else "is open again"
            text = f"Vote #{paper.number} {state}. It closes {self._when(paper)}: {plain(paper.spec.question)}"
            await self._show(paper, "" if was_open and self._can_edit else text, f"{paper.poll}/told/{version}")
        self._bot.report({"op": "extended", "poll": paper.poll, "version": version})

    async def remind(self, message: dict[str, Any]) -> None:
        """Remind the person of a vote that is open and not cast."""
        paper, reminder = self._papers.get(message["poll"]), message["reminder"]
        if paper is not None and paper.is_open and not paper.vote:
            text = (
                f"You have not voted yet. Vote #{paper.number} closes {self._when(paper)}: "
                f"{plain(paper.spec.question)} Please answer with {ballot.answers(paper.spec)}."
            )
            await self._say(Reply(id=f"{paper.poll}/remind/{reminder}", text=text))
        self._bot.report({"op": "reminded", "poll": message["poll"], "reminder": reminder})

    async def cancel(self, message: dict[str, Any]) -> None:
        """Take no more votes: there will be no result."""
        paper = self._papers.get(message["poll"])
        if paper is not None and not paper.is_cancelled:
            self._handing.stop(paper)
            paper.is_open, paper.is_cancelled, paper.is_confirmed = False, True, True
            text = f"Vote #{paper.number} is cancelled: {plain(paper.spec.question)}"
            await self._show(paper, "" if self._can_edit else text, f"{paper.poll}/cancelled")
        self._bot.report({"op": "closed", "poll": message["poll"]})

    async def note(self, message: dict[str, Any]) -> None:
        """Tell the person something that is for nobody else."""
        await self._say(Reply(id=message["id"], text=message["text"], fixed=message["fixed"]))
        self._bot.report({"op": "noted", "poll": message["poll"], "note": message["id"]})

    async def close(self, message: dict[str, Any]) -> None:
        """Take no more votes, hand over one that is not confirmed, report that it is closed."""
        paper = self._papers.get(message["poll"])
        body: dict[str, Any] = {"op": "closed", "poll": message["poll"]}
        if reopened := message.get("reopened"):
            body["reopened"] = reopened
        if paper is not None:
            if paper.is_open:
                paper.is_open = False
                await self._show(paper)
            if not paper.is_confirmed:
                body["ballot"] = wire(paper)
        self._bot.report(body)

    async def confirm(self, message: dict[str, Any]) -> None:
        """Give the person the receipt, if it is for the vote that stands."""
        paper = self._papers.get(message["poll"])
        if paper is None or paper.is_confirmed or message.get("n") != paper.n:
            return
        self._handing.stop(paper)
        paper.is_confirmed = True
        if message.get("is_counted") is True:
            if paper.vote:
                text = f"Your vote is counted: **{plain(ballot.worded(paper.vote))}**. ({plain(paper.spec.question)})"
            else:
                text = f"Your vote is taken back. ({plain(paper.spec.question)})"
            if paper.is_open:
                text += f" You may change it until it closes {self._when(paper)}."
            await self._show(paper, text if paper.is_typed or not self._can_edit else "")
        else:
            late, paper.vote, paper.is_open = ballot.worded(paper.vote), (), False
            text = (
                f"Your vote for **{plain(late)}** came after the close and is not counted; "
                f"one that was confirmed before stands. ({plain(paper.spec.question)})"
            )
            await self._show(paper, text)

    async def paper_of(self, number: int) -> Paper | None:
        """The latest paper with this number, closed ones too."""
        for paper in self._papers.values():
            if paper.number == number:
                return paper
        return await self._stored.numbered(number)

    # --- what the person says

    def is_named_in(self, text: str) -> bool:
        """Whether this begins with the number of a ballot that is here."""
        number, _ = ballot.split_number(text)
        return number is not None and any(paper.number == number for paper in self._papers.values())

    async def typed(self, text: str, event: Event) -> bool:
        """Take a typed vote; False if it is none.

        Raises:
            PollClosed, UnknownChoice: Their text says what to do.
        """
        number, words = ballot.split_number(text)
        papers = [paper for paper in self._papers.values() if number in (None, paper.number)]
        opened = [paper for paper in papers if paper.is_open]
        if number is not None and not papers:
            raise UnknownChoice(f"There is no vote #{number} here.")
        if number is None and len(opened) > 1:
            lines = [
                f"- #{paper.number} {plain(paper.spec.question)}: {ballot.answers(paper.spec)}" for paper in opened
            ]
            example = f"`#{opened[0].number} {ballot.example(opened[0].spec)}`"
            raise UnknownChoice(
                f"Which vote do you mean? Write its number first, e.g. {example}.\n\n" + "\n".join(lines)
            )
        if opened:
            paper = opened[-1]
            try:
                vote = ballot.read(words, paper.spec)
            except UnknownChoice:
                if not ballot.says_done(words, paper.spec):
                    raise
                vote = ballot.press(DONE, paper.vote, paper.spec)
            await self._vote(paper, vote, event, is_typed=True)
            return True
        if not papers:
            return False
        try:
            ballot.read(words, papers[-1].spec)
        except UnknownChoice:
            return False
        raise PollClosed(self._closed(papers[-1]))

    async def pressed(self, card: str, value: str, event: Event) -> bool:
        """Take a pressed button; False if the card is none of ours.

        Raises:
            PollClosed, UnknownChoice: Their text says what to do.
        """
        paper = self._papers.get(card) or await self._stored.find(card)
        if paper is None:
            return False
        vote = ballot.press(value, paper.vote, paper.spec)
        is_done = value == DONE or ballot.is_complete(vote, paper.spec)
        await self._vote(paper, vote, event, is_typed=False, is_done=is_done)
        return True

    async def _vote(self, paper: Paper, vote: Vote, event: Event, *, is_typed: bool, is_done: bool = True) -> None:
        at = event.time.timestamp()
        if not paper.is_open or (paper.closes_at is not None and at >= paper.closes_at):
            raise PollClosed(self._closed(paper))
        n = self._bot.instructions.next_number()

        def keep(db: sqlite3.Connection) -> None:
            self._stored.put_vote(db, paper, vote, n, at, is_done=is_done, is_typed=is_typed)
            finish(db, event.id)

        await self._store.write(keep)
        paper.vote, paper.is_done, paper.n, paper.at = vote, is_done, n, at
        paper.is_typed, paper.is_confirmed = is_typed, False
        self._handing.begin(paper)

    # --- what the person sees

    @property
    def _can_edit(self) -> bool:
        return self._bot.desk.capabilities.cards and self._bot.desk.capabilities.edit

    async def _say(self, reply: Reply) -> None:
        """Say it once, whatever is repeated."""
        await self._store.write(lambda db: keep_reply(db, self._bot.id, reply))
        self._bot.desk.outbox.send(self._bot.id, reply, is_kept=True)

    async def _show(self, paper: Paper, text: str = "", id: str = "") -> None:
        """Keep the paper and show it as it stands now: on its card where that can be edited, and in ``text``."""
        paper.version += 1
        replies = [invitation(paper, self._when(paper), self._bot.desk.capabilities)] if self._can_edit else []
        if text:
            replies.append(Reply(id=id or f"{paper.poll}/{paper.n}/receipt", text=text))

        def keep(db: sqlite3.Connection) -> None:
            self._stored.keep(db, paper)
            for reply in replies:
                keep_reply(db, self._bot.id, reply)

        await self._store.write(keep)
        for reply in replies:
            self._bot.desk.outbox.send(self._bot.id, reply, is_kept=True)

    def _when(self, paper: Paper) -> str:
        return closing_time(_time(paper.closes_at), self._bot.clock.utcnow(), self._zone)

    def _closed(self, paper: Paper) -> str:
        if paper.is_cancelled:
            return f"Vote #{paper.number} was cancelled: {plain(paper.spec.question)}"
        yours = f"Your vote for {plain(ballot.worded(paper.vote))} stands." if paper.vote else "You did not vote."
        return f"Vote #{paper.number} is closed: {plain(paper.spec.question)} {yours}"

    def _free_number(self, number: int) -> int:
        """The group's number for the poll, unless another open one here has it."""
        taken = {paper.number for paper in self._papers.values() if paper.is_open}
        return number if number not in taken else max(taken) + 1


def _time(stamp: float | None) -> datetime | None:
    return datetime.fromtimestamp(stamp, UTC) if stamp is not None else None
