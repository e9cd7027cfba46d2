"""Looking through the rooms for what was said since the last look: the way in without a public address, and what finds
all that a webhook did not bring."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime
from logging import getLogger

from shellbot.clocks import BaseClock
from shellbot.errors import ChannelNotFound, MessageRefused
from shellbot.spaces.webex.client import MOST, Client
from shellbot.spaces.webex.directory import Directory
from shellbot.spaces.webex.events import notice_of_message, time_of
from shellbot.spaces.webex.intake import Intake, oldest

logger = getLogger(__name__)

OVERLAP = 60.0  # seconds looked through again, for what the platform shows late


class Rounds:
    """One look after the other. Owned by the event loop."""

    def __init__(self, client: Client, clock: BaseClock, directory: Directory, intake: Intake) -> None:
        self._client = client
        self._clock = clock
        self._directory = directory
        self._intake = intake

    async def look(self, *, members: bool, all_rooms: bool) -> None:
        """Look through rooms in which something happened; returns when the bots have what was found.

        Args:
            members: Who has come and gone, too.
            all_rooms: Also those that the platform calls quiet.
        """
        before = {room.id: room for room in self._directory.rooms()}
        found = await self._client.rooms()
        work: list[Awaitable[None]] = []
        for each in found:
            room = await self._directory.met(each)
            activity = str(each.get("lastActivity") or "")
            is_new = before.pop(room.id, None) is None
            is_quiet = bool(activity) and activity == room.activity
            meets = not room.person and (is_new or members)
            if meets or is_new or all_rooms or not is_quiet:
                work.append(self._look_through(room.id, activity, meets=meets))
        for room_id in before:
            await self._directory.is_gone(room_id)
        outcomes = await asyncio.gather(*work, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

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
