"""How far a dialog has come, as a row of the store; and what its machine wants done, as replies.

Both belong to one step: the row, the replies and the event that caused it are one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

from shellbot.envelope import Envelope
from shellbot.events import Button, Capabilities, Card, Event, Person, Reply
from shellbot.inbox import finish
from shellbot.machines.deeds import Deed, Invite, Say, Settle, Update
from shellbot.markup import plain
from shellbot.outbox import insert

SCHEMA = """
CREATE TABLE IF NOT EXISTS dialogs (
    id TEXT PRIMARY KEY, channel TEXT NOT NULL, person TEXT NOT NULL, dialog BLOB NOT NULL
);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One machine and what it has reached.

    Attributes:
        key: Who talks with it: the id of a person, ``''`` for everybody in the channel, as in a direct one.
        do: Keyword of the command that makes it; options: what it makes it with.
        person: Who talked with it last; instruction: of the group, where it was begun by one.
        state: Of the machine; None before its first step. n: steps made. due: when it wants the next, in seconds.
        card: The buttons that may be pressed now.
        ended: ``done`` until the answers are handed over.
    """

    id: str
    channel: str
    key: str
    do: str
    options: dict[str, Any] = field(default_factory=dict)
    person: Person | None = None
    instruction: Envelope | None = None
    state: dict[str, Any] | None = None
    n: int = 0
    due: float | None = None
    card: Reply | None = None
    ended: Literal["", "done", "cancelled"] = ""
    answers: dict[str, Any] = field(default_factory=dict)


def speak(
    dialog: Progress, deeds: list[Deed], capabilities: Capabilities, update: Callable[[str, str, Any], object]
) -> tuple[Progress, list[Reply]]:
    """What a machine wants done, as replies with ids of their own: the same step says the same.

    Args:
        update: Called for what is to be remembered, as ``bot.update``.

    Returns:
        The dialog with the buttons that are open now, and the replies.
    """
    replies: list[Reply] = []
    card = dialog.card
    name = dialog.person.name if dialog.key and dialog.person is not None else ""  # others read it, too
    for number, deed in enumerate(deeds):
        id_ = f"{dialog.id}/{dialog.n}/{number}"
        match deed:
            case Say(text, content, choices) if choices and capabilities.cards:
                buttons = tuple(Button(choice, choice) for choice in choices)
                shown = Card(
                    id=f"{dialog.id}/{dialog.n}",
                    title=(f"{name}: " if name else "") + (text or content),
                    buttons=buttons,
                )
                card = Reply(id=id_, text=content, card=shown)
                replies.append(card)
            case Say(text, content, choices):
                lines = [f"{n}. {plain(choice)}" for n, choice in enumerate(choices, 1)]
                body = (f"{plain(name)}: " if name else "") + (content or text)
                replies.append(Reply(id=id_, text="\n\n".join(filter(None, [body, "\n".join(lines)]))))
            case Settle(choice):
                if card is not None and card.card is not None and capabilities.edit:
                    over = replace(card.card, is_open=False, chosen=choice)
                    replies.append(replace(card, version=card.version + 1, card=over))
                card = None
            case Update(key, label, item):
                update(key, label, item)
            case Invite(participants):
                replies.append(Reply(id=id_, text=f"Please let in: {', '.join(map(plain, participants))}"))
    return replace(dialog, card=card), replies


def keeping(dialog: Progress, replies: list[Reply], event: Event | None = None) -> Callable[[sqlite3.Connection], None]:
    """The transaction of a step: what the machine has reached, what it says, and that the event is dealt with."""
    row = (dialog.id, dialog.channel, dialog.key, msgspec.json.encode(dialog))

    def keep(db: sqlite3.Connection) -> None:
        if dialog.ended == "cancelled":
            db.execute("DELETE FROM dialogs WHERE id = ?", row[:1])
        else:
            db.execute(
                "INSERT INTO dialogs VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET dialog = excluded.dialog", row
            )
        for reply in replies:
            insert(db, dialog.channel, reply)
        if event is not None:
            finish(db, event.id)

    return keep
