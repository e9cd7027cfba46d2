"""Tables of the web space, and the jobs on them; each is a plain function of the store's connection.

A channel counts its changes: ``seq`` grows by one with each new or edited post, ``place`` is the ``seq`` a post came
with and keeps. What a browser missed is thus ``seq > last seen``, read from the posts themselves, also after a restart.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from shellbot.events import Button, Card, File, Person, Reply
from shellbot.files import shelf

MAX_PLACE = 2**63 - 1

SCHEMA = """
CREATE TABLE IF NOT EXISTS web_facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS web_people (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, folded TEXT NOT NULL UNIQUE,
    is_demo INTEGER NOT NULL, is_here INTEGER NOT NULL, comings INTEGER NOT NULL, is_seen INTEGER NOT NULL DEFAULT 0,
    room TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS web_posts (
    channel TEXT NOT NULL, place INTEGER NOT NULL, seq INTEGER NOT NULL, version INTEGER NOT NULL,
    author TEXT NOT NULL, key TEXT NOT NULL, text TEXT NOT NULL, fixed TEXT NOT NULL, card TEXT, time TEXT NOT NULL,
    PRIMARY KEY (channel, place), UNIQUE (channel, seq), UNIQUE (channel, author, key)
);
CREATE TABLE IF NOT EXISTS web_undelivered (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
    channel TEXT NOT NULL, person TEXT NOT NULL, time TEXT NOT NULL, text TEXT NOT NULL, sealed TEXT NOT NULL DEFAULT ''
);
"""


@dataclass(frozen=True, slots=True)
class Member:
    """A person of one room. ``is_here`` is False after leaving; the name stays bound to the id all the same.

    ``room`` is the id of its group channel. Who is in two rooms is two members, and nothing tells that they are one.
    """

    person: Person
    is_demo: bool
    is_here: bool
    room: str


@dataclass(frozen=True, slots=True)
class Post:
    """A message as it is shown now. ``member`` is None for the bot; ``key`` is the id its sender gave it."""

    channel: str
    place: int
    seq: int
    version: int
    member: Member | None
    key: str
    text: str
    fixed: str
    card: Card | None
    time: datetime
    files: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True)
class Undelivered:
    """An event that was stored and not yet handed to the bots."""

    id: str
    kind: str
    channel: str
    person: str
    time: datetime
    text: str
    sealed: str = ""
    files: tuple[File, ...] = ()


def add_sealed(connection: sqlite3.Connection) -> None:
    """Add the column to a store of before there were sealed messages."""
    if "sealed" not in {row[1] for row in connection.execute("PRAGMA table_info(web_undelivered)")}:
        connection.execute("ALTER TABLE web_undelivered ADD COLUMN sealed TEXT NOT NULL DEFAULT ''")


def epoch(connection: sqlite3.Connection) -> str:
    """Give the name of this history; a new store gets a new one, so that old cursors are known for what they are."""
    connection.execute("INSERT OR IGNORE INTO web_facts VALUES ('epoch', ?)", (secrets.token_hex(4),))
    return str(connection.execute("SELECT value FROM web_facts WHERE key = 'epoch'").fetchone()[0])


def ended(connection: sqlite3.Connection) -> set[str]:
    """The channels that were closed for good."""
    rows = connection.execute("SELECT value FROM web_facts WHERE key LIKE 'ended %'")
    return {str(channel) for (channel,) in rows}


def end(connection: sqlite3.Connection, channel: str) -> None:
    connection.execute("INSERT OR IGNORE INTO web_facts VALUES (?, ?)", (f"ended {channel}", channel))


def see(connection: sqlite3.Connection, person_id: str) -> None:
    """Note that a browser has shown itself under this id: from now on the name is its own."""
    connection.execute("UPDATE web_people SET is_seen = 1 WHERE id = ?", (person_id,))


def people(connection: sqlite3.Connection) -> list[Member]:
    rows = connection.execute("SELECT id, name, is_demo, is_here, room FROM web_people ORDER BY rowid")
    return [Member(Person(id, name), bool(is_demo), bool(is_here), room) for id, name, is_demo, is_here, room in rows]


def undelivered(connection: sqlite3.Connection) -> list[Undelivered]:
    rows = connection.execute(
        "SELECT id, kind, channel, person, time, text, sealed FROM web_undelivered ORDER BY number"
    )
    return [
        Undelivered(
            id,
            kind,
            channel,
            person,
            datetime.fromisoformat(time),
            text,
            sealed,
            shelf.of(connection, channel, person, id.removeprefix(said(channel, person, ""))),
        )
        for id, kind, channel, person, time, text, sealed in rows
    ]


def said(channel: str, person: str, key: str) -> str:
    """The id of the event that somebody said something under this key."""
    return f"web-say-{channel}-{person}-{key}"


def keep_undelivered(connection: sqlite3.Connection, event: Undelivered) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO web_undelivered (id, kind, channel, person, time, text, sealed) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (event.id, event.kind, event.channel, event.person, event.time.isoformat(), event.text, event.sealed),
    )


def mark_delivered(connection: sqlite3.Connection, event_id: str) -> None:
    connection.execute("DELETE FROM web_undelivered WHERE id = ?", (event_id,))


def come(
    connection: sqlite3.Connection, person: Person, folded: str, is_demo: bool, channel: str, time: datetime
) -> tuple[Member, list[Undelivered]] | None:
    """Let the person in under this name, with what is to be delivered; None when the name belongs to another id.

    An id that no browser ever showed was lost with the answer that carried it (the server was killed, the line was
    cut). It loses the name, or its owner could never come in under it.

    Args:
        folded: The name for comparing, with what tells the rooms apart.
        channel: Id of the room's group channel.
    """
    events = []
    query = "SELECT id, name, is_demo, comings, is_seen FROM web_people WHERE folded = ?"
    row = connection.execute(query, (folded,)).fetchone()
    if row is not None and row[0] != person.id:
        if row[4]:
            return None
        connection.execute("UPDATE web_people SET folded = ? WHERE id = ?", (f"{folded}\n{row[0]}", row[0]))
        events += [left] if (left := go(connection, row[0], channel, time)) else []
        row = None
    if row is None:
        comings = 1
        member = Member(person, is_demo, True, channel)
        connection.execute(
            "INSERT INTO web_people (id, name, folded, is_demo, is_here, comings, room) VALUES (?, ?, ?, ?, 1, 1, ?)",
            (person.id, person.name, folded, int(is_demo), channel),
        )
    else:
        comings = row[3] + 1
        member = Member(Person(row[0], row[1]), bool(row[2]), True, channel)
        connection.execute("UPDATE web_people SET is_here = 1, comings = ? WHERE id = ?", (comings, person.id))
    event = Undelivered(f"web-join-{person.id}-{comings}", "join", channel, person.id, time, "")
    keep_undelivered(connection, event)
    return member, [*events, event]


def go(connection: sqlite3.Connection, person_id: str, channel: str, time: datetime) -> Undelivered | None:
    """Note that the person left, with the Leave to deliver; None when not here anyhow."""
    row = connection.execute("SELECT comings FROM web_people WHERE id = ? AND is_here = 1", (person_id,)).fetchone()
    if row is None:
        return None
    connection.execute("UPDATE web_people SET is_here = 0 WHERE id = ?", (person_id,))
    event = Undelivered(f"web-leave-{person_id}-{row[0]}", "leave", channel, person_id, time, "")
    keep_undelivered(connection, event)
    return event


_POST = """SELECT p.channel, place, seq, version, author, key, text, fixed, card, time, w.name, is_demo, is_here, room,
           (SELECT json_group_array(json_array(id, name, size, type)) FROM
            (SELECT * FROM files f WHERE (f.channel, f.author, f.key) = (p.channel, p.author, p.key) ORDER BY number))
           FROM web_posts p LEFT JOIN web_people w ON w.id = p.author """


def find(connection: sqlite3.Connection, channel: str, author: str, key: str) -> Post | None:
    row = connection.execute(_POST + "WHERE channel = ? AND author = ? AND key = ?", (channel, author, key)).fetchone()
    return row and _post(row)


def at_place(connection: sqlite3.Connection, channel: str, place: int) -> Post | None:
    row = connection.execute(_POST + "WHERE channel = ? AND place = ?", (channel, place)).fetchone()
    return row and _post(row)


def last_seq(connection: sqlite3.Connection, channel: str) -> int:
    row = connection.execute("SELECT max(seq) FROM web_posts WHERE channel = ?", (channel,)).fetchone()
    return int(row[0] or 0)


def latest(
    connection: sqlite3.Connection, channel: str, limit: int, before: int = MAX_PLACE
) -> tuple[list[Post], bool]:
    """Give the last posts of a channel, or those before a place, oldest first; and whether there are earlier ones."""
    query = _POST + "WHERE channel = ? AND place < ? ORDER BY place DESC LIMIT ?"
    rows = connection.execute(query, (channel, before, limit + 1)).fetchall()
    return [_post(row) for row in reversed(rows[:limit])], len(rows) > limit


def changes(connection: sqlite3.Connection, channel: str, since: int, limit: int) -> list[Post] | None:
    """Give what came or was edited after ``since``, in order; None when it is too much to catch up with."""
    rows = connection.execute(
        _POST + "WHERE channel = ? AND seq > ? ORDER BY seq LIMIT ?", (channel, since, limit + 1)
    ).fetchall()
    return [_post(row) for row in rows] if len(rows) <= limit else None


def say(
    connection: sqlite3.Connection, post: Undelivered, key: str, *, is_delivered: bool = False
) -> tuple[Post, bool]:
    """Store what a person said; the same key again gives what was stored, and False.

    Args:
        is_delivered: This transaction delivers the event, too; else it is kept to be delivered.
    """
    known = find(connection, post.channel, post.person, key)
    if known is not None:
        return known, False
    _insert(connection, post.channel, post.person, key, 1, post.text, "", None, post.time)
    shelf.keep(connection, post.channel, post.person, key, post.files)
    if not is_delivered:
        keep_undelivered(connection, post)
    stored = find(connection, post.channel, post.person, key)
    assert stored is not None
    return stored, True


def reply(connection: sqlite3.Connection, channel: str, reply: Reply, time: datetime) -> Post | None:
    """Store what the bot says; None when this version, or a later one, is shown already."""
    card = json.dumps(asdict(reply.card)) if reply.card else None
    shelf.keep(connection, channel, "", reply.id, reply.files)
    known = find(connection, channel, "", reply.id)
    if known is None:
        _insert(connection, channel, "", reply.id, reply.version, reply.text, reply.fixed, card, time)
    elif known.version < reply.version:
        connection.execute(
            "UPDATE web_posts SET seq = ?, version = ?, text = ?, fixed = ?, card = ? WHERE channel = ? AND place = ?",
            (
                last_seq(connection, channel) + 1,
                reply.version,
                reply.text,
                reply.fixed,
                card,
                channel,
                known.place,
            ),
        )
    else:
        return None
    return find(connection, channel, "", reply.id)


def _insert(
    connection: sqlite3.Connection,
    channel: str,
    author: str,
    key: str,
    version: int,
    text: str,
    fixed: str,
    card: str | None,
    time: datetime,
) -> None:
    seq = last_seq(connection, channel) + 1
    connection.execute(
        "INSERT INTO web_posts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (channel, seq, seq, version, author, key, text, fixed, card, time.isoformat()),
    )


def _post(row: tuple[Any, ...]) -> Post:
    channel, place, seq, version, author, key, text, fixed, card, time, name, is_demo, is_here, room, files = row
    member = Member(Person(author, name), bool(is_demo), bool(is_here), room) if author else None
    return Post(
        channel=channel,
        place=place,
        seq=seq,
        version=version,
        member=member,
        key=key,
        text=text,
        fixed=fixed,
        card=_card(card) if card else None,
        time=datetime.fromisoformat(time),
        files=tuple(File(*file) for file in json.loads(files)) if files != "[]" else (),
    )


def _card(text: str) -> Card:
    fields = json.loads(text)
    buttons = tuple(Button(**button) for button in fields.pop("buttons"))
    return Card(**fields | {"buttons": buttons, "pressed": tuple(fields.get("pressed", ()))})
