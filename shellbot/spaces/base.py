"""What a space is: a place of people that gives events, shows replies and opens direct channels."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol
from uuid import uuid4

from shellbot.errors import SignatureInvalid
from shellbot.events import Capabilities, Channel, Event, Person, Reply
from shellbot.stores.base import Store


@dataclass(frozen=True, slots=True)
class Beside:
    """What a space keeps of an event itself, in the transaction that keeps the event for the bots.

    Attributes:
        job: Run in that transaction.
        then: Given what the job gave, on the loop, once that is committed and before the bots hear of the event.
    """

    job: Callable[[sqlite3.Connection], Any]
    then: Callable[[Any], object]


class Deliver(Protocol):
    """Takes an event."""

    def __call__(self, event: Event, beside: Beside | None = None) -> Awaitable[asyncio.Future[None]]:
        """``turn = await deliver(event)`` returns when the event is committed and will not be lost; ``await turn`` when
        the bot's turn on it is over.

        Args:
            beside: Only for a space that keeps its own in the store it was told of with :meth:`Space.share`.
        """


Veil = Callable[[Event], Awaitable[Event]]
"""``event = await veil(event)``: the event as it may be kept; itself, unless it holds what is to be hidden."""

GROUP = "group"  # id of the group channel, where a space has one
MAX_ID_BYTES = 200  # of a channel; the bus takes 255


class Space(ABC):
    """One chat platform, or a stand-in for one. All of it is called on the event loop.

    A space that keeps what people say itself gives each event to ``veil`` before that, keeps and delivers what comes
    back, and may then declare the capability ``veils``. What it delivers is veiled before the bots keep it anyway.
    """

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]

    _veil: Veil | None = None
    _until_rest: Callable[[], Awaitable[object]] | None = None

    def veil_with(self, veil: Veil) -> None:
        """Give what veils; called by the engine before :meth:`start`."""
        self._veil = veil

    async def veil(self, event: Event) -> Event:
        """The event as it may be kept."""
        return event if self._veil is None else await self._veil(event)

    def rest_with(self, rest: Callable[[], Awaitable[object]]) -> None:
        """Give what waits, for some seconds at most, until all is done that came of what was delivered.

        Called by the engine before :meth:`start`, for a space where people cannot see what they answer.
        """
        self._until_rest = rest

    def share(self, store: Store) -> None:  # noqa: B027 - most keep nothing, or elsewhere
        """Tell where events are kept that are delivered; called by the engine before :meth:`start`.

        A space that keeps what people say in the same store saves a commit a message, see :class:`Beside`.
        """

    @abstractmethod
    async def start(self, deliver: Deliver) -> None:
        """Connect, and give every event to ``deliver`` from now on, one after the other for each channel.

        A person's Join comes before all else of that person. An event may be given again after a failure, with the
        same id.
        """

    @abstractmethod
    async def post(self, channel_id: str, reply: Reply) -> None:
        """Show ``reply``; returns when the platform has it. May be repeated where ``capabilities.ids``.

        Raises:
            ChannelNotFound: No such channel, or its person cannot be reached; repeating does not help.
            RateLimited: To be repeated after the time it names.
            SpaceError: The platform did not take it; to be repeated.
        """

    @abstractmethod
    async def open_direct(self, person: Person) -> Channel:
        """The direct channel with this person, made if need be.

        Raises:
            ChannelNotFound: This person cannot be reached.
        """

    @property
    def is_well(self) -> bool:
        """Whether it can hear and say anything; False where the bot's token is not good any more."""
        return True

    async def receive(self, body: bytes, signature: str | None) -> None:
        """Take what the platform posted; returns when that is kept.

        Args:
            body: As it came, byte for byte.
            signature: What the platform signed it with, if anything.

        Raises:
            SignatureInvalid: It does not come from the platform.
            RateLimited: It should come again later.
            SpaceError: It makes no sense.
        """
        raise SignatureInvalid("nothing is posted to this space")

    async def find(self, address: str) -> Person | None:
        """Who has this address on the platform, whether in a room of ours or not; None where it knows of nobody.

        Raises:
            SpaceError: It cannot be asked now; to be repeated.
        """
        return None

    async def end(self, channel_id: str) -> None:  # noqa: B027 - where it cannot be done, the bot's silence does
        """Let nobody write in this channel any more. What was said there stays to be read. May be called again."""

    @abstractmethod
    async def close(self) -> None:
        """Give no more events and let go of everything. May be called again."""


def new_id() -> str:
    """An id for an event that no other will have."""
    return uuid4().hex


def direct_channel(person: Person) -> Channel:
    """The direct channel with this person, for spaces that make up ids on their own."""
    return Channel(id=f"direct-{bus_safe(person.id)}", title=person.name, is_direct=True)


def bus_safe(text: str) -> str:
    """``text`` as part of a channel's id: different texts stay different; letters and digits stay readable.

    All but letters, digits and ``-_.`` is written as ``%`` and two hex digits for each byte; what is too long ends
    in ``%%`` and a hash.
    """
    parts = []
    for char in text:
        if char.isalnum() or char in "-_.":
            parts.append(char)
        else:
            parts.extend(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
    safe = "".join(parts)
    if len(safe.encode()) <= MAX_ID_BYTES:
        return safe
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return safe.encode()[: MAX_ID_BYTES - 40].decode(errors="ignore") + "%%" + digest
