"""Who is in which group, and which direct channel reaches each of them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from shellbot.events import Person
from shellbot.stores.base import Store

SCHEMA = """
CREATE TABLE IF NOT EXISTS roster (
    group_id TEXT NOT NULL, person_id TEXT NOT NULL, name TEXT NOT NULL, direct TEXT NOT NULL,
    PRIMARY KEY (group_id, person_id)
);
CREATE TABLE IF NOT EXISTS ended_channels (id TEXT PRIMARY KEY);
"""


@dataclass(frozen=True, slots=True)
class Member:
    """A person in a group. ``direct`` is the id of the direct channel, ``''`` where there is none."""

    person: Person
    direct: str


class Roster:
    """The members of every group of one instance, in the order they came. Owned by the engine's loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._groups: dict[str, dict[str, Member]] = {}
        self.ended: set[str] = set()  # channels that were closed for good
        self._speakers: dict[tuple[str, str], Person] = {}  # (group, direct channel) -> who speaks there

    async def load(self) -> None:
        """Read what an earlier run of this instance knew."""
        await self._store.create(SCHEMA)
        await self._store.write(_add_address)
        query = "SELECT group_id, person_id, name, address, direct FROM roster ORDER BY rowid"
        for group_id, *person, direct in await self._store.read(lambda db: db.execute(query).fetchall()):
            self._put(group_id, Member(Person(*person), direct))
        ended = await self._store.read(lambda db: db.execute("SELECT id FROM ended_channels").fetchall())
        self.ended.update(id_ for (id_,) in ended)

    def end(self, channel_id: str) -> None:
        """Note that a channel is closed for good."""
        self.ended.add(channel_id)
        self._store.post(lambda db: db.execute("INSERT OR IGNORE INTO ended_channels VALUES (?)", (channel_id,)))

    def join(self, group_id: str, person: Person, direct: str) -> bool:
        """Take a person in; True if this changed anything."""
        member = Member(person, direct)
        known = self._groups.get(group_id, {}).get(person.id)
        if known == member and known.person.address == person.address:
            return False
        self._put(group_id, member)

        def keep(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO roster (group_id, person_id, name, direct, address) VALUES (?, ?, ?, ?, ?) ON CONFLICT "
                "DO UPDATE SET name = excluded.name, direct = excluded.direct, address = excluded.address",
                (group_id, person.id, person.name, direct, person.address),
            )

        self._store.post(keep)
        return True

    def leave(self, group_id: str, person_id: str) -> Member | None:
        """Take a person out; gives who that was."""
        member = self._groups.get(group_id, {}).pop(person_id, None)
        if member is not None:
            self._speakers.pop((group_id, member.direct), None)
            self._store.post(
                lambda db: db.execute("DELETE FROM roster WHERE group_id = ? AND person_id = ?", (group_id, person_id))
            )
        return member

    def members(self, group_id: str) -> tuple[Member, ...]:
        """Everybody in the group, first come first."""
        return tuple(self._groups.get(group_id, {}).values())

    def direct_channels(self, group_id: str) -> list[str]:
        """Ids of the direct channels of the group's members."""
        return [member.direct for member in self.members(group_id) if member.direct]

    def groups(self, direct: str) -> list[str]:
        """Ids of the groups whose members include who speaks in this direct channel."""
        return [group for group, channel in self._speakers if channel == direct]

    def person(self, group_id: str, direct: str) -> Person | None:
        """Who speaks in this direct channel, if a member of the group."""
        return self._speakers.get((group_id, direct))

    def _put(self, group_id: str, member: Member) -> None:
        self._groups.setdefault(group_id, {})[member.person.id] = member
        if member.direct:
            self._speakers[group_id, member.direct] = member.person


def _add_address(db: sqlite3.Connection) -> None:
    """Add the column to a store of before there were addresses."""
    if "address" not in {row[1] for row in db.execute("PRAGMA table_info(roster)")}:
        db.execute("ALTER TABLE roster ADD COLUMN address TEXT NOT NULL DEFAULT ''")
