"""The numbers by which people name polls: none is given twice, also where its poll was forgotten."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

SCHEMA = """
CREATE TABLE IF NOT EXISTS poll_forgotten (number INTEGER PRIMARY KEY, group_id TEXT NOT NULL, at REAL NOT NULL);
"""


def next_number(db: sqlite3.Connection) -> int:
    """That of the next poll."""
    numbers = "SELECT number FROM polls UNION ALL SELECT number FROM poll_forgotten"
    return int(db.execute(f"SELECT coalesce(max(number), 0) + 1 FROM ({numbers})").fetchone()[0])


def forget(db: sqlite3.Connection, number: int, group: str, at: datetime) -> None:
    """Note that its poll is here no more."""
    db.execute("INSERT OR REPLACE INTO poll_forgotten VALUES (?, ?, ?)", (number, group, at.timestamp()))


def forgotten(db: sqlite3.Connection) -> dict[int, datetime]:
    """When each of the polls was forgotten that are here no more, by number."""
    rows = db.execute("SELECT number, at FROM poll_forgotten ORDER BY number")
    return {number: datetime.fromtimestamp(at, UTC) for number, at in rows}
