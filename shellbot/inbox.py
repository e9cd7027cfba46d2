"""What people said, kept until a bot has dealt with it.

A space gives an event to :meth:`Inbox.accept` before it acknowledges it; from then on a crash loses nothing: what was
not dealt with is dealt with after the restart. An event that comes twice (a browser's retry, a platform's second
delivery) is dealt with once, because its id is remembered.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from shellbot.events import EVENT_TYPES, Event
from shellbot.stores.base import Store

T = TypeVar("T")

SCHEMA = """
CREATE TABLE IF NOT EXISTS inbox (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, event BLOB NOT NULL, at REAL NOT NULL, done INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS inbox_open ON inbox (done) WHERE done = 0;
"""
REMEMBERED = timedelta(days=7)  # longer than any platform repeats a delivery
_KINDS = {cls: kind for kind, cls in EVENT_TYPES.items()}


def finish(db: sqlite3.Connection, event_id: str) -> None:
    """Note it in the transaction that holds the event's effect: then neither can exist without the other."""
    db.execute("UPDATE inbox SET done = 1, event = x'' WHERE id = ?", (event_id,))


class Inbox:
    """The events of one instance. Owned by the engine's loop; the rows by the store's writer."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def open(self) -> None:
        """Make the table if need be."""
        await self._store.create(SCHEMA)

    async def unfinished(self, now: datetime) -> list[Event]:
        """The events that were accepted and not finished, oldest first."""

        def read(db: sqlite3.Connection) -> list[tuple[str, bytes]]:
            db.execute("DELETE FROM inbox WHERE done = 1 AND at < ?", ((now - REMEMBERED).timestamp(),))
            return db.execute("SELECT kind, event FROM inbox WHERE done = 0 ORDER BY rowid").fetchall()

        rows = await self._store.write(read)
        return [msgspec.json.decode(body, type=EVENT_TYPES[kind]) for kind, body in rows]

    async def accept(
        self, event: Event, also: Callable[[sqlite3.Connection], T] | None = None
    ) -> tuple[bool, T | None]:
        """Keep an event; returns once it is on disk.

        Args:
            also: Run in the same transaction.

        Returns:
            Whether it is new, and what ``also`` gave.
        """
        row = (event.id, _KINDS[type(event)], msgspec.json.encode(event), event.time.timestamp())

        def insert(db: sqlite3.Connection) -> tuple[bool, T | None]:
            given = also(db) if also is not None else None
            cursor = db.execute("INSERT OR IGNORE INTO inbox (id, kind, event, at) VALUES (?, ?, ?, ?)", row)
            return cursor.rowcount == 1, given

        return await self._store.write(insert)

    def done(self, event: Event) -> None:
        """The turn on this event is over."""
        self._store.post(lambda db: finish(db, event.id))
