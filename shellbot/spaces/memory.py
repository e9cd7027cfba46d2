"""A space in memory, for tests and for programs that embed a bot: its people are called, not connected."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from itertools import count
from typing import ClassVar

from shellbot.clocks import AsyncioClock, BaseClock
from shellbot.errors import ChannelNotFound, SpaceError
from shellbot.events import Capabilities, CardAction, Channel, Event, Join, Leave, Message, Person, Reply
from shellbot.files.shelf import in_place
from shellbot.spaces.base import Deliver, Space, direct_channel, new_id


class MemorySpace(Space):
    """Any number of groups, each there from its first join, and a direct channel with each person.

    What people do returns when it is committed, with a future of the bot's turn: ``await (await space.say(...))``
    waits for that turn, too.

    Attributes:
        unreachable: Ids of people who have no direct channel for the bot.
    """

    name: ClassVar[str] = "memory"
    capabilities: ClassVar[Capabilities] = Capabilities(cards=True, edit=True, ids=True, veils=True)

    def __init__(self, *, clock: BaseClock | None = None) -> None:
        self._clock = clock or AsyncioClock()
        self._deliver: Deliver | None = None
        self._members: dict[str, set[str]] = {}  # ids of the people in each channel
        self._channels: dict[str, Channel] = {}
        self._heard: dict[str, dict[str, Reply]] = {}
        self._changed: set[asyncio.Event] = set()
        self._ids = map(f"{new_id()}-{{}}".format, count(1))  # of what people do; a random one each takes a system call
        self.unreachable: set[str] = set()

    async def start(self, deliver: Deliver) -> None:
        self._deliver = deliver

    async def close(self) -> None:
        self._deliver = None

    async def post(self, channel_id: str, reply: Reply) -> None:
        self._reachable(channel_id)
        heard = self._heard.setdefault(channel_id, {})
        known = heard.get(reply.id)
        if known is None or known.version < reply.version:
            heard[reply.id] = reply
            for changed in self._changed:
                changed.set()

    async def open_direct(self, person: Person) -> Channel:
        channel = self._direct(person)
        self._reachable(channel.id)
        return channel

    async def join(self, group_id: str, person: Person) -> asyncio.Future[None]:
        """``person`` comes into the group, which is made if it is not there. Joining again tells it again."""
        channel = self._channels.setdefault(group_id, Channel(id=group_id, title=group_id))
        self._members.setdefault(group_id, set()).add(person.id)
        self._direct(person)
        return await self._give(Join(id=next(self._ids), channel=channel, person=person, time=self._clock.utcnow()))

    async def leave(self, group_id: str, person: Person) -> asyncio.Future[None]:
        """``person`` leaves the group; the direct channel stays."""
        channel = self._channel(group_id, person)
        self._members[group_id].discard(person.id)
        return await self._give(Leave(id=next(self._ids), channel=channel, person=person, time=self._clock.utcnow()))

    async def say(
        self, channel_id: str, person: Person, text: str, files: Iterable[str | os.PathLike[str]] = ()
    ) -> asyncio.Future[None]:
        """``person`` says ``text``, with these files, which stay where they are.

        Raises:
            FileRefused: One is not there, or no plain file.
        """
        channel = self._channel(channel_id, person)
        said = Message(
            id=next(self._ids),
            channel=channel,
            person=person,
            time=self._clock.utcnow(),
            text=text,
            files=tuple(map(in_place, files)),
        )
        return await self._give(said)

    async def press(self, channel_id: str, person: Person, card_id: str, value: str) -> asyncio.Future[None]:
        """``person`` presses the button ``value`` of a card."""
        channel = self._channel(channel_id, person)
        return await self._give(
            CardAction(
                id=next(self._ids), channel=channel, person=person, time=self._clock.utcnow(), card=card_id, value=value
            )
        )

    def heard(self, channel_id: str) -> list[Reply]:
        """What the bot said there, each reply in its highest version, in the order of their first ones."""
        return list(self._heard.get(channel_id, {}).values())

    async def wait_for(self, channel_id: str, predicate: Callable[[Reply], bool], timeout: float = 5) -> Reply:
        """The first reply there for which ``predicate`` is true, now or within ``timeout`` seconds of real time.

        Raises:
            TimeoutError: None came; the text holds what did.
        """
        changed = asyncio.Event()
        self._changed.add(changed)
        try:
            async with asyncio.timeout(timeout):
                while True:
                    changed.clear()
                    for reply in self.heard(channel_id):
                        if predicate(reply):
                            return reply
                    await changed.wait()
        except TimeoutError:
            said = [reply.text for reply in self.heard(channel_id)]
            raise TimeoutError(f"nothing of the kind in {channel_id} after {timeout} s; heard there: {said}") from None
        finally:
            self._changed.discard(changed)

    def _direct(self, person: Person) -> Channel:
        channel = direct_channel(person)
        self._members.setdefault(channel.id, set()).add(person.id)
        return self._channels.setdefault(channel.id, channel)

    def _channel(self, channel_id: str, person: Person) -> Channel:
        if person.id not in self._members.get(channel_id, ()):
            raise ChannelNotFound(f"{person.name} is not in {channel_id}; join first")
        return self._channels[channel_id]

    def _reachable(self, channel_id: str) -> None:
        channel = self._channels.get(channel_id)
        if channel is None:
            raise ChannelNotFound(f"no channel {channel_id} here")
        if channel.is_direct and self.unreachable & self._members[channel_id]:
            raise ChannelNotFound(f"{channel.title} cannot be reached")

    async def _give(self, event: Event) -> asyncio.Future[None]:
        if self._deliver is None:
            raise SpaceError("nobody listens: the space is not started, or closed")
        return await self._deliver(event)
