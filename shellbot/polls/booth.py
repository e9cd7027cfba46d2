"""The direct side of a poll: it shows the ballot when the frame arrives, keeps the vote, hands it over until confirmed.

It knows the group only by what comes over the bus. A vote is kept here before the click is answered; the person's
receipt appears when the group's receipt has come back.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from shellbot.agents.timers import Timer
from shellbot.bot import ShellBot
from shellbot.errors import PollClosed, UnknownChoice
from shellbot.events import Button, Card, Event, Reply
from shellbot.inbox import finish
from shellbot.markup import plain
from shellbot.outbox import insert as keep_reply
from shellbot.polls import ballot
from shellbot.polls.texts import closing_time
from shellbot.turns import current_topic

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 30.0  # seconds until an unconfirmed vote is put again

SCHEMA = """
CREATE TABLE IF NOT EXISTS booth (
    channel TEXT NOT NULL, poll TEXT NOT NULL, number INTEGER NOT NULL, group_id TEXT NOT NULL,
    instruction TEXT NOT NULL, question TEXT NOT NULL, choices BLOB NOT NULL, closes_at REAL, is_open INTEGER NOT NULL,
    choice TEXT NOT NULL DEFAULT '', n INTEGER NOT NULL DEFAULT 0, at REAL NOT NULL DEFAULT 0,
    is_typed INTEGER NOT NULL DEFAULT 0, is_confirmed INTEGER NOT NULL DEFAULT 1, version INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (channel, poll)
);
"""
_COLUMNS = (
    "poll, number, group_id, instruction, question, choices, closes_at, is_open, "
    "choice, n, at, is_typed, is_confirmed, version"
)


@dataclass(slots=True)
class Paper:
    """A ballot paper in one direct channel, and the vote on it.

    ``n`` grows with each vote of this channel, 0 before the first; ``version`` with each showing of the card.
    """

    poll: str
    number: int
    group: str
    instruction: str
    question: str
    choices: tuple[str, ...]
    closes_at: float | None
    is_open: bool = True
    choice: str = ""
    n: int = 0
    at: float = 0.0
    is_typed: bool = False
    is_confirmed: bool = True
    version: int = 1


class Booth:
    """The ballots of one direct channel. Used only in the turns of its bot."""

    def __init__(self, bot: ShellBot) -> None:
        self._bot = bot
        self._store = bot.desk.store
        self._papers: dict[str, Paper] = {}
        self._again: dict[str, Timer] = {}

    async def resume(self) -> None:
        """Read the papers of an earlier run and put again what was not confirmed."""
        rows = await self._store.read(
            lambda db: db.execute(
                f"SELECT {_COLUMNS} FROM booth WHERE channel = ? AND (is_open OR NOT is_confirmed OR rowid = "
                "(SELECT max(rowid) FROM booth WHERE channel = ?)) ORDER BY rowid",
                (self._bot.id, self._bot.id),
            ).fetchall()
        )
        for row in rows:
            paper = _paper(row)
            self._papers[paper.poll] = paper
            if not paper.is_confirmed:
                self._hand_over(paper, FIRST_PAUSE)

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
                question=message["question"],
                choices=tuple(message["choices"]),
                closes_at=message["closes_at"],
            )
            self._papers[paper.poll] = paper
        reply = self._invitation(paper)

        def keep(db: sqlite3.Connection) -> None:
            self._keep(db, paper)
            keep_reply(db, self._bot.id, reply)

        await self._store.write(keep)
        is_shown = await self._bot.wait(self._bot.desk.outbox.send(self._bot.id, reply, is_kept=True))
        self._bot.report({"op": "shown" if is_shown else "unreachable", "poll": paper.poll})

    async def close(self, message: dict[str, Any]) -> None:
        """Take no more votes, hand over one that is not confirmed, report that it is closed."""
        paper = self._papers.get(message["poll"])
        body: dict[str, Any] = {"op": "closed", "poll": message["poll"]}
        if paper is not None:
            if paper.is_open:
                paper.is_open = False
                await self._show(paper)
            if not paper.is_confirmed:
                body["ballot"] = self._ballot(paper)
        self._bot.report(body)

    async def confirm(self, message: dict[str, Any]) -> None:
        """Give the person the receipt, if it is for the vote that stands."""
        paper = self._papers.get(message["poll"])
        if paper is None or paper.is_confirmed or message.get("n") != paper.n:
            return
        self._stop_timer(paper)
        paper.is_confirmed = True
        if message.get("is_counted") is True:
            text = f"Your vote is counted: **{plain(paper.choice)}**. ({plain(paper.question)})"
            if paper.is_open:
                text += f" You may change it until it closes {self._when(paper)}."
            await self._show(paper, text if paper.is_typed or not self._can_edit else "")
        else:
            choice, paper.choice, paper.is_open = paper.choice, "", False
            text = (
                f"Your vote for **{plain(choice)}** came after the close and is not counted; "
                f"one that was confirmed before stands. ({plain(paper.question)})"
            )
            await self._show(paper, text)

    # --- what the person says

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
            lines = [f"- #{paper.number} {plain(paper.question)}: {ballot.listed(paper.choices)}" for paper in opened]
            example = f"`#{opened[0].number} {ballot.labels(opened[0].choices)[0]}`"
            raise UnknownChoice(
                f"Which vote do you mean? Write its number first, e.g. {example}.\n\n" + "\n".join(lines)
            )
        if opened:
            await self._vote(opened[-1], ballot.find(words, opened[-1].choices), event, is_typed=True)
            return True
        if not papers:
            return False
        try:
            ballot.find(words, papers[-1].choices)
        except UnknownChoice:
            return False
        raise PollClosed(self._closed(papers[-1]))

    async def pressed(self, card: str, value: str, event: Event) -> bool:
        """Take a pressed button; False if the card is none of ours.

        Raises:
            PollClosed, UnknownChoice: Their text says what to do.
        """
        paper = self._papers.get(card) or await self._stored(card)
        if paper is None:
            return False
        if value not in paper.choices:
            raise UnknownChoice(f"Please answer with one of: {ballot.listed(paper.choices)}.")
        await self._vote(paper, value, event, is_typed=False)
        return True

    async def _vote(self, paper: Paper, choice: str, event: Event, *, is_typed: bool) -> None:
        at = event.time.timestamp()
        if not paper.is_open or (paper.closes_at is not None and at >= paper.closes_at):
            raise PollClosed(self._closed(paper))
        n = self._bot.instructions.next_number()

        def keep(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE booth SET choice = ?, n = ?, at = ?, is_typed = ?, is_confirmed = 0 "
                "WHERE channel = ? AND poll = ?",
                (choice, n, at, is_typed, self._bot.id, paper.poll),
            )
            finish(db, event.id)

        await self._store.write(keep)
        paper.choice, paper.n, paper.at, paper.is_typed, paper.is_confirmed = choice, n, at, is_typed, False
        self._hand_over(paper, FIRST_PAUSE)

    # --- handing over

    def _hand_over(self, paper: Paper, pause: float) -> None:
        """Put the vote on the bus, now and again until it is confirmed."""
        self._stop_timer(paper)
        body = {"op": "ballot", **self._ballot(paper)}
        id_ = f"{paper.poll}/{self._bot.id}/{paper.n}"
        self._bot.report_to(paper.group, "poll", paper.instruction, body, id=id_, n=paper.n)
        self._again[paper.poll] = self._bot.after(pause, self._hand_over_again, paper, min(pause * 2, LONGEST_PAUSE))

    async def _hand_over_again(self, paper: Paper, pause: float) -> None:
        if not paper.is_confirmed:
            self._hand_over(paper, pause)

    def _ballot(self, paper: Paper) -> dict[str, Any]:
        return {"poll": paper.poll, "choice": paper.choice, "n": paper.n, "at": paper.at}

    def _stop_timer(self, paper: Paper) -> None:
        if (timer := self._again.pop(paper.poll, None)) is not None:
            timer.cancel()

    # --- what the person sees

    @property
    def _can_edit(self) -> bool:
        return self._bot.desk.capabilities.cards and self._bot.desk.capabilities.edit

    async def _show(self, paper: Paper, text: str = "") -> None:
        """Keep the paper and show it as it stands now: on its card where that can be edited, and in ``text``."""
        paper.version += 1
        replies = [self._invitation(paper)] if self._can_edit else []
        if text:
            replies.append(Reply(id=f"{paper.poll}/{paper.n}/receipt", text=text))

        def keep(db: sqlite3.Connection) -> None:
            self._keep(db, paper)
            for reply in replies:
                keep_reply(db, self._bot.id, reply)

        await self._store.write(keep)
        for reply in replies:
            self._bot.desk.outbox.send(self._bot.id, reply, is_kept=True)

    def _invitation(self, paper: Paper) -> Reply:
        when = self._when(paper)
        if not paper.is_open:
            note = f"Closed. Your vote: {paper.choice}" if paper.choice else "Closed. No vote of yours was counted."
        elif paper.choice and paper.is_confirmed:
            note = f"Your vote is counted: {paper.choice}. You may change it until it closes {when}."
        else:
            note = ""
        card = Card(
            id=paper.poll,
            title=paper.question,
            buttons=tuple(Button(choice, choice) for choice in paper.choices),
            chosen=paper.choice,
            is_open=paper.is_open,
            note=note,
        )
        state = f"closes {when}" if paper.is_open else "closed"
        text = f"**Vote #{paper.number}** · {state}"
        if not self._bot.desk.capabilities.cards:
            text = f"**Vote #{paper.number}: {plain(paper.question)}** It closes {when}."
            lines = [
                f"- {label} {plain(c)}" for label, c in zip(ballot.labels(paper.choices), paper.choices, strict=True)
            ]
            text += "\n\n" + "\n".join(lines)
        return Reply(id=f"{paper.poll}/ballot", version=paper.version, text=text, card=card)

    def _when(self, paper: Paper) -> str:
        return closing_time(_time(paper.closes_at), self._bot.clock.utcnow())

    def _closed(self, paper: Paper) -> str:
        yours = f"Your vote for {plain(paper.choice)} stands." if paper.choice else "You did not vote."
        return f"Vote #{paper.number} is closed: {plain(paper.question)} {yours}"

    # --- keeping

    def _free_number(self, number: int) -> int:
        """The group's number for the poll, unless another open one here has it."""
        taken = {paper.number for paper in self._papers.values() if paper.is_open}
        return number if number not in taken else max(taken) + 1

    async def _stored(self, poll: str) -> Paper | None:
        """A closed paper of an earlier run, for a press on its old card."""
        row = await self._store.read(
            lambda db: db.execute(
                f"SELECT {_COLUMNS} FROM booth WHERE channel = ? AND poll = ?", (self._bot.id, poll)
            ).fetchone()
        )
        return _paper(row) if row else None

    def _keep(self, db: sqlite3.Connection, paper: Paper) -> None:
        db.execute(
            f"INSERT INTO booth (channel, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET is_open = excluded.is_open, choice = excluded.choice, "
            "is_confirmed = excluded.is_confirmed, version = excluded.version",
            (
                self._bot.id, paper.poll, paper.number, paper.group, paper.instruction, paper.question,
                orjson.dumps(paper.choices), paper.closes_at, paper.is_open, paper.choice, paper.n, paper.at,
                paper.is_typed, paper.is_confirmed, paper.version,
            ),
        )  # fmt: skip


def _paper(row: tuple[Any, ...]) -> Paper:
    fields = dict(zip(_COLUMNS.replace("group_id", "group").split(", "), row, strict=True))
    fields["choices"] = tuple(orjson.loads(fields["choices"]))
    for name in ("is_open", "is_typed", "is_confirmed"):
        fields[name] = bool(fields[name])
    return Paper(**fields)


def _time(stamp: float | None) -> datetime | None:
    return datetime.fromtimestamp(stamp, UTC) if stamp is not None else None
