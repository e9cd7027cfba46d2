"""Calls to Webex by whichever SDK is there, awaited by the event loop. No other module knows an SDK.

The SDK makes the requests and reads the answers; what goes wrong is dealt with below it, in
:mod:`shellbot.spaces.webex.wire`. Here it is known what the platform wants for all calls together.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import islice
from logging import getLogger
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests

from shellbot.clocks import BaseClock
from shellbot.errors import (
    ChannelNotFound,
    ConfigError,
    FileRefused,
    MessageRefused,
    OutcomeUnknown,
    RateLimited,
    SpaceError,
    SpaceUnauthorized,
)
from shellbot.events import File
from shellbot.files.names import clean_name
from shellbot.files.shelf import Shelf
from shellbot.spaces.webex.events import Json, time_of
from shellbot.spaces.webex.hosts import LOOPBACK, is_of_webex
from shellbot.spaces.webex.wire import Wire, download, explained, is_at, session_of

logger = getLogger(__name__)
T = TypeVar("T")

SPARE_THREADS = 4  # for what is read, while all others send
BREAK_AFTER = 5  # failures in a row; from then on one call at a time tries
LONGEST_BREAK = 60.0  # seconds between such tries
PAGE = 50  # messages asked for at once
MOST = 1_000  # rooms, members or messages asked for at once
CLOSING = 5.0  # seconds that calls under way get at the end


class Client:
    """One bot's calls. At most ``parallel`` of them send at once, each in a thread with connections of its own.

    Each call waits while the platform wants none: it asked to wait (429), or failed again and again. What does not come
    to anything is one of the errors of :class:`shellbot.errors.SpaceError`; each call has a time limit.

    Args:
        token: Shown to nobody: no error, log or repr holds it.
        api_url: Where Webex is; calls go nowhere else, but for those of :meth:`ask`.
        clock: What waiting goes by. Time limits of calls go by real time.

    Raises:
        ConfigError: There is no SDK here, or the address would have the token sent in clear text.
    """

    def __init__(self, token: str, api_url: str, clock: BaseClock, *, parallel: int = 20) -> None:
        self.url = api_url.rstrip("/") + "/"
        where = urlsplit(self.url)
        if where.scheme != "https" and not (where.scheme == "http" and where.hostname in LOOPBACK):
            raise ConfigError(f"webex.api_url is {api_url}, but the token goes over https:// only", key="webex.api_url")
        self._make = _sdk()
        self._token = token
        self._clock = clock
        self._pool = ThreadPoolExecutor(parallel + SPARE_THREADS, thread_name_prefix="webex")
        self._sending = asyncio.Semaphore(parallel)
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._resume_at = 0.0  # of the clock: no call before
        self._failures = 0  # in a row
        self._probing = asyncio.Lock()
        self._sleeps: set[asyncio.Future[None]] = set()  # of calls that wait until they are wanted
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_open = True
        self.is_denied = False

    async def close(self) -> None:
        """Let calls under way end, for some seconds, and take no others."""
        self._is_open = False
        for sleep in list(self._sleeps):
            sleep.cancel()
        try:
            async with asyncio.timeout(CLOSING):
                await self._idle.wait()
        except TimeoutError:
            logger.warning("calls to Webex are left alone while they run calls=%d", self._running)
        self._pool.shutdown(wait=not self._running, cancel_futures=True)
        for session in self._sessions:
            session.close()

    # --- what is asked

    async def me(self) -> Json:
        """The bot itself."""
        return await self._call(lambda api: _json(api.people.me()))

    async def person(self, person_id: str) -> Json:
        return await self._call(lambda api: _json(api.people.get(person_id)))

    async def people(self, address: str) -> list[Json]:
        """Who has this address: one person, or nobody."""
        return await self._call(lambda api: _all(islice(api.people.list(email=address), 2)))

    async def room(self, room_id: str) -> Json:
        return await self._call(lambda api: _json(api.rooms.get(room_id)))

    async def rooms(self) -> list[Json]:
        """All rooms of the bot, the one where something happened last first."""
        return await self._call(lambda api: _all(api.rooms.list(sortBy="lastactivity", max=MOST)))

    async def members(self, room_id: str, person_id: str | None = None) -> list[Json]:
        """Who is in a room; or this one person, if there."""
        return await self._call(lambda api: _all(api.memberships.list(roomId=room_id, personId=person_id, max=MOST)))

    async def message(self, message_id: str) -> Json:
        return await self._call(lambda api: _json(api.messages.get(message_id)))

    async def messages(self, room_id: str, since: datetime, *, is_group: bool) -> list[Json]:
        """What was said in a room from ``since`` on, oldest first, a thousand at most; in a group, to the bot."""

        def ask(api: Any) -> list[Json]:
            wanted = {"mentionedPeople": "me"} if is_group else {}
            found = []
            for message in islice(api.messages.list(roomId=room_id, max=PAGE, **wanted), MOST):
                if time_of(message.json_data.get("created")) < since:
                    break
                found.append(_json(message))
            return found[::-1]

        return await self._call(ask)

    async def action(self, action_id: str) -> Json:
        return await self._call(lambda api: _json(api.attachment_actions.get(action_id)))

    async def hooks(self) -> list[Json]:
        return await self._call(lambda api: _all(api.webhooks.list(max=100)))

    # --- what is done

    async def send(self, to: Json, markdown: str, card: Json | None = None, file: File | None = None) -> Json:
        """Post one message; gives it as the platform shows it.

        Args:
            to: ``{"roomId": ...}`` or ``{"toPersonId": ...}``; the first message to a person makes the direct room.

        Raises:
            OutcomeUnknown: Nobody knows whether it was posted.
        """

        def post(api: Any) -> Json:
            more: Json = dict(to)
            if markdown:
                more["markdown"] = markdown
            if card is not None:
                more["attachments"] = [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}]
            if file is None:
                return _json(api.messages.create(**more))
            if not os.path.isfile(file.path):
                raise MessageRefused(f"the file {file.name!r} is gone from the server's folder")
            # the SDK tells the platform the name it finds on disk, and there it is ours
            with tempfile.TemporaryDirectory(prefix="shellbot-") as folder:
                named = os.path.join(folder, clean_name(file.name))
                os.symlink(os.path.abspath(file.path), named)
                return _json(api.messages.create(files=[named], **more))

        async with self._sending:
            return await self._call(post)

    async def edit(self, message_id: str, room_id: str, markdown: str) -> None:
        """Give a message of ours another text. Webex takes ten of these, and none for cards and files."""

        def edit(api: Any) -> None:
            change = getattr(api.messages, "edit", None) or api.messages.update
            change(messageId=message_id, roomId=room_id, markdown=markdown)

        async with self._sending:
            await self._call(edit)

    async def delete(self, message_id: str) -> None:
        """Take back a message of ours; one that is gone already is."""
        async with self._sending:
            with contextlib.suppress(ChannelNotFound):
                await self._call(lambda api: api.messages.delete(message_id))

    async def make_hook(self, **fields: str) -> Json:
        return await self._call(lambda api: _json(api.webhooks.create(**fields)))

    async def change_hook(self, hook_id: str, **fields: str) -> Json:
        return await self._call(lambda api: _json(api.webhooks.update(hook_id, **fields)))

    async def drop_hook(self, hook_id: str) -> None:
        """Take back a webhook of ours; one that is gone already is."""
        with contextlib.suppress(ChannelNotFound):
            await self._call(lambda api: api.webhooks.delete(hook_id))

    async def download(self, url: str, shelf: Shelf) -> File:
        """Fetch a file that somebody sent, onto the shelf. Only from where Webex is, and following nothing.

        Raises:
            FileRefused: It is too large, lies elsewhere, or the platform does not give it. Can be said to people.
        """
        if not is_at(self.url, url):
            raise FileRefused("A file is not fetched from where it lies: that is not Webex.")
        try:
            return await self._call(lambda api: download(session_of(api), url, shelf))
        except (ChannelNotFound, MessageRefused) as error:
            raise FileRefused("Webex does not give out a file that you sent; it may be blocked or gone.") from error

    async def ask(self, method: str, url: str, body: Json | None = None) -> Json:
        """Call a service of Webex that stands beside the API, where one of its own answers says so.

        Raises:
            MessageRefused: The address is not Webex's. Nothing is sent there, the token least of all.
        """
        if not is_of_webex(url, self.url):
            raise MessageRefused("Webex names an address that is not its own; nothing is sent there")

        def ask(api: Any) -> Json:
            self._local.wire.is_beside = True
            try:
                with session_of(api).request(method, url, json=body, allow_redirects=False) as response:
                    return dict(json.loads(response.content)) if response.content else {}
            finally:
                self._local.wire.is_beside = False

        return await self._call(ask)

    # --- how

    async def _call(self, work: Callable[[Any], T]) -> T:
        while self._failures >= BREAK_AFTER:
            async with self._probing:
                if self._failures < BREAK_AFTER:
                    break
                return await self._when_wanted(work)
        return await self._when_wanted(work)

    async def _when_wanted(self, work: Callable[[Any], T]) -> T:
        while True:
            if self.is_denied:
                raise SpaceUnauthorized("Webex does not know the bot's token any more; nothing is tried with it")
            if not self._is_open:
                raise SpaceError("the connection to Webex is being closed; try again later")
            wait = self._resume_at - self._clock.time()
            if wait <= 0:
                break
            sleep = asyncio.ensure_future(self._clock.sleep(wait))
            self._sleeps.add(sleep)
            try:
                await asyncio.wait({sleep})
            finally:
                self._sleeps.discard(sleep)
                sleep.cancel()
        self._running += 1
        self._idle.clear()
        # Whoever waits for it may give up; the call itself goes on, and is counted to its end.
        call = asyncio.ensure_future(asyncio.get_running_loop().run_in_executor(self._pool, self._work, work))
        call.add_done_callback(self._ended)
        return await asyncio.shield(call)

    def _ended(self, call: asyncio.Future[Any]) -> None:
        self._running -= 1
        if not self._running:
            self._idle.set()
        error = None if call.cancelled() else call.exception()
        match error:
            case SpaceUnauthorized():
                if not self.is_denied:
                    self.is_denied = True
                    logger.error(
                        "Webex does not know the bot's token any more: nothing is sent or heard until the next start. "
                        "Make a new token at developer.webex.com, put it where the old one is, and start again; "
                        "what was not sent is kept"
                    )
            case RateLimited() | ChannelNotFound() | MessageRefused() | FileRefused():
                self._failures = 0
            case None:
                if self._failures >= BREAK_AFTER:
                    logger.warning("Webex answers again")
                self._failures = 0
            case SpaceError():
                self._failures += 1
                if self._failures >= BREAK_AFTER:
                    pause = min(LONGEST_BREAK, 2.0 ** min(10, self._failures - BREAK_AFTER))
                    self._resume_at = max(self._resume_at, self._clock.time() + pause)
                    if self._failures == BREAK_AFTER:
                        logger.warning("Webex fails again and again; calls wait, and one tries from time to time")

    def _work(self, work: Callable[[Any], T]) -> T:
        """In a thread of the pool."""
        try:
            return work(self._api())
        except SpaceError:
            raise
        except requests.RequestException as error:
            raise explained(error) from error
        except Exception as error:
            if not self._local.wire.has_asked:
                raise MessageRefused(f"this cannot be sent: {type(error).__name__}: {error}") from error
            raise OutcomeUnknown(f"Webex answered what cannot be read ({type(error).__name__})") from error

    def _api(self) -> Any:
        api = getattr(self._local, "api", None)
        if api is None:
            api = self._make(access_token=self._token, base_url=self.url, wait_on_rate_limit=False)
            wire = Wire(self.url, self._clock.utcnow, self._pause)
            wire.mount(session_of(api))
            self._sessions.append(session_of(api))
            self._local.api, self._local.wire = api, wire
        self._local.wire.has_asked = False
        return api

    def _pause(self, seconds: float) -> None:
        self._resume_at = max(self._resume_at, self._clock.time() + seconds)


def _sdk() -> Callable[..., Any]:
    try:
        from webexteamssdk import WebexTeamsAPI as Api
    except ImportError:
        try:
            from webexpythonsdk import WebexAPI as Api
        except ImportError:
            raise ConfigError("Webex needs its SDK; pip install webexteamssdk", key="space.type") from None
    made: Callable[..., Any] = Api
    return made


def _json(thing: Any) -> Json:
    return dict(thing.json_data)


def _all(things: Iterable[Any]) -> list[Json]:
    return [_json(thing) for thing in things]
