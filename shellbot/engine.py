"""The engine: a container of bots, wired to a space, a store and the bus. The only room that knows all others."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shellbot.agents.container import Container
from shellbot.bot import Desk, ShellBot
from shellbot.bus.bus import Bus
from shellbot.clocks import BaseClock
from shellbot.commands.access import Access
from shellbot.commands.base import Command
from shellbot.commands.echo import Echo
from shellbot.commands.guard import Guard
from shellbot.commands.help import Help
from shellbot.commands.link import Link
from shellbot.commands.loading import warn_of_doubles
from shellbot.commands.shell import Shell
from shellbot.commands.start import Start
from shellbot.commands.version import Version
from shellbot.commands.whomay import WhoMay
from shellbot.context import Context
from shellbot.dialogs import Dialogs
from shellbot.envelope import Seal
from shellbot.errors import ConfigError, InstanceInUse, RateLimited, ShellbotError, UsageError
from shellbot.events import Channel, Person
from shellbot.files import shelf as files
from shellbot.inbox import Inbox
from shellbot.instance import Instance, default_folder, own_folder, read_key
from shellbot.instructions import SCHEMA as INSTRUCTIONS
from shellbot.machines.factory import MachineFactory
from shellbot.notes import SCHEMA as NOTES
from shellbot.outbox import Outbox
from shellbot.polls.commands import PollCommand
from shellbot.polls.standing import Standings
from shellbot.polls.zone import read_zone
from shellbot.reception import Reception, Side
from shellbot.roster import Roster
from shellbot.runtime import runtime_folder
from shellbot.server.hosts import only_here
from shellbot.spaces.base import Space
from shellbot.spaces_by_type import hook_path, hook_url, make_space, posts_here
from shellbot.stillness import Stillness
from shellbot.stores.base import Store
from shellbot.stores.memory import MemoryStore
from shellbot.stores.sqlite import SqliteStore
from shellbot.switchboard import Switchboard
from shellbot.trail import Trail

if TYPE_CHECKING:
    from shellbot.bus.publisher import Publisher
    from shellbot.server.chat import ChatServer
    from shellbot.server.hooks import HookServer

logger = getLogger(__name__)

VERSION = "26.11.0"
# Bots hold very many objects, and the default has all of them looked at for each 70,000 that are made: a third of the
# processor's time in a vote of thousands, and pauses of half a second. Young ones in smaller lots take no less: most
# live until their turn is over, and each look at them costs the same. So a lot is as large as its pause may be, 25 ms.
COLLECT = (50_000, 10, 20)
# Seconds that a thread which computes keeps the others waiting for the interpreter; the default is five times as much,
# and a message waits for it some ten times.
SWITCH = 0.001
ROOM = 4_000  # messages for our own reader: a step of the loop in a large vote takes longer than bus.slow_grace
STANDBY_LOOK = 0.2  # seconds between two tries to hold the folder: no descriptor tells when a lock is free
LAST_WORDS = 0.5  # seconds of silence after which nothing more is expected then
LAST_TURNS = 3.0  # seconds that what was typed has to be carried out, before the next line or the end of an input


class _NotNeeded(Exception):
    """One that stood by was ended before its turn came."""


class Engine(Container):
    """Serves one space with one bot a channel.

    ``Engine(type="web", commands=[Hello()]).run()`` is a whole program. What is not given comes from the settings.

    Args:
        context: Settings; ``settings``: more of them, dotted or nested.
        type: Kind of space: ``web``, ``console``, ``webex`` or ``memory``; stands for the setting ``space.type``.
        commands: Commands besides the built-in ones; one with the keyword of a built-in replaces it.
        space: A space made elsewhere, instead of ``type``.
        store: A store made elsewhere, instead of the file in the instance's folder.
        instance: Folder of this server, instead of the setting ``instance.folder``.
        key: Path of the key that seals what bots say on the bus, instead of the one in the instance's folder.
        publisher: Where this engine puts, instead of a publisher process of its own. Who gives it also closes it.
        sides: Which bots live here. Group and direct bots may live in two engines: all between them is on the bus.
        roll: Who is in which group, for an engine whose space does not tell: by id of the group, person and direct
            channel.
        clock: What timers and stamps go by.
        machine_factory: Gives the machine that goes with a channel; it begins when the channel is first met.
        is_demo: Keep nothing, and let demo people in by link.
        is_standby: Where another process serves the instance, wait for its end and go on in its place.
    """

    def __init__(
        self,
        context: Context | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        type: str | None = None,
        commands: Iterable[Command] = (),
        space: Space | None = None,
        store: Store | None = None,
        instance: str | Path | None = None,
        key: str | Path | None = None,
        publisher: Publisher | None = None,
        sides: Iterable[Side] = ("group", "direct"),
        roll: Mapping[str, Iterable[tuple[Person, Channel]]] | None = None,
        clock: BaseClock | None = None,
        machine_factory: MachineFactory | None = None,
        is_demo: bool = False,
        is_standby: bool = False,
    ) -> None:
        super().__init__(clock=clock)
        if space is not None and type is not None:
            raise ConfigError("give the engine a space or a type of space, not both", key="space.type")
        self.context = context or Context()
        if settings:
            self.context.apply(settings)
        self.context.look_up()
        read_zone(self.context)  # so that it is told now, and not with the first vote
        self.type = type or self.context.check("space.type") or "web"
        helping = Help(lambda bot, person: self.shell.available(bot, person))
        builtin: list[Command] = [Echo(), helping, PollCommand(), Version(VERSION), WhoMay()]
        if self.type == "web" and space is None:
            builtin.append(Link(self, only_here))
        if machine_factory is not None:
            builtin.append(Start(machine_factory))
        commands = list(commands)
        warn_of_doubles(commands)
        self.shell = Shell([*builtin, *commands], name=self.context.check("bot.name") or "Shelly")
        own = default_folder("demo") if is_demo else own_folder(self.type)
        folder = instance or self.context.check("instance.folder") or own
        self.instance = Instance(folder)
        self.server: ChatServer | None = None
        self.hooks: HookServer | None = None
        self.publisher = publisher
        self.ended = asyncio.Event()
        self.desk: Desk
        self.space: Space
        self.reception: Reception
        self._given_space = space
        self._given_store = store
        self._key = Path(key) if key is not None else None
        self._sides = tuple(sides)
        self._roll = {group: tuple(people) for group, people in (roll or {}).items()}
        self._is_demo = is_demo
        self._is_standby = is_standby
        self._undo = contextlib.AsyncExitStack()

    # --- start and stop

    async def start(self) -> None:
        """Bring up folder, bus, store, bots, space and page, in this order; :meth:`stop` goes the other way.

        Raises:
            ShellbotError: What is missing or taken, and what to do. Nothing is left running.
        """
        await super().start()
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        self.context.set("general.switch", "on")
        access = Access.read(self.context, self.shell.commands)
        self._tune()
        await self._hold_instance()
        self._undo.callback(self.instance.close)
        key = read_key(self._key) if self._key else self.instance.key("instance")
        bus = self._make_bus()
        publisher = self.publisher
        if publisher is None:  # before any thread of ours: the process may be made by fork
            publisher = self.publisher = bus.publish()
            publisher.start()
            self._undo.push_async_callback(asyncio.to_thread, publisher.close)
        store = self._given_store or (MemoryStore() if self._is_demo else SqliteStore(self.instance.store_path))
        await store.open()
        self._undo.push_async_callback(store.close)
        shelf = self._shelf = files.Shelf(
            self.instance.folder / "files", self.context.read(files.Limits, prefix="files")
        )
        await store.create(files.SCHEMA)
        await asyncio.to_thread(shelf.open, await store.read(files.all_sizes))
        space = self.space = self._given_space or make_space(
            self.type,
            self.context,
            store=store,
            clock=self.clock,
            shelf=shelf,
            instance=self.instance.folder.name,
            hook_url=await self._open_hooks(),
        )
        roster, inbox = Roster(store), Inbox(store)
        outbox = Outbox(store, space.post, self.clock)
        dialogs = Dialogs(store, outbox, self.shell.commands, space.capabilities)
        seal = Seal(key)
        switchboard = Switchboard(bus, publisher, seal)
        trail = Trail(store, seal, self.clock.utcnow)
        await trail.open()
        self._undo.push_async_callback(switchboard.stop)
        self.desk = Desk(
            context=self.context,
            store=store,
            inbox=inbox,
            outbox=outbox,
            shelf=shelf,
            roster=roster,
            bus=bus,
            publisher=publisher,
            switchboard=switchboard,
            dialogs=dialogs,
            guard=Guard(access, trail),
            folder=self.instance.folder,
            keys=self.instance.keys,
            commands=self.shell.commands,
            capabilities=space.capabilities,
            end=space.end,
            find=space.find,
            meet=lambda person: self.reception.meet(person),
        )
        await store.create(NOTES + INSTRUCTIONS)
        for command in self.shell.commands.values():
            await command.prepare(store)
        await roster.load()
        await dialogs.load()
        await outbox.load()
        self.reception = Reception(self, self.desk, self.shell, space, self._sides)
        await self.reception.load()
        await self._take_roll()
        self._undo.push_async_callback(space.close)  # after the bots have ended, and said their last
        self._undo.push_async_callback(outbox.stop)
        self._undo.push_async_callback(super().stop)
        self._undo.callback(self.reception.close)
        space.veil_with(self.reception.veil)
        begun, stillness = asyncio.Event(), Stillness(self, self.desk, patience=LAST_TURNS)

        async def rest() -> None:
            await begun.wait()  # what was delivered before lies there till then
            await stillness.wait()

        space.rest_with(rest)
        space.share(store)
        await space.start(self.reception.deliver)
        await self.reception.begin()
        begun.set()
        outbox.start()
        self._keep_for_days(store)
        if self.type == "web" and self._given_space is None:
            await self._serve_pages()
        self._tell_where()
        loop = asyncio.get_running_loop()
        publisher.on_restart = lambda: loop.call_soon_threadsafe(self._tell_where)
        self._undo.callback(setattr, publisher, "on_restart", None)

    async def _hold_instance(self) -> None:
        """Have the folder for this process alone; the kernel gives it up for one that was killed."""
        is_told = False
        while True:
            try:
                self.instance.open()
                return
            except InstanceInUse as error:
                if not self._is_standby:
                    raise
                if not is_told:
                    is_told = True
                    print(f"shellbot: standing by while process {error.holder} serves", flush=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STANDBY_LOOK):
                    await self.ended.wait()
            if self.ended.is_set():
                raise _NotNeeded

    def _tune(self) -> None:
        """Set up the interpreter for as long as we run, unless another engine of this process has done it already."""
        if (threshold := gc.get_threshold()) != COLLECT:
            self._undo.callback(gc.set_threshold, *threshold)
            gc.set_threshold(*COLLECT)
        if (interval := sys.getswitchinterval()) != SWITCH:
            self._undo.callback(sys.setswitchinterval, interval)
            sys.setswitchinterval(SWITCH)

    def _tell_where(self) -> None:
        """Write down where this server and its bus are found."""
        assert self.publisher is not None
        self.instance.publish(
            {
                "publisher_pid": self.publisher.pid,
                "bus": self.context.check("bus.address"),
                "web": self.server.url if self.server else self.hooks.url if self.hooks else None,
            }
        )

    async def stop(self, timeout: float = 5) -> None:
        """Stop taking events, end the bots, send what was said, drain the bus, close the store."""
        await self._undo.aclose()
        await super().stop(timeout)

    # --- run

    def run(self, ready: Callable[[Engine], Any] | None = None) -> None:
        """Start, serve until Ctrl-C, SIGTERM, ``general.switch`` or the end of the console's input, and stop.

        What cannot be started is told in one line on stderr, with exit code 1.

        Args:
            ready: Called once it answers; may give an awaitable, which then runs beside the engine.
        """
        try:
            asyncio.run(self.serve(ready))
        except ShellbotError as error:
            sys.exit(f"shellbot: {error}")

    async def serve(self, ready: Callable[[Engine], Any] | None = None) -> None:
        """:meth:`run` for a program that has an event loop already."""
        loop = asyncio.get_running_loop()
        self.ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
                loop.add_signal_handler(number, self.ended.set)
        try:
            await self.start()
        except _NotNeeded:
            return
        beside: list[asyncio.Future[Any]] = []
        try:
            if self.server is not None:
                print(f"shellbot: {self.server.url}", flush=True)
                if self.context.check("server.private"):
                    link = self.server.link()
                    whence = " from this machine" if only_here(link) else ""
                    print(f"shellbot: to come in{whence}, for a day: {link}", flush=True)
            companion = ready(self) if ready is not None else None
            watches = (self._until_off(), self._until_silence())
            beside = [asyncio.ensure_future(watch) for watch in watches]
            if companion is not None:
                beside.append(asyncio.ensure_future(companion))
            await self.ended.wait()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await self.stop()

    async def _until_off(self) -> None:
        while self.context.get("general.switch", "on") == "on":  # noqa: ASYNC110 - any process may turn it
            await asyncio.sleep(1)
        self.ended.set()

    async def _until_silence(self) -> None:
        """A console ends with its input."""
        if isinstance(space_ended := getattr(self.space, "ended", None), asyncio.Event):
            await space_ended.wait()
            await self.reception.settle(LAST_TURNS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_TURNS):
                    # what was asked for over the bus comes behind the turn that asked for it
                    while await self.desk.outbox.wait_shown(LAST_WORDS):
                        pass
            self.ended.set()

    # --- 2017 and convenience

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Apply settings before :meth:`run`."""
        self.context.apply(settings)

    async def get_bot(self, channel_id: str) -> ShellBot:
        """The bot of a channel that is known; UnknownAgent otherwise."""
        found = self.agent(channel_id)
        assert isinstance(found, ShellBot)
        return found

    def join_link(self, person: Person, *, is_named: bool) -> str:
        """A link to the room of this person in the web chat, or to this person's name there; UsageError without it."""
        return self._pages().link(person.id, is_named=is_named)

    async def revoke_links(self, person: Person) -> None:
        """End all links to the room of this person."""
        await self._pages().revoke_links(person.id)

    def _pages(self) -> ChatServer:
        if self.server is None:
            raise UsageError("There is no page here that a link could lead to.")
        return self.server

    # --- wiring

    def _make_bus(self) -> Bus:
        if self.context.check("bus.address") is None:
            self.context.set("bus.address", f"ipc://{runtime_folder()}/{self.instance.bus_name}")
        if self.context.check("bus.slow") is None:
            # A reader that hangs must never hold up a vote; what it missed is replayed to it.
            is_fast = self.context.check("bus.guarantee") == "fast"
            self.context.set("bus.slow", "block" if is_fast else "disconnect")
        if self.context.check("bus.room") is None:
            self.context.set("bus.room", ROOM)
        bus = Bus(self.context)
        bus.check()
        return bus

    async def _open_hooks(self) -> str:
        """Listen for what the platform posts, where it does; gives where it is to post to."""
        if self._given_space is not None or not posts_here(self.type, self.context):
            return ""
        from shellbot.server.hooks import HookServer

        self.hooks = HookServer(
            self._take,
            host=self.context.check("server.address") or "127.0.0.1",
            port=self._port(),
            path=hook_path(self.context),
            public_url=self.context.check("server.public_url") or "",
            is_well=lambda: "space" in vars(self) and self.space.is_well,
        )
        await self.hooks.start()
        self._undo.push_async_callback(self.hooks.stop)
        return hook_url(self.context, self.hooks.url)

    async def _take(self, body: bytes, signature: str | None) -> None:
        """Hand a delivery to the space, which is made when the door is open already: it has to know the address."""
        if "space" not in vars(self):
            raise RateLimited("the server is only starting; come again", retry_after=5.0)
        await self.space.receive(body, signature)

    async def _take_roll(self) -> None:
        for group, people in self._roll.items():
            for person, direct in people:
                await self.reception.seat(group, person, direct)

    async def _serve_pages(self) -> None:
        from shellbot.server.chat import ChatServer
        from shellbot.spaces.web import WebSpace

        assert isinstance(self.space, WebSpace)
        self.server = ChatServer(
            space=self.space,
            secret=self.instance.key("web"),
            host=self.context.check("server.address") or "127.0.0.1",
            port=self._port(),
            public_url=self.context.check("server.public_url") or "",
            demo=self._is_demo,
            private=bool(self.context.check("server.private")),
            new_rooms=self.context.check("server.new_rooms") is not False,
            polls=self._standings,
        )
        await self.server.start()
        self._undo.push_async_callback(self.server.stop)

    def _keep_for_days(self, store: Store) -> None:
        """Forget what is old, where the setting says so."""
        days = self.context.check("retention.days")
        if days is None:
            return
        from shellbot.retention import Retention

        command = self.shell.commands.get("poll")

        async def let_go(polls: Iterable[str]) -> None:
            if isinstance(command, PollCommand):
                await command.let_go(polls)

        task = asyncio.create_task(Retention(store, self._shelf, self.clock, days, let_go).run(), name="retention")
        self._undo.push_async_callback(lambda: asyncio.gather(task, return_exceptions=True))
        self._undo.callback(task.cancel)

    def _standings(self, group: str) -> Standings | None:
        command = self.shell.commands.get("poll")
        return command.standings(group, self.context, self.clock) if isinstance(command, PollCommand) else None

    def _port(self) -> int:
        port = self.context.check("server.port")
        return 8080 if port is None else int(port)
