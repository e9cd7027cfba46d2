"""Scripted people: they come in by the door a browser uses, read the live stream, say things and press buttons."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Self, TypeVar
from urllib.parse import quote

from shellbot.errors import SpaceError
from shellbot.testing import pages
from shellbot.testing.browser import Answer, Browser, Told
from shellbot.testing.pages import Ballot, Shown, ShownFile

T = TypeVar("T")
Sent = str | os.PathLike[str] | tuple[str, bytes]
Side = Literal["group", "direct"]
PATIENCE = 10.0  # seconds; a test mostly has 20, and is to fail with what was heard before they are over
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0  # seconds until a server that is not there is asked again
_SEQ = re.compile(r"\.g(\d+)\.d(\d+)\Z")


class ScriptedPerson:
    """One person with one browser in the room of a web chat.

    What is sent is sent again, under the same id, while the server is away; what was missed comes with the stream.

    Args:
        address: Address of this machine to come from. The server counts joins and open pages by it, so that fifty
            people on one address are too many; see :func:`own_address`.
        is_demo: Come in by a demo link.
        patience: Seconds to wait for a server that is away, and for what is to be heard.
        on_shown: Called with each message, and each new form of one, when it is read.
        on_people: Called with the names of those in the room (the first twelve), when that changes.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        address: str = "",
        is_demo: bool = False,
        patience: float = PATIENCE,
        on_shown: Callable[[ScriptedPerson, Shown], object] | None = None,
        on_people: Callable[[Sequence[str]], object] | None = None,
    ) -> None:
        self.name = name
        self.shown: list[
            Shown
        ] = []  # all that was read, in the order it was; a message that changed stands there again
        self._posts: dict[tuple[str, int], Shown] = {}
        self._browser = Browser(url, address=address)
        self._is_demo = is_demo
        self._patience = patience
        self._on_shown = on_shown
        self._on_people = on_people
        self.names: tuple[str, ...] = ()  # of those in the room, the first twelve
        self.retries = 0  # times that something had to be asked or sent again, as no answer came
        self.gaps = 0  # streams that were opened again because something in them was missing
        self._token = ""
        self._seen = {"group": 0, "direct": 0}
        self._cursor = ""
        self._news = asyncio.Event()
        self._is_back = asyncio.Event()  # set by each answer: then the stream need not wait any longer
        self._trouble: Exception | None = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.join()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    # --- coming and going

    async def join(self) -> None:
        """Come in, read the room, and go on reading.

        Raises:
            SpaceError: The name is taken, or the server lets nobody in.
        """
        link = f"/?as={quote(self.name)}" if self._is_demo else "/"
        self._token = pages.read((await self._get(link)).text).token
        demo = {"demo": "1"} if self._is_demo else {}
        await self._post("/join", {"name": self.name, **demo})
        self._trouble = None  # who left was told so on the stream
        await self._load()
        self._reading = asyncio.create_task(self._read(), name=f"{self.name} reads")

    async def leave(self) -> None:
        """Leave the room."""
        await self._post("/leave", {})
        await self.close()

    async def close(self) -> None:
        """Close the browser. The person is still in the room."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
            self._reading = None

    # --- saying

    async def say(self, text: str, side: Side = "group", *, key: str = "", files: Sequence[Sent] = ()) -> None:
        """Say something; returns when the server has it for certain.

        Args:
            key: Id of the message; what is said twice under one id was said once.
            files: Paths of files to go with it, or pairs of a name and the content.

        Raises:
            SpaceError: It was refused; the text tells why.
        """
        contents = await asyncio.to_thread(lambda: [_content(file) for file in files])
        await self._post("/say", {"text": text, "side": side, "key": key or new_key()}, contents)

    async def say_direct(self, text: str, *, key: str = "", files: Sequence[Sent] = ()) -> None:
        """Say something to the bot alone."""
        await self.say(text, "direct", key=key, files=files)

    async def press(self, choice: str, *, key: str = "", side: Side = "direct") -> None:
        """Press a button by its label, on the latest ballot that has it; waits for one to come.

        Raises:
            SpaceError: It was refused.
            TimeoutError: No ballot with this choice came.
        """
        shown = await self.until(
            lambda: self._latest(side, lambda post: post.ballot is not None and choice in post.ballot.choices),
            f"a button {choice!r}",
        )
        assert shown.ballot is not None
        value = shown.ballot.choices[choice]
        await self._post("/press", {"side": side, "place": str(shown.place), "value": value, "key": key or new_key()})

    # --- reading

    async def heard(self, text: str, side: Side = "group", timeout: float | None = None) -> str:
        """Wait until a message with this text is there, and give all of the latest such.

        Raises:
            TimeoutError: None came; the text tells what did.
        """
        shown = await self.until(lambda: self._latest(side, lambda post: text in post.text), repr(text), timeout)
        return shown.text

    async def heard_direct(self, text: str, timeout: float | None = None) -> str:
        """:meth:`heard` in the direct channel."""
        return await self.heard(text, "direct", timeout)

    async def received(self, name: str, side: Side = "group", timeout: float | None = None) -> bytes:
        """Wait until a message with a file of this name is there, fetch the latest such, and give its content.

        Raises:
            SpaceError: The server does not give it.
            TimeoutError: None came.
        """

        def look() -> ShownFile | None:
            found = [file for post in self.posts(side) for file in post.files if file.name == name]
            return found[-1] if found else None

        file = await self.until(look, f"a file {name!r}", timeout)
        status, _, content = await self._browser.fetch(file.path)
        if status != 200:
            raise SpaceError(content.decode(errors="replace").strip())
        return content

    async def ballot(self, title: str = "", timeout: float | None = None) -> Ballot:
        """Wait for a ballot with this in its title, and give it as it is shown now."""
        shown = await self.until(
            lambda: self._latest("direct", lambda post: post.ballot is not None and title in post.ballot.title),
            f"a ballot {title!r}",
            timeout,
        )
        assert shown.ballot is not None
        return shown.ballot

    async def until(
        self, look: Callable[[], T | None], what: str = "what was waited for", timeout: float | None = None
    ) -> T:
        """Look after each thing read until ``look()`` gives something."""
        try:
            async with asyncio.timeout(self._patience if timeout is None else timeout):
                while (found := look()) is None:
                    if self._trouble is not None:
                        raise self._trouble
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            read = "\n".join(f"[{post.side}] {post.text}" for post in self.posts("group") + self.posts("direct"))
            raise TimeoutError(f"{self.name} did not see {what}, but:\n{read or 'nothing'}") from None
        return found

    async def catch_up(self) -> None:
        """Return when all has been read that the server shows now."""
        at = _seqs(pages.read((await self._get("/")).text).cursor)
        await self.until(lambda: all(self._seen[side] >= seq for side, seq in at.items()) or None, "all that is shown")

    def posts(self, side: Side) -> list[Shown]:
        """What stands there now, oldest first."""
        return [post for (where, _), post in sorted(self._posts.items()) if where == side]

    # --- within

    def _latest(self, side: Side, fits: Callable[[Shown], bool]) -> Shown | None:
        return next((post for post in reversed(self.posts(side)) if fits(post)), None)

    async def _load(self) -> None:
        page = pages.read((await self._get("/")).text)
        if not page.cursor:
            raise SpaceError(f"{self.name} is not in the room")
        self._token, self._cursor, self._seen = page.token, page.cursor, _seqs(page.cursor)
        for post in page.posts:
            self._take(post)

    def _take(self, post: Shown) -> None:
        if self._posts.get((post.side, post.place)) != post:
            self._posts[post.side, post.place] = post
            self.shown.append(post)
            if self._on_shown is not None:
                self._on_shown(self, post)
        self._news.set()

    async def _read(self) -> None:
        """Read the stream, and open it again where it broke off, until the server says that it is over."""
        pauses = _pauses()
        while self._trouble is None:
            try:
                async with self._browser.events(f"/events?since={self._cursor}") as stream:
                    if isinstance(stream, Answer):
                        if stream.status in (401, 403):
                            self._fail(SpaceError(f"{self.name} may not read: {stream.text.strip()}"))
                    else:
                        pauses = _pauses()
                        async for told in stream:
                            if not await self._hear(told):
                                break
            except (OSError, EOFError, TimeoutError):
                pass  # the server went away
            except Exception as error:
                self._fail(error)
            if self._trouble is None:
                self._is_back.clear()
                try:
                    async with asyncio.timeout(next(pauses)):
                        await self._is_back.wait()
                except TimeoutError:
                    pass

    async def _hear(self, told: Told) -> bool:
        """Take one event; False when the stream is to be opened again."""
        if told.name == "post":
            side, seq = told.data["side"], told.data["seq"]
            if not told.data["missed"] and seq > self._seen[side] + 1:
                self.gaps += 1
                return False
            self._take(pages.read(told.data["html"]).posts[0])
            self._seen[side], self._cursor = seq, told.id
        elif told.name == "people":
            self.names = tuple(told.data["names"])
            self._news.set()
            if self._on_people is not None:
                self._on_people(self.names)
        elif told.name == "reload":
            await self._load()
            return False
        elif told.name in ("gone", "replaced"):
            self._fail(SpaceError(f"the stream of {self.name} was ended: {told.name}"))
        return True

    def _fail(self, error: Exception) -> None:
        self._trouble = error
        self._news.set()

    async def _get(self, path: str) -> Answer:
        return await self._patiently(lambda: self._browser.get(path))

    async def _post(self, path: str, fields: dict[str, str], files: Sequence[tuple[str, bytes]] = ()) -> None:
        answer = await self._patiently(lambda: self._browser.post(path, {**fields, "token": self._token}, files))
        if answer.status >= 400:
            raise SpaceError(_reason(answer))

    async def _patiently(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Ask again while the server is away, is being stopped, or wants more time between."""
        pauses = _pauses()
        error: Exception | None = None
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    try:
                        answer = await ask()
                    except OSError as gone:
                        self.retries += 1
                        error, pause = gone, next(pauses)
                    else:
                        self._is_back.set()
                        if answer.status not in (429, 503):
                            return answer
                        error, pause = SpaceError(_reason(answer)), next(pauses)
                        if answer.status == 429:
                            pause = float(answer.headers.get("retry-after", "1"))
                    await asyncio.sleep(pause)
        except TimeoutError:
            raise TimeoutError(f"{self.name} got no answer for {self._patience:g} s: {error!r}") from error


def _content(file: Sent) -> tuple[str, bytes]:
    return file if isinstance(file, tuple) else (Path(file).name, Path(file).read_bytes())


def new_key() -> str:
    """An id for something that is sent, as the page's script makes it."""
    return secrets.token_hex(12)


def own_address(number: int) -> str:
    """Another address of this machine for each number from 0 to 60,000, where it has more than one."""
    return f"127.0.{1 + number // 250}.{1 + number % 250}" if sys.platform == "linux" else ""


def _pauses() -> Iterator[float]:
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * 2, LONGEST_PAUSE)


def _seqs(cursor: str) -> dict[str, int]:
    found = _SEQ.search(cursor)
    return {"group": int(found[1]), "direct": int(found[2])} if found else {}


def _reason(answer: Answer) -> str:
    try:
        return str(json.loads(answer.text)["error"])
    except (ValueError, KeyError, TypeError):
        return answer.text.strip() or f"status {answer.status}"
