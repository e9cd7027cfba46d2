"""A poll forgotten: every row of it goes out of the store, and a line stays that there was one of its number.

Jobs on the store, in a transaction that overwrites what it deletes. What people typed in their own words, and what was
answered to it, is the history of the chat, and stays there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from datetime import datetime

from shellbot.errors import PollError
from shellbot.polls import archive, numbers
from shellbot.polls.archive import Place
from shellbot.polls.spec import rehearsed

Forget = Callable[[sqlite3.Connection, str], None]
"""Takes away what was shown under ids that begin so; of a room that keeps what it shows."""

_OF_POLL = ("polls WHERE id", *(f"{table} WHERE poll" for table in (
    "poll_roll", "poll_ballots", "poll_choices", "poll_log", "poll_orders", "booth")))  # fmt: skip
_BEGINNING = ("instructions", "outbox")  # tables whose ids begin with that of the poll
_NAMING = {"booth_orders": "body", "outbox": "reply", "inbox": "event", "instructions": "envelope"}


def find(db: sqlite3.Connection, name: str) -> Place:
    """The poll with this number or id, of either side: a store may have its ballot papers only.

    Raises:
        PollError: There is none, or it was forgotten before.
    """
    try:
        return archive.find(db, name)
    except PollError:
        query = "SELECT poll, number, group_id FROM booth WHERE poll = ? OR CAST(number AS TEXT) = ? LIMIT 1"
        row = db.execute(query, (name, name.removeprefix("#"))).fetchone()
        if row is None:
            raise
        return Place(*row)


def hindrance(db: sqlite3.Connection, place: Place, *, is_served: bool) -> str:
    """Why it cannot be forgotten now, and what to do; empty: nothing hinders.

    Args:
        is_served: A server runs, and may have it in mind.
    """
    name = f"vote #{place.number}"
    row = db.execute("SELECT state, note FROM polls WHERE id = ?", (place.id,)).fetchone()
    # who could not be reached is not told of the end either, and votes in nothing
    papers = (
        "SELECT count(*) FROM booth WHERE poll = ? AND (is_open OR (? AND NOT is_confirmed)) AND NOT EXISTS "
        "(SELECT 1 FROM poll_roll r WHERE r.poll = booth.poll AND r.direct = channel AND r.reached = 'unreachable')"
    )
    if (row and row[0] not in ("closed", "cancelled")) or db.execute(papers, (place.id, False)).fetchone()[0]:
        state = row[0] if row else "open"
        return f"{name} is {state}; say `poll close #{place.number}` or `poll cancel #{place.number}` in the chat first"
    if not is_served:
        return ""
    silent = (
        "SELECT count(*) FROM poll_roll WHERE poll = ? AND NOT closed AND direct != '' AND reached != 'unreachable'"
    )
    waiting = "SELECT count(*) FROM outbox WHERE substr(id, 1, ?) = ?"
    left = db.execute(silent, (place.id,)).fetchone()[0] + db.execute(papers, (place.id, True)).fetchone()[0]
    left += db.execute(waiting, (len(place.id) + 1, f"{place.id}/")).fetchone()[0]
    if left or (row and row[1]):
        return (
            f"the server is still busy with {name}: some direct channels have not heard of its end, or something waits "
            "to be shown; try again in a minute, or stop the server first"
        )
    return ""


def forget(db: sqlite3.Connection, place: Place, at: datetime, others: Iterable[Forget] = ()) -> None:
    """Take it out of the store, in the running transaction; nothing else of the store is touched."""
    asked = db.execute(
        "SELECT question FROM polls WHERE id = ? UNION SELECT question FROM booth WHERE poll = ?", (place.id,) * 2
    )
    names = [place.id, *(rehearsed(question) for (question,) in asked)]
    for which in _OF_POLL:
        db.execute(f"DELETE FROM {which} = ?", (place.id,))
    others = list(others)
    for name in names:
        start = f"{name}/"
        for table in _BEGINNING:
            db.execute(f"DELETE FROM {table} WHERE substr(id, 1, ?) = ?", (len(start), start))
        for table, column in _NAMING.items():
            db.execute(f"DELETE FROM {table} WHERE instr(CAST({column} AS TEXT), ?)", (name,))
        for other in others:
            other(db, start)
    numbers.forget(db, place.number, place.group, at)
