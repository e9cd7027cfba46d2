"""``shellbot poll forget``: a vote that is over goes out of the store for good."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import click

from shellbot.clocks import AsyncioClock
from shellbot.errors import PollError, StoreError
from shellbot.instance import Instance, read_facts
from shellbot.markup import one_line
from shellbot.polls import forgetting
from shellbot.polls.keys import Keys
from shellbot.tools.places import folder_of, instance_option

PATIENCE = 10.0  # seconds for a server that writes just now
PAUSE = 0.05


@click.command()
@instance_option
@click.option("--yes", is_flag=True, help="Do not ask whether that is meant.")
@click.argument("name", metavar="ID")
def forget(instance: str | None, yes: bool, name: str) -> None:
    """Forget the vote ID (its number, or the id in the store): question, roll, ballots, log, and what the bot showed.

    It must be over. What is deleted is overwritten. A line stays that there was a vote of this number. The server may
    run meanwhile.
    """
    from shellbot.spaces.web import ledger  # brings the web space along, which other commands need not wait for

    folder = folder_of(instance)
    store = Instance(folder).store_path
    if not store.exists():
        raise StoreError(f"there is no store {store}; name the folder of the server with --instance DIR")
    try:
        with closing(sqlite3.connect(store, timeout=PATIENCE, isolation_level=None)) as db:
            place = forgetting.find(db, name)
            is_served = read_facts(folder) is not None
            if reason := forgetting.hindrance(db, place, is_served=is_served):
                raise PollError(reason)
            if not yes:
                click.confirm(f"{_described(db, place.id, place.number)} Forget it for good?", abort=True)
            db.execute("PRAGMA secure_delete=ON")
            db.execute("BEGIN IMMEDIATE")
            # looked at again: it may have been opened again while somebody thought it over
            if reason := forgetting.hindrance(db, place, is_served=is_served):
                raise PollError(reason)
            forgetting.forget(db, place, AsyncioClock().utcnow(), [ledger.forget])
            db.execute("COMMIT")
            is_empty = _empty_log(db)
    except sqlite3.Error as error:
        raise StoreError(f"nothing is forgotten: {store}: {error}; try again, or stop the server first") from error
    _destroy_key(folder, place.id)
    click.echo(f"Vote #{place.number} is forgotten.")
    if not is_empty:
        click.echo(
            "Its deleted rows may still lie in the write-ahead log, as another program reads the store; the log is "
            "emptied when the server stops."
        )


def _described(db: sqlite3.Connection, poll: str, number: int) -> str:
    row = db.execute("SELECT question, state FROM polls WHERE id = ?", (poll,)).fetchone()
    if row is None:
        return f"Vote #{number}, of which only ballot papers are here."
    ballots = db.execute("SELECT count(*) FROM poll_ballots WHERE poll = ?", (poll,)).fetchone()[0]
    return f"Vote #{number}: {one_line(row[0])} ({row[1]}), with {ballots} ballots."


def _empty_log(db: sqlite3.Connection) -> bool:
    """Have what was deleted in no log of writes either; False where a reader hinders it."""
    until = time.monotonic() + PATIENCE
    while db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > until:
            return False
        time.sleep(PAUSE)
    return True


def _destroy_key(folder: Path, poll: str) -> None:
    keys = Keys(folder / "keys")
    if keys.has(poll):
        try:
            keys.destroy(poll)
        except OSError as error:
            raise StoreError(f"the key of this vote could not be destroyed: {error}; remove it by hand") from error
