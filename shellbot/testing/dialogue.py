"""A whole chat for one test: a server of its own, scripted people in its room, and its clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from shellbot.testing.clock import Clock
from shellbot.testing.people import PATIENCE, ScriptedPerson, Sent, Side, own_address
from shellbot.testing.servers import Server


class Dialogue:
    """Given to a test as the fixture ``dialogue``.

    Each deed returns when the bots have dealt with it, so the next line of the test finds its effect.

    Args:
        folder: Of the instance.
        options: As of ``shellbot run``, e.g. the file of your bot.
        patience: Seconds of real time to wait for what is to be heard or pressed.
    """

    def __init__(self, folder: str | Path, options: Sequence[str] = (), *, patience: float = PATIENCE) -> None:
        self.clock = Clock()
        self.server = Server(folder, *options, clock=self.clock)
        self.people: dict[str, ScriptedPerson] = {}
        self._patience = patience

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(person.close() for person in self.people.values()))
        await self.server.close()

    async def group(self, *names: str) -> Group:
        """Let these people in, in this order, unless they are there; the first call starts the server."""
        if not self.server.is_up:
            await self.server.start()
        for name in names:
            if name in self.people:
                continue
            address = own_address(len(self.people))  # the server counts joins by it
            self.people[name] = ScriptedPerson(self.server.url, name, address=address, patience=self._patience)
            await self.people[name].join()
        await self.clock.settle()
        return Group(self)

    def direct(self, name: str) -> Direct:
        """The direct channel of somebody in the room."""
        return Direct(self, self.person(name))

    def person(self, name: str) -> ScriptedPerson:
        """Somebody in the room.

        Raises:
            LookupError: Nobody of this name was let in.
        """
        if name not in self.people:
            there = ", ".join(self.people) or "nobody"
            raise LookupError(f"{name} is not in the room, but {there}; let people in with dialogue.group(...)")
        return self.people[name]

    async def restart(self, *, kill: bool = False) -> None:
        """End the server, asked or killed with -9, and start it again on the same store."""
        await self.server.restart(kill=kill)
        await self.clock.settle()

    async def answer(self, person: ScriptedPerson, side: Side, deed: Callable[[], Awaitable[None]]) -> str:
        """Have somebody do something, and give what the bot said to it in that channel: ``""`` for nothing."""
        await person.catch_up()
        before = len(person.shown)
        await deed()
        await self.clock.settle()
        await person.catch_up()
        latest = {shown.place: shown.text for shown in person.shown[before:] if shown.is_bot and shown.side == side}
        return "\n".join(latest.values())


class Group:
    """The group channel."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue

    async def say(self, name: str, text: str, files: Sequence[Sent] = ()) -> str:
        """Somebody says something to everybody, perhaps with files; gives what the bot answered there."""
        person = self._dialogue.person(name)
        return await self._dialogue.answer(person, "group", lambda: person.say(text, files=files))

    async def press(self, name: str, choice: str) -> str:
        """Somebody presses a button under a message in the group; gives what the bot answered there."""
        person = self._dialogue.person(name)
        return await self._dialogue.answer(person, "group", lambda: person.press(choice, side="group"))

    async def heard(self, text: str) -> str:
        """Wait until the group has been told this; gives the whole of the latest message with it."""
        anybody = next(iter(self._dialogue.people.values()))
        return await anybody.heard(text)

    async def received(self, name: str) -> bytes:
        """Wait until a file of this name stands in the group; gives its content."""
        anybody = next(iter(self._dialogue.people.values()))
        return await anybody.received(name)


class Direct:
    """One person's direct channel."""

    def __init__(self, dialogue: Dialogue, person: ScriptedPerson) -> None:
        self._dialogue = dialogue
        self._person = person

    async def say(self, text: str, files: Sequence[Sent] = ()) -> str:
        """Say something to the bot, perhaps with files; gives what it answered."""
        return await self._dialogue.answer(self._person, "direct", lambda: self._person.say_direct(text, files=files))

    async def press(self, choice: str) -> str:
        """Press a button of the latest ballot; gives what the bot answered, which may be the ballot with a new note."""
        return await self._dialogue.answer(self._person, "direct", lambda: self._person.press(choice))

    async def heard(self, text: str) -> str:
        """Wait until this person alone has been told this; gives the whole of the latest message with it."""
        return await self._person.heard_direct(text)

    async def received(self, name: str) -> bytes:
        """Wait until a file of this name stands in this channel; gives its content."""
        return await self._person.received(name, "direct")
