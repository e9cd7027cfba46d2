"""What a bot remembers about its channel: read at once, kept in the store, in the order it was said."""

from __future__ import annotations

import sqlite3
import threading
from typing import Any

import orjson

from shellbot.stores.base import Store

SCHEMA = """
CREATE TABLE IF NOT EXISTS notes (
    channel TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (channel, key)
);
"""


class Notes:
    """The notes of one channel. Any thread may use them: commands run on worker threads."""

    def __init__(self, store: Store, channel: str) -> None:
        self._store = store
        self._channel = channel
        self._values: dict[str, Any] = {}
        self._lock = threading.RLock()  # append and update read before they write

    async def load(self) -> None:
        """Read what an earlier run kept."""
        rows = await self._store.read(
            lambda db: db.execute("SELECT key, value FROM notes WHERE channel = ?", (self._channel,)).fetchall()
        )
        self._values = {key: orjson.loads(value) for key, value in rows}

    def remember(self, key: str, value: Any) -> None:
        """Keep a JSON value under ``key``."""
        row = (self._channel, key, orjson.dumps(value))

        def keep(db: sqlite3.Connection) -> None:
            db.execute("INSERT INTO notes VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", row)

        with self._lock:
            self._values[key] = orjson.loads(row[2])
            self._store.post(keep)

    def recall(self, key: str, default: Any = None) -> Any:
        """What was kept under ``key``, or ``default``."""
        with self._lock:
            return self._values.get(key, default)

    def forget(self, key: str | None = None) -> None:
        """Drop one key, or all."""
        with self._lock:
            if key is None:
                self._values.clear()
                self._store.post(lambda db: db.execute("DELETE FROM notes WHERE channel = ?", (self._channel,)))
            elif self._values.pop(key, None) is not None:
                self._store.post(
                    lambda db: db.execute("DELETE FROM notes WHERE channel = ? AND key = ?", (self._channel, key))
                )

    def append(self, key: str, item: Any) -> list[Any]:
        """Add to the list under ``key``; gives the list."""
        with self._lock:
            items = [*(self.recall(key) or []), item]
            self.remember(key, items)
            return items

    def update(self, key: str, label: str, item: Any) -> dict[str, Any]:
        """Set one entry of the object under ``key``; gives the object."""
        with self._lock:
            entries = {**(self.recall(key) or {}), label: item}
            self.remember(key, entries)
            return entries
