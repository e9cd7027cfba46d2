"""What the platform knows: accounts, rooms, messages, actions, webhooks. In memory, under one lock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from shellbot.testing.fakewebex.ids import make_id

RoomType = Literal["group", "direct"]


class Wall(Protocol):
    """A clock: ours of ``shellbot.clocks``, or anything that knows what time it is."""

    def utcnow(self) -> datetime: ...


class SystemWall:
    """The clock of this machine."""

    def utcnow(self) -> datetime:
        return datetime.now(UTC)


class Account:
    """Somebody who can sign in: a person or a bot. Its name may change, its id and address stay."""

    def __init__(self, *, name: str, email: str, is_bot: bool, created: datetime) -> None:
        self.id = make_id("PEOPLE")
        self.name = name
        self.email = email
        self.token = ""
        self.is_bot = is_bot
        self.is_unreachable = False
        self.created = created

    def __repr__(self) -> str:
        return f"<{'bot' if self.is_bot else 'person'} {self.name}>"  # never the token


@dataclass(frozen=True, slots=True)
class File:
    """What was attached to a message."""

    id: str
    name: str
    type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """What was said, as it stands; an edited message is a new value with the same id.

    Attributes:
        text: Without marks; ``html`` is what clients show, ``markdown`` what was sent, "" where it was not.
        cards: Contents of the cards, as sent.
        parent: Id of the message that this one replies to, or None.
        edits: How often it was changed.
        mentions: Ids of people and bots that are mentioned.
        number: Grows in its room by one, from 0.
    """

    id: str
    room_id: str
    person: Account
    text: str
    markdown: str
    html: str
    cards: tuple[dict[str, Any], ...]
    files: tuple[File, ...]
    parent: str | None
    mentions: tuple[str, ...]
    is_to_all: bool
    created: datetime
    number: int
    edits: int = 0
    updated: datetime | None = None
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class Membership:
    id: str
    room_id: str
    account: Account
    is_moderator: bool
    created: datetime


@dataclass(eq=False)
class Room:
    """A space with several people, or of two alone. It changes under the state's lock."""

    id: str
    title: str
    type: RoomType
    creator: Account
    created: datetime
    last_activity: datetime
    is_locked: bool = False
    members: dict[str, Membership] = field(default_factory=dict, repr=False)  # by account
    messages: list[Message] = field(default_factory=list, repr=False)

    @property
    def is_direct(self) -> bool:
        return self.type == "direct"


@dataclass(frozen=True, slots=True)
class Action:
    """A button that was pressed."""

    id: str
    message_id: str
    room_id: str
    person: Account
    inputs: dict[str, Any]
    created: datetime


@dataclass(frozen=True, slots=True)
class Webhook:
    id: str
    owner: Account
    name: str
    url: str
    resource: str
    event: str
    filter: str
    secret: str = field(repr=False)
    created: datetime
    status: Literal["active", "inactive"] = "active"


class State:
    """All of it. Whoever reads or changes holds ``lock``; whoever changed calls :meth:`changed`: others look then."""

    def __init__(self, clock: Wall) -> None:
        self.lock = threading.RLock()
        self.condition = threading.Condition(self.lock)
        self.clock = clock
        self.org_id = make_id("ORGANIZATION")
        self.version = 0  # grows with every change
        self.accounts: dict[str, Account] = {}
        self.tokens: dict[str, Account] = {}
        self.emails: dict[str, Account] = {}  # in small letters
        self.rooms: dict[str, Room] = {}
        self.directs: dict[frozenset[str], Room] = {}  # by the two in them
        self.memberships: dict[str, Membership] = {}
        self.places: dict[str, tuple[Room, int]] = {}  # of messages, by id
        self.actions: dict[str, Action] = {}
        self.files: dict[str, tuple[File, str]] = {}  # with the id of their message
        self.webhooks: dict[str, Webhook] = {}
        self._watchers: list[Callable[[], object]] = []

    def now(self) -> datetime:
        return self.clock.utcnow()

    def changed(self) -> None:
        """Wake all who wait for something."""
        with self.lock:
            self.version += 1
            self.wake()

    def wake(self) -> None:
        """Let all look again who wait for something, though nobody said or did anything."""
        with self.lock:
            self.condition.notify_all()
            for watcher in self._watchers:
                watcher()

    def watch(self, watcher: Callable[[], object]) -> Callable[[], None]:
        """Call this at every change, briefly and with the lock held; what comes back ends it."""
        with self.lock:
            self._watchers.append(watcher)

        def end() -> None:
            with self.lock:
                self._watchers.remove(watcher)

        return end

    def account_of(self, email: str) -> Account | None:
        return self.emails.get(email.strip().lower())

    def message(self, message_id: str) -> Message | None:
        """As it stands now; one that was deleted says so."""
        place = self.places.get(message_id)
        return None if place is None else place[0].messages[place[1]]

    def direct_room(self, one: Account, other: Account) -> Room | None:
        return self.directs.get(frozenset((one.id, other.id)))
