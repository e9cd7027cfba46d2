"""Keeps a poll in one transaction with what is said of it; what could not be stored has not happened."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from shellbot.bot import ShellBot
from shellbot.errors import StoreError, UsageError
from shellbot.events import Reply
from shellbot.outbox import insert
from shellbot.polls import records
from shellbot.polls.log import Log
from shellbot.polls.records import Round

T = TypeVar("T")
Note = Callable[[sqlite3.Connection], None]  # what else belongs into the transaction of an order's effect
_CHANGING = ("state", "closes_at", "remind_at", "version", "reopened", "reminders", "note", "halt", "result")


class Keeper:
    """Stores the polls of one group, and has said what was stored to be said.

    Args:
        undone: Told of a poll that is as it was, because a change of it could not be stored.
    """

    def __init__(self, bot: ShellBot, undone: Callable[[Round], None]) -> None:
        self._bot = bot
        self._undone = undone
        self.log = Log(bot.desk.switchboard.seal)

    async def write(
        self, job: Callable[[sqlite3.Connection], tuple[T, Reply | None]], *, is_erasing: bool = False
    ) -> T:
        """Run a job that gives its result and what to say in the group once that is on disk.

        Args:
            is_erasing: What it deletes is to be found nowhere any more.
        """

        def keep(db: sqlite3.Connection) -> tuple[T, Reply | None]:
            result, reply = job(db)
            if reply is not None:
                insert(db, self._bot.id, reply)
            return result, reply

        store = self._bot.desk.store
        result, reply = await (store.erase(keep) if is_erasing else store.write(keep))
        if reply is not None:
            self._bot.desk.outbox.send(self._bot.id, reply, is_kept=True)
        return result

    async def save(
        self, round: Round, note: Note | None, reply: Reply | None = None, *, is_erasing: bool = False
    ) -> None:
        """Keep a poll as it is now, and in the same transaction what is said of it and what ``note`` adds."""

        def keep(db: sqlite3.Connection) -> tuple[None, Reply | None]:
            records.save(db, round)
            if note is not None:
                note(db)
            return None, reply

        await self.write(keep, is_erasing=is_erasing)

    @contextmanager
    def changing(self, round: Round) -> Iterator[None]:
        """What could not be stored within has not happened: the poll goes on as it was."""
        kept = {name: getattr(round, name) for name in _CHANGING}
        try:
            yield
        except (StoreError, UsageError):
            for name, value in kept.items():
                setattr(round, name, value)
            round.look_again()
            self._undone(round)
            raise
