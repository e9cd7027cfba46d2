"""A store in memory: the same jobs over the same kind of database, gone when it is closed."""

from __future__ import annotations

import sqlite3

from shellbot.stores.base import Store


class MemoryStore(Store):
    """For tests, and for a bot that need not remember."""

    name = "memory"

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(":memory:", isolation_level=None)
