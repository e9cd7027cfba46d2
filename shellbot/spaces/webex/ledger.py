"""What the space has to know over a restart, as jobs on the tables that hold it.

No table holds what people or bots said: of a message that was sent there is a digest, of one that came its id.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import msgspec

from shellbot.spaces.webex.events import Notice

SCHEMA = """
CREATE TABLE IF NOT EXISTS webex_facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS webex_rooms (
    id TEXT PRIMARY KEY, channel TEXT NOT NULL UNIQUE, title TEXT NOT NULL, person TEXT NOT NULL DEFAULT '',
    is_here INTEGER NOT NULL DEFAULT 1, since REAL NOT NULL, activity TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS webex_people (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, address TEXT NOT NULL, channel TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS webex_members (
    room TEXT NOT NULL, person TEXT NOT NULL, membership TEXT NOT NULL, PRIMARY KEY (room, person)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS webex_parts (
    channel TEXT NOT NULL, reply TEXT NOT NULL, part INTEGER NOT NULL, version INTEGER NOT NULL, kind TEXT NOT NULL,
    digest TEXT NOT NULL, state TEXT NOT NULL, message TEXT NOT NULL, room TEXT NOT NULL, edits INTEGER NOT NULL,
    at REAL NOT NULL, PRIMARY KEY (channel, reply, part)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS webex_heard (id TEXT PRIMARY KEY, at REAL NOT NULL, notice BLOB);
CREATE INDEX IF NOT EXISTS webex_heard_waiting ON webex_heard (id) WHERE notice IS NOT NULL;
CREATE TABLE IF NOT EXISTS webex_hooks (resource TEXT NOT NULL, event TEXT NOT NULL, id TEXT NOT NULL,
    PRIMARY KEY (resource, event));
"""
KEPT_PARTS = 90 * 86_400.0  # seconds after which a message that was sent is changed no more
_PART = "part, version, kind, digest, state, message, room, edits, at"

State = Literal["sending", "doubt", "again", "sent"]
Kind = Literal["text", "card", "file"]


@dataclass(frozen=True, slots=True)
class Room:
    """A room of the platform. ``person`` is the other one in a direct room, ``''`` in a group.

    ``since``: seconds up to which its messages were looked through; ``activity``: when something happened last then.
    """

    id: str
    channel: str
    title: str
    person: str = ""
    is_here: bool = True
    since: float = 0.0
    activity: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """A person, with the address, and the channel that would be the direct one."""

    id: str
    name: str
    address: str
    channel: str


@dataclass(frozen=True, slots=True)
class Part:
    """One message that a reply became, or is becoming.

    ``state``: ``sending`` from before the call to its end; ``doubt`` when nobody knows what came of it, ``again`` while
    it is sent once more; ``sent``, where ``message`` is empty if nobody knows which it is. ``at``: seconds of the last
    change.
    """

    part: int
    version: int
    kind: Kind
    digest: str
    state: State = "sending"
    message: str = ""
    room: str = ""
    edits: int = 0
    at: float = 0.0


def fact(db: sqlite3.Connection, key: str) -> str:
    """Something kept under this key, ``''`` where nothing is."""
    row = db.execute("SELECT value FROM webex_facts WHERE key = ?", (key,)).fetchone()
    return str(row[0]) if row else ""


def keep_fact(db: sqlite3.Connection, key: str, value: str) -> None:
    db.execute("INSERT OR REPLACE INTO webex_facts VALUES (?, ?)", (key, value))


# --- rooms and people


def rooms(db: sqlite3.Connection) -> list[Room]:
    rows = db.execute("SELECT id, channel, title, person, is_here, since, activity FROM webex_rooms")
    return [
        Room(id_, channel, title, person, bool(is_here), since, activity)
        for id_, channel, title, person, is_here, since, activity in rows
    ]


def keep_room(db: sqlite3.Connection, room: Room) -> None:
    db.execute(
        "INSERT INTO webex_rooms VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET title = excluded.title, "
        "person = excluded.person, is_here = excluded.is_here, since = excluded.since, activity = excluded.activity",
        (room.id, room.channel, room.title, room.person, room.is_here, room.since, room.activity),
    )


def people(db: sqlite3.Connection) -> list[Known]:
    return [Known(*row) for row in db.execute("SELECT id, name, address, channel FROM webex_people")]


def keep_people(db: sqlite3.Connection, people: Iterable[Known]) -> None:
    db.executemany(
        "INSERT INTO webex_people VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET name = excluded.name, "
        "address = excluded.address",
        [(known.id, known.name, known.address, known.channel) for known in people],
    )


def members(db: sqlite3.Connection) -> dict[str, dict[str, str]]:
    """The latest coming of each person into each room."""
    found: dict[str, dict[str, str]] = {}
    for room, person, membership in db.execute("SELECT room, person, membership FROM webex_members"):
        found.setdefault(room, {})[person] = membership
    return found


def keep_member(db: sqlite3.Connection, room: str, person: str, membership: str) -> None:
    db.execute("INSERT OR REPLACE INTO webex_members VALUES (?, ?, ?)", (room, person, membership))


def drop_member(db: sqlite3.Connection, room: str, person: str) -> None:
    db.execute("DELETE FROM webex_members WHERE room = ? AND person = ?", (room, person))


# --- what was sent


def parts(db: sqlite3.Connection, channel: str, reply: str) -> dict[int, Part]:
    rows = db.execute(
        f"SELECT {_PART} FROM webex_parts WHERE channel = ? AND reply = ? ORDER BY part", (channel, reply)
    )
    return {row[0]: Part(*row) for row in rows}


def keep_part(db: sqlite3.Connection, channel: str, reply: str, part: Part) -> None:
    db.execute(
        "INSERT OR REPLACE INTO webex_parts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            channel, reply, part.part, part.version, part.kind, part.digest, part.state, part.message, part.room,
            part.edits, part.at,
        ),
    )  # fmt: skip


def drop_part(db: sqlite3.Connection, channel: str, reply: str, part: int) -> None:
    db.execute("DELETE FROM webex_parts WHERE channel = ? AND reply = ? AND part = ?", (channel, reply, part))


# --- what was heard


def wait_for(db: sqlite3.Connection, notice: Notice) -> bool:
    """Keep a notice until it is dealt with; False when it was heard before."""
    row = (notice.id, notice.created.timestamp(), msgspec.json.encode(notice))
    return db.execute("INSERT OR IGNORE INTO webex_heard VALUES (?, ?, ?)", row).rowcount == 1


def waiting(db: sqlite3.Connection) -> list[Notice]:
    rows = db.execute("SELECT notice FROM webex_heard WHERE notice IS NOT NULL")
    return [msgspec.json.decode(row[0], type=Notice) for row in rows]


def heard(db: sqlite3.Connection, ids: Iterable[str]) -> set[str]:
    """Those of these that were heard before, and dealt with."""
    found = set()
    for id_ in ids:
        query = "SELECT 1 FROM webex_heard WHERE id = ? AND notice IS NULL"
        if db.execute(query, (id_,)).fetchone():
            found.add(id_)
    return found


def hear(db: sqlite3.Connection, notice: Notice) -> None:
    """Note that a notice is dealt with."""
    row = (notice.id, notice.created.timestamp())
    db.execute("INSERT INTO webex_heard VALUES (?, ?, NULL) ON CONFLICT DO UPDATE SET notice = NULL", row)


def tidy(db: sqlite3.Connection, heard_before: float, now: float) -> None:
    """Forget what cannot come again, and messages that were sent too long ago to be changed."""
    db.execute("DELETE FROM webex_heard WHERE notice IS NULL AND at < ?", (heard_before,))
    db.execute("DELETE FROM webex_parts WHERE state = 'sent' AND at < ?", (now - KEPT_PARTS,))


# --- webhooks


def hooks(db: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """The ids of our webhooks, by resource and event."""
    rows = db.execute("SELECT resource, event, id FROM webex_hooks")
    return {(resource, event): id_ for resource, event, id_ in rows}


def keep_hook(db: sqlite3.Connection, resource: str, event: str, id_: str) -> None:
    db.execute("INSERT OR REPLACE INTO webex_hooks VALUES (?, ?, ?)", (resource, event, id_))
