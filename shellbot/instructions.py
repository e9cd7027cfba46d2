"""Instructions of the group as a direct channel keeps them: each is done once, however often it arrives.

An instruction is stored before it is carried out. One that a crash cut off is carried out again after the restart; one
that was done gives its last report again, for its repeat means that the report was not heard.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import orjson

from shellbot.envelope import Envelope
from shellbot.stores.base import Store

SCHEMA = """
CREATE TABLE IF NOT EXISTS instructions (
    channel TEXT NOT NULL, id TEXT NOT NULL, envelope BLOB NOT NULL, at REAL NOT NULL,
    done INTEGER NOT NULL DEFAULT 0, report BLOB, PRIMARY KEY (channel, id)
);
CREATE TABLE IF NOT EXISTS numbers (channel TEXT PRIMARY KEY, next INTEGER NOT NULL);
"""
REMEMBERED = timedelta(days=30)  # longer than a group repeats an instruction
_INSERT = "INSERT OR IGNORE INTO instructions (channel, id, envelope, at, done, report) VALUES (?, ?, ?, ?, ?, ?)"
_FINISH = "UPDATE instructions SET done = 1, report = ? WHERE channel = ? AND id = ?"
BLOCK = 1 << 32  # numbers a run takes at once: none is given twice; enough for two million restarts below 2**53


class Instructions:
    """The instructions one direct channel got, and the numbers of what it reported. Owned by its bot."""

    def __init__(self, store: Store, channel: str) -> None:
        self._store = store
        self._channel = channel
        self._next = 0
        self._running: dict[str, None] = {}

    async def load(self, now: datetime) -> list[Envelope]:
        """Reserve this run's numbers; give what an earlier run began and did not end, oldest first."""
        long_ago = (now - REMEMBERED).timestamp()

        def read(db: sqlite3.Connection) -> tuple[int, list[tuple[bytes]]]:
            db.execute("DELETE FROM instructions WHERE channel = ? AND done = 1 AND at < ?", (self._channel, long_ago))
            first = db.execute(
                "INSERT INTO numbers VALUES (?, ?) ON CONFLICT DO UPDATE SET next = next + ? RETURNING next - ?",
                (self._channel, BLOCK + 1, BLOCK, BLOCK),
            ).fetchone()[0]
            return first, db.execute(
                "SELECT envelope FROM instructions WHERE channel = ? AND done = 0 ORDER BY rowid", (self._channel,)
            ).fetchall()

        self._next, rows = await self._store.write(read)
        found = [msgspec.json.decode(row[0], type=Envelope) for row in rows]
        self._running = dict.fromkeys(envelope.id for envelope in found)
        return found

    def next_number(self) -> int:
        """A number above all that this channel has used, also in earlier runs."""
        self._next += 1
        return self._next - 1

    async def take(
        self,
        envelope: Envelope,
        now: datetime,
        effect: Callable[[sqlite3.Connection], object] | None = None,
        done: dict[str, Any] | None = None,
    ) -> tuple[bool, dict[str, Any] | None]:
        """Keep an instruction that has arrived; of a new one ``effect``, too, in the same transaction.

        Args:
            done: It is carried out by that, and this is what is reported: :meth:`finish` is not to be called.

        Returns:
            (True, None): it is new, carry it out. (False, report): it was done, say the report again.
            (False, None): it is being carried out, or was done without a report.
        """
        if envelope.id in self._running:
            return False, None
        self._running[envelope.id] = None
        text, report = (msgspec.json.encode(envelope), None) if done is None else (b"", orjson.dumps(done))
        row = (self._channel, envelope.id, text, now.timestamp(), done is not None, report)

        def keep(db: sqlite3.Connection) -> tuple[bool, bytes | None]:
            if db.execute(_INSERT, row).rowcount:
                if effect is not None:
                    effect(db)
                return True, None
            found = db.execute("SELECT report FROM instructions WHERE channel = ? AND id = ?", row[:2]).fetchone()
            return False, found[0]

        is_new = False
        try:
            is_new, report = await self._store.write(keep)
        finally:
            if not is_new or done is not None:
                self._running.pop(envelope.id, None)
        return is_new, orjson.loads(report) if report else None

    def finish(self, envelope: Envelope, report: dict[str, Any] | None) -> None:
        """It was carried out; ``report`` is what to say again if it is repeated."""
        self._running.pop(envelope.id, None)
        self._store.put(_FINISH, (orjson.dumps(report) if report else None, self._channel, envelope.id))
