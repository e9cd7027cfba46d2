"""Several rooms of one web space: which there are, what was read in them, and which links to them count.

Jobs on the tables, as in :mod:`shellbot.spaces.web.ledger`.
"""

from __future__ import annotations

import re
import secrets
import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta

from shellbot.events import Channel

MOST_COUNTED = 100  # unread posts; more are as many
KEPT_NONCES = timedelta(days=30)  # longer than any link counts
ROOM_ID = re.compile(r"room-[0-9a-f]{12}")

SCHEMA = """
CREATE TABLE IF NOT EXISTS web_rooms (
    id TEXT PRIMARY KEY, title TEXT NOT NULL, generation INTEGER NOT NULL, time TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS web_spent (nonce TEXT PRIMARY KEY, time TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS web_read (
    person TEXT PRIMARY KEY, in_group INTEGER NOT NULL, in_direct INTEGER NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Room:
    """A group channel with its people. Links made at an earlier ``generation`` count no more."""

    channel: Channel
    generation: int


def prepare(connection: sqlite3.Connection, first: str) -> None:
    """Bring a store of the time when there was one room to this form: all its people are in the first room."""
    if "room" not in {row[1] for row in connection.execute("PRAGMA table_info(web_people)")}:
        connection.execute("ALTER TABLE web_people ADD COLUMN room TEXT NOT NULL DEFAULT ''")
        connection.execute("UPDATE web_people SET room = ?", (first,))


def rooms(connection: sqlite3.Connection, first: Channel, time: datetime) -> list[Room]:
    """Give all rooms, the first one first; its title is what the settings say."""
    keep_room(connection, first, time)
    rows = connection.execute("SELECT id, title, generation FROM web_rooms ORDER BY id != ?, rowid", (first.id,))
    return [Room(first if id == first.id else Channel(id, title), generation) for id, title, generation in rows]


def keep_room(connection: sqlite3.Connection, channel: Channel, time: datetime) -> None:
    row = (channel.id, channel.title, time.isoformat())
    connection.execute("INSERT OR IGNORE INTO web_rooms VALUES (?, ?, 1, ?)", row)


def revoke(connection: sqlite3.Connection, room: str) -> int:
    """Let no link to this room count that was made before; gives the new generation."""
    connection.execute("UPDATE web_rooms SET generation = generation + 1 WHERE id = ?", (room,))
    return int(connection.execute("SELECT generation FROM web_rooms WHERE id = ?", (room,)).fetchone()[0])


def spend(connection: sqlite3.Connection, nonce: str, time: datetime) -> bool:
    """Note that a link which counts once was used; False when it was before."""
    connection.execute("DELETE FROM web_spent WHERE time < ?", ((time - KEPT_NONCES).isoformat(),))
    return connection.execute("INSERT OR IGNORE INTO web_spent VALUES (?, ?)", (nonce, time.isoformat())).rowcount == 1


def keep_read(connection: sqlite3.Connection, person_id: str, in_group: int, in_direct: int) -> None:
    """Note up to where a person has read both channels; never back."""
    connection.execute(
        "INSERT INTO web_read VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
        "in_group = max(in_group, excluded.in_group), in_direct = max(in_direct, excluded.in_direct)",
        (person_id, in_group, in_direct),
    )


def unread(connection: sqlite3.Connection, person_id: str, room: str) -> int:
    """Count what others have said to a person who has not read it, up to a hundred."""
    row = connection.execute("SELECT in_group, in_direct FROM web_read WHERE person = ?", (person_id,)).fetchone()
    count = 0
    for channel, seq in zip((room, f"direct-{person_id}"), row or (0, 0), strict=True):
        query = "SELECT count(*) FROM (SELECT 1 FROM web_posts WHERE channel = ? AND place > ? AND author != ? LIMIT ?)"
        count += connection.execute(query, (channel, seq, person_id, MOST_COUNTED)).fetchone()[0]
    return min(count, MOST_COUNTED)


def new_room_id() -> str:
    return f"room-{secrets.token_hex(6)}"
