"""Who was allowed or refused what: a log in the store that is only ever added to, and shows where it was touched.

Each entry is sealed together with the one before it, and the head says which is the last. Who can write the store but
does not have the instance's key can neither change, nor add, nor take out an entry unnoticed, the last ones included.
Nothing here prunes it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson

from shellbot.chain import Chain
from shellbot.envelope import Seal
from shellbot.events import Channel, Person
from shellbot.stores.base import Store

SCHEMA = """
CREATE TABLE IF NOT EXISTS access_log (
    seq INTEGER PRIMARY KEY, cause TEXT NOT NULL UNIQUE, entry BLOB NOT NULL, mac BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS access_head (
    one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, last BLOB NOT NULL, mac BLOB NOT NULL
);
"""
LABEL, HEAD = "access", "head"

Right = Literal["use", "administer", "own"]
"""What a line takes: the right to use its command, the right to administer, or that it is one's own matter, as a vote
is that one opened: then the rule on the command does not count."""

Way = Literal["typed", "button", "answer", "order"]


@dataclass(frozen=True, slots=True)
class Use:
    """What a line that calls a command asks for.

    Attributes:
        deed: The same in few words, as it stands in the log; never with what may be secret.
        is_noted: Stands in the log also where it is allowed. What is refused, and administration, always does.
    """

    right: Right
    deed: str
    is_noted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Somebody wants something of a command.

    Attributes:
        cause: Id of the event or order that asks for it. A repeat has the same, and what comes of it stands in the log
            once.
        owner: Id of who owns what this is about; None while that is not known.
        way: How it was said: an ``order`` came over the bus from a direct channel.
    """

    cause: str
    person: Person
    channel: Channel
    keyword: str
    use: Use
    owner: str | None = None
    way: Way = "typed"


@dataclass(frozen=True, slots=True)
class Reading:
    """What the log holds: entries as far as they are genuine, and what is wrong with the next, or ``""``."""

    entries: tuple[dict[str, Any], ...]
    problem: str


class Trail:
    """Writes the log of one instance."""

    def __init__(self, store: Store, seal: Seal, now: Callable[[], datetime]) -> None:
        self._store = store
        self._chain = _chain(seal)
        self._now = now

    async def open(self) -> None:
        """Make the tables if need be."""
        await self._store.create(SCHEMA)

    def add(self, attempt: Attempt, rule: str, *, is_allowed: bool) -> None:
        """Append; returns at once. It is on disk before anything that is stored after this call.

        Raises:
            StoreError: The store takes nothing more; then nothing is to be done either.
        """
        id_ = attempt.cause if is_allowed else f"{attempt.cause}/refused"  # by other rules, after a restart
        entry = {
            "id": id_,
            "at": self._now().isoformat(timespec="milliseconds"),
            "person": attempt.person.id,
            "channel": attempt.channel.id,
            "deed": attempt.use.deed,
            "way": attempt.way,
            "outcome": "allowed" if is_allowed else "refused",
            "rule": rule,
        }
        body = orjson.dumps(entry)
        self._store.post(lambda db: self._append(db, id_, body))

    def _append(self, db: sqlite3.Connection, cause: str, body: bytes) -> None:
        if db.execute("SELECT 1 FROM access_log WHERE cause = ?", (cause,)).fetchone():
            return
        # Where somebody took the head out or put an entry in, this one does not fit behind the last, and that is found.
        seq, before = db.execute("SELECT seq, last FROM access_head").fetchone() or (0, b"")
        seq = max(seq, db.execute("SELECT coalesce(max(seq), 0) FROM access_log").fetchone()[0]) + 1
        mac = self._chain.seal(LABEL, seq, before, body)
        db.execute("INSERT INTO access_log VALUES (?, ?, ?, ?)", (seq, cause, body, mac))
        sealed = (seq, mac, self._chain.seal(HEAD, seq, mac, b""))
        db.execute("INSERT OR REPLACE INTO access_head VALUES (1, ?, ?, ?)", sealed)


def read(db: sqlite3.Connection, seal: Seal) -> Reading:
    """Read the log and verify all of it. Only reads; a store of an earlier version has an empty one."""
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if len(found := tables & {"access_log", "access_head"}) < 2:
        return Reading((), "one of its tables is gone" if found else "")
    chain = _chain(seal)
    rows = db.execute("SELECT seq, CAST(entry AS BLOB), CAST(mac AS BLOB) FROM access_log ORDER BY seq")
    bodies, last, broken = chain.follow(LABEL, rows)
    entries = tuple(orjson.loads(body) for body in bodies)
    if broken is not None:
        return Reading(entries, str(broken))
    causes = db.execute("SELECT cause FROM access_log ORDER BY seq").fetchall()
    for seq, (entry, (cause,)) in enumerate(zip(entries, causes, strict=True), 1):
        if entry["id"] != cause:
            return Reading(entries[: seq - 1], f"entry {seq} of its log was changed: it has the id {cause}")
    head = db.execute("SELECT seq, CAST(last AS BLOB), CAST(mac AS BLOB) FROM access_head").fetchone()
    if head is None:
        problem = "the head of its log is gone, and nobody knows which entry was the last" if entries else ""
    elif not chain.is_sealed(head[2], HEAD, head[0], head[1], b""):
        problem = "the head of its log was changed, and nobody knows which entry was the last"
    elif head[0] != len(entries) or head[1] != last:
        problem = f"entry {len(entries) + 1} of its log is gone"
    else:
        problem = ""
    return Reading(entries, problem)


def _chain(seal: Seal) -> Chain:
    return Chain(seal.key_for("access"))
