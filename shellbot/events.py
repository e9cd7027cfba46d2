"""What passes between a chat platform and the bots: frozen values, parsed once at the door.

Every stamp is an aware UTC datetime. Ids are strings the platform made; equal ids mean the same thing said twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in a chat. ``id`` tells people apart; ``name`` is only for reading.

    ``address`` is what others write to on the platform, e.g. an e-mail address; empty where it has none.
    """

    id: str
    name: str
    address: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Channel:
    """A place where a bot speaks: a group, or one person's direct channel.

    ``id`` is also the name on the bus: 1 to 255 bytes, no white space, no control character.
    """

    id: str
    title: str
    is_direct: bool = False


@dataclass(frozen=True, slots=True)
class File:
    """A file that goes with what somebody said, or the bot.

    ``name`` is for reading: short, on one line, never a path. ``type`` is the content type; a picture's was found in
    its bytes, others are what the sender says. ``path`` is where it can be read on this machine, under a name that its
    sender did not choose; empty where a file is only shown.
    """

    id: str
    name: str
    size_bytes: int
    type: str = "application/octet-stream"
    path: str = ""

    @property
    def is_picture(self) -> bool:
        """Whether a browser may show it; never true of what can hold scripts, as SVG can."""
        return self.type in PICTURES

    def read(self) -> bytes:
        """All of it. Blocks; large ones are better read piece by piece from ``path``."""
        with open(self.path, "rb") as file:
            return file.read()


PICTURES = frozenset({"image/gif", "image/jpeg", "image/png", "image/webp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a channel. The same ``id`` delivered twice is one event."""

    id: str
    channel: Channel
    person: Person
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Message(Event):
    """A person said ``text``, with these files; the text may then be empty.

    ``sealed`` is what was said in truth, where a command keeps that from all others; ``text`` then does not tell it.
    ``is_called``: the platform says that it is for the bot, as where it was mentioned; the mention is not in the text.
    """

    text: str
    sealed: str = ""
    files: tuple[File, ...] = ()
    is_called: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Join(Event):
    """A person came into the channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave(Event):
    """A person left the channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardAction(Event):
    """A person pressed the button ``value`` of the card ``card``; where it is ``sealed``, ``value`` is empty."""

    card: str
    value: str
    sealed: str = ""


@dataclass(frozen=True, slots=True)
class Button:
    """One thing to press: ``label`` is shown, ``value`` comes back in the :class:`CardAction`.

    ``is_action``: it chooses nothing, but ends a choice, and is shown so where buttons can look different.
    """

    value: str
    label: str
    is_action: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Buttons under a message.

    ``chosen`` is the value pressed last, shown as such, as are those of ``pressed`` where there may be several; a card
    that is not ``is_open`` takes no more presses.
    ``note`` is a line under the buttons, e.g. a receipt.
    """

    id: str
    title: str
    buttons: tuple[Button, ...]
    chosen: str = ""
    is_open: bool = True
    note: str = ""
    pressed: tuple[str, ...] = ()

    def is_pressed(self, button: Button) -> bool:
        """Whether this button is shown as pressed."""
        return button.value == self.chosen or button.value in self.pressed


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a bot says in a channel.

    ``id`` and ``version`` make sending repeatable: a space that has shown this version of this id already does
    nothing; a higher version of a known id replaces it where the space can edit, else it is not shown again.
    ``text`` is markdown of a small kind: emphasis, lists, code, links, tables.
    ``fixed`` is text whose columns must line up (bars): shown as it is, in a fixed-width font, never as markdown.
    ``files`` stay with the id: a later version has those of the first.
    """

    id: str
    text: str
    version: int = 1
    fixed: str = ""
    card: Card | None = None
    files: tuple[File, ...] = ()


EVENT_TYPES: dict[str, type[Event]] = {"message": Message, "join": Join, "leave": Leave, "action": CardAction}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a space can do. What it cannot, the bots do without, in words.

    ``cards``: shows buttons; ``edit``: replaces a message by a higher version; ``ids``: takes our id, so that a
    message sent twice is shown once; ``veils``: keeps of what people say only what the bot has left of it, see
    :attr:`shellbot.spaces.base.Space.veil`. ``at_once``: how many messages it takes side by side, 0 for any number;
    ``a_second``: how many it is expected to take in a second, 0 where nobody knows. ``stamps``: events may come in
    another order than they happened, and their times, all of the platform's one clock, tell which was first.
    """

    cards: bool = False
    edit: bool = False
    ids: bool = False
    veils: bool = False
    at_once: int = 0
    a_second: float = 0.0
    stamps: bool = False


NO_CAPABILITIES = Capabilities()
__all__ = [
    "EVENT_TYPES",
    "NO_CAPABILITIES",
    "PICTURES",
    "Button",
    "Capabilities",
    "Card",
    "CardAction",
    "Channel",
    "Event",
    "File",
    "Join",
    "Leave",
    "Message",
    "Person",
    "Reply",
]
