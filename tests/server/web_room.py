"""A room for the tests of the server: a real space and server on a port of its own, and a small bot that hears it."""

from __future__ import annotations

import asyncio
import html
import json
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests

from shellbot.clocks import AsyncioClock
from shellbot.events import Button, Card, CardAction, Channel, Event, Join, Leave, Message, Reply
from shellbot.files.shelf import Shelf
from shellbot.server.chat import ChatServer
from shellbot.server.limits import Limits
from shellbot.spaces.web import WebSpace
from shellbot.stores.base import Store
from shellbot.stores.memory import MemoryStore

SECRET = b"0123456789abcdef0123456789abcdef"
MANY = Limits(message_rate=10_000, message_burst=10_000, joins_per_minute=10_000)


class PollBot:
    """Says nothing to anybody until somebody says ``vote``: then a ballot in each direct channel, and a result."""

    def __init__(self, space: WebSpace) -> None:
        self.space = space
        self.heard: list[Event] = []
        self.seen: set[str] = set()
        self.direct: dict[str, Channel] = {}
        self.votes: dict[str, str] = {}
        self.versions: dict[str, int] = {}
        self.title = "Lunch?"

    async def deliver(self, event: Event) -> asyncio.Future[None]:
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if event.id not in self.seen:
            self.seen.add(event.id)
            self.heard.append(event)
            await self.turn(event)
        over.set_result(None)
        return over

    async def turn(self, event: Event) -> None:
        if isinstance(event, Join):
            channel = await self.space.open_direct(event.person)
            self.direct[event.person.id] = channel
        elif isinstance(event, Leave):
            del self.direct[event.person.id]
        elif isinstance(event, Message) and event.text.startswith("vote"):
            self.title = event.text.removeprefix("vote").strip() or "Lunch?"
            for person_id in self.direct:
                await self.ballot(person_id)
        elif isinstance(event, Message) and event.text == "close":
            for person_id in self.direct:
                await self.ballot(person_id, is_open=False)
        elif isinstance(event, CardAction):
            self.votes[event.person.id] = event.value
            await self.ballot(event.person.id)
            if len(self.votes) == len(self.direct):
                counts = [list(self.votes.values()).count(value) for value in ("1", "2")]
                fixed = f"Pizza  {'█' * 8 * counts[0]} {counts[0]}\nSushi  {'█' * 8 * counts[1]} {counts[1]}"
                await self.space.post("group", self.reply("result", f"**Result** of {self.title}", fixed=fixed))

    async def ballot(self, person_id: str, is_open: bool = True) -> None:
        chosen = self.votes.get(person_id, "")
        names = {"1": "Pizza", "2": "Sushi"}
        note = f"Your vote: {names[chosen]}. You can change it until the close." if chosen else ""
        buttons = tuple(Button(value, name) for value, name in names.items())
        card = Card(id="poll-1", title=self.title, buttons=buttons, chosen=chosen, is_open=is_open, note=note)
        channel = self.direct[person_id]
        await self.space.post(channel.id, self.reply(f"ballot-{person_id}", "Please vote:", card=card))

    def reply(self, id: str, text: str, **fields: Any) -> Reply:
        self.versions[id] = self.versions.get(id, 0) + 1
        return replace(Reply(id=id, text=text, version=self.versions[id]), **fields)


@asynccontextmanager
async def serving(
    *,
    store: Store | None = None,
    port: int = 0,
    title: str = "Lunch room",
    shelf: Shelf | None = None,
    **settings: Any,
) -> AsyncIterator[Any]:
    """Give ``(server, space, bot)``, all running; everything is closed at the end."""
    settings.setdefault("limits", MANY)
    kept = store
    if kept is None:
        kept = MemoryStore()
        await kept.open()
    space = WebSpace(store=kept, clock=AsyncioClock(), title=title, shelf=shelf)
    bot = PollBot(space)
    await space.start(bot.deliver)
    server = ChatServer(space=space, port=port, secret=SECRET, **settings)
    try:
        await server.start()
        yield server, space, bot
    finally:
        await server.stop()
        await space.close()
        if store is None:
            await kept.close()


class Browser:
    """What a browser without scripts does: pages, forms and cookies over HTTP. Blocking; used in threads."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.shown = ""
        self.http = requests.Session()
        # the policy of the library would refuse cookies of an IP address with a port
        self.http.cookies.set_policy(DefaultCookiePolicy(rfc2965=False))
        self.http.trust_env = False

    def close(self) -> None:
        self.http.close()

    def page(self, path: str = "") -> str:
        self.last = self.http.get(self.url + path, timeout=15)
        if not path:
            self.shown = self.last.text
        return self.last.text

    @property
    def token(self) -> str:
        """Of the page loaded last."""
        found = re.search(r'name="token" value="([^"]+)"', self.shown)
        assert found
        return found[1]

    @property
    def cookie(self) -> str:
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.http.cookies)

    @property
    def cursor(self) -> str:
        """Of the page loaded last."""
        found = re.search(r'data-cursor="([^"]+)"', self.shown)
        assert found
        return found[1]

    def post(self, path: str, fields: dict[str, str], **headers: str) -> requests.Response:
        sent = {"Accept": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.http.post(self.url + path, data=fields, headers=sent, timeout=15, allow_redirects=False)

    def join(self, name: str) -> requests.Response:
        self.page()
        answer = self.post("join", {"name": name, "token": self.token})
        self.page()
        return answer

    def say(self, text: str, side: str = "group", key: str = "", token: str = "") -> requests.Response:
        fields = {"text": text, "side": side, "key": key or secrets.token_hex(8), "token": token or self.token}
        return self.post("say", fields)

    def send(
        self, *files: tuple[str, bytes], text: str = "", side: str = "group", key: str = "", **headers: str
    ) -> requests.Response:
        """Say something with files, as the form does."""
        fields = {"text": text, "side": side, "key": key or secrets.token_hex(8), "token": self.token}
        sent = [("files", (name, content, "text/html")) for name, content in files]
        headers = {"Accept": "application/json", **headers}
        return self.http.post(self.url + "say", data=fields, files=sent, headers=headers, timeout=15)

    def fetch(self, path: str, **headers: str) -> requests.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.get(self.url + path, headers=sent, timeout=15)

    def links(self) -> list[str]:
        """Where the files that the room shows are."""
        return list(dict.fromkeys(re.findall(r'href="/(files/\w+)"', self.page())))

    def forms(self, action: str) -> list[dict[str, str]]:
        """Give the hidden fields of each form that goes there."""
        found = re.findall(rf'<form[^>]*action="[^"]*/{action}">(.*?)</form>', self.page(), re.S)
        pattern = r'<input type="hidden" name="([^"]+)" value="([^"]*)"'
        return [{name: html.unescape(value) for name, value in re.findall(pattern, form)} for form in found]

    def press(self, value: str, **changed: str) -> requests.Response:
        return self.post("press", {**self.forms("press")[-1], "value": value, **changed})


@asynccontextmanager
async def browsers(url: str, *names: str) -> AsyncIterator[list[Browser]]:
    """Give a browser each, joined under these names (an empty name does not join)."""
    made = [Browser(url) for _ in names]
    try:
        for browser, name in zip(made, names, strict=True):
            if name:
                answer = await asyncio.to_thread(browser.join, name)
                assert answer.status_code == 303, answer.text
            await asyncio.to_thread(browser.page)
        yield made
    finally:
        for browser in made:
            browser.close()


@dataclass
class Told:
    """One event of a stream."""

    name: str
    id: str
    data: dict[str, Any]


class Listener:
    """A page's event stream, read over a bare socket."""

    def __init__(self, url: str, cookie: str, root: str = "") -> None:
        self.port = urlsplit(url).port
        self.cookie = cookie
        self.root = root
        self.last_id = ""
        self.lines: list[str] = []

    async def open(self, since: str | None = None, *, last_event_id: str = "") -> int:
        """Open the stream; gives the status."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        query = f"?since={since}" if since is not None else ""
        again = f"Last-Event-ID: {last_event_id}\r\n" if last_event_id else ""
        path = f"{self.root}/events{query}"
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nCookie: {self.cookie}\r\n{again}\r\n"
        self.writer.write(request.encode())
        self.head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        return int(self.head.split()[1])

    async def line(self) -> str | None:
        """Give the next line of the stream; None at its end."""
        while not self.lines or (len(self.lines) == 1 and self.lines[0] != ""):
            try:
                size = int(await self.reader.readuntil(b"\r\n"), 16)
                chunk = await self.reader.readexactly(size + 2)
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
            if not size:
                return None
            text = chunk[:-2].decode()
            assert text.endswith("\n"), "a frame is never cut"
            self.lines += text.removesuffix("\n").split("\n")
        return self.lines.pop(0)

    async def next(self, *names: str) -> Told | None:
        """Give the next event, of these names if given; None at the end of the stream."""
        name, id, data = "", "", ""
        while (line := await self.line()) is not None:
            key, _, value = line.partition(": ")
            if key == "event":
                name = value
            elif key == "id":
                id = value
            elif key == "data":
                data = value
            elif not line and name:
                self.last_id = id or self.last_id
                if not names or name in names:
                    return Told(name, id, json.loads(data))
                name, id, data = "", "", ""
        return None

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


@asynccontextmanager
async def listening(
    browser: Browser, since: str | None = None, *, root: str = "", **more: str
) -> AsyncIterator[Listener]:
    """Give an open stream of this browser, in the room at this root."""
    listener = Listener(browser.url, browser.cookie, root)
    status = await listener.open(since, **more)
    assert status == 200, listener.head
    try:
        yield listener
    finally:
        await listener.close()


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition of this process, looking at each turn of the loop."""
    loop = asyncio.get_running_loop()
    end = loop.time() + 10
    while not condition():
        assert loop.time() < end, f"waited 10 s for {what}"
        await asyncio.sleep(0.005)
