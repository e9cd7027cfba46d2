"""Looking through the rooms for what was said since the last look: the way in without a public address, and what finds
all that a webhook did not bring."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from logging import getLogger

from shellbot.clocks import BaseClock
from shellbot.errors import ChannelNotFound, MessageRefused
from shellbot.spaces.webex.client import MOST, Client
from shellbot.spaces.webex.directory import Directory
from shellbot.spaces.webex.events import notice_of_message, time_of
from shellbot.spaces.webex.intake import Intake, oldest

logger = getLogger(__name__)

PATIENCE = 10.0  # seconds that a look at all rooms waits for the slow ones
OVERLAP = 60.0  # seconds looked through again, for what the platform shows late


class Rounds:
    """One look after the other. Owned by the event loop."""

    def __init__(self, client: Client, clock: BaseClock, directory: Directory, intake: Intake) -> None:
        self._client = client
        self._clock = clock
        self._directory = directory
        self._intake = intake
        self._looks: dict[str, asyncio.Task[None]] = {}  # by room

    async def close(self) -> None:
        """Look no further."""
        looks = list(self._looks.values())
        for look in looks:
            look.cancel()
        await asyncio.gather(*looks, return_exceptions=True)

    async def look(self, *, members: bool, all_rooms: bool) -> None:
        """Look through rooms in which something happened; returns when the bots have what was found.

        A room that takes long, because something there has to be tried again, is not waited for: the others go on.

        Args:
            members: Who has come and gone, too.
            all_rooms: Also those that the platform calls quiet.
        """
        before = {room.id: room for room in self._directory.rooms()}
        begun: list[asyncio.Task[None]] = []
        for each in await self._client.rooms():
            room = await self._directory.met(each)
            activity = str(each.get("lastActivity") or "")
            is_new = before.pop(room.id, None) is None
            is_quiet = bool(activity) and activity == room.activity
            meets = not room.person and (is_new or members)
            if room.id not in self._looks and (meets or is_new or all_rooms or not is_quiet):
                look = asyncio.create_task(self._look_through(room.id, activity, meets=meets))
                self._looks[room.id] = look
                look.add_done_callback(partial(self._is_over, room.id))
                begun.append(look)
        for room_id in before:
            await self._directory.is_gone(room_id)
        if begun:
            over, _ = await asyncio.wait(begun, timeout=PATIENCE)
            for look in over:
                await look  # raises what went wrong

    def _is_over(self, room_id: str, look: asyncio.Task[None]) -> None:
        del self._looks[room_id]
        if not look.cancelled() and (error := look.exception()) is not None:
            logger.info("a room is looked through again room=%s: %s", room_id, error)

    async def _look_through(self, room_id: str, activity: str, *, meets: bool) -> None:
        try:
            if meets:
                await self._intake.meet(room_id)
            await self._read(room_id, activity)
        except ChannelNotFound:
            await self._directory.is_gone(room_id)
        except MessageRefused as error:
            logger.warning("a room cannot be looked through room=%s: %s", room_id, error)

    async def _read(self, room_id: str, activity: str) -> None:
        room = await self._directory.room(room_id)
        since = max(room.since - OVERLAP, self._directory.began, oldest(self._clock.utcnow()).timestamp())
        messages = await self._client.messages(room_id, datetime.fromtimestamp(since, UTC), is_group=not room.person)
        if len(messages) >= MOST:
            logger.warning("more was said than is looked through at once, the rest is let be room=%s", room_id)
        found = [(notice_of_message(message), message) for message in messages]
        heard = await self._intake.look_through(found)
        if heard:
            await asyncio.wait(heard)
        latest = max((time_of(message.get("created")).timestamp() for message in messages), default=room.since)
        room = await self._directory.room(room_id)
        if latest > room.since or activity != room.activity:
            await self._directory.keep_room(replace(room, since=max(room.since, latest), activity=activity))
