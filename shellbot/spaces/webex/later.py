"""Changes of a message that come too soon after the last: the newest of each reply waits, on disk, for its time.

Webex takes ten changes of a message. A count that is kept up to date would have used them up in a minute.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from logging import getLogger

import msgspec

from shellbot.clocks import BaseClock
from shellbot.errors import ChannelNotFound, MessageRefused, RateLimited, SpaceError, SpaceUnauthorized, StoreError
from shellbot.events import Reply
from shellbot.stores.base import Store

logger = getLogger(__name__)

SCHEMA = """
CREATE TABLE IF NOT EXISTS webex_later (
    channel TEXT NOT NULL, reply TEXT NOT NULL, due REAL NOT NULL, body BLOB NOT NULL, PRIMARY KEY (channel, reply)
) WITHOUT ROWID;
"""
# Seconds that lie between a change and the one before, by how many there were: three are free, ten take an hour.
GAPS = (0.0, 0.0, 0.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0)
TRY_AGAIN = 30.0  # seconds


class TooSoon(Exception):
    """A change has to wait until ``due``, seconds on the wall."""

    def __init__(self, due: float) -> None:
        super().__init__(f"not before {due}")
        self.due = due


def earliest(edits: int, at: float) -> float:
    """When a message may be changed again that was changed so often, the last time ``at``."""
    return at + GAPS[min(edits, len(GAPS) - 1)]


class Later:
    """Owned by the event loop.

    Args:
        show: What :meth:`put` could not do yet; it may put it again.
    """

    def __init__(self, store: Store, clock: BaseClock, show: Callable[[str, Reply], Awaitable[None]]) -> None:
        self._store = store
        self._clock = clock
        self._show = show
        self._waiting: dict[tuple[str, str], tuple[float, Reply]] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def load(self) -> None:
        """Go on with what an earlier run left."""
        rows = await self._store.read(
            lambda db: db.execute("SELECT channel, due, body FROM webex_later").fetchall(),
        )
        for channel, due, body in rows:
            self._wait(channel, msgspec.json.decode(body, type=Reply), due)

    async def put(self, channel: str, reply: Reply, due: float) -> None:
        """Show this at its time, unless something newer comes; it is on disk when this returns."""
        row = (channel, reply.id, due, msgspec.json.encode(reply))
        await self._store.write(lambda db: db.execute("INSERT OR REPLACE INTO webex_later VALUES (?, ?, ?, ?)", row))
        self._wait(channel, reply, due)

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wait(self, channel: str, reply: Reply, due: float) -> None:
        key = (channel, reply.id)
        self._waiting[key] = (due, reply)
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._work(key), name=f"webex later {channel}")

    async def _work(self, key: tuple[str, str]) -> None:
        try:
            while key in self._waiting:
                due, reply = self._waiting[key]
                await self._clock.sleep(max(0.0, due - self._clock.utcnow().timestamp()))
                due, reply = self._waiting[key]  # the newest
                try:
                    await self._show(key[0], reply)
                except (ChannelNotFound, MessageRefused) as error:
                    logger.warning("a change is not shown channel=%s reply=%s: %s", *key, error)
                except SpaceUnauthorized:
                    return  # it is on disk for the next run
                except RateLimited as error:
                    await self._clock.sleep(error.retry_after)
                    continue
                except (SpaceError, StoreError) as error:
                    logger.warning("a change is shown later channel=%s reply=%s: %s", *key, error)
                    await self._clock.sleep(TRY_AGAIN)
                    continue
                if self._waiting[key] == (due, reply):
                    del self._waiting[key]
                    self._store.post(partial(_forget, channel=key[0], reply=reply, due=due))
        finally:
            self._tasks.pop(key, None)


def _forget(db: sqlite3.Connection, channel: str, reply: Reply, due: float) -> None:
    """This one, and not a newer that is on its way to where it waits."""
    row = (channel, reply.id, due, msgspec.json.encode(reply))
    db.execute("DELETE FROM webex_later WHERE (channel, reply, due, body) = (?, ?, ?, ?)", row)
