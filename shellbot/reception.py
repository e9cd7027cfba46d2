"""Where events of the space come in: into the inbox, then to the bot of their channel, one turn each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from logging import getLogger
from typing import Literal

from shellbot.agents.container import Container
from shellbot.bot import Desk, ShellBot
from shellbot.commands.shell import Shell
from shellbot.errors import AgentStopped, CallTimeout, ChannelNotFound, SpaceError
from shellbot.events import CardAction, Channel, Event, Join, Leave, Message, Person, Reply
from shellbot.markup import plain
from shellbot.pace import Pace
from shellbot.roster import Member
from shellbot.spaces.base import Beside, Space
from shellbot.turns import Topic

logger = getLogger(__name__)

Side = Literal["group", "direct"]
AT_ONCE = 500  # bots made at the same time at the start: one commit serves as many
SCHEMA = "CREATE TABLE IF NOT EXISTS channels (id TEXT PRIMARY KEY, title TEXT NOT NULL, is_direct INTEGER NOT NULL);"


class Reception:
    """Makes the bots of one engine and gives them what happens in their channels. Owned by the engine's loop.

    Args:
        sides: Which bots live here; the others live in another process, and all between them is on the bus.
    """

    def __init__(self, home: Container, desk: Desk, shell: Shell, space: Space, sides: Iterable[Side]) -> None:
        self._home = home
        self._desk = desk
        self._shell = shell
        self._space = space
        self._sides = frozenset(sides)
        self._bots: dict[str, ShellBot] = {}
        self._making: dict[str, asyncio.Task[ShellBot]] = {}
        self._pace = Pace(int(desk.context.check("bot.burst", 200)))
        self._handled: dict[str, asyncio.Future[None]] = {}  # events whose turn is not over
        self._known: list[Channel] = []  # to an earlier run
        self._waiting: list[Event] = []  # what came before begin() was over
        self._is_open = False
        self._has_begun = False

    async def load(self) -> None:
        """Make the direct bots that an earlier run knew. Events are taken from now on; their turns come later."""
        await self._desk.inbox.open()
        await self._desk.store.create(SCHEMA)
        rows = await self._desk.store.read(
            lambda db: db.execute("SELECT id, title, is_direct FROM channels ORDER BY rowid").fetchall()
        )
        self._known = [Channel(id_, title, bool(is_direct)) for id_, title, is_direct in rows]
        await self._make_all(channel for channel in self._known if channel.is_direct)
        self._is_open = True

    async def begin(self) -> None:
        """Give the bots what an earlier run left and what has come meanwhile. Call it once the space has started.

        The groups' bots are made when all direct ones have theirs: a vote that was in time is in the mailbox before a
        group whose deadline has passed can say that it is closed.
        """
        for channel_id in self._desk.roster.ended:
            await self._space.end(channel_id)  # a crash may have come between the two
        events = await self._desk.inbox.unfinished(self._home.clock.utcnow())
        for event in events:
            if event.channel.is_direct:
                await self._hand_on(event)
        await self._make_all(self._known)
        for event in events:
            if not event.channel.is_direct:
                await self._hand_on(event)
        known = {event.id for event in events}
        while self._waiting:
            event = self._waiting.pop(0)
            if event.id not in known:
                await self._hand_on(event)
        self._has_begun = True
        for bot in self._bots.values():
            self._desk.dialogs.resume(bot)  # behind what people said in time

    def close(self) -> None:
        """Take no more events."""
        self._is_open = False

    async def settle(self, timeout: float) -> None:
        """Wait until the bots have dealt with all that was delivered, or the seconds are over."""
        if self._handled:
            await asyncio.wait(list(self._handled.values()), timeout=timeout)

    async def deliver(self, event: Event, beside: Beside | None = None) -> asyncio.Future[None]:
        """Take an event of the space.

        Args:
            beside: What the space keeps with it in our store.

        Returns:
            Once the event is on disk and cannot be lost: a future that is done when the bot's turn on it is over.

        Raises:
            SpaceError: The program is stopping; say it again later.
        """
        if not self._is_open:
            raise SpaceError("the bot is stopping; try again in a moment")
        event = await self.veil(_readable(event))
        is_new, given = await self._desk.inbox.accept(event, beside.job if beside is not None else None)
        if beside is not None:
            beside.then(given)
        if is_new and self._has_begun:
            return await self._hand_on(event)
        handled = self._handled.get(event.id)
        if handled is None:
            handled = asyncio.get_running_loop().create_future()
            if is_new:
                self._handled[event.id] = handled
                self._waiting.append(event)
            else:
                handled.set_result(None)  # it was dealt with before
        return handled

    async def veil(self, event: Event) -> Event:
        """The event as it may be kept: a command may hide what is nobody's business, see :meth:`Command.veil`."""
        if not isinstance(event, Message | CardAction) or event.sealed:
            return event
        bot = self._bots.get(event.channel.id)
        if bot is None and event.channel.id in self._making:
            bot = await asyncio.shield(self._making[event.channel.id])
        # without a bot nothing was ever asked there
        return await self._shell.veil(bot, event) if bot is not None else event

    async def bot(self, channel: Channel) -> ShellBot:
        """The bot of a channel, made at first use."""
        if channel.id in self._bots:
            return self._bots[channel.id]
        if channel.id not in self._making:
            self._making[channel.id] = asyncio.create_task(self._make(channel))
        return await asyncio.shield(self._making[channel.id])

    async def _make_all(self, channels: Iterable[Channel]) -> None:
        rest = list(channels)
        while rest:
            some, rest = rest[:AT_ONCE], rest[AT_ONCE:]
            await asyncio.gather(*map(self.bot, some))

    async def _make(self, channel: Channel) -> ShellBot:
        try:
            bot = await self._home.spawn(ShellBot, name=channel.id, channel=channel, desk=self._desk)
            self._bots[channel.id] = bot
            if self._has_begun:
                self._desk.dialogs.resume(bot)
        finally:
            del self._making[channel.id]
        row = (channel.id, channel.title, channel.is_direct)
        self._desk.store.post(lambda db: db.execute("INSERT OR IGNORE INTO channels VALUES (?, ?, ?)", row))
        return bot

    def bots(self) -> list[ShellBot]:
        """All bots that live here."""
        return list(self._bots.values())

    async def seat(self, group: str, person: Person, direct: Channel | None) -> None:
        """Take a person into a group's roster and reach the direct channel, whether its bot lives here or elsewhere."""
        self._desk.roster.join(group, person, direct.id if direct else "")
        if direct is not None and "direct" in self._sides:
            await self.bot(direct)
        if direct is not None and group in self._bots:
            self._bots[group].listen_to([Member(person, direct.id)])

    async def _hand_on(self, event: Event) -> asyncio.Future[None]:
        handled = self._handled.setdefault(event.id, asyncio.get_running_loop().create_future())
        bot = await self.bot(event.channel)
        topic = Topic(event.id, event=event)
        match event:
            case Message() | CardAction() if event.channel.id in self._desk.roster.ended:
                self._over(bot, event, None)
                return handled
            case Message():
                call = None if event.sealed else self._shell.find(bot, event.text)
                if (call is not None or self._shell.is_for(bot, event)) and not self._is_slow(bot, event):
                    self._over(bot, event, None)
                    return handled
                if call is None:
                    turn = bot.begin(topic, self._shell.hear, bot, event)
                else:
                    turn = bot.begin(topic, self._shell.run, bot, call, event, limit=call.command.timeout)
            case CardAction():
                turn = bot.begin(topic, self._shell.act, bot, event)
            case Join() if not event.channel.is_direct:
                # Made at once, so that many who come together share the commits; their turns come in order.
                direct = asyncio.ensure_future(self.meet(event.person))
                turn = bot.begin(topic, self._join, bot, event, direct)
            case Leave() if not event.channel.is_direct:
                turn = bot.begin(topic, self._leave, bot, event)
            case _:
                self._over(bot, event, None)
                return handled
        turn.add_done_callback(lambda turn: self._over(bot, event, turn, is_noted=topic.is_noted))
        return handled

    def _is_slow(self, bot: ShellBot, event: Event) -> bool:
        """Whether to answer somebody; once it is said that not, and two bots that answer each other are silent."""
        is_slow, is_news = self._pace.take((bot.id, event.person.id), self._home.clock.time())
        if is_news:
            logger.warning("answers no more channel=%s person=%s: too many lines", bot.id, event.person.id)
            text = f"{plain(event.person.name)} says more than people do, so I am silent until there is a pause."
            bot.reply(Reply(id=f"{event.id}/silent", text=text))
        return is_slow

    def _over(
        self, bot: ShellBot, event: Event, turn: asyncio.Future[object] | None, *, is_noted: bool = False
    ) -> None:
        handled = self._handled.pop(event.id)
        if not handled.done():
            handled.set_result(None)
        if turn is not None:
            error = AgentStopped("cancelled") if turn.cancelled() else turn.exception()
            if isinstance(error, AgentStopped):
                return  # the program stops; the next run deals with the event again
            if isinstance(error, CallTimeout):
                logger.warning(
                    "a command ran longer than its `timeout` and was stopped; what it waits for goes through "
                    "`await bot.wait(...)` channel=%s event=%s",
                    bot.id,
                    event.id,
                )
                bot.reply(Reply(id=f"{event.id}/late", text="That took too long, and I stopped it."))
            elif error is not None:
                self._home.report(bot, error, "turn")
                bot.reply(Reply(id=f"{event.id}/failed", text="Something went wrong here; it is in my log."))
        if not is_noted:
            self._desk.inbox.done(event)

    async def meet(self, person: Person) -> Channel | None:
        """The direct channel with somebody, with its bot where direct bots live here; None: no such can be opened."""
        try:
            direct = await self._space.open_direct(person)
        except ChannelNotFound as error:
            logger.warning("no direct channel with somebody: %s", error)
            return None
        if "direct" in self._sides:
            await self.bot(direct)
        return direct

    async def _join(self, bot: ShellBot, event: Event, direct: asyncio.Future[Channel | None]) -> None:
        await self.seat(event.channel.id, event.person, await direct)
        for command in self._shell.commands.values():
            await command.on_join(bot, event.person)

    async def _leave(self, bot: ShellBot, event: Event) -> None:
        self._desk.roster.leave(event.channel.id, event.person.id)
        self._desk.dialogs.leave(bot, event.person)
        for command in self._shell.commands.values():
            await command.on_leave(bot, event.person)


def _readable(event: Event) -> Event:
    """With a question mark for half a character, as JSON may hold one: it could be neither stored nor answered."""
    if isinstance(event, Message):
        try:
            event.text.encode()
        except UnicodeEncodeError:
            return replace(event, text=event.text.encode(errors="replace").decode())
    return event
