"""WebSpace: who is in which room, what was said there, and handing it to the bots."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import sqlite3
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, TypeVar
from weakref import WeakValueDictionary

from shellbot.clocks import BaseClock
from shellbot.errors import ChannelNotFound, SpaceError
from shellbot.events import Capabilities, CardAction, Channel, Event, File, Join, Leave, Message, Person, Reply
from shellbot.files import shelf as files_table
from shellbot.files.shelf import Shelf
from shellbot.spaces.base import GROUP, Beside, Deliver, Space, direct_channel
from shellbot.spaces.web import ledger, rooms
from shellbot.spaces.web.ledger import Member, Post, Undelivered
from shellbot.spaces.web.names import clean_name, fold_name
from shellbot.spaces.web.rooms import Room
from shellbot.stores.base import Store

logger = logging.getLogger(__name__)

MAX_TEXT_BYTES = 7_000
MAX_REPLAY = 1_000
_KEY = re.compile(r"[A-Za-z0-9_-]{8,64}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Typing:
    """Somebody is writing something to the group. Kept nowhere."""

    member: Member


@dataclass(frozen=True, slots=True)
class Ended:
    """A channel was closed for good."""

    channel: str


Watcher = Callable[[Post | Member | Typing | Ended], None]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Up to where somebody has seen the group and the own direct channel of one history.

    Its text says nothing about channels of others: ``e1f2a3b4.g41.d7``.
    """

    epoch: str
    group: int
    direct: int

    def __str__(self) -> str:
        return f"e{self.epoch}.g{self.group}.d{self.direct}"

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """Read what ``str()`` gave; None for anything else."""
        found = re.fullmatch(r"e([0-9a-f]{1,16})\.g([0-9]{1,12})\.d([0-9]{1,12})", text, re.ASCII)
        return cls(found[1], int(found[2]), int(found[3])) if found else None


@dataclass(frozen=True, slots=True)
class Page:
    """What a person sees, oldest first, and the cursor at which live updates go on.

    Attributes:
        has_earlier: Whether there are earlier posts in the group, and in the direct channel.
    """

    cursor: Cursor
    group: list[Post]
    direct: list[Post]
    has_earlier: tuple[bool, bool] = (False, False)


class WebSpace(Space):
    """Group rooms for people with browsers, and a direct channel with each person in each room.

    A person is a random id, another one in each room; a name belongs to the id that took it first there. What people
    say is stored together with the event for the bots, so neither can be lost without the other: an event whose
    delivery was cut short is delivered again, under the same id, when its sender repeats it and at the next start.
    Everything runs on the loop of ``start()``.

    Args:
        store: Opened store; the tables of the rooms are made in it.
        clock: Gives the stamps of what is said.
        group: Id of the first room's group channel, also its name on the bus. Others are made by :meth:`open_room`.
        title: Shown as the name of the first room.
        bot: Name under which the bot speaks; nobody else may take it.
        turn_timeout: Seconds that :meth:`press` waits for the bot to have dealt with a press.
        shelf: Opened, where files are kept; without it none are taken.
    """

    name: ClassVar[str] = "web"
    capabilities: ClassVar[Capabilities] = Capabilities(cards=True, edit=True, ids=True, veils=True)

    def __init__(
        self,
        *,
        store: Store,
        clock: BaseClock,
        group: str = GROUP,
        title: str = "Everybody",
        bot: str = "shellbot",
        turn_timeout: float = 2.0,
        shelf: Shelf | None = None,
    ) -> None:
        self.group = Channel(group, title)
        self.bot = bot
        self.turn_timeout = turn_timeout
        self.epoch = ""
        self.shelf = shelf
        self._store = store
        self._clock = clock
        self._deliver: Deliver | None = None
        self._is_shared = False  # whether events are kept in the same store
        self._rooms: dict[str, Room] = {group: Room(self.group, 1)}
        self._members: dict[str, Member] = {}
        self._ended: set[str] = set()
        self._seen: set[str] = set()  # ids that a browser has shown in this run
        self._watchers: list[Watcher] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._gates: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by channel, while in use

    # --- the face of a space

    def share(self, store: Store) -> None:
        self._is_shared = store is self._store

    async def start(self, deliver: Deliver) -> None:
        """Take up the rooms where they were left; what was stored and not delivered is delivered now, in order."""
        await self._store.create(ledger.SCHEMA + rooms.SCHEMA + files_table.SCHEMA)
        await self._store.write(lambda connection: rooms.prepare(connection, self.group.id))
        await self._store.write(ledger.add_sealed)
        self.epoch = await self._store.write(ledger.epoch)
        time = self._clock.utcnow()
        known = await self._store.write(lambda connection: rooms.rooms(connection, self.group, time))
        self._rooms = {room.channel.id: room for room in known}
        self._members = {member.person.id: member for member in await self._store.read(ledger.people)}
        self._ended = await self._store.read(ledger.ended)
        self._deliver = deliver
        for event in await self._store.read(ledger.undelivered):
            await self._hand_over(event)

    async def post(self, channel_id: str, reply: Reply) -> None:
        """Show what the bot says; the same version of the same id again changes nothing, a higher one replaces it.

        Raises:
            ChannelNotFound: No such channel here.
        """
        if channel_id not in self._rooms and self._member_of(channel_id) is None:
            raise ChannelNotFound(f"there is no channel {channel_id!r} in these rooms")
        time = self._clock.utcnow()
        await self._finish(self._post(channel_id, reply, time))

    async def open_direct(self, person: Person) -> Channel:
        """Give the direct channel with this person.

        Raises:
            ChannelNotFound: The person is not in the room, or has left it.
        """
        member = self._members.get(person.id)
        if member is None or not member.is_here:
            raise ChannelNotFound(f"{person.name} is not in the room, so there is no direct channel")
        return self.direct(member.person)

    async def end(self, channel_id: str) -> None:
        """Let nobody write in this channel any more; open pages show it."""
        if channel_id not in self._ended:
            self._ended.add(channel_id)
            await self._store.write(lambda connection: ledger.end(connection, channel_id))
            self._tell(Ended(channel_id))

    async def close(self) -> None:
        """Give nothing more to the bots. What is being stored is waited for; a delivery that takes longer than the
        bots get for a press is cut short, and made up at the next start."""
        self._deliver = None
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=self.turn_timeout)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    # --- the face for whoever shows it

    def room(self, room_id: str) -> Room | None:
        """Give the room whose group channel has this id."""
        return self._rooms.get(room_id)

    def knows(self, person_id: str, room_id: str) -> bool:
        """Whether this person is in this room, or was."""
        return person_id in self._members and self._members[person_id].room == room_id

    def room_of(self, channel_id: str) -> str:
        """Give the id of the room that a channel belongs to."""
        member = self._member_of(channel_id)
        return member.room if member is not None else channel_id

    def name_of(self, person_id: str) -> str:
        """Give the name of somebody who is in a room, or was; '' where there is none."""
        return self._members[person_id].person.name if person_id in self._members else ""

    @property
    def members(self) -> list[Member]:
        """Those who are in the first room, in the order in which they first came."""
        return self.members_of(self.group.id)

    def members_of(self, room_id: str) -> list[Member]:
        """Those who are in a room, in the order in which they first came."""
        return [member for member in self._members.values() if member.is_here and member.room == room_id]

    def member(self, person_id: str) -> Member | None:
        """Give the person with this id, if in the room that the id is for."""
        member = self._members.get(person_id)
        return member if member is not None and member.is_here else None

    def is_ended(self, channel_id: str) -> bool:
        """Whether this channel was closed for good."""
        return channel_id in self._ended

    @staticmethod
    def direct(person: Person) -> Channel:
        return direct_channel(person)

    def watch(self, watcher: Watcher) -> None:
        """Call ``watcher`` on the loop with each new or changed post, in order per channel, with each Member who comes
        or leaves, and when one is typing."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        self._watchers.remove(watcher)

    async def join(self, name: str, *, room: str = "", person_id: str = "", is_demo: bool = False) -> Member:
        """Let somebody in; returns when the bots are sure to hear of it.

        Args:
            name: As it was typed.
            room: Id of a room's group channel; the first one by default.
            person_id: Id under which this browser was here before; it may come back under the same name.
            is_demo: A scripted person, shown as such.

        Raises:
            ChannelNotFound: There is no such room.
            SpaceError: The name cannot be used or belongs to somebody else; the text says what to do.
        """
        shown, taken = self._usable(name)
        room = room or self.group.id
        if room not in self._rooms:
            raise ChannelNotFound("There is no such room.")
        person = Person(secrets.token_hex(8), shown)
        known = self._members.get(person_id)
        if known is not None and known.room == room and fold_name(known.person.name) == fold_name(shown):
            person = known.person
        member = await self._finish(self._come(person, is_demo, self._rooms[room].channel))
        if member is None:
            raise SpaceError(taken)
        return member

    async def open_room(self, title: str, name: str, room_id: str = "") -> Member:
        """Make a room, with one person in it.

        Args:
            title: As it was typed.
            name: Of the person.
            room_id: ``room-`` and 12 hex digits, for a caller who may ask twice for the same room.

        Raises:
            SpaceError: The title or the name cannot be used.
        """
        channel = Channel(room_id or rooms.new_room_id(), clean_name(title))
        shown, taken = self._usable(name)
        member = await self._finish(self._come(Person(secrets.token_hex(8), shown), False, channel))
        if member is None:
            raise SpaceError(taken)
        return member

    async def take_over(self, person_id: str, nonce: str) -> Member | None:
        """Let another browser be this person, who comes in again after having left; None where ``nonce`` was used."""
        known = self._members[person_id]
        return await self._finish(self._come(known.person, known.is_demo, self._rooms[known.room].channel, nonce))

    async def revoke(self, room_id: str) -> None:
        """Let no link to this room count that was made before."""
        generation = await self._store.write(lambda connection: rooms.revoke(connection, room_id))
        self._rooms[room_id] = replace(self._rooms[room_id], generation=generation)

    def read_up_to(self, person_id: str, cursor: Cursor) -> None:
        """Note what a person has read. Not waited for: a mark that is lost shows something as new once more."""
        if cursor.epoch == self.epoch and person_id in self._members:
            group, direct = cursor.group, cursor.direct
            self._store.post(lambda connection: rooms.keep_read(connection, person_id, group, direct))

    async def unread(self, people: Iterable[Member]) -> list[int]:
        """How much each of these has not read yet, a hundred at most."""
        asked = [(member.person.id, member.room) for member in people]
        return await self._store.read(lambda connection: [rooms.unread(connection, *each) for each in asked])

    async def leave(self, person_id: str) -> None:
        """Let somebody go. The name stays bound to the id."""
        self._see(person_id)
        await self._finish(self._go(person_id))

    async def say(self, person_id: str, channel_id: str, text: str, key: str, files: tuple[File, ...] = ()) -> Post:
        """Store what a person says and give it to the bots; both are certain when this returns.

        Args:
            key: Id made by the browser for this message; the same again is the same message.
            files: Finished on the shelf, and the space's from now on: those that come to no message are removed.

        Raises:
            ChannelNotFound: Not a channel of this person.
            SpaceError: Empty, or more than 7,000 bytes.
        """
        try:
            member = self._check(person_id, channel_id, key)
            text = _readable(text)
            if not text and not files:
                raise SpaceError("Please write something first.")
            if len(text.encode()) > MAX_TEXT_BYTES:
                raise SpaceError(f"This message is too long: {MAX_TEXT_BYTES:,} bytes are the most. Please shorten it.")
            said = Message(
                id=ledger.said(channel_id, person_id, key),
                channel=self._channel(channel_id, member),
                person=member.person,
                time=self._clock.utcnow(),
                text=text,
                files=files,
            )
            kept = await self.veil(said)
        except Exception:
            await self._discard(files)
            raise
        assert isinstance(kept, Message)
        event = Undelivered(kept.id, "message", channel_id, person_id, kept.time, kept.text, kept.sealed, files)
        return await self._finish(self._say(event, key))

    async def file(self, person_id: str, file_id: str) -> File:
        """A file of a channel of this person.

        Raises:
            ChannelNotFound: There is none, or it is not for this person.
        """
        found = await self._store.read(lambda connection: files_table.find(connection, file_id))
        if found is None or self.shelf is None:
            raise ChannelNotFound("There is no such file.")
        self._check_channel(person_id, found[0])
        return self.shelf.placed(found[1])

    async def typing(self, person_id: str) -> None:
        """Let the others see that this person is writing to the group."""
        member = self.member(person_id)
        if member is not None:
            self._tell(Typing(member))

    async def press(
        self, person_id: str, channel_id: str, place: int, value: str, key: str, *, turn_timeout: float | None = None
    ) -> bool:
        """Give a press on a card's button to the bots and wait a moment for what they do about it.

        A card that is closed is pressed all the same: the bot tells the person why it does not count.

        Args:
            place: Of the post that shows the card.
            turn_timeout: Seconds to wait; the space's own by default, 0 for not at all.

        Returns:
            True when the bot's turn on it is over.

        Raises:
            ChannelNotFound: Not a channel of this person.
            SpaceError: There is no such button.
        """
        member = self._check(person_id, channel_id, key)
        post = await self._store.read(lambda connection: ledger.at_place(connection, channel_id, place))
        if post is None or post.card is None or value not in {button.value for button in post.card.buttons}:
            raise SpaceError("This button is no longer there. Please reload the page.")
        event = CardAction(
            id=f"web-press-{channel_id}-{person_id}-{key}",
            channel=self._channel(channel_id, member),
            person=member.person,
            time=self._clock.utcnow(),
            card=post.card.id,
            value=value,
        )
        turn = await self._finish(self._give(event))
        done, _ = await asyncio.wait({turn}, timeout=self.turn_timeout if turn_timeout is None else turn_timeout)
        return bool(done)

    async def page(self, person_id: str, limit: int = 200) -> Page:
        """Give the last posts of both channels, and where the stream goes on. From now on the name is this person's."""
        group, direct = self._room_of(person_id), f"direct-{person_id}"
        self._see(person_id)

        def job(connection: sqlite3.Connection) -> Page:
            cursor = Cursor(self.epoch, ledger.last_seq(connection, group), ledger.last_seq(connection, direct))
            (in_group, is_cut), (in_direct, is_direct_cut) = (
                ledger.latest(connection, channel, limit) for channel in (group, direct)
            )
            return Page(cursor, in_group, in_direct, (is_cut, is_direct_cut))

        return await self._store.read(job)

    async def earlier(self, person_id: str, channel_id: str, before: int, limit: int = 50) -> tuple[list[Post], bool]:
        """Give the posts before a place, oldest first, and whether there are still earlier ones.

        Raises:
            ChannelNotFound: Not a channel of this person.
        """
        self._check_channel(person_id, channel_id)
        return await self._store.read(lambda connection: ledger.latest(connection, channel_id, limit, before))

    async def changes(self, person_id: str, since: Cursor) -> Page | None:
        """Give what came or changed after ``since``; None when that is another history, or too long ago."""
        group, direct = self._room_of(person_id), f"direct-{person_id}"

        def job(connection: sqlite3.Connection) -> Page | None:
            cursor = Cursor(self.epoch, ledger.last_seq(connection, group), ledger.last_seq(connection, direct))
            if since.group > cursor.group or since.direct > cursor.direct:
                return None
            in_group = ledger.changes(connection, group, since.group, MAX_REPLAY)
            in_direct = ledger.changes(connection, direct, since.direct, MAX_REPLAY)
            return Page(cursor, in_group, in_direct) if in_group is not None and in_direct is not None else None

        return await self._store.read(job) if since.epoch == self.epoch else None

    # --- inside

    def _see(self, person_id: str) -> None:
        """A browser came with this id, so the answer that carried it was not lost."""
        if person_id not in self._seen and person_id in self._members:
            self._seen.add(person_id)
            self._store.post(lambda connection: ledger.see(connection, person_id))

    def _check_channel(self, person_id: str, channel_id: str) -> Member:
        member = self.member(person_id)
        if member is None:
            raise ChannelNotFound("You are not in this room. Please join it first.")
        if channel_id not in (member.room, f"direct-{person_id}"):
            raise ChannelNotFound("There is no such channel.")
        return member

    def _check(self, person_id: str, channel_id: str, key: str) -> Member:
        member = self._check_channel(person_id, channel_id)
        if channel_id in self._ended:
            raise SpaceError("This room is closed. What was said here stays to be read.")
        if not _KEY.fullmatch(key):
            raise SpaceError("The page sent no usable id with this. Please reload it and try again.")
        self._see(person_id)
        return member

    def _room_of(self, person_id: str) -> str:
        return self._members[person_id].room if person_id in self._members else self.group.id

    def _usable(self, name: str) -> tuple[str, str]:
        """Give the name as it is shown, and what is said where another has it."""
        shown = clean_name(name)
        taken = f"{shown} is already taken here. Please choose another name, for instance “{shown[:37]} 2”."
        if fold_name(shown) == fold_name(self.bot):
            raise SpaceError(taken)
        return shown, (
            f"{taken} If it is yours, say “link” in the direct channel, in the browser where you have it, and open the "
            "link here that you get."
        )

    def _folded(self, name: str, room_id: str) -> str:
        # Names without a mark are those of the first room, as they were when there was one. A name has no line end.
        return fold_name(name) if room_id == self.group.id else f"\n{room_id}\n{fold_name(name)}"

    def _member_of(self, channel_id: str) -> Member | None:
        return self._members.get(channel_id.removeprefix("direct-")) if channel_id.startswith("direct-") else None

    def _channel(self, channel_id: str, member: Member) -> Channel:
        return self._rooms[channel_id].channel if channel_id in self._rooms else self.direct(member.person)

    async def _finish(self, work: Coroutine[Any, Any, T]) -> T:
        # Storing, telling the watchers and delivering belong together: a caller who gives up does not cut them apart.
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    def _tell(self, news: Post | Member | Typing | Ended) -> None:
        for watcher in list(self._watchers):
            watcher(news)

    async def _post(self, channel_id: str, reply: Reply, time: datetime) -> None:
        # The store commits in order and wakes its callers in order, so watchers hear of posts by number.
        post = await self._store.write(lambda connection: ledger.reply(connection, channel_id, reply, time))
        if post is not None:
            self._tell(post)

    async def _say(self, event: Undelivered, key: str) -> Post:
        said: list[tuple[Post, bool]] = []

        def then(given: tuple[Post, bool]) -> None:
            said.append(given)
            post, is_new = given
            if is_new:
                self._tell(post)

        is_shared = self._is_shared

        def job(connection: sqlite3.Connection) -> tuple[Post, bool]:
            return ledger.say(connection, event, key, is_delivered=is_shared)

        try:
            if is_shared:
                await self._give(self._event(event), Beside(job, then))
            else:
                then(await self._store.write(job))
        finally:
            # where that failed, none of them came to a message
            if not (said and said[0][1]):
                await self._discard(event.files)
        post = said[0][0]
        if not is_shared:
            await self._hand_over(replace(event, time=post.time, text=post.text, files=post.files))
        return post

    async def _discard(self, files: tuple[File, ...]) -> None:
        if files and self.shelf is not None:
            await asyncio.to_thread(self.shelf.discard, files)

    async def _come(self, person: Person, is_demo: bool, channel: Channel, nonce: str = "") -> Member | None:
        """Let the person in, into a room that is made if it is new; None where the name is another's, or the nonce
        of a link that counts once was used."""
        time = self._clock.utcnow()
        folded = self._folded(person.name, channel.id)

        def job(connection: sqlite3.Connection) -> tuple[Member, list[Undelivered]] | None:
            if nonce and not rooms.spend(connection, nonce, time):
                return None
            rooms.keep_room(connection, channel, time)
            return ledger.come(connection, person, folded, is_demo, channel.id, time)

        come = await self._store.write(job)
        if come is None:
            return None
        member, events = come
        self._rooms.setdefault(channel.id, Room(channel, 1))
        for lost in (event.person for event in events if event.kind == "leave"):
            self._members[lost] = replace(self._members[lost], is_here=False)
        self._members[member.person.id] = member
        self._tell(member)
        for event in events:
            await self._hand_over(event)
        return member

    async def _go(self, person_id: str) -> None:
        time = self._clock.utcnow()
        room = self._room_of(person_id)
        event = await self._store.write(lambda connection: ledger.go(connection, person_id, room, time))
        if event is not None:
            member = self._members[person_id] = replace(self._members[person_id], is_here=False)
            self._tell(member)
            await self._hand_over(event)

    async def _hand_over(self, stored: Undelivered) -> None:
        await self._give(self._event(stored))
        # Not waited for: when this is lost, the event is delivered once more and the inbox knows its id.
        self._store.post(lambda connection: ledger.mark_delivered(connection, stored.id))

    def _event(self, stored: Undelivered) -> Event:
        member = self._members[stored.person]
        channel = self._channel(stored.channel, member)
        if stored.kind == "join":
            return Join(id=stored.id, channel=channel, person=member.person, time=stored.time)
        if stored.kind == "leave":
            return Leave(id=stored.id, channel=channel, person=member.person, time=stored.time)
        return Message(
            id=stored.id,
            channel=channel,
            person=member.person,
            time=stored.time,
            text=stored.text,
            sealed=stored.sealed,
            files=tuple(map(self.shelf.placed, stored.files)) if self.shelf is not None else (),
        )

    async def _give(self, event: Event, beside: Beside | None = None) -> asyncio.Future[None]:
        # One after the other for each channel: the lock lets in first who asked first.
        gate = self._gates.setdefault(event.channel.id, asyncio.Lock())
        async with gate:
            if self._deliver is None:
                raise SpaceError("The room is being closed. Please try again in a moment.")
            return await (self._deliver(event) if beside is None else self._deliver(event, beside))


def _readable(text: str) -> str:
    """Line ends as the page sends them become one kind; other control characters never get into the history."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(char for char in text if char in "\n\t" or (char >= " " and char != "\x7f")).strip()
