"""Orders on their way from a direct channel to its group: kept, put until they are answered, one after the other."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

import orjson

from shellbot.agents.timers import Timer
from shellbot.bot import ShellBot
from shellbot.errors import UsageError
from shellbot.events import Event, Reply
from shellbot.inbox import finish
from shellbot.outbox import insert as keep_reply

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 30.0  # seconds until an order is put again

SCHEMA = """
CREATE TABLE IF NOT EXISTS booth_orders (
    id TEXT PRIMARY KEY, channel TEXT NOT NULL, group_id TEXT NOT NULL, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS booth_groups (
    channel TEXT NOT NULL, group_id TEXT NOT NULL, PRIMARY KEY (channel, group_id)
);
"""


@dataclass(frozen=True, slots=True)
class Slip:
    """One order. The group carries out an ``id`` once."""

    id: str
    group: str
    body: dict[str, Any]


class Slips:
    """The orders of one direct channel, and the groups it has heard of. Used only in the turns of its bot."""

    def __init__(self, bot: ShellBot) -> None:
        self._bot = bot
        self._store = bot.desk.store
        self._slips: dict[str, Slip] = {}  # oldest first
        self._again: dict[str, Timer] = {}
        self._groups: dict[str, None] = {}

    async def resume(self) -> None:
        """Read what an earlier run left, and put it again."""

        def read(db: sqlite3.Connection) -> tuple[list[Any], list[Any]]:
            mine = (self._bot.id,)
            slips = "SELECT id, group_id, body FROM booth_orders WHERE channel = ? ORDER BY rowid"
            groups = (
                "SELECT group_id FROM booth_groups WHERE channel = ? UNION SELECT group_id FROM booth WHERE channel = ?"
            )
            return db.execute(slips, mine).fetchall(), db.execute(groups, mine * 2).fetchall()

        slips, groups = await self._store.read(read)
        self._groups = dict.fromkeys(row[0] for row in groups)
        self._slips = {id_: Slip(id_, group, orjson.loads(body)) for id_, group, body in slips}
        for group in {slip.group for slip in self._slips.values()}:
            self._put_next(group)

    def meet(self, group: str) -> None:
        """A group has put something to this channel: orders may go there."""
        if group not in self._groups:
            self._groups[group] = None
            row = (self._bot.id, group)
            self._store.post(lambda db: db.execute("INSERT OR IGNORE INTO booth_groups VALUES (?, ?)", row))

    async def hand_in(self, words: str, event: Event, group: str = "", poll: str = "") -> None:
        """Keep an order and begin to put it.

        Args:
            group: Where it goes; without it, to the only group there is. ``poll``: id of what it is about, if known.

        Raises:
            UsageError: It is not clear which group is meant.
        """
        if not group and not self._groups:
            raise UsageError("No group has asked you anything yet. Polls are opened in a group.")
        if not group and len(self._groups) > 1:
            raise UsageError("Several groups ask you. Say it with the number of the vote, or in the group itself.")
        id_ = f"{self._bot.id}/{event.id}"
        body = {"op": "order", "order": id_, "words": words, "at": event.time.timestamp(), "poll": poll}
        slip = Slip(id_, group or next(iter(self._groups)), body)

        def keep(db: sqlite3.Connection) -> None:
            row = (slip.id, self._bot.id, slip.group, orjson.dumps(slip.body))
            db.execute("INSERT OR IGNORE INTO booth_orders VALUES (?, ?, ?, ?)", row)
            finish(db, event.id)

        await self._store.write(keep)
        self._slips[slip.id] = slip
        self._put_next(slip.group)

    async def answered(self, message: dict[str, Any]) -> None:
        """Say what the group answered; a second answer to the same says nothing."""
        slip = self._slips.get(message["order"])
        if slip is None:
            return
        reply = Reply(id=f"{slip.id}/answer", text=message["text"], fixed=message["fixed"])

        def keep(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM booth_orders WHERE id = ?", (slip.id,))
            keep_reply(db, self._bot.id, reply)

        await self._store.write(keep)
        self._bot.desk.outbox.send(self._bot.id, reply, is_kept=True)
        del self._slips[slip.id]
        if timer := self._again.pop(slip.id, None):
            timer.cancel()
        self._put_next(slip.group)

    def _put_next(self, group: str) -> None:
        """Put the oldest order for this group, unless it is on its way: one that is lost must not be overtaken."""
        slip = next((each for each in self._slips.values() if each.group == group), None)
        if slip is not None and slip.id not in self._again:
            self._put(slip, FIRST_PAUSE)

    def _put(self, slip: Slip, pause: float) -> None:
        self._bot.report_to(slip.group, "poll", "", slip.body, id=slip.id)
        self._again[slip.id] = self._bot.after(pause, self._put_again, slip, min(pause * 2, LONGEST_PAUSE))

    async def _put_again(self, slip: Slip, pause: float) -> None:
        if slip.id in self._slips:
            self._put(slip, pause)
