"""Where one scenario plays: the same people and words in a terminal, on the web page, and on Webex.

Each stage runs the product as a process, and reaches it as people do. What people cannot do there, it says.
"""

from __future__ import annotations

import asyncio
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self, TypeVar

from shellbot.testing import FakeWebex
from shellbot.testing.fakewebex.rules import submits
from shellbot.testing.fakewebex.state import Message
from shellbot.testing.people import ScriptedPerson
from shellbot.testing.servers import PAUSE, PRODUCT, Server

ROOT = Path(__file__).parents[2]
PATIENCE = 10.0  # seconds that somebody waits to hear something
T = TypeVar("T")


class Stage(ABC):
    """People are known by their names. ``person`` None, or left out, means the group; otherwise the direct channel.

    Attributes:
        takes_files: Whether people can send files.
        can_leave: Whether people can leave the group.
    """

    takes_files = True
    can_leave = True
    server: Server

    async def __aenter__(self) -> Self:
        await self.server.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.server.close()

    async def start(self) -> None:
        """Serve again, after :meth:`kill`."""
        await self.server.start()

    async def kill(self) -> None:
        """End it with -9, as by a power cut."""
        await self.server.kill()

    @abstractmethod
    async def join(self, name: str) -> None:
        """Come into the group."""

    @abstractmethod
    async def say(self, name: str, text: str) -> None:
        """Say something to the bot in the group."""

    @abstractmethod
    async def say_direct(self, name: str, text: str) -> None:
        """Say something to the bot alone; while nobody serves, it comes when somebody does."""

    @abstractmethod
    async def choose(self, name: str, choice: str) -> None:
        """Answer the latest question in the direct channel: press the button, or type what it says to type."""

    @abstractmethod
    async def heard(self, text: str, name: str | None = None) -> str:
        """Wait for a message of the bot with this text, and give all of it."""

    @abstractmethod
    def told(self, name: str | None = None) -> list[str]:
        """What of the bot stands there now, the oldest first."""

    @abstractmethod
    async def received(self, file: str) -> bytes:
        """Wait for a file of this name that the bot sends to the group, and read it."""

    async def send(self, name: str, text: str, file: tuple[str, bytes]) -> None:
        """Say something to the bot alone, with a file."""
        raise NotImplementedError("people cannot send files here")

    async def leave(self, name: str) -> None:
        """Leave the group."""
        raise NotImplementedError("people cannot leave here")


class ConsoleStage(Stage):
    """Everybody types into one terminal, and reads all of it."""

    takes_files = False
    can_leave = False

    def __init__(self, folder: Path, bot: Path) -> None:
        self.server = Server(folder, str(bot), "--space", "console", program=PRODUCT, is_typed_to=True)
        self._serves = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def start(self) -> None:
        await self.server.start()
        self._serves.set()

    async def kill(self) -> None:
        self._serves.clear()
        await self.server.kill()

    async def join(self, name: str) -> None:
        await self.say(name, "good morning")  # who speaks is there

    async def say(self, name: str, text: str) -> None:
        await self._type(f"{name}: {text}")

    async def say_direct(self, name: str, text: str) -> None:
        await self._type(f"{name}> {text}")

    async def _type(self, line: str) -> None:
        await self._serves.wait()  # there is no terminal without a program
        await self.server.write_line(line)

    async def choose(self, name: str, choice: str) -> None:
        shown = await self.heard(f". {choice}", name)
        found = re.findall(rf"^ *(\d+)\. {re.escape(choice)}$", shown, re.MULTILINE)
        assert "to answer, type: " in shown
        await self.say_direct(name, found[0])

    async def heard(self, text: str, name: str | None = None) -> str:
        return await until(lambda: latest(self.told(name), text), lambda: self.server.stdout)

    def told(self, name: str | None = None) -> list[str]:
        head = f"[{name or 'group'}] "
        messages = re.split(r"^(?=\[)", self.server.stdout, flags=re.MULTILINE)
        return [message.removeprefix(head).rstrip() for message in messages if message.startswith(head)]

    async def received(self, file: str) -> bytes:
        shown = await self.heard(f"file: {file} (")
        found = re.search(r"kept as (.*)$", shown, re.MULTILINE)
        assert found is not None, shown
        return await asyncio.to_thread(Path(found[1]).read_bytes)


class WebStage(Stage):
    """Everybody has a browser."""

    def __init__(self, folder: Path, bot: Path) -> None:
        self.server = Server(folder, str(bot), program=PRODUCT)
        self._people: dict[str, ScriptedPerson] = {}

    async def __aexit__(self, *error: object) -> None:
        for person in self._people.values():
            await person.close()
        await super().__aexit__(*error)

    async def join(self, name: str) -> None:
        self._people[name] = person = ScriptedPerson(self.server.url, name, patience=PATIENCE)
        await person.join()

    async def say(self, name: str, text: str) -> None:
        await self._people[name].say(text)

    async def say_direct(self, name: str, text: str) -> None:
        await self._people[name].say_direct(text)

    async def choose(self, name: str, choice: str) -> None:
        await self._people[name].press(choice)

    async def heard(self, text: str, name: str | None = None) -> str:
        person = self._people[name] if name else next(iter(self._people.values()))
        return await person.until(lambda: latest(self.told(name), text), repr(text))

    def told(self, name: str | None = None) -> list[str]:
        person = self._people[name] if name else next(iter(self._people.values()))
        return [post.text for post in person.posts("direct" if name else "group") if post.is_bot]

    async def received(self, file: str) -> bytes:
        return await next(iter(self._people.values())).received(file)

    async def send(self, name: str, text: str, file: tuple[str, bytes]) -> None:
        await self._people[name].say_direct(text, files=[file])

    async def leave(self, name: str) -> None:
        await self._people[name].leave()
        del self._people[name]


class WebexStage(Stage):
    """Everybody has a client of the platform; the bot is told by webhooks, or asks.

    Args:
        python: The Python of an environment with one of the SDKs.
    """

    def __init__(
        self,
        folder: Path,
        bot: Path,
        fake: FakeWebex,
        way: Literal["webhook", "polling"] = "webhook",
        python: str | Path = sys.executable,
    ) -> None:
        self.fake = fake
        self.bot = fake.bot("Shelly")
        self.room = fake.room("Team", bots=[self.bot])
        self._has_buttons = way == "webhook"  # what is pressed cannot be asked for
        self.server = webex_server(fake, folder, way, str(bot), python=python)

    async def join(self, name: str) -> None:
        self.fake.person(name).join(self.room)

    async def say(self, name: str, text: str) -> None:
        self.fake.person(name).say(self.room, text, mention=self.bot)

    async def say_direct(self, name: str, text: str) -> None:
        self.fake.person(name).say(self.bot, text)

    async def choose(self, name: str, choice: str) -> None:
        person = self.fake.person(name)
        pair = (self.bot, person)
        await self.fake.aio.wait_for(pair, lambda message: choice in titles(message), PATIENCE)
        if self._has_buttons:
            cards = [message for message in self.fake.messages(pair) if not message.is_deleted]
            person.press([card for card in cards if choice in titles(card)][-1], label=choice)
        else:
            person.say(self.bot, choice)

    async def heard(self, text: str, name: str | None = None) -> str:
        place = (self.bot, self.fake.person(name)) if name else self.room
        found = await self.fake.aio.wait_for(
            place, lambda message: message.person is self.bot and text in message.text, PATIENCE
        )
        return latest(self.told(name), text) or found.text

    def told(self, name: str | None = None) -> list[str]:
        place = (self.bot, self.fake.person(name)) if name else self.room
        said = self.fake.messages(place)
        return [message.text for message in said if message.person is self.bot and not message.is_deleted]

    async def received(self, file: str) -> bytes:
        found = await self.fake.aio.wait_for(
            self.room, lambda message: file in [sent.name for sent in message.files], PATIENCE
        )
        return next(sent.data for sent in found.files if sent.name == file)

    async def send(self, name: str, text: str, file: tuple[str, bytes]) -> None:
        self.fake.person(name).say(self.bot, text, files=[file])

    async def leave(self, name: str) -> None:
        self.fake.person(name).leave(self.room)


def webex_server(
    fake: FakeWebex,
    folder: Path,
    way: str,
    *options: str,
    bot: str = "Shelly",
    python: str | Path = sys.executable,
    settings: dict[str, str] | None = None,
) -> Server:
    """``shellbot run --space webex`` for a bot of this platform; to be started.

    Args:
        settings: Variables of the environment besides those for the platform.
    """
    environment = {
        "WEBEX_TEAMS_ACCESS_TOKEN": fake.bot(bot).token,
        "SHELLBOT_WEBEX_API_URL": fake.url,
        "SHELLBOT_WEBEX_WAY": way,
        "SHELLBOT_WEBEX_CATALOG_URL": fake.catalog,
        "SHELLBOT_WEBEX_POLL_EVERY": "0.1",
        "PYTHONPATH": str(ROOT),
    }
    environment |= settings or {}
    return Server(folder, *options, "--space", "webex", program=PRODUCT, environment=environment, python=python)


def latest(messages: list[str], text: str) -> str | None:
    return next((message for message in reversed(messages) if text in message), None)


def titles(message: Message) -> list[str]:
    """Of the buttons under a message of the platform."""
    return [str(button.get("title")) for card in message.cards for button in submits(card)]


async def until(look: Callable[[], T | None], tell: Callable[[], str]) -> T:
    """Look at what another process writes, until there is something."""
    try:
        async with asyncio.timeout(PATIENCE):
            while (found := look()) is None:  # noqa: ASYNC110
                await asyncio.sleep(PAUSE)
    except TimeoutError:
        raise TimeoutError(f"not heard, but:\n{tell()}") from None
    return found
