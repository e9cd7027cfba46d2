"""The human side: people who speak, press buttons, come and go, without HTTP."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from shellbot.testing.fakewebex import rules
from shellbot.testing.fakewebex.ids import make_id
from shellbot.testing.fakewebex.platform import Draft, Platform
from shellbot.testing.fakewebex.state import Account, Action, File, Message, Room


class Person(Account):
    """Somebody with a client. Made by :meth:`FakeWebex.person`; what the platform does not take raises ``Refused``."""

    def __init__(self, platform: Platform, *, name: str, email: str, created: datetime, is_bot: bool = False) -> None:
        super().__init__(name=name, email=email, is_bot=is_bot, created=created)
        self._platform = platform

    def say(
        self,
        place: Room | Account,
        text: str = "",
        *,
        mention: Account | Sequence[Account] = (),
        files: Sequence[tuple[str, bytes]] = (),
        parent: Message | None = None,
    ) -> Message:
        """Say something in a room, or to somebody alone: the direct room is made with the first message.

        Args:
            mention: Stand before the text, as people do; a bot in a group hears nothing without.
            files: Pairs of a name and the bytes; clients send several with one message.
            parent: What this replies to.
        """
        mentions = [mention] if isinstance(mention, Account) else list(mention)
        uploads = tuple(
            File(make_id("CONTENT"), name, mimetypes.guess_type(name)[0] or "application/octet-stream", data)
            for name, data in files
        )
        draft = Draft(
            text=text, files=uploads, parent=parent.id if parent else None, rendered=rules.typed(text, mentions)
        )
        with self._platform.state.lock:
            target = self._platform.room(self, place.id) if isinstance(place, Room) else place
            return self._platform.post(self, target, draft)

    def press(
        self, card: Message | Account, inputs: Mapping[str, Any] | None = None, *, label: str | None = None
    ) -> Action:
        """Press a button of a card.

        Args:
            card: The message with it; or a bot, for the latest card of this bot that one sees.
            inputs: What is filled in. Data of the button comes to it, as clients do.
            label: Title of the button; without it the only one, and none where there are several.

        Raises:
            LookupError: There is no such card or button.
        """
        with self._platform.state.lock:
            message = card if isinstance(card, Message) else self._latest_card(card)
            buttons = [button for content in message.cards for button in rules.submits(content)]
            if label is not None:
                titles = [str(button.get("title", "")) for button in buttons]
                if label not in titles:
                    raise LookupError(f"no button {label!r} on this card, but {titles}")
                buttons = [buttons[titles.index(label)]]
            data = buttons[0].get("data") if len(buttons) == 1 else None
            filled = {**(data if isinstance(data, dict) else {}), **(inputs or {})}
            return self._platform.submit(self, message.id, filled)

    def edit(self, message: Message, text: str) -> Message:
        """Change what one said."""
        return self._platform.edit(self, message.id, message.room_id, Draft(text=text))

    def delete(self, message: Message) -> None:
        """Take back what one said."""
        self._platform.delete(self, message.id)

    def join(self, room: Room) -> None:
        """Come into a group room, as if somebody there had let one in."""
        self._platform.add(self, room, self)

    def leave(self, room: Room) -> None:
        self._platform.remove(self, room, self)

    def add(self, room: Room, other: Account) -> None:
        """Bring somebody, or a bot, into a room."""
        self._platform.add(self, self._platform.room(self, room.id), other)

    def remove(self, room: Room, other: Account) -> None:
        """Put somebody, or a bot, out of a room."""
        self._platform.remove(self, self._platform.room(self, room.id), other)

    def rename(self, name: str) -> None:
        """Have another name from now on; id and address stay."""
        with self._platform.state.lock:
            self.name = name
            self._platform.state.changed()

    def _latest_card(self, sender: Account) -> Message:
        state = self._platform.state
        for message_id in reversed(state.places):
            room, number = state.places[message_id]
            message = room.messages[number]
            if message.person is sender and message.cards and self._platform.can_see(self, message, room):
                return message
        raise LookupError(f"{self.name} sees no card of {sender.name}")


class Bot(Person):
    """A bot's account: its token is for the bot's program. What it does by itself, a test does over the API."""
