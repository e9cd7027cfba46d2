"""WebexSpace: a bot's rooms on Webex, with a direct channel for each person in them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from logging import getLogger
from typing import Any, ClassVar, Literal, TypeVar
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from shellbot.clocks import BaseClock
from shellbot.codecs import decode, encode
from shellbot.context import Context
from shellbot.errors import (
    ConfigError,
    InvalidMessage,
    MessageRefused,
    RateLimited,
    SignatureInvalid,
    SpaceError,
    SpaceUnauthorized,
    StoreError,
)
from shellbot.events import Capabilities, Channel, File, Person, Reply
from shellbot.files import shelf as files
from shellbot.files.shelf import Shelf
from shellbot.markup import plain
from shellbot.settings import Seconds, Size
from shellbot.spaces.base import Deliver, Space
from shellbot.spaces.webex import later, ledger
from shellbot.spaces.webex.client import Client
from shellbot.spaces.webex.directory import Directory
from shellbot.spaces.webex.events import Json, notice_of
from shellbot.spaces.webex.hooks import Hooks
from shellbot.spaces.webex.hosts import is_of_webex
from shellbot.spaces.webex.intake import Intake, oldest
from shellbot.spaces.webex.later import Later, TooSoon
from shellbot.spaces.webex.polling import Rounds
from shellbot.spaces.webex.sender import Sender
from shellbot.stores.base import Store

logger = getLogger(__name__)
T = TypeVar("T")

Way = Literal["webhook", "polling", "websocket"]

API_URL = "https://webexapis.com/v1/"
CATALOG_URL = "https://u2c.wbx2.com/u2c/api/v1/catalog?format=hostmap"
MAX_BODY_BYTES = 256 * 1024  # of a delivery; Webex's have about one thousand
HOOKS_EVERY = 300.0  # seconds between looks at the webhooks, and through the rooms, where all comes by itself
MEMBERS_ROUND, ALL_ROUND = 15, 30  # of so many rounds of polling one looks at members, one at quiet rooms
TIDY_EVERY = 3_600.0  # seconds
FIRST_TRIES = 3  # at the start
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between tries
HEARD_KEPT = timedelta(days=2)  # longer than it can come again


@dataclass(frozen=True, slots=True)
class Options:
    """The settings ``webex.*`` and what goes with them. See ``docs/webex.md``."""

    api_url: str = API_URL
    way: Way | None = None
    catalog_url: str = CATALOG_URL
    poll_every: Seconds = 2.0
    parallel: Size = 20
    bots: list[str] = field(default_factory=list)


class WebexSpace(Space):
    """One bot on Webex. Everything runs on the loop of :meth:`start`, but the calls themselves, on threads.

    Args:
        token: The bot's.
        store: Opened; the tables of this space are made in it.
        shelf: Opened, where files are kept; without it none are taken.
        hook_url: Where the platform can post to; ``''`` where it cannot reach this server.
        instance: Name of this server, which tells its webhooks from those of others.
        context: Where the bot's own id and address are written.

    Attributes:
        forged: Deliveries without the platform's signature.

    Raises:
        ConfigError: A setting cannot be used, or the SDK is missing; the text says what to do.
    """

    name: ClassVar[str] = "webex"
    # No ids: a message whose fate is unknown is sent once more, marked. No veils: Webex keeps what people say. As many
    # at once as webex.parallel has by default; how many a second nobody has written down, so it is a careful guess.
    capabilities: ClassVar[Capabilities] = Capabilities(cards=True, edit=True, stamps=True, at_once=20, a_second=10.0)

    def __init__(
        self,
        *,
        token: str,
        store: Store,
        clock: BaseClock,
        options: Options | None = None,
        shelf: Shelf | None = None,
        hook_url: str = "",
        instance: str = "default",
        context: Context | None = None,
    ) -> None:
        token = token.strip()
        if not token:
            raise ConfigError("Webex needs the bot's token; set WEBEX_TEAMS_ACCESS_TOKEN", key="space.token")
        self.options = options or Options()
        self.way: Way = self.options.way or ("webhook" if hook_url else "polling")
        self.forged = 0
        if self.way == "webhook" and urlsplit(hook_url).scheme not in ("http", "https"):
            raise ConfigError(
                "webhooks need an address that Webex can reach: set server.public_url, or webex.way to polling",
                key="server.public_url",
            )
        if self.way == "websocket":
            _can_listen(self.options)
        self._token_mark = hashlib.sha256(token.encode()).hexdigest()[:16]
        self._token = token.strip()
        self._store = store
        self._clock = clock
        self._shelf = shelf
        self._context = context
        self._client = Client(self._token, self.options.api_url, clock, parallel=self.options.parallel)
        self._directory = Directory(store, self._client, clock, self.options.bots)
        self._sender = Sender(store, self._client, clock, self._placed, can_press=self.way != "polling")
        self._later = Later(store, clock, self.post)
        self._gates: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()  # while in use
        self._name = f"shellbot {instance}"
        self._hooks: Hooks | None = None
        if self.way == "webhook":
            self._hooks = Hooks(store, self._client, clock, name=self._name, url=hook_url)
        self._has_told_of_hooks = False
        self._intake: Intake | None = None
        self._rounds: Rounds | None = None
        self._going: list[asyncio.Task[None]] = []
        self._is_wanted = asyncio.Event()  # a look through the rooms, before its time
        self._connections = 0  # by websocket, made so far
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def repeats(self) -> int:
        """Deliveries that came before, as replays do. They have no effect."""
        return self._intake.repeats if self._intake is not None else 0

    @property
    def stale(self) -> int:
        """What came days late. It has no effect either."""
        return self._intake.stale if self._intake is not None else 0

    # --- the face of a space

    @property
    def is_well(self) -> bool:
        return not self._client.is_denied

    async def start(self, deliver: Deliver) -> None:
        """Find out who the bot is, go on where the last run left, and look for what was said meanwhile.

        Raises:
            SpaceUnauthorized: The token is not good.
            SpaceError: Webex cannot be reached, and this bot was never here before.
        """
        await self._store.create(ledger.SCHEMA + later.SCHEMA + files.SCHEMA)
        me = await self._who()
        await self._directory.load(str(me["id"]))
        if self._context is not None:
            self._context.check("bot.id", str(me["id"]))
            self._context.check("bot.address", str((me.get("emails") or [""])[0]))
        self._intake = Intake(self._store, self._client, self._clock, self._directory, deliver, self._tell, self._shelf)
        if self._hooks is not None:
            await self._hooks.load()
        await self._intake.load()
        await self._later.load()
        self._rounds = Rounds(self._client, self._clock, self._directory, self._intake)
        self._going = [asyncio.create_task(self._go_round(self._rounds), name="webex rounds")]
        if self.way == "websocket":
            self._going.append(asyncio.create_task(self._listen(self._intake), name="webex websocket"))
        logger.info("on Webex as %s way=%s", me.get("displayName"), self.way)

    async def post(self, channel_id: str, reply: Reply) -> None:
        """Show a reply, as one message or more. May be repeated: a version that stands there is not posted again.

        A change of a text that was changed often, and a moment ago, waits on disk for its time, see
        :mod:`shellbot.spaces.webex.later`.

        Raises:
            ChannelNotFound: No such channel, the bot is not in the room, or the person cannot be reached.
            RateLimited: To be repeated after the time it names.
            MessageRefused: Webex takes no such message.
            SpaceUnauthorized: The token is no longer good; nothing is sent until the next start.
            SpaceError: To be repeated.
        """
        await self._finish(self._show(channel_id, reply))

    async def open_direct(self, person: Person) -> Channel:
        """Give the direct channel; the room itself is made by the first message. Asks nobody."""
        return await self._directory.open_direct(person)

    async def find(self, address: str) -> Person | None:
        """Who has this address on Webex, whether in a room of ours or not; a bot is nobody.

        Raises:
            SpaceError: It cannot be asked now; to be repeated.
        """
        return await self._directory.find(address)

    async def close(self) -> None:
        """Give no more events. Messages under way are waited for, some seconds."""
        going, self._going = self._going, []
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)
        if self._rounds is not None:
            await self._rounds.close()
        if self._intake is not None:
            await self._intake.close()
        await self._later.close()
        closing = asyncio.create_task(self._client.close())
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await closing

    # --- the door for webhooks

    async def receive(self, body: bytes, signature: str | None) -> None:
        """Take one delivery. When this returns it is on disk; what it is about is fetched afterwards.

        Webex is answered whether or not it answers us: where its calls are slow or it asks to wait, its deliveries
        are taken all the same.

        Args:
            body: As it came, byte for byte.
            signature: What stood in ``X-Spark-Signature``, if anything.

        Raises:
            SignatureInvalid: It does not come from Webex.
            RateLimited: Too much waits, or the server is only starting; to be answered so that Webex sends it again.
            SpaceError: It is too large, or not of the form that Webex sends.
        """
        if len(body) > MAX_BODY_BYTES:
            raise SpaceError(f"a delivery of {len(body):,} bytes is too large; Webex sends none of more than some kB")
        if self._intake is None or self._rounds is None:  # the secrets may not be read yet
            raise RateLimited("the server is only starting; come again", retry_after=5.0)
        if self._hooks is None or not self._hooks.is_signed(body, signature):
            self.forged += 1
            raise SignatureInvalid("this delivery does not carry Webex's signature under this server's secret")
        try:
            envelope = decode(body)
        except InvalidMessage as error:
            raise SpaceError(f"a delivery is JSON: {error}") from error
        notice = notice_of(envelope)
        if notice is None or (notice.person == self._directory.me and notice.resource != "memberships"):
            return
        await self._intake.take(notice)

    # --- inside

    async def _who(self) -> Json:
        """The bot as the platform knows it, or as it was when this token was used before."""
        pause = FIRST_PAUSE
        for left in reversed(range(FIRST_TRIES)):
            try:
                me = await self._client.me()
                break
            except SpaceUnauthorized:
                raise
            except SpaceError as error:
                known = await self._store.read(lambda db: ledger.fact(db, f"me {self._token_mark}"))
                if known:
                    logger.warning("starts without Webex, and goes on trying: %s", error)
                    return dict(decode(known))
                if not left:
                    raise
                await self._clock.sleep(pause)
                pause *= 2
        kept = encode({key: me[key] for key in ("id", "displayName", "emails") if key in me}).decode()
        await self._store.write(lambda db: ledger.keep_fact(db, f"me {self._token_mark}", kept))
        return me

    async def _go_round(self, rounds: Rounds) -> None:
        """Look through the rooms, from time to time, and after the webhooks where there are."""
        number, connection, pause, tidied = 0, 0, FIRST_PAUSE, float("-inf")
        while True:
            try:
                self._is_wanted.clear()
                has_missed, is_slow = await self._look_after_hooks()
                now_connected = self._connections
                has_missed |= now_connected != connection
                await rounds.look(
                    members=is_slow or number % MEMBERS_ROUND == 0,
                    all_rooms=has_missed or number % ALL_ROUND == 0,
                )
                number, connection, pause = number + 1, now_connected, FIRST_PAUSE
                wait = HOOKS_EVERY if is_slow else self.options.poll_every
                if self._clock.time() - tidied > TIDY_EVERY:
                    tidied = self._clock.time()
                    now = self._clock.utcnow()
                    before = (oldest(now) - HEARD_KEPT).timestamp()
                    self._store.post(partial(ledger.tidy, heard_before=before, now=now.timestamp()))
            except SpaceUnauthorized:
                return
            except RateLimited as error:
                wait = error.retry_after
            except (SpaceError, StoreError) as error:
                logger.warning("the rooms are looked through again in %.0f s: %s", pause, error)
                wait, pause = pause, min(pause * 2, LONGEST_PAUSE)
            except Exception:
                logger.exception("looking through the rooms failed")
                wait, pause = pause, min(pause * 2, LONGEST_PAUSE)
            await self._rest(wait)

    async def _rest(self, seconds: float) -> None:
        """Wait, or only a moment if a look is wanted before."""
        alarm = self._clock.call_at(self._clock.time() + seconds, self._is_wanted.set)
        try:
            await self._clock.sleep(min(seconds, self.options.poll_every))
            await self._is_wanted.wait()
        finally:
            alarm.cancel()

    async def _listen(self, intake: Intake) -> None:
        """Hear by websocket. Only here, because few have its library."""
        from shellbot.spaces.webex.mercury import Account, Mercury

        def connected() -> None:
            self._connections += 1
            self._is_wanted.set()

        account = Account(self._directory.me, self._token, self._token_mark, self._name)
        mercury = Mercury(
            self._store,
            self._client,
            self._clock,
            intake,
            account,
            self.options.catalog_url,
            on_connected=connected,
            on_unclear=self._is_wanted.set,
        )
        await mercury.run()

    async def _look_after_hooks(self) -> tuple[bool, bool]:
        """Whether something may have been missed, and whether the platform tells what happens by itself."""
        if self._hooks is None:
            return False, self.way == "websocket"
        try:
            return await self._hooks.ensure(), True
        except MessageRefused as error:
            if not self._has_told_of_hooks:
                self._has_told_of_hooks = True
                logger.error(
                    "Webex takes no webhook, so the rooms are looked through instead, and buttons do not work; "
                    "see that server.public_url is an address that the internet knows: %s",
                    error,
                )
            return False, False

    async def _show(self, channel_id: str, reply: Reply) -> None:
        to = self._directory.target(channel_id)
        gate = self._gates.setdefault((channel_id, reply.id), asyncio.Lock())
        try:
            async with gate:
                room = await self._sender.show(channel_id, to, reply)
        except TooSoon as error:
            await self._later.put(channel_id, reply, error.due)
            return
        if room and "toPersonId" in to:
            await self._directory.is_direct_with(room, str(to["toPersonId"]))

    async def _tell(self, channel: Channel, id_: str, text: str) -> None:
        try:
            await self.post(channel.id, Reply(id=id_, text=plain(text)))
        except SpaceError as error:
            logger.warning("somebody is not told that a file was not taken channel=%s: %s", channel.id, error)

    def _placed(self, file: File) -> File:
        return self._shelf.placed(file) if self._shelf is not None and not file.path else file

    async def _finish(self, work: Coroutine[Any, Any, T]) -> T:
        # A message is sent and noted as sent, whether or not somebody still waits for it.
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._is_finished)
        return await asyncio.shield(task)

    def _is_finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it


def _can_listen(options: Options) -> None:
    """
    Raises:
        ConfigError: One cannot listen by websocket with these options, or here.
    """
    if not is_of_webex(options.catalog_url, options.api_url):
        raise ConfigError(
            f"webex.catalog_url is {options.catalog_url}, and the token goes to hosts of Webex only, by https://; "
            "with an API on this machine the catalog is there, too",
            key="webex.catalog_url",
        )
    try:
        import shellbot.spaces.webex.mercury  # noqa: F401 - only to see whether its library is here
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("websockets"):
            raise
        raise ConfigError(
            "webex.way: websocket needs a library; pip install websockets (13 or later)", key="webex.way"
        ) from None
