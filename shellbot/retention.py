"""Once a day, what is kept too long is forgotten: votes that are over, events, the history of the web chat."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from logging import getLogger

from shellbot import inbox, instructions
from shellbot.clocks import BaseClock
from shellbot.errors import StoreError
from shellbot.events import File
from shellbot.files.shelf import Shelf
from shellbot.polls import forgetting
from shellbot.polls.archive import Place
from shellbot.spaces.web import ledger
from shellbot.stores.base import Store

logger = getLogger(__name__)

DAY = 86_400.0  # seconds between two looks
_OVER = "state IN ('closed', 'cancelled') AND coalesce(ended_at, closes_at, opened_at) < ?"
# Ballots whose group has a store elsewhere. One that was never told of the end is over at its time.
_PAPERS = (
    "SELECT poll, min(number), group_id FROM booth WHERE poll NOT IN (SELECT id FROM polls) GROUP BY poll "
    "HAVING min(is_confirmed) AND max(coalesce(CASE WHEN is_open THEN closes_at ELSE ended_at END, 9e99)) < ?"
)
# What is done is remembered for a while all the same, lest its repeat be done again.
_AGED = {
    "inbox WHERE done = 1 AND at": inbox.REMEMBERED,
    "instructions WHERE done = 1 AND at": instructions.REMEMBERED,
    "poll_orders WHERE at": instructions.REMEMBERED,
}


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What one look took away: votes by id, how many posts of the web chat, and the files that went with them."""

    polls: tuple[str, ...] = ()
    posts: int = 0
    files: tuple[File, ...] = ()


class Retention:
    """Keeps what one engine stores for so many days.

    Args:
        let_go: Called with ids of votes that were forgotten and are to be known no more.
    """

    def __init__(
        self,
        store: Store,
        shelf: Shelf,
        clock: BaseClock,
        days: int,
        let_go: Callable[[Iterable[str]], Awaitable[None]],
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._clock = clock
        self._kept = timedelta(days=days)
        self._let_go = let_go

    async def run(self) -> None:
        """Look now and every day, until cancelled. A look that fails is made again the next day."""
        while True:
            try:
                await self.look()
            except StoreError as error:
                logger.error("what is old was not forgotten; the next look is in a day: %s", error)
            await self._clock.sleep(DAY)

    async def look(self) -> Forgotten:
        """Forget what is older, for good."""
        now = self._clock.utcnow()
        before = now - self._kept
        found = await self._store.erase(lambda db: _forget(db, before, now))
        await self._let_go(found.polls)
        await asyncio.to_thread(self._shelf.discard, found.files)
        if found.polls or found.posts:
            logger.info(
                "forgot %d votes and %d posts that were older than retention.days", len(found.polls), found.posts
            )
        return found


def _over(db: sqlite3.Connection, before: datetime) -> list[Place]:
    rows = db.execute(
        f"SELECT id, number, group_id FROM polls WHERE {_OVER} UNION ALL {_PAPERS}", (before.timestamp(),) * 2
    )
    return [Place(*row) for row in rows]


def _forget(db: sqlite3.Connection, before: datetime, now: datetime) -> Forgotten:
    """Find what is old and take it away, in one transaction: a vote that was opened again before it is not old."""
    # closed by a version that did not write down when
    db.execute("UPDATE booth SET ended_at = ? WHERE NOT is_open AND ended_at IS NULL", (now.timestamp(),))
    old = _over(db, before)
    for place in old:
        forgetting.forget(db, place, now, [ledger.forget])
    for which, at_least in _AGED.items():
        db.execute(f"DELETE FROM {which} < ?", (min(before, now - at_least).timestamp(),))
    posts, files = ledger.forget_before(db, before)
    return Forgotten(tuple(place.id for place in old), posts, files)
