"""What comes in, one after the other for each room: fetched, made an event, and given to the bots.

A notice that came by webhook is on disk before it is answered. In a room those that wait are dealt with in the order in
which the platform says that they happened; one that fails is tried again before those behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from logging import getLogger
from weakref import WeakValueDictionary

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
from shellbot.events import Channel, Event, File, Person
from shellbot.files import shelf as files
from shellbot.files.shelf import Shelf
from shellbot.spaces.base import Deliver
from shellbot.spaces.webex import ledger
from shellbot.spaces.webex.client import Client
from shellbot.spaces.webex.directory import Directory
from shellbot.spaces.webex.events import Json, Notice, action_of, message_of
from shellbot.stores.base import Store

logger = getLogger(__name__)

MOST_WAITING = 50_000  # notices; who brings more is told to come again
REMEMBERED_IN_MEMORY = 20_000  # ids of notices that were dealt with
# Older ones are let be: what was said days ago is no order for now, and the inbox forgets ids after a week.
OLDEST = timedelta(days=5)
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between tries
LOCKED_TRIES = 3  # for a file that the platform still looks through

Tell = Callable[[Channel, str, str], Awaitable[None]]


@dataclass(slots=True)
class _Waiting:
    notice: Notice
    body: Json | None
    done: asyncio.Future[None]
    number: int  # of its coming, for those of the same millisecond

    def __lt__(self, other: _Waiting) -> bool:
        return (self.notice.created, self.number) < (other.notice.created, other.number)


@dataclass(slots=True)
class _Line:
    waiting: list[_Waiting] = field(default_factory=list)
    task: asyncio.Task[None] | None = None


class Intake:
    """Owned by the event loop.

    Args:
        tell: Says something in a channel on the spot: ``await tell(channel, id, text)``.

    Attributes:
        repeats: Notices that came again, as replays do; stale: those that were too old.
    """

    def __init__(
        self,
        store: Store,
        client: Client,
        clock: BaseClock,
        directory: Directory,
        deliver: Deliver,
        tell: Tell,
        shelf: Shelf | None,
    ) -> None:
        self.repeats = 0
        self.stale = 0
        self._store = store
        self._client = client
        self._clock = clock
        self._directory = directory
        self._deliver = deliver
        self._tell = tell
        self._shelf = shelf
        self._lines: dict[str, _Line] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._dealt_with: OrderedDict[str, None] = OrderedDict()
        self._gates: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # while in use
        self._came = 0
        self._is_open = True

    async def load(self) -> None:
        """Go on with what an earlier run left."""
        for notice in await self._store.read(ledger.waiting):
            self._push(notice, None)

    async def close(self) -> None:
        """Deal with no more; what waits is on disk, or found again in its room."""
        self._is_open = False
        tasks = [line.task for line in self._lines.values() if line.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for waiting in self._waiting.values():
            waiting.done.cancel()

    async def take(self, notice: Notice) -> asyncio.Future[None] | None:
        """Take a notice that comes once: it is on disk when this returns.

        Returns:
            A future, done when it is dealt with; None where nothing is to be done about it.

        Raises:
            RateLimited: Too much waits; it should come again.
        """
        if self._is_old(notice):
            return None
        if notice.id in self._waiting:
            self.repeats += 1
            return self._waiting[notice.id].done
        if notice.id in self._dealt_with:
            self.repeats += 1
            return None
        if len(self._waiting) >= MOST_WAITING:
            raise RateLimited(f"{MOST_WAITING:,} things wait to be heard; come again", retry_after=30.0)
        is_new = await self._store.write(lambda db: ledger.wait_for(db, notice))
        if not is_new:
            self.repeats += 1
            waiting = self._waiting.get(notice.id)
            return waiting.done if waiting is not None else None
        return self._push(notice, None)

    async def look_through(self, found: list[tuple[Notice, Json]]) -> list[asyncio.Future[None]]:
        """Take what was found in a room, and can be found there again; gives what is to be waited for."""
        rest = [
            (notice, body)
            for notice, body in found
            if notice.id not in self._dealt_with and notice.person != self._directory.me and not self._is_old(notice)
        ]
        if not rest:
            return []
        heard = await self._store.read(lambda db: ledger.heard(db, [notice.id for notice, _ in rest]))
        return [
            self._push(notice, body)
            for notice, body in rest
            if notice.id not in heard and notice.id not in self._dealt_with
        ]

    def _is_old(self, notice: Notice) -> bool:
        if notice.resource == "memberships":
            return False  # who leaves may have come years ago; what is so now is asked for in any case
        is_old = self._clock.utcnow() - notice.created > OLDEST
        if is_old:
            self.stale += 1
            logger.warning("what was said days ago is let be id=%s", notice.id)
        return is_old

    def _push(self, notice: Notice, body: Json | None) -> asyncio.Future[None]:
        waiting = self._waiting.get(notice.id)
        if waiting is None:
            self._came += 1
            waiting = _Waiting(notice, body, asyncio.get_running_loop().create_future(), self._came)
            self._waiting[notice.id] = waiting
            line = self._lines.setdefault(notice.room, _Line())
            heapq.heappush(line.waiting, waiting)
            if line.task is None and self._is_open:
                line.task = asyncio.create_task(self._work(notice.room, line), name=f"webex room {notice.room}")
        return waiting.done

    async def _work(self, room: str, line: _Line) -> None:
        wait = pause = FIRST_PAUSE
        try:
            while line.waiting:
                waiting = heapq.heappop(line.waiting)
                is_over = False
                try:
                    await self._deal_with(waiting.notice, waiting.body)
                    is_over = True
                except SpaceUnauthorized:
                    return  # told already; what waits is for the next run
                except (ChannelNotFound, MessageRefused) as error:
                    logger.info("what happened there is gone id=%s: %s", waiting.notice.id, error)
                    is_over = True
                except RateLimited as error:
                    wait = error.retry_after
                except (SpaceError, StoreError) as error:
                    logger.warning("tried again in %.0f s id=%s: %s", pause, waiting.notice.id, error)
                    wait, pause = pause, min(pause * 2, LONGEST_PAUSE)
                except Exception:
                    logger.exception("something that was said is lost id=%s", waiting.notice.id)
                    is_over = True
                if is_over:
                    pause = FIRST_PAUSE
                    self._is_done(waiting)
                else:
                    heapq.heappush(line.waiting, waiting)
                    await self._clock.sleep(wait)
        finally:
            line.task = None
            if not line.waiting:
                self._lines.pop(room, None)

    def _is_done(self, waiting: _Waiting) -> None:
        notice = waiting.notice
        self._waiting.pop(notice.id, None)
        self._dealt_with[notice.id] = None
        if len(self._dealt_with) > REMEMBERED_IN_MEMORY:
            self._dealt_with.popitem(last=False)
        self._store.post(lambda db: ledger.hear(db, notice))
        if not waiting.done.done():
            waiting.done.set_result(None)

    # --- what it is

    async def _deal_with(self, notice: Notice, body: Json | None) -> None:
        if notice.resource == "memberships":
            await self._members_changed(notice)
        elif notice.person != self._directory.me:
            await (self._said if notice.resource == "messages" else self._pressed)(notice, body)

    async def _members_changed(self, notice: Notice) -> None:
        is_me = notice.person == self._directory.me
        try:
            room = await self._directory.room(notice.room)
            if not room.person:
                await self.meet(room.id, None if is_me else notice.person)
        except ChannelNotFound:
            await self._directory.is_gone(notice.room)

    async def meet(self, room_id: str, person_id: str | None = None) -> None:
        """Tell the bots who has come into a room and who has left it, all or one person.

        Raises:
            ChannelNotFound: The bot is not in it.
        """
        gate = self._gates.setdefault(f"meet {room_id}", asyncio.Lock())
        async with gate:
            room = await self._directory.room(room_id)
            async for event in self._directory.changes(room, person_id):
                await self._give(event)

    async def _said(self, notice: Notice, body: Json | None) -> None:
        message = body if body is not None else await self._client.message(notice.key)
        found = await self._channel(notice, str(message.get("personEmail") or ""))
        if found is None:
            return
        channel, person = found
        kept = await self._files(message, channel, person)
        await self._give(message_of(message, channel, person, self._directory.me, kept))

    async def _pressed(self, notice: Notice, body: Json | None) -> None:
        action = body if body is not None else await self._client.action(notice.key)
        found = await self._channel(notice, "")
        event = action_of(action, *found) if found is not None else None
        if event is not None:
            await self._give(event)

    async def _channel(self, notice: Notice, address: str) -> tuple[Channel, Person] | None:
        """Where something happened and who did it, once the bots know both; None where it is not listened to."""
        known = await self._directory.person(notice.person, address)
        if not self._directory.is_heard(known):
            return None
        room = await self._directory.room(notice.room)
        if room.person:
            await self._directory.is_direct_with(room.id, known.id)
            return self._directory.direct(known), Person(known.id, known.name, known.address)
        if not self._directory.is_member(room, known.id):
            with contextlib.suppress(ChannelNotFound):  # it may not be told who is there; what is said is heard
                # all, where nobody of them is known yet
                await self.meet(room.id, known.id if self._directory.has_members(room) else None)
        elif (gate := self._gates.get(f"meet {room.id}")) is not None:
            async with gate:
                pass  # the bots are just being told who is there: a vote that is asked for now is to have all of them
        return self._directory.group(room), Person(known.id, known.name, known.address)

    async def _give(self, event: Event) -> None:
        # One after the other for each channel: the lock lets in first who asked first.
        gate = self._gates.setdefault(event.channel.id, asyncio.Lock())
        async with gate:
            await self._deliver(event)

    async def _files(self, message: Json, channel: Channel, person: Person) -> tuple[File, ...]:
        addresses = message.get("files")
        if not isinstance(addresses, list) or not addresses:
            return ()
        key = str(message["id"])
        shelf = self._shelf
        if shelf is None or not shelf.limits.max_count:
            await self._tell(channel, f"webex-files-{key}", "I take no files here.")
            return ()
        if known := await self._store.read(lambda db: files.of(db, channel.id, person.id, key)):
            return tuple(map(shelf.placed, known))
        kept: list[File] = []
        troubles: list[str] = []
        for number, address in enumerate(addresses):
            try:
                if number >= shelf.limits.max_count:
                    raise FileRefused(f"{len(addresses)} files are too many: {shelf.limits.max_count} are the most.")
                kept.append(await self._file(str(address), shelf))
            except FileRefused as error:
                troubles.append(str(error))
                if number >= shelf.limits.max_count:
                    break
            except BaseException:
                await asyncio.to_thread(shelf.discard, kept)
                raise
        await self._store.write(lambda db: files.keep(db, channel.id, person.id, key, kept))
        if troubles:
            await self._tell(channel, f"webex-files-{key}", "\n\n".join(troubles))
        return tuple(kept)

    async def _file(self, address: str, shelf: Shelf) -> File:
        for _ in range(LOCKED_TRIES):
            try:
                return await self._client.download(address, shelf)
            except RateLimited as error:
                await self._clock.sleep(error.retry_after)
        raise FileRefused(
            "Webex does not give out a file that you sent: it still looks it through. Send it again later."
        )


def oldest(now: datetime) -> datetime:
    """What happened before is let be."""
    return now - OLDEST
