"""The ballot papers of a direct channel as they are kept: what is asked, the vote, how far it is confirmed."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

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
    }
}
_COLUMNS = (
    "poll, number, group_id, instruction, question, choices, rules, closes_at, is_open, "
    "choice, is_done, n, at, is_typed, is_confirmed, version, told, is_cancelled"
)


@dataclass(slots=True)
class Paper:
    """A ballot paper in one direct channel, and the vote on it.

    ``is_done``: nothing is to be added to the vote. ``told``: the version of the poll that it shows. ``n`` grows with
    each vote of this channel, 0 before the first; ``version`` with each showing of the card.
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

    async def _read(self, where: str, *values: object) -> list[Paper]:
        query = f"SELECT {_COLUMNS} FROM booth WHERE channel = ? AND {where}"
        return await self._store.read(
            lambda db: [_paper(row) for row in db.execute(query, (self._channel, *values)).fetchall()]
        )

    def keep(self, db: sqlite3.Connection, paper: Paper) -> None:
        """Write all of a paper but its vote's number, time and way."""
        db.execute(
            f"INSERT INTO booth (channel, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET is_open = excluded.is_open, choice = excluded.choice, told = excluded.told, "
            "closes_at = excluded.closes_at, is_cancelled = excluded.is_cancelled, "
            "is_confirmed = excluded.is_confirmed, version = excluded.version",
            (
                self._channel, paper.poll, paper.number, paper.group, paper.instruction, paper.spec.question,
                orjson.dumps(paper.spec.choices), orjson.dumps(paper.spec.rules), paper.closes_at, paper.is_open,
                ballot.to_text(paper.vote, paper.spec), paper.is_done, paper.n, paper.at, paper.is_typed,
                paper.is_confirmed, paper.version, paper.told, paper.is_cancelled,
            ),
        )  # fmt: skip

    def put_vote(
        self, db: sqlite3.Connection, paper: Paper, vote: Vote, n: int, at: float, *, is_done: bool, is_typed: bool
    ) -> None:
        """Write a new vote on a paper; it is not confirmed yet."""
        db.execute(
            "UPDATE booth SET choice = ?, is_done = ?, n = ?, at = ?, is_typed = ?, is_confirmed = 0 "
            "WHERE channel = ? AND poll = ?",
            (ballot.to_text(vote, paper.spec), is_done, n, at, is_typed, self._channel, paper.poll),
        )


def _paper(row: tuple[Any, ...]) -> Paper:
    fields = dict(zip(_COLUMNS.replace("group_id", "group").split(", "), row, strict=True))
    choices, rules = tuple(orjson.loads(fields.pop("choices"))), orjson.loads(fields.pop("rules") or b"{}")
    fields["spec"] = restored(fields.pop("question"), choices, rules)
    fields["vote"] = ballot.from_text(fields.pop("choice"), fields["spec"])
    for name in ("is_open", "is_done", "is_typed", "is_confirmed", "is_cancelled"):
        fields[name] = bool(fields[name])
    return Paper(**fields)
