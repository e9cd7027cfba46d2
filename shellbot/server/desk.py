"""What the pages may ask of the rooms: coroutines of the engine's loop, and the one way for a view to wait for them."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Coroutine
from typing import Any, TypeVar

from shellbot.errors import RateLimited, SpaceError
from shellbot.server.limits import Buckets, Limits
from shellbot.server.uploads import Upload
from shellbot.spaces.web import Cursor, Member, Page, Post, WebSpace

T = TypeVar("T")

WAITING_PRESSES = 4
# A second, and at once; a page tells it every three seconds, and anew for each message.
TYPING_RATE, TYPING_BURST = 1.0, 5


class Desk:
    """Asks the space on behalf of a page, within the limits. The coroutines run on the loop, :meth:`wait` in a view."""

    def __init__(self, space: WebSpace, limits: Limits, loop: asyncio.AbstractEventLoop, timeout: float = 5.0) -> None:
        self._space = space
        self._loop = loop
        self._timeout = timeout
        self._messages = Buckets(limits.message_rate, limits.message_burst)
        self._typing = Buckets(TYPING_RATE, TYPING_BURST)
        self._reading = Buckets(TYPING_RATE, TYPING_BURST)
        self._joins = Buckets(limits.joins_per_minute / 60, limits.joins_per_minute)
        self._pressing = 0
        self._pending: set[concurrent.futures.Future[Any]] = set()
        self._is_closed = False

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the loop and give its result. For a thread of a view; never waits without an end.

        Raises:
            TimeoutError: Not done in time; it may still happen, and its repetition under the same id counts once.
        """
        if self._is_closed or self._loop.is_closed():
            work.close()
            raise TimeoutError("the server is being stopped")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._pending.add(future)
        try:
            return future.result(self._timeout)
        except concurrent.futures.CancelledError:
            raise TimeoutError("the server is being stopped") from None
        finally:
            self._pending.discard(future)

    def close(self) -> None:
        """Let go of all views that wait."""
        self._is_closed = True
        for future in list(self._pending):
            future.cancel()

    def member(self, person_id: str) -> Member | None:
        # one look-up in a dictionary that only the loop changes: safe from any thread
        return self._space.member(person_id)

    @property
    def first_room(self) -> str:
        """Id of the room that was there first."""
        return self._space.group.id

    def title(self, room: str) -> str | None:
        """Title of a room; None where there is none. Safe from any thread, as all that is only looked up."""
        found = self._space.room(room)
        return found.channel.title if found is not None else None

    def generation(self, room: str) -> int | None:
        """How often the links to a room were revoked; None where there is no such room."""
        found = self._space.room(room)
        return found.generation if found is not None else None

    def room_of(self, channel: str) -> str:
        """Id of the room that a channel belongs to."""
        return self._space.room_of(channel)

    def name(self, person_id: str) -> str:
        """Name of a person who is in a room, or was; '' where there is none."""
        return self._space.name_of(person_id)

    def knows(self, person_id: str, room: str) -> bool:
        """Whether this person is in the room, or was."""
        return self._space.knows(person_id, room)

    async def join(self, name: str, address: str, person_id: str, is_demo: bool, room: str = "") -> Member:
        self._joins.take(address)
        return await self._space.join(name, person_id=person_id, is_demo=is_demo, room=room)

    async def take_over(self, accepting: Coroutine[Any, Any, Member], address: str) -> Member:
        """Accept a link for one person."""
        try:
            self._joins.take(address)
        except RateLimited:
            accepting.close()
            raise
        return await accepting

    async def open_room(self, title: str, name: str, address: str, room: str) -> Member:
        """Make a room with this id, unless it was made by the same form before."""
        self._joins.take(address)
        return await self._space.open_room(title, name, room)

    async def revoke(self, room: str) -> None:
        await self._space.revoke(room)

    async def unread(self, members: list[Member]) -> list[int]:
        return await self._space.unread(members)

    async def read_up_to(self, person_id: str, cursor: str) -> None:
        """Note what a page says that its reader has seen; a word too many about it is let go."""
        try:
            self._reading.take(person_id)
        except RateLimited:
            return
        if (seen := Cursor.parse(cursor)) is not None:
            self._space.read_up_to(person_id, seen)

    async def leave(self, person_id: str) -> None:
        await self._space.leave(person_id)

    def people(self, room: str) -> list[Member]:
        """Give who is in the room."""
        return self.wait(self._members(room))

    async def _members(self, room: str) -> list[Member]:
        return self._space.members_of(room)

    def ended(self, room: str) -> frozenset[str]:
        """Sides of the page of this room that were closed for good."""
        # a look-up in a set that only the loop changes: safe from any thread
        return frozenset({"group"} if self._space.is_ended(room) else ())

    async def page(self, person_id: str) -> Page:
        """Give what the person sees, and take it for read."""
        page = await self._space.page(person_id)
        self._space.read_up_to(person_id, page.cursor)
        return page

    async def earlier(self, person_id: str, side: str, before: str) -> tuple[list[Post], bool]:
        """Give the posts before this place, and whether there are still earlier ones."""
        return await self._space.earlier(person_id, self._channel(person_id, side), _place(before))

    async def say(self, person_id: str, side: str, text: str, key: str, upload: Upload | None = None) -> None:
        self._messages.take(person_id)
        channel = self._channel(person_id, side)
        await self._space.say(person_id, channel, text, key, upload.take() if upload is not None else ())

    async def typing(self, person_id: str) -> None:
        """Tell the others, now and then; more than that is not worth a word to anybody."""
        try:
            self._typing.take(person_id)
        except RateLimited:
            return
        await self._space.typing(person_id)

    async def press(self, person_id: str, side: str, place: str, value: str, key: str) -> None:
        """Hand a press on; a bot that takes long holds at most half of the views' threads."""
        self._messages.take(person_id)
        number = _place(place)
        patience = 0.0 if self._pressing >= WAITING_PRESSES else None
        self._pressing += 1
        try:
            await self._space.press(
                person_id, self._channel(person_id, side), number, value, key, turn_timeout=patience
            )
        finally:
            self._pressing -= 1

    def _channel(self, person_id: str, side: str) -> str:
        """A page names its channels only as group and direct, so it cannot name those of others."""
        if side == "group":
            member = self._space.member(person_id)
            return member.room if member is not None else self._space.group.id
        if side == "direct":
            return f"direct-{person_id}"
        raise SpaceError("There is no such channel.")


def _place(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 12:
        raise SpaceError("What this page asks for is not there. Please reload it.")
    return int(text)
