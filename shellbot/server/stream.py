"""/events: what happens in the room, live to each open page, and what it missed while away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import chain
from urllib.parse import parse_qs

from shellbot.server.asgi import Receive, Scope, Send, header, refuse
from shellbot.server.hosts import Hosts
from shellbot.server.limits import Limits
from shellbot.spaces.web import Cursor, Ended, Member, Post, Typing, WebSpace

logger = logging.getLogger(__name__)

STEP_BACK = 0.001  # seconds after each slice while a form is answered: its thread needs the interpreter, too
SLICE = 4  # pages told in one step of the loop: a form takes some six steps, each as long as one slice
PILE = 4  # posts to all that wait: from there on telling goes before answering
MAX_WAITING = 10_000
_BEAT = b": still here\n\n"
_FULL = b"retry: 5000\nevent: full\ndata: {}\n\n"
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


class Stream:
    """One open page: the frames it has still to be sent, bounded by number and bytes."""

    def __init__(self, person_id: str, room: str, address: str, limits: Limits, abort: Callable[[], None]) -> None:
        self.person_id = person_id
        self.room = room
        self.address = address
        self.cursor = Cursor("", 0, 0)
        self.wake = asyncio.Event()
        self.is_over = False
        self.is_dropped = False
        self._limits = limits
        self._abort = abort
        self._frames: deque[tuple[str, int, bytes]] = deque()
        self._size_bytes = 0

    def offer(self, side: str, seq: int, frame: bytes) -> None:
        """Queue a frame; when too much waits already, the reader is stuck and the stream is dropped, never the event:
        the page comes back and is told from the store."""
        if self.is_over:
            return
        self._frames.append((side, seq, frame))
        self._size_bytes += len(frame)
        if len(self._frames) > self._limits.stream_frames or self._size_bytes > self._limits.stream_bytes:
            self.is_dropped = True
            self.abort()
        self.wake.set()

    def take(self) -> bytes:
        """Give all that waits as one piece, each numbered frame under the cursor reached with it."""
        parts = []
        while self._frames:
            side, seq, frame = self._frames.popleft()
            if side:
                group, direct = self.cursor.group, self.cursor.direct
                if seq <= (group if side == "group" else direct):
                    continue  # shown by the replay already
                group, direct = (seq, direct) if side == "group" else (group, seq)
                self.cursor = Cursor(self.cursor.epoch, group, direct)
                parts.append(f"id: {self.cursor}\n".encode())
            parts.append(frame)
        self._size_bytes = 0
        self.wake.clear()
        return b"".join(parts)

    def finish(self, last: bytes = b"") -> None:
        """Send what waits and these last words, then end."""
        if last:
            self.offer("", 0, last)
        self.is_over = True
        self.wake.set()

    def abort(self) -> None:
        """End at once, whether the other side reads or not."""
        self.is_over = True
        self._frames.clear()
        self._abort()
        self.wake.set()


class Events:
    """All streams. What is for a whole room is told in slices, so that others are answered in between.

    Args:
        space: Tells what happens and what was missed.
        render: Makes the HTML of a post.
        session: Reads the person's id in a room out of the Cookie header; None when there is no valid one.
        is_answering: Whether a page or a form is being answered, which goes first.
    """

    def __init__(
        self,
        *,
        space: WebSpace,
        render: Callable[[Post], str],
        session: Callable[[str, str], str | None],
        hosts: Hosts,
        limits: Limits,
        is_answering: Callable[[], bool] = bool,
        heartbeat: float = 15.0,
    ) -> None:
        self.dropped = 0
        self._space = space
        self._render = render
        self._session = session
        self._hosts = hosts
        self._limits = limits
        self._is_answering = is_answering
        self._heartbeat = heartbeat
        self._by_person: dict[str, list[Stream]] = {}
        self._addresses: Counter[str] = Counter()
        self._waiting: deque[Post] = deque()  # to all of a room
        self._private: deque[Post] = deque()  # in direct channels
        self._people_changed: set[str] = set()  # rooms
        self._typing: dict[str, Member] = {}
        self._wake = asyncio.Event()
        self._wake_private = asyncio.Event()
        self._all_gone = asyncio.Event()
        self._is_stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        return self._addresses.total()

    def start(self) -> None:
        self._space.watch(self._on_news)
        self._tasks = [
            asyncio.create_task(self._fan_out(), name="fan-out"),
            asyncio.create_task(self._tell_private(), name="fan-out, private"),
        ]

    async def stop(self, timeout: float = 0.5) -> None:
        """Tell all pages when to come back and end their streams; who does not read is cut off after ``timeout``."""
        self._space.unwatch(self._on_news)
        self._is_stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for stream in self._streams():
            # with jitter, so that a thousand pages do not come back in one moment
            stream.finish(f"retry: {random.randint(500, 1500)}\n\n".encode())
        if len(self):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._all_gone.wait()
        for stream in self._streams():
            stream.abort()

    def sign_out(self, person_id: str) -> None:
        """End all streams of this person."""
        for stream in list(self._by_person.get(person_id, ())):
            stream.finish(b"event: gone\ndata: {}\n\n")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = header(scope, b"host") or ""
        origin, site = header(scope, b"origin"), header(scope, b"sec-fetch-site")
        address = scope["client"][0] if scope.get("client") else ""
        room = scope["root_path"].strip("/") or self._space.group.id
        person_id = self._session(header(scope, b"cookie") or "", room)
        if scope["method"] != "GET":
            return await refuse(send, 405, "Only GET is answered here.", (b"allow", b"GET"))
        if self._hosts.is_foreign(host, origin, site):
            return await refuse(send, 403, "This stream is only for our own pages.")
        member = self._space.member(person_id) if person_id is not None else None
        if person_id is None or member is None or member.room != room:
            return await refuse(send, 401, "Please join the room first.")
        if self._is_stopping:
            return await refuse(send, 503, "The server is being stopped.", (b"retry-after", b"2"))
        if self._addresses[address] >= self._limits.streams_per_address or len(self) >= self._limits.streams:
            if "text/event-stream" in (header(scope, b"accept") or ""):
                # a page sees no status and no text of a stream that is refused, so it is told on one
                await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
                return await send(_body(_FULL, more=False))
            return await refuse(send, 429, "Too many pages are open here.", (b"retry-after", b"10"))

        stream = Stream(person_id, room, address, self._limits, scope["state"]["abort"])
        self._add(stream)
        watching = asyncio.create_task(self._watch_end(stream, receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await self._serve(stream, _asked(scope), send)
        finally:
            watching.cancel()
            self._remove(stream)
        return None

    # --- one stream

    async def _serve(self, stream: Stream, since: str | None, send: Send) -> None:
        # The stream is registered already: what happens from now on waits in its queue while the store is read.
        if since is None:
            stream.cursor = (await self._space.page(stream.person_id, limit=0)).cursor
            missed = b""
        else:
            cursor = Cursor.parse(since)
            page = await self._space.changes(stream.person_id, cursor) if cursor else None
            if cursor is None or page is None:
                stream.finish()
                await send(_body(b"event: reload\ndata: {}\n\n", more=False))
                return
            stream.cursor = cursor
            missed = await self._replay(stream, page.group, page.direct)
        hello = f"retry: 1000\nid: {stream.cursor}\n".encode() + self._people(stream.room)
        await send(_body(hello + missed))
        while True:
            await stream.wake.wait()
            frames = stream.take()
            if stream.is_over:
                break
            await send(_body(frames))
        if not stream.is_dropped:
            await send(_body(frames, more=False))

    async def _replay(self, stream: Stream, group: list[Post], direct: list[Post]) -> bytes:
        frames = []
        for number, post in enumerate(chain(group, direct)):
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            is_group = post.channel == stream.room
            at = stream.cursor
            stream.cursor = Cursor(at.epoch, post.seq, at.direct) if is_group else Cursor(at.epoch, at.group, post.seq)
            frames.append(f"id: {stream.cursor}\n".encode() + self._frame(post, is_missed=True))
        return b"".join(frames)

    async def _watch_end(self, stream: Stream, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        stream.finish()

    def _add(self, stream: Stream) -> None:
        mine = self._by_person.setdefault(stream.person_id, [])
        live = [other for other in mine if not other.is_over]
        if len(live) >= self._limits.streams_per_person:
            live[0].finish(b"event: replaced\ndata: {}\n\n")
        mine.append(stream)
        self._addresses[stream.address] += 1

    def _remove(self, stream: Stream) -> None:
        self.dropped += stream.is_dropped
        mine = self._by_person[stream.person_id]
        mine.remove(stream)
        if not mine:
            del self._by_person[stream.person_id]
        self._addresses[stream.address] -= 1
        if not self._addresses[stream.address]:
            del self._addresses[stream.address]
        if not self._by_person:
            self._all_gone.set()

    # --- all streams

    def _streams(self, room: str = "") -> list[Stream]:
        """Those of a room, or all."""
        return [stream for streams in self._by_person.values() for stream in streams if not room or stream.room == room]

    def _on_news(self, news: Post | Member | Typing | Ended) -> None:
        if isinstance(news, Typing):
            self._typing[news.member.person.id] = news.member
        elif isinstance(news, Ended):
            for stream in self._streams(news.channel):
                stream.finish(b"event: reload\ndata: {}\n\n")
        elif isinstance(news, Post):
            waiting = self._waiting if self._space.room(news.channel) is not None else self._private
            waiting.append(news)
            if len(waiting) > MAX_WAITING:
                # more than the loop can tell: the pages come back and are told from the store
                waiting.clear()
                for stream in self._streams():
                    stream.is_dropped = True
                    stream.abort()
        else:
            self._people_changed.add(news.room)
            if not news.is_here:
                self.sign_out(news.person.id)
        self._wake.set()
        self._wake_private.set()

    async def _fan_out(self) -> None:
        loop = asyncio.get_running_loop()
        beat = loop.time() + self._heartbeat
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(beat):
                    await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                post = self._waiting.popleft()
                with _logged(post):
                    if streams := self._streams(post.channel):
                        await self._offer(streams, "group", post.seq, self._frame(post))
            while self._people_changed:
                room = self._people_changed.pop()
                await self._offer(self._streams(room), "", 0, self._people(room))
            while self._typing:
                person_id, member = self._typing.popitem()
                others = [stream for stream in self._streams(member.room) if stream.person_id != person_id]
                await self._offer(others, "", 0, _typing(member.person.name))
            if loop.time() >= beat:
                beat = loop.time() + self._heartbeat
                await self._offer(self._streams(), "", 0, _BEAT)

    async def _tell_private(self) -> None:
        # By a task of its own: few pages show it, and it would wait until hundreds have been told something else.
        while await self._wake_private.wait():
            self._wake_private.clear()
            while self._private:
                post = self._private.popleft()
                with _logged(post):
                    if streams := self._by_person.get(post.channel.removeprefix("direct-")):
                        frame = self._frame(post)
                        for stream in streams:
                            stream.offer("direct", post.seq, frame)
                await asyncio.sleep(0)

    async def _offer(self, streams: list[Stream], side: str, seq: int, frame: bytes) -> None:
        for start in range(0, len(streams), SLICE):
            for stream in streams[start : start + SLICE]:
                stream.offer(side, seq, frame)
            await asyncio.sleep(STEP_BACK if self._is_answering() and len(self._waiting) < PILE else 0)

    def _frame(self, post: Post, *, is_missed: bool = False) -> bytes:
        data = {
            "side": "direct" if self._space.room(post.channel) is None else "group",
            "seq": post.seq,
            "place": post.place,
            "missed": is_missed,
            "who": post.member.person.name if post.member else "",
            "key": post.key if post.member else "",
            "html": self._render(post),
        }
        return f"event: post\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()

    def _people(self, room: str) -> bytes:
        members = self._space.members_of(room)
        data = {"count": len(members), "names": [member.person.name for member in members[:12]]}
        return f"event: people\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


@contextlib.contextmanager
def _logged(post: Post) -> Iterator[None]:
    """What cannot be shown is no reason to show nothing any more."""
    try:
        yield
    except Exception:
        logger.exception("one post could not be shown place=%d", post.place)


def _typing(name: str) -> bytes:
    return f"event: typing\ndata: {json.dumps({'who': name}, ensure_ascii=False)}\n\n".encode()


def _asked(scope: Scope) -> str | None:
    """Where to go on: the header a browser sends when it comes back wins over the page's own parameter."""
    query = parse_qs(scope["query_string"].decode("latin-1"))
    return header(scope, b"last-event-id") or query.get("since", [None])[0]


def _body(data: bytes, *, more: bool = True) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": more}
