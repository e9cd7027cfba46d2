"""Whom this server has met, as its store has it: those in rooms, and those who have a direct channel only."""

from __future__ import annotations

import sqlite3

from shellbot.events import Person
from shellbot.polls.roll import Known

_DIRECT = "direct-"


def acquaintances(db: sqlite3.Connection) -> list[Known]:
    """Everybody who is known, in the order in which they came."""
    rooms: dict[str, set[str]] = {}
    people: dict[str, Person] = {}
    directs: dict[str, str] = {}
    columns = {row[1] for row in db.execute("PRAGMA table_info(roster)")}
    address = "address" if "address" in columns else "''"
    query = f"SELECT group_id, person_id, name, {address}, direct FROM roster ORDER BY rowid"
    for group, person, name, mail, direct in db.execute(query):
        rooms.setdefault(person, set()).add(group)
        people[person] = Person(person, name, mail or getattr(people.get(person), "address", ""))
        directs[person] = direct or directs.get(person, "")
    taken = set(directs.values())
    for channel, title in db.execute("SELECT id, title FROM channels WHERE is_direct ORDER BY rowid"):
        if channel.startswith(_DIRECT) and channel not in taken:
            person = channel.removeprefix(_DIRECT)
            people.setdefault(person, Person(person, title))
            directs[person] = directs.get(person) or channel
    return [Known(person, directs.get(id_, ""), frozenset(rooms.get(id_, ()))) for id_, person in people.items()]


def room(db: sqlite3.Connection, name: str) -> tuple[str, str] | None:
    """Id and title of the group with this id or title; None where there is none."""
    query = (
        "SELECT id, title FROM channels WHERE NOT is_direct AND (id = ? OR title = ? COLLATE NOCASE) ORDER BY id != ?"
    )
    found = db.execute(query, (name, name, name)).fetchone()
    return (found[0], found[1]) if found else None


def rooms(db: sqlite3.Connection) -> dict[str, str]:
    """Titles of all groups, by id."""
    return dict(db.execute("SELECT id, title FROM channels WHERE NOT is_direct ORDER BY rowid").fetchall())
