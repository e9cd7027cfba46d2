"""What a machine gives back: things to be said and kept, as values. Who runs the machine does them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Say:
    """Say this in the channel.

    Attributes:
        content: The same as markdown, where it differs.
        choices: Answers to pick from: buttons where the space has them, a numbered list elsewhere.
    """

    text: str
    content: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settle:
    """The choices said last are answered, by ``choice``, or by none: their buttons take no more presses."""

    choice: str = ""


@dataclass(frozen=True, slots=True)
class Update:
    """Keep ``item`` under ``label`` in the object that the bot remembers under ``key``, as ``bot.update`` does."""

    key: str
    label: str
    item: Any


@dataclass(frozen=True, slots=True)
class Invite:
    """Bring these people into the channel; they are named as the bot's author wrote them."""

    participants: tuple[str, ...]


Deed = Say | Settle | Update | Invite
