"""What bots said, kept until the space has shown it: in order per channel, tried again, never lost by a crash.

Sending is at least once. Where the space takes our ids it is shown exactly once, because a repeat carries the same id.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from logging import getLogger
from typing import Any

import msgspec

from shellbot.clocks import BaseClock
from shellbot.errors import (
    ChannelNotFound,
    FileRefused,
    MessageRefused,
    RateLimited,
    SpaceError,
    SpaceUnauthorized,
    StoreError,
)
from shellbot.events import File, Reply
from shellbot.files import shelf
from shellbot.markup import plain
from shellbot.stores.base import Store

logger = getLogger(__name__)

SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
    reply BLOB NOT NULL, UNIQUE (channel, id, version)
);
"""
_DELETE = "DELETE FROM outbox WHERE channel = ? AND id = ? AND version = ?"
MAX_LINE = 10_000  # replies that may wait for one channel
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds between tries at a space that fails


def insert(db: sqlite3.Connection, channel: str, reply: Reply) -> Reply:
    """Keep a reply in the running transaction; hand it to :meth:`Outbox.send` with ``is_kept`` after the commit.

    Returns:
        The reply, with the files that went with its id first.
    """
    try:
        body = msgspec.json.encode(reply)
    except UnicodeEncodeError:  # half a character, as names of files and output of programs have it
        reply = msgspec.convert(_readable(msgspec.to_builtins(reply)), Reply)
        body = msgspec.json.encode(reply)
    if reply.files and (files := shelf.keep(db, channel, "", reply.id, reply.files)) != reply.files:
        reply = replace(reply, files=files)
        body = msgspec.json.encode(reply)
    db.execute(
        "INSERT OR IGNORE INTO outbox (channel, id, version, reply) VALUES (?, ?, ?, ?)",
        (channel, reply.id, reply.version, body),
    )
    return reply


def _readable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {key: _readable(one) for key, one in value.items()}
    return [_readable(one) for one in value] if isinstance(value, list | tuple) else value


@dataclass(slots=True)
class _Item:
    reply: Reply
    kept: asyncio.Future[Reply] | None  # done when the row is on disk; None: it is already
    shown: asyncio.Future[bool]


@dataclass(slots=True)
class _Line:
    """The replies that wait for one channel, and the task that sends them while there are any."""

    items: deque[_Item] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None


class Outbox:
    """The replies of one instance on their way to one space. Owned by the engine's loop.

    Args:
        post: The space's ``post``.
    """

    def __init__(self, store: Store, post: Callable[[str, Reply], Awaitable[None]], clock: BaseClock) -> None:
        self._store = store
        self._post = post
        self._clock = clock
        self._lines: dict[str, _Line] = {}
        self._is_open = False
        self._shown = asyncio.Event()

    async def load(self) -> None:
        """Take up what an earlier run did not get shown. Sending begins with :meth:`start`."""
        await self._store.create(SCHEMA + shelf.SCHEMA)
        rows = await self._store.read(
            lambda db: db.execute("SELECT channel, reply FROM outbox ORDER BY seq").fetchall()
        )
        for channel, body in rows:
            self.send(channel, msgspec.json.decode(body, type=Reply), is_kept=True)

    def start(self) -> None:
        """Begin to send, once the space is there."""
        self._is_open = True
        for channel, line in self._lines.items():
            self._wake(channel, line)

    async def stop(self, timeout: float = 2.0) -> None:
        """Send what can be sent in ``timeout`` seconds; the rest stays on disk for the next run."""
        tasks = [line.task for line in self._lines.values() if line.task]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._is_open = False

    async def wait_shown(self, timeout: float) -> bool:
        """Whether something is shown, anywhere, within so many seconds from now."""
        self._shown.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._shown.wait()
        return self._shown.is_set()

    async def keep(self, channel: str, reply: Reply, files: Awaitable[tuple[File, ...]]) -> Reply:
        """Have a reply on disk together with files that are being copied; gives the reply to be shown.

        Files that cannot be kept are told in its text.
        """
        try:
            reply = replace(reply, files=await files)
        except FileRefused as error:
            logger.warning("a file could not be sent channel=%s: %s", channel, error)
            reply = replace(reply, text=f"{reply.text}\n\n{plain(str(error))}".strip())
        return await self._store.write(lambda db: insert(db, channel, reply))

    def send(
        self, channel: str, reply: Reply, *, is_kept: bool = False, kept: asyncio.Future[Reply] | None = None
    ) -> asyncio.Future[bool]:
        """Say this in the channel, after what was said there before. SpaceError: too much waits there already.

        Args:
            is_kept: It is on disk. ``kept``: a :meth:`keep` of it that is under way.

        Returns:
            A future: True once it is shown, False if the person or channel cannot be reached, or the platform refuses
            it. Nobody needs to await it. Where the bot's token is not good any more it waits for the next run.
        """
        line = self._lines.setdefault(channel, _Line())
        if len(line.items) >= MAX_LINE and not is_kept:  # what is on disk would stop each start from now on
            raise SpaceError(f"{MAX_LINE:,} messages wait for {channel} already; it takes nothing, or a command loops")
        if kept is None and not is_kept:
            kept = asyncio.ensure_future(self._store.write(lambda db: insert(db, channel, reply)))
        item = _Item(reply, kept, asyncio.get_running_loop().create_future())
        line.items.append(item)
        self._wake(channel, line)
        return item.shown

    def _wake(self, channel: str, line: _Line) -> None:
        if self._is_open and line.items and line.task is None:
            line.task = asyncio.create_task(self._drain(channel, line), name=f"outbox {channel}")

    async def _drain(self, channel: str, line: _Line) -> None:
        try:
            while line.items:
                item = line.items[0]
                if item.kept is not None:
                    try:
                        item.reply = await item.kept
                    except StoreError:  # the store has logged it; a disk that is full must not silence the bots
                        logger.warning("reply is shown but not kept channel=%s", channel)
                    except Exception:
                        logger.exception("reply is lost, for it cannot be kept channel=%s", channel)
                        self._is_through(line, item, is_shown=False)
                        continue
                try:
                    is_shown = await self._show(channel, item.reply)
                except SpaceUnauthorized as error:
                    self._give_up(error)
                    return
                self._shown.set()
                self._forget(channel, item.reply)
                self._is_through(line, item, is_shown=is_shown)
        finally:
            line.task = None
            if not line.items:
                self._lines.pop(channel, None)

    @staticmethod
    def _is_through(line: _Line, item: _Item, *, is_shown: bool) -> None:
        line.items.popleft()
        if not item.shown.done():
            item.shown.set_result(is_shown)

    async def _show(self, channel: str, reply: Reply) -> bool:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._post(channel, reply)
                return True
            except ChannelNotFound as error:
                logger.warning("reply cannot be delivered channel=%s: %s", channel, error)
                return False
            except MessageRefused as error:
                logger.error("reply is lost, for it is refused channel=%s reply=%s: %s", channel, reply.id, error)
                return False
            except SpaceUnauthorized:
                raise
            except RateLimited as error:
                await self._clock.sleep(max(error.retry_after, 0.0))
            except (SpaceError, StoreError, OSError) as error:
                logger.warning("reply is tried again in %.0f s channel=%s: %s", pause, channel, error)
                await self._clock.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            except Exception:  # a fault of ours, which must not silence the channel
                logger.exception("reply is lost, for it could not be shown channel=%s reply=%s", channel, reply.id)
                return False

    def _give_up(self, error: SpaceUnauthorized) -> None:
        """Send nothing more in this run; all that waits is on disk for the next."""
        if self._is_open:
            self._is_open = False
            logger.error("nothing more is sent until the next start, and nothing of it is lost: %s", error)

    def _forget(self, channel: str, reply: Reply) -> None:
        self._store.put(_DELETE, (channel, reply.id, reply.version))
