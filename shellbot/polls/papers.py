"""The ballot papers of a direct channel as they are kept: what is asked, the vote, how far it is confirmed."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec
import orjson

from shellbot.polls import ballot
from shellbot.polls.ballot import Vote
from shellbot.polls.records import add_columns
from shellbot.polls.spec import Spec, restored
from shellbot.stores.base import Store

SCHEMA = """
CREATE TABLE IF NOT EXISTS booth (
    channel TEXT NOT NULL, poll TEXT NOT NULL, number INTEGER NOT NULL, group_id TEXT NOT NULL,
    instruction TEXT NOT NULL, question TEXT NOT NULL, choices BLOB NOT NULL, closes_at REAL, is_open INTEGER NOT NULL,
    choice TEXT NOT NULL DEFAULT '', n INTEGER NOT NULL DEFAULT 0, at REAL NOT NULL DEFAULT 0,
    is_typed INTEGER NOT NULL DEFAULT 0, is_confirmed INTEGER NOT NULL DEFAULT 1, version INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (channel, poll)
);
"""
ADDED = {
    "booth": {
        "rules": "BLOB",
        "is_done": "INTEGER NOT NULL DEFAULT 1",
        "told": "INTEGER NOT NULL DEFAULT 0",
        "is_cancelled": "INTEGER NOT NULL DEFAULT 0",
        "seal": "TEXT NOT NULL DEFAULT ''",
        "is_cast": "INTEGER NOT NULL DEFAULT 0",
        "is_reopened": "INTEGER NOT NULL DEFAULT 0",
        "ended_at": "REAL",  # when it was closed or cancelled, the last time
    }
}
_COLUMNS = (
    "poll, number, group_id, instruction, question, choices, rules, closes_at, is_open, "
    "choice, is_done, n, at, is_typed, is_confirmed, version, told, is_cancelled, seal, is_cast, is_reopened"
)
_INSERT = f"INSERT OR IGNORE INTO booth (channel, {_COLUMNS}) VALUES ({', '.join('?' * (_COLUMNS.count(',') + 2))})"
_UPDATE = (
    "UPDATE booth SET ended_at = CASE WHEN ? THEN NULL WHEN is_open THEN ? ELSE ended_at END, is_open = ?, choice = ?, "
    "told = ?, closes_at = ?, is_cancelled = ?, is_confirmed = ?, version = ?, is_cast = ?, is_reopened = ? "
    "WHERE channel = ? AND poll = ?"
)


class Paper(msgspec.Struct):
    """A ballot paper in one direct channel, and the vote on it.

    ``is_done``: nothing is to be added to the vote. ``told``: the version of the poll that it shows. ``n`` grows with
    each vote of this channel, 0 before the first; ``version`` with each showing of the card. Of an anonymous poll
    ``seal`` is what seals a vote, ``sealed`` the vote until the close, and ``is_cast`` says that there is one. A poll
    that ``is_reopened`` is not closed by the last vote. ``problem``, which is not kept: why the last press counts for
    nothing.
    """

    poll: str
    number: int
    group: str
    instruction: str
    spec: Spec
    closes_at: float | None
    is_open: bool = True
    vote: Vote = ()
    is_done: bool = True
    n: int = 0
    at: float = 0.0
    is_typed: bool = False
    is_confirmed: bool = True
    version: int = 1
    told: int = 0
    is_cancelled: bool = False
    seal: str = ""
    sealed: str = ""
    is_cast: bool = False
    is_reopened: bool = False
    problem: str = ""

    @property
    def has_voted(self) -> bool:
        """Whether there is a vote on it."""
        return bool(self.vote) or self.is_cast

    @property
    def choice(self) -> str:
        """The vote as it stands in the store."""
        return self.sealed if self.spec.anonymous else ballot.to_text(self.vote, self.spec)


async def prepare(store: Store) -> None:
    """Make the table, and in one of an older version the columns that came later."""
    await store.create(SCHEMA)
    await store.write(lambda db: add_columns(db, ADDED))


class Papers:
    """Reads and writes the papers of one channel."""

    def __init__(self, store: Store, channel: str) -> None:
        self._store = store
        self._channel = channel

    async def unfinished(self) -> list[Paper]:
        """Those that are open or not confirmed, and the latest of all; oldest first."""
        return await self._read(
            "(is_open OR NOT is_confirmed OR rowid = (SELECT max(rowid) FROM booth WHERE channel = ?)) ORDER BY rowid",
            self._channel,
        )

    async def find(self, poll: str) -> Paper | None:
        """The paper of a poll, however old."""
        return next(iter(await self._read("poll = ?", poll)), None)

    async def numbered(self, number: int) -> Paper | None:
        """The latest paper with this number."""
        return next(iter(await self._read("number = ? ORDER BY rowid DESC LIMIT 1", number)), None)

    async def drop_forgotten(self, papers: dict[str, Paper], card: str) -> None:
        """Drop from ``papers`` those that are kept no more, as their polls were forgotten from the shell.

        Args:
            card: Id of the poll it is about; empty: any, which matters only where none of them is open.
        """
        if not card and any(paper.is_open for paper in papers.values()):
            return
        for paper in [paper for paper in papers.values() if not paper.is_open and card in ("", paper.poll)]:
            if await self.find(paper.poll) is None:
                papers.pop(paper.poll, None)

    async def _read(self, where: str, *values: object) -> list[Paper]:
        query = f"SELECT {_COLUMNS} FROM booth WHERE channel = ? AND {where}"
        return await self._store.read(
            lambda db: [_paper(row) for row in db.execute(query, (self._channel, *values)).fetchall()]
        )

    def insert(self, db: sqlite3.Connection, paper: Paper) -> None:
        """Write all of a paper, if it is not here: what is put once more has not changed."""
        values = (
            self._channel, paper.poll, paper.number, paper.group, paper.instruction, paper.spec.question,
            orjson.dumps(paper.spec.choices), orjson.dumps(paper.spec.rules), paper.closes_at, paper.is_open,
            paper.choice, paper.is_done, paper.n, paper.at, paper.is_typed,
            paper.is_confirmed, paper.version, paper.told, paper.is_cancelled, paper.seal, paper.is_cast,
            paper.is_reopened,
        )  # fmt: skip
        db.execute(_INSERT, values)

    def update(self, db: sqlite3.Connection, paper: Paper, at: float) -> None:
        """Write what changes of a paper, but how its vote was cast; one that was open and is not has ended ``at``."""
        values = (
            paper.is_open, at, paper.is_open, paper.choice, paper.told, paper.closes_at, paper.is_cancelled,
            paper.is_confirmed, paper.version, paper.is_cast, paper.is_reopened, self._channel, paper.poll,
        )  # fmt: skip
        db.execute(_UPDATE, values)

    def put_vote(self, db: sqlite3.Connection, paper: Paper) -> None:
        """Write the vote on a paper, with its number, time and way."""
        db.execute(
            "UPDATE booth SET choice = ?, is_cast = ?, is_done = ?, n = ?, at = ?, is_typed = ?, is_confirmed = ? "
            "WHERE channel = ? AND poll = ?",
            (
                paper.choice, paper.is_cast, paper.is_done, paper.n, paper.at, paper.is_typed, paper.is_confirmed,
                self._channel, paper.poll,
            ),
        )  # fmt: skip

    def forget_ballot(self, db: sqlite3.Connection, paper: Paper) -> None:
        """Drop a sealed vote that the group has from the report of the close, which may be asked for again."""
        bare = orjson.dumps({"op": "closed", "poll": paper.poll})
        start = f"{paper.poll}/close"
        db.execute(
            "UPDATE instructions SET report = ? WHERE channel = ? AND substr(id, 1, ?) = ? AND report IS NOT NULL",
            (bare, self._channel, len(start), start),
        )


def _paper(row: tuple[Any, ...]) -> Paper:
    fields = dict(zip(_COLUMNS.replace("group_id", "group").split(", "), row, strict=True))
    choices, rules = tuple(orjson.loads(fields.pop("choices"))), orjson.loads(fields.pop("rules") or b"{}")
    fields["spec"] = restored(fields.pop("question"), choices, rules)
    choice = fields.pop("choice")
    if fields["spec"].anonymous:
        fields["sealed"] = choice
    else:
        fields["vote"] = ballot.from_text(choice, fields["spec"])
    for name in ("is_open", "is_done", "is_typed", "is_confirmed", "is_cancelled", "is_cast", "is_reopened"):
        fields[name] = bool(fields[name])
    return Paper(**fields)
