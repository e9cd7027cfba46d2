"""Who is who and who is where, as far as the bot may know: rooms, their members, people and their direct channels.

Each change of a room's members is found by comparing what the platform says with what is known here, so it does not
matter in which order it was told, whether twice, or not at all.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from functools import partial

from shellbot.clocks import BaseClock
from shellbot.errors import ChannelNotFound, MessageRefused
from shellbot.events import Channel, Event, Person
from shellbot.spaces.base import bus_safe, direct_channel
from shellbot.spaces.webex import ledger
from shellbot.spaces.webex.client import Client
from shellbot.spaces.webex.events import Json, coming_of, is_bot, is_heard, join_of, leave_of, time_of
from shellbot.spaces.webex.ledger import Known, Room
from shellbot.stores.base import Store


class Directory:
    """Owned by the event loop; kept in the ledger.

    Args:
        bots: Ids and addresses of other bots that count as people.

    Attributes:
        me: Id of the bot itself.
        began: Seconds; what was said before the first start of all is not for us.
    """

    def __init__(self, store: Store, client: Client, clock: BaseClock, bots: Iterable[str] = ()) -> None:
        self.me = ""
        self._store = store
        self._client = client
        self._clock = clock
        self._bots = tuple(bots)
        self.began = 0.0
        self._rooms: dict[str, Room] = {}
        self._channels: dict[str, str] = {}  # of groups, to their rooms
        self._people: dict[str, Known] = {}
        self._direct: dict[str, str] = {}  # of direct channels, to their people
        self._members: dict[str, dict[str, str]] = {}

    async def load(self, me: str) -> None:
        """Take up what an earlier run knew, about the same bot or none."""
        self.me = me
        now = math.floor(self._clock.utcnow().timestamp() * 1000) / 1000  # as the platform's stamps are cut

        def begin(db: sqlite3.Connection) -> float:
            if not ledger.fact(db, "began"):
                ledger.keep_fact(db, "began", repr(now))
            return float(ledger.fact(db, "began"))

        self.began = await self._store.write(begin)
        for room in await self._store.read(ledger.rooms):
            self._take_room(room)
        for known in await self._store.read(ledger.people):
            self._take_person(known)
        self._members = await self._store.read(ledger.members)

    # --- channels

    def target(self, channel_id: str) -> Json:
        """Whom a message for this channel goes to, as the platform wants it.

        Raises:
            ChannelNotFound: No such channel.
        """
        if channel_id in self._channels:
            return {"roomId": self._channels[channel_id]}
        if channel_id in self._direct:
            return {"toPersonId": self._direct[channel_id]}
        raise ChannelNotFound(f"there is no channel {channel_id!r} on Webex that this bot knows of")

    def direct(self, known: Known) -> Channel:
        return direct_channel(Person(known.id, known.name, known.address))

    def group(self, room: Room) -> Channel:
        return Channel(room.channel, room.title or "a room without a name")

    async def open_direct(self, person: Person) -> Channel:
        """The direct channel with somebody; the first message to it makes the room there."""
        if person.id not in self._people:
            await self._keep_people([_known(person.id, person.name, person.address)])
        return self.direct(self._people[person.id])

    async def find(self, address: str) -> Person | None:
        """Who has this address, in a room of ours or not.

        Raises:
            SpaceError: The platform cannot be asked now.
        """
        known = next((one for one in self._people.values() if one.address.casefold() == address.casefold()), None)
        if known is None:
            try:
                found = await self._client.people(address)
            except (ChannelNotFound, MessageRefused):  # no address, or nobody's
                return None
            if len(found) != 1:
                return None
            known = _known(str(found[0]["id"]), str(found[0].get("displayName") or address), address)
            await self._keep_people([known])
        return Person(known.id, known.name, known.address) if self.is_heard(known) else None

    # --- rooms

    def rooms(self) -> list[Room]:
        """The rooms that the bot is in, as far as it knows."""
        return [room for room in self._rooms.values() if room.is_here]

    def known(self, room_id: str) -> Room | None:
        """A room that was met before."""
        return self._rooms.get(room_id)

    async def met(self, found: Json) -> Room:
        """Take in what the platform says of a room; of a direct one nobody knows yet with whom it is."""
        id_ = str(found["id"])
        is_direct = found.get("type") == "direct"
        before = self._rooms.get(id_)
        title = str(found.get("title") or "")
        if before is not None and before.is_here and (is_direct or before.title == title):
            return before
        if before is not None:
            room = replace(before, is_here=True, title=title)
        else:
            made = time_of(found["created"]).timestamp() if is_direct and found.get("created") else 0.0
            room = Room(id_, bus_safe(id_), title, "?" if is_direct else "", since=max(made, self.began))
        await self.keep_room(room)
        return room

    async def room(self, room_id: str) -> Room:
        """A room, asked for where it is not known.

        Raises:
            ChannelNotFound: The bot is not in it.
        """
        room = self._rooms.get(room_id)
        return room if room is not None and room.is_here else await self.met(await self._client.room(room_id))

    async def is_direct_with(self, room_id: str, person_id: str) -> None:
        """Note with whom a direct room is."""
        room = self._rooms.get(room_id)
        if room is None:  # the first message has just made it
            now = self._clock.utcnow().timestamp()
            room = Room(room_id, bus_safe(room_id), "", since=now)
        if room.person != person_id:
            await self.keep_room(replace(room, person=person_id))

    async def is_gone(self, room_id: str) -> None:
        """The bot is in a room no more. Its people are as they were, should it come back."""
        room = self._rooms.get(room_id)
        if room is not None and room.is_here:
            await self.keep_room(replace(room, is_here=False))

    async def keep_room(self, room: Room) -> None:
        self._take_room(room)
        await self._store.write(lambda db: ledger.keep_room(db, room))

    # --- people

    async def person(self, person_id: str, address: str = "") -> Known:
        """Somebody by id, asked for where unknown.

        Raises:
            ChannelNotFound: There is no such person.
        """
        known = self._people.get(person_id)
        if known is None:
            try:
                found = await self._client.person(person_id)
            except ChannelNotFound:
                if not address:
                    raise
                found = {}  # of another organization, perhaps; the address tells enough
            address = str(next(iter(found.get("emails") or ()), address))
            name = str(found.get("displayName") or address or "somebody")
            if found.get("type") == "bot" and not is_bot(address):
                address += ".bot"
            await self._keep_people([_known(person_id, name, address)])
            known = self._people[person_id]
        return known

    def is_heard(self, known: Known) -> bool:
        """Whether this one is listened to."""
        return is_heard(known.id, known.address, self.me, self._bots)

    def is_member(self, room: Room, person_id: str) -> bool:
        return person_id in self._members.get(room.id, {})

    def has_members(self, room: Room) -> bool:
        """Whether anybody of a room is known yet."""
        return bool(self._members.get(room.id))

    async def changes(self, room: Room, person_id: str | None = None) -> AsyncIterator[Event]:
        """Joins and leaves that are not known here yet, of all or of one person. A change is known once the next is
        asked for, so what is not dealt with is given again."""
        found = await self._client.members(room.id, person_id)
        now = self._clock.utcnow()
        channel = self.group(room)
        here = {str(each["personId"]): each for each in found if each.get("personId") != self.me}
        people = {id_: _known(id_, _name(each), str(each.get("personEmail") or "")) for id_, each in here.items()}
        await self._keep_people(known for id_, known in people.items() if self._people.get(id_) != known)
        before = self._members.setdefault(room.id, {})
        for id_, coming in list(before.items()):
            if person_id in (None, id_) and (id_ not in here or coming_of(here[id_]) != coming):
                known = self._people[id_]
                yield leave_of(coming, channel, Person(id_, known.name, known.address), now)
                before.pop(id_, None)
                self._store.post(partial(ledger.drop_member, room=room.id, person=id_))
        for id_, each in here.items():
            if id_ not in before and self.is_heard(self._people[id_]):
                yield join_of(each, channel, Person(id_, self._people[id_].name, self._people[id_].address), now)
                before[id_] = coming_of(each)
                self._store.post(partial(ledger.keep_member, room=room.id, person=id_, membership=before[id_]))

    # --- inside

    async def _keep_people(self, people: Iterable[Known]) -> None:
        kept = list(people)
        for known in kept:
            self._take_person(known)
        if kept:
            await self._store.write(lambda db: ledger.keep_people(db, kept))

    def _take_room(self, room: Room) -> None:
        self._rooms[room.id] = room
        if not room.person:
            self._channels[room.channel] = room.id

    def _take_person(self, known: Known) -> None:
        self._people[known.id] = known
        self._direct[known.channel] = known.id


def _known(person_id: str, name: str, address: str) -> Known:
    return Known(person_id, name, address, direct_channel(Person(person_id, name)).id)


def _name(membership: Json) -> str:
    return str(membership.get("personDisplayName") or membership.get("personEmail") or "somebody")
