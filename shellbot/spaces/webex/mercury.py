"""Hearing by websocket: what happens comes by itself, and nobody needs an address of ours.

An experiment: Cisco's own clients do it so, and no page of Cisco's describes it. An activity says only that something
was said or pressed; what it is comes from the API, as for a webhook. Whatever is missed while there is no connection is
looked for in the rooms once there is one again.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from logging import CRITICAL, Logger, getLogger

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from shellbot.clocks import BaseClock
from shellbot.codecs import decode, encode
from shellbot.errors import (
    ChannelNotFound,
    InvalidMessage,
    MessageRefused,
    RateLimited,
    SpaceError,
    SpaceUnauthorized,
    StoreError,
)
from shellbot.spaces.webex import ledger
from shellbot.spaces.webex.activities import Activity, activity_of, id_of
from shellbot.spaces.webex.client import Client
from shellbot.spaces.webex.events import Json, Notice, notice_of
from shellbot.spaces.webex.hosts import is_of_webex
from shellbot.spaces.webex.intake import Intake
from shellbot.spaces.webex.retry import retry_after
from shellbot.stores.base import Store

logger = getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between tries, and a part more by chance
OPENING = 10.0  # seconds that a connection may take
READY = 5.0  # seconds that Webex may take to say the first word; after them it counts as connected, too
# Seconds; a connection that says nothing is pinged, and given up after all three.
PING_EVERY, PONG_WITHIN, CLOSING = 15.0, 13.0, 2.0
AT_ONCE = 10  # things that are fetched at once; who says more waits, down to the platform
TRIES = 8  # for one thing that is fetched, some two minutes; those behind it wait
MAX_BYTES = 1024 * 1024  # of one event
DENIED = (4401, 4403)  # how Webex closes where the token is not good
# Of nobody's tree, and silent: the library would write all it sends at DEBUG, the token with it.
_SILENT = Logger("websockets", CRITICAL + 1)  # noqa: LOG001


@dataclass(frozen=True, slots=True)
class Account:
    """Whose devices they are. ``mark`` tells this token from others in the ledger, ``device`` is what it is called."""

    me: str
    token: str
    mark: str
    device: str

    def __repr__(self) -> str:
        return f"Account({self.me!r})"


@dataclass(frozen=True, slots=True)
class _Coming:
    event: str
    socket: ClientConnection
    found: asyncio.Task[Notice | None]


class Mercury:
    """One bot's connection, made again whenever it ends. Owned by the event loop.

    Args:
        catalog_url: Where the services are named.
        on_connected: Called when there is a connection, so that what was missed can be looked for.
        on_unclear: Called when something happened of which only a look through the rooms can tell more.
    """

    def __init__(
        self,
        store: Store,
        client: Client,
        clock: BaseClock,
        intake: Intake,
        account: Account,
        catalog_url: str,
        *,
        on_connected: Callable[[], None],
        on_unclear: Callable[[], None],
    ) -> None:
        self._store = store
        self._client = client
        self._clock = clock
        self._intake = intake
        self._account = account
        self._catalog_url = catalog_url
        self._on_connected = on_connected
        self._on_unclear = on_unclear
        self._since = math.inf  # of the clock: when the last connection was made
        self._stale: deque[str] = deque(maxlen=100)  # registrations that were refused
        self._coming: asyncio.Queue[_Coming] = asyncio.Queue(AT_ONCE)

    async def run(self) -> None:
        """Listen until this is cancelled, or the token is no longer good."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._take_all(), name="webex websocket takes")
                await self._stay_connected(tasks)
        except* SpaceUnauthorized:
            pass  # told already

    # --- the connection

    async def _stay_connected(self, tasks: asyncio.TaskGroup) -> None:
        pause = FIRST_PAUSE
        while True:
            wait = 0.0
            try:
                await self._listen(tasks)
            except SpaceUnauthorized:
                raise
            except RateLimited as error:
                wait, why = error.retry_after, str(error)
            except (SpaceError, StoreError) as error:
                why = str(error)
            except Exception as error:
                logger.exception("the websocket failed")
                why = type(error).__name__
            if self._has_lasted():
                pause = FIRST_PAUSE
            wait = wait or min(LONGEST_PAUSE, pause * random.uniform(1, 1.5))
            pause = min(pause * 2, LONGEST_PAUSE)
            logger.warning("no websocket to Webex; one is made in %.0f s: %s", wait, why)
            await self._clock.sleep(wait)

    def _has_lasted(self) -> bool:
        """Whether there was a connection for some time, so that tries begin anew."""
        since, self._since = self._since, math.inf
        return self._clock.time() - since > LONGEST_PAUSE

    async def _listen(self, tasks: asyncio.TaskGroup) -> None:
        """Connect and take what comes.

        Raises:
            SpaceError: Always, at the end: why there is no connection any more.
        """
        device = await self._device()
        url = str(device.get("webSocketUrl") or "")
        if not is_of_webex(url, self._client.url):
            raise MessageRefused("Webex names a websocket that is not its own; nothing is sent there")
        try:
            async with _Connect(
                url,
                open_timeout=OPENING,
                ping_interval=PING_EVERY,
                ping_timeout=PONG_WITHIN,
                close_timeout=CLOSING,
                max_size=MAX_BYTES,
                logger=_SILENT,
            ) as socket:
                words = {"type": "authorization", "data": {"token": f"Bearer {self._account.token}"}}
                await socket.send(encode(words).decode())
                await self._read(socket, str(device.get("userId") or ""), tasks)
        except InvalidStatus as error:
            raise await self._refused(error, str(device.get("url") or "")) from None
        except ConnectionClosed as error:
            code = error.rcvd.code if error.rcvd is not None else None
            if code in DENIED:
                await self._client.me()  # says so, if the token is not good
            raise SpaceError(f"the connection ended ({code or 'broken'})") from None
        except (OSError, WebSocketException) as error:
            raise SpaceError(f"no connection ({type(error).__name__})") from None
        raise SpaceError("Webex ended the connection")

    async def _refused(self, error: InvalidStatus, device_url: str) -> SpaceError:
        status, headers = error.response.status_code, error.response.headers
        if status == 429:
            seconds = retry_after(headers.get("Retry-After"), self._clock.utcnow())
            return RateLimited(f"Webex asks to wait {seconds:.0f} s", retry_after=seconds)
        if status in (401, 403):
            await self._client.me()
        if status == 404:
            await self._forget(device_url)
            return SpaceError("the registration is known no more; a new one is made")
        return SpaceError(f"Webex takes no connection ({status})")

    async def _read(self, socket: ClientConnection, me: str, tasks: asyncio.TaskGroup) -> None:
        first: str | bytes | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY):
                first = await socket.recv()
        logger.info("connected to Webex by websocket")
        self._since = self._clock.time()
        self._on_connected()
        if first is not None:
            await self._hear(socket, first, me, tasks)
        async for told in socket:
            await self._hear(socket, told, me, tasks)

    async def _hear(self, socket: ClientConnection, told: str | bytes, me: str, tasks: asyncio.TaskGroup) -> None:
        try:
            event = decode(told)
        except InvalidMessage as error:
            logger.warning("what came by websocket cannot be read: %s", error)
            return
        activity = activity_of(event, me)
        if isinstance(activity, Activity):
            found = tasks.create_task(self._find(activity), name="webex websocket finds")
            await self._coming.put(_Coming(id_of(event), socket, found))
            return
        if activity == "moved":
            self._on_unclear()
        await _acknowledge(socket, id_of(event))

    # --- what came

    async def _take_all(self) -> None:
        """Keep what was found, in the order in which it came, and then say that it is kept."""
        while True:
            coming = await self._coming.get()
            notice = await coming.found
            if notice is not None and notice.person != self._account.me:
                await self._take(notice)
            await _acknowledge(coming.socket, coming.event)

    async def _take(self, notice: Notice) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._intake.take(notice)
                return
            except RateLimited as error:
                wait = error.retry_after
            except StoreError as error:
                logger.warning("what was heard is kept in %.0f s id=%s: %s", pause, notice.id, error)
                wait, pause = pause, min(pause * 2, LONGEST_PAUSE)
            await self._clock.sleep(wait)

    async def _find(self, activity: Activity) -> Notice | None:
        """The public form of what happened; None where it is gone, or cannot be read."""
        pause, left = FIRST_PAUSE, TRIES
        while True:
            try:
                return await self._notice(activity)
            except SpaceUnauthorized:
                raise
            except ChannelNotFound:
                return None  # taken back, or not for the bot
            except RateLimited as error:
                wait, why = error.retry_after, str(error)
            except MessageRefused as error:
                left, why = 0, str(error)
            except SpaceError as error:
                wait, pause, why = pause, min(pause * 2, LONGEST_PAUSE), str(error)
                left -= 1
            if left <= 0:
                logger.warning("what came by websocket cannot be fetched, and is looked for in its room: %s", why)
                self._on_unclear()
                return None
            logger.info("what came by websocket is fetched again in %.0f s: %s", wait, why)
            await self._clock.sleep(wait)

    async def _notice(self, activity: Activity) -> Notice | None:
        found = await self._client.ask("GET", activity.url)
        try:
            return _notice_of(activity, found)
        except SpaceError:
            pass  # only the id is sure to be there
        id_ = found.get("id")
        if not isinstance(id_, str) or not id_:
            raise MessageRefused("Webex gives no id of what was said")
        ask = self._client.message if activity.resource == "messages" else self._client.action
        found = await ask(id_)
        try:
            return _notice_of(activity, found)
        except SpaceError as error:
            raise MessageRefused(str(error)) from error

    # --- the registration

    async def _device(self) -> Json:
        """Our device, as Webex knows it: that of the last time, or one of our name, or a new one."""
        links = (await self._client.ask("GET", self._catalog_url)).get("serviceLinks")
        wdm = links.get("wdm") if isinstance(links, dict) else None
        if not isinstance(wdm, str):
            raise SpaceError("Webex's catalog names no service for devices")
        devices = f"{wdm.rstrip('/')}/devices"
        known = await self._store.read(partial(ledger.fact, key=self._key))
        device = await self._known(devices, known)
        if device is None:
            name = self._account.device
            fields = {"name": name, "deviceName": name, "deviceType": "DESKTOP", "systemVersion": "1"}
            same = dict.fromkeys(("localizedModel", "model", "systemName"), "shellbot")
            device = await self._client.ask("POST", devices, fields | same)
            logger.info("registered with Webex as a device")
        url = str(device.get("url") or "")
        if url != known:
            await self._store.write(partial(ledger.keep_fact, key=self._key, value=url))
        return device

    async def _known(self, devices: str, known: str) -> Json | None:
        try:
            found = (await self._client.ask("GET", devices)).get("devices")
        except ChannelNotFound:
            return None  # as it says where there are none
        there = [one for one in found or () if isinstance(one, dict) and one.get("url") not in self._stale]
        same = [one for one in there if one.get("url") == known]
        same += [one for one in there if one.get("name") == self._account.device]
        return same[0] if same else None

    async def _forget(self, device_url: str) -> None:
        """Take the registration back, should it be there after all, so that a new one is made."""
        self._stale.append(device_url)
        with contextlib.suppress(ChannelNotFound, MessageRefused):
            await self._client.ask("DELETE", device_url)

    @property
    def _key(self) -> str:
        return f"device {self._account.mark}"


class _Connect(connect):
    """Follows nothing: the token goes where it was looked at, and not on from there."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


async def _acknowledge(socket: ClientConnection, event: str) -> None:
    if event:
        with contextlib.suppress(ConnectionClosed):  # then it comes again, or is found in its room
            await socket.send(encode({"type": "ack", "messageId": event}).decode())


def _notice_of(activity: Activity, found: Json) -> Notice | None:
    return notice_of({"resource": activity.resource, "event": "created", "data": found})
