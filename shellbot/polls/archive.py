"""The polls in a store, as those may read them who have its file: while a server writes it, or when none runs."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime

from shellbot.errors import PollError
from shellbot.polls import records
from shellbot.polls.ballot import from_text
from shellbot.polls.export import Voter
from shellbot.polls.numbers import forgotten
from shellbot.polls.records import Round
from shellbot.polls.tally import Result


@dataclass(frozen=True, slots=True)
class Place:
    """Where a poll stands: its id, its number and its group."""

    id: str
    number: int
    group: str


def find(db: sqlite3.Connection, name: str) -> Place:
    """The poll with this number or id.

    Raises:
        PollError: There is none.
    """
    query = "SELECT id, number, group_id FROM polls WHERE id = ? OR CAST(number AS TEXT) = ?"
    row = db.execute(query, (name, name.removeprefix("#"))).fetchone()
    if row is None:
        number = name.removeprefix("#")
        if number.isdecimal() and (when := forgotten(db).get(int(number))) is not None:
            raise PollError(f"vote #{number} was forgotten, {when.astimezone():%Y-%m-%d %H:%M}")
        last = db.execute("SELECT max(number) FROM polls").fetchone()[0]
        raise PollError(f"there is no vote {name} here; " + (f"the last one is #{last}" if last else "none was held"))
    return Place(*row)


def load(db: sqlite3.Connection, name: str) -> Round:
    """All of the poll with this number or id but its votes. PollError: there is none."""
    place = find(db, name)
    return records.select(db, place.group, "polls.id = ?", place.id)[0]


def rounds(db: sqlite3.Connection) -> list[Round]:
    """All polls of all groups, oldest first."""
    groups = [row[0] for row in db.execute("SELECT DISTINCT group_id FROM polls")]
    return sorted((round for group in groups for round in records.select(db, group, "1")), key=lambda r: r.number)


def result(db: sqlite3.Connection, round: Round) -> Result | None:
    """What a poll came to, or what its votes come to so far; None where nobody is to see that yet."""
    if round.state == "closed":
        return round.result
    is_live = round.spec.results == "live" and round.state in ("opening", "open", "closing")
    return records.tally(round, records.votes(db, round)) if is_live else None


def voters(db: sqlite3.Connection, round: Round) -> list[Voter]:
    """Those on the roll of a poll with names; how they voted once that is to be seen. Of an anonymous one nobody."""
    if round.spec.anonymous:
        return []
    kept = db.execute("SELECT direct, choice, at FROM poll_ballots WHERE poll = ?", (round.id,))
    ballots = {direct: (from_text(choice, round.spec), datetime.fromtimestamp(at, UTC)) for direct, choice, at in kept}
    is_seen = result(db, round) is not None
    found = []
    for channel, seat in round.seats.items():
        choices, at = ballots.get(channel, ((), None))
        person, is_reached = seat.member.person, seat.reached == "shown"
        voter = Voter(person.name, person.id, is_reached, bool(choices))
        if is_seen and choices:
            voter = Voter(person.name, person.id, is_reached, True, choices, at)
        found.append(voter)
    return [*found, *(Voter(person.name, person.id, False, False) for person in round.absent)]
