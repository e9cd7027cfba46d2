"""What the group's side keeps of an anonymous poll: sealed votes under names that need the key, then bare choices.

The roll holds who has voted, without a time. At the close one transaction opens the votes, counts them, writes down
the choices in an order of chance, and takes all that was sealed away.
"""

from __future__ import annotations

import secrets
import sqlite3
from logging import getLogger

from shellbot.polls.ballot import Vote
from shellbot.polls.records import Round
from shellbot.polls.sealing import Urn

logger = getLogger(__name__)

SCHEMA = "CREATE TABLE IF NOT EXISTS poll_choices (poll TEXT NOT NULL, choice TEXT NOT NULL);"


def put(
    db: sqlite3.Connection, round: Round, direct: str, n: int, sealed: str, *, has_voted: bool, has_ended: bool
) -> bool:
    """Take a sealed vote: per voter the highest number stands. False: the poll had ended before."""
    if round.urn is None or has_ended:
        query = "SELECT 1 FROM poll_roll WHERE poll = ? AND direct = ? AND n >= ?"
        return db.execute(query, (round.id, direct, n)).fetchone() is not None
    db.execute(
        "INSERT INTO poll_ballots (poll, direct, n, choice, at) VALUES (?, ?, ?, ?, 0) "
        "ON CONFLICT DO UPDATE SET n = excluded.n, choice = excluded.choice WHERE excluded.n > n",
        (round.id, round.urn.voter(direct), n, sealed),
    )
    db.execute(
        "UPDATE poll_roll SET n = ?, has_voted = ? WHERE poll = ? AND direct = ? AND n < ?",
        (n, has_voted, round.id, direct, n),
    )
    return True


def has_voted(db: sqlite3.Connection, round: Round, direct: str) -> bool:
    """Whether a vote of this channel counts."""
    row = db.execute("SELECT has_voted FROM poll_roll WHERE poll = ? AND direct = ?", (round.id, direct)).fetchone()
    return bool(row and row[0])


def open_all(db: sqlite3.Connection, round: Round, urn: Urn) -> list[Vote]:
    """Open the urn: the votes in an order of chance, their choices written down bare, nothing left that was sealed."""
    kept = db.execute("SELECT direct, choice FROM poll_ballots WHERE poll = ?", (round.id,))
    channels = {urn.voter(channel): channel for channel in round.seats}
    found = [urn.open(sealed, round.spec, round.id, channels.get(voter, "")) for voter, sealed in kept]
    votes = [vote for vote in found if vote is not None]
    if len(votes) < len(found):
        logger.error("%d sealed votes do not open and are not counted poll=%s", len(found) - len(votes), round.id)
    choices = [choice for vote in votes for choice in vote]
    chance = secrets.SystemRandom()
    chance.shuffle(votes)
    chance.shuffle(choices)
    db.executemany("INSERT INTO poll_choices VALUES (?, ?)", [(round.id, choice) for choice in choices])
    destroy(db, round)
    return votes


def destroy(db: sqlite3.Connection, round: Round) -> None:
    """Take away what was sealed."""
    db.execute("DELETE FROM poll_ballots WHERE poll = ?", (round.id,))
