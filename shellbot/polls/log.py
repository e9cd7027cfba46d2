"""What counted in each poll, entry by entry, each sealed together with the one before it: a recount finds an edit.

The seal is an HMAC under a key made of the instance's. Who can write the store but does not have that key can neither
change, nor add, nor take out an entry unnoticed, except the last ones of a poll that is not closed.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import orjson

from shellbot.chain import Chain
from shellbot.envelope import Seal

SCHEMA = """
CREATE TABLE IF NOT EXISTS poll_log (
    poll TEXT NOT NULL, seq INTEGER NOT NULL, entry BLOB NOT NULL, mac BLOB NOT NULL, PRIMARY KEY (poll, seq)
) WITHOUT ROWID;
"""
Entry = dict[str, Any]


class Log:
    """Writes and reads the entries; in jobs of the store, in the transaction of what they tell of."""

    def __init__(self, seal: Seal) -> None:
        self._chain = Chain(seal.key_for("polls"))

    def add(self, db: sqlite3.Connection, poll: str, *entries: Entry) -> None:
        """Append to the log of a poll. ``entry["do"]`` is ``open``, ``vote``, ``close`` or ``reopen``."""
        last = db.execute("SELECT seq, mac FROM poll_log WHERE poll = ? ORDER BY seq DESC LIMIT 1", (poll,)).fetchone()
        seq, before = last or (0, b"")
        rows = []
        for place, entry in enumerate(entries, seq + 1):
            body = orjson.dumps(entry)
            before = self._chain.seal(poll, place, before, body)
            rows.append((poll, place, body, before))
        db.executemany("INSERT INTO poll_log VALUES (?, ?, ?, ?)", rows)

    def read(self, db: sqlite3.Connection, poll: str) -> tuple[list[Entry], str]:
        """The entries as far as they are genuine, and what is wrong with the next one, or ``""``."""
        query = "SELECT seq, CAST(entry AS BLOB), CAST(mac AS BLOB) FROM poll_log WHERE poll = ? ORDER BY seq"
        bodies, _, broken = self._chain.follow(poll, db.execute(query, (poll,)))
        return [orjson.loads(body) for body in bodies], str(broken or "")


def length(db: sqlite3.Connection, poll: str) -> int:
    """How many entries there are; it only grows."""
    found = db.execute("SELECT coalesce(max(seq), 0) FROM poll_log WHERE poll = ?", (poll,)).fetchone()
    return int(found[0])
