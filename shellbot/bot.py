"""The bot of one channel: an agent that speaks there, remembers, and reaches the other side over the bus.

In a group channel it *broadcasts* instructions to the direct channels of the members and *observes* what they report;
in a direct channel it carries out instructions and *reports*. The two never touch each other's objects: every word
between them is a frame on the bus.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from shellbot.agents.agent import Agent
from shellbot.codecs import decode, encode
from shellbot.context import Context
from shellbot.dialogs import Dialogs
from shellbot.envelope import Envelope
from shellbot.errors import UsageError
from shellbot.events import Capabilities, Card, Channel, File, Person, Reply
from shellbot.files.shelf import Sendable, Shelf, Source
from shellbot.hearing import Hearing, Hears
from shellbot.inbox import Inbox
from shellbot.instructions import Instructions
from shellbot.notes import Notes
from shellbot.observation import Observation, Report
from shellbot.outbox import Outbox
from shellbot.progress import Progress
from shellbot.questions import Questions
from shellbot.roster import Member, Roster
from shellbot.stores.base import Store
from shellbot.switchboard import Switchboard
from shellbot.trail import Attempt, Use
from shellbot.turns import Topic, current_topic, new_id

if TYPE_CHECKING:
    from shellbot.agents.container import Container
    from shellbot.bus.bus import Bus
    from shellbot.bus.publisher import Publisher
    from shellbot.bus.subscriber import Subscriber

logger = getLogger(__name__)

LOOP_HOPS = 8  # from this one on bots answer answers to their answers, and no person has said anything in between
LOOP_LIMIT, LOOP_SPAN = 1_000, 60.0  # answers of that kind that a group gives in so many seconds
IN_FORCE_TIMEOUT = 5.0  # seconds the publisher has to confirm a subscription


class Hooks(Hears, Protocol):
    """What the bot calls of a command; see :class:`shellbot.commands.base.Command`."""

    async def on_start(self, bot: ShellBot) -> None: ...

    async def on_close(self, bot: ShellBot) -> None: ...


class Guards(Protocol):
    """Who is asked who may do what; see :class:`shellbot.commands.guard.Guard`."""

    def is_admin(self, person: Person) -> bool: ...

    def may(self, person: Person, channel: Channel, keyword: str, use: Use) -> bool: ...

    def refusal(self, person: Person, channel: Channel) -> str: ...

    def check(self, attempt: Attempt, refusal: str = "") -> None: ...

    def described(self) -> Iterator[str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What all bots of one engine work with. Each is owned by the engine; bots only call it.

    ``keys`` is the folder for keys, of this user only, in ``folder``, that of the instance. ``find`` is that of the
    space; ``meet`` opens the direct channel with somebody who need be in no group: None where it cannot be opened.
    """

    context: Context
    store: Store
    inbox: Inbox
    outbox: Outbox
    shelf: Shelf
    roster: Roster
    bus: Bus
    publisher: Publisher
    switchboard: Switchboard
    dialogs: Dialogs
    guard: Guards
    folder: Path
    keys: Path
    commands: Mapping[str, Hooks]
    capabilities: Capabilities
    end: Callable[[str], Awaitable[None]]
    find: Callable[[str], Awaitable[Person | None]]
    meet: Callable[[Person], Awaitable[Channel | None]]


class ShellBot(Agent):
    """The bot of one channel. Commands get it as ``bot``. ``id`` is that of the channel, and its name on the bus."""

    mailbox_size = 100_000  # a group hears of each of its people several times in one vote

    def __init__(self, home: Container, name: str, *, channel: Channel, desk: Desk) -> None:
        super().__init__(home, name)
        self.channel = channel
        self.id = channel.id
        self.desk = desk
        self.notes = Notes(desk.store, channel.id)
        self.questions = Questions(home.clock)
        self.instructions = Instructions(desk.store, channel.id)
        self.observations: dict[Observation, None] = {}
        self._loops, self._loops_since = 0, 0.0  # answers to answers of this span, and when it began
        self._hearing = Hearing(self, desk.commands, desk.roster, desk.switchboard)
        self._subscriber: Subscriber | None = None

    # --- who and where

    @property
    def title(self) -> str:
        """Title of the channel, for reading."""
        return self.channel.title

    @property
    def is_direct(self) -> bool:
        """Whether this is one person's channel."""
        return self.channel.is_direct

    @property
    def people(self) -> list[Person]:
        """Who is here, first come first: in a group its members, in a direct channel the one who speaks there."""
        roster = self.desk.roster
        if not self.is_direct:
            return [member.person for member in roster.members(self.id)]
        found = (roster.person(group, self.id) for group in roster.groups(self.id))
        return [person for person in found if person is not None][:1]

    @property
    def direct_channels(self) -> list[str]:
        """In a group: ids of the direct channels of its members, as they come and go."""
        return self.desk.roster.direct_channels(self.id)

    @property
    def bus(self) -> Bus:
        """The engine's bus, to script as you like."""
        return self.desk.bus

    @property
    def publisher(self) -> Publisher:
        """The engine's publisher. What you put with it is yours: bots ignore what carries no seal."""
        return self.desk.publisher

    @property
    def subscriber(self) -> Subscriber:
        """A subscriber of this bot's own: in a group on its direct channels, in a direct channel on itself."""
        if self._subscriber is None:
            self._subscriber = self.desk.bus.subscribe(self.id if self.is_direct else self.direct_channels or [self.id])
        return self._subscriber

    # --- life

    async def setup(self) -> None:
        """Read what was kept and begin to listen. Runs before the first turn."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        await self.notes.load()
        start = Topic(f"start@{self.id}/{uuid4().hex}")  # of this run: what is said from here was not said in another
        if self.is_direct:
            begun = await self.instructions.load(self.clock.utcnow())
            self.begin(start, self._take_up, begun)  # its turn comes before that of any frame
            self._hearing.listen_to_group()
        else:
            self.begin(start, self._take_up, [])
            self.listen_to(self.desk.roster.members(self.id))

    def begin(
        self, topic: Topic, handler: Callable[..., Awaitable[Any]], *args: Any, limit: float | None = None
    ) -> asyncio.Future[Any]:
        """Put a turn about ``topic`` in the mailbox; ``limit`` is seconds of running."""

        async def turn() -> Any:
            current_topic.set(topic)
            try:
                return await handler(*args)
            finally:
                if topic.keeping:
                    await asyncio.wait(topic.keeping)

        return self.post(turn, limit=limit)

    async def _take_up(self, begun: list[Envelope]) -> None:
        """Go on with what an earlier run left: the commands' own work, then the instructions it had begun."""
        for command in self.desk.commands.values():
            await command.on_start(self)
        for envelope in begun:
            self._hearing.carry_out(envelope, is_again=True)

    async def teardown(self) -> None:
        """Stop listening."""
        self._hearing.stop()
        if self._subscriber is not None:
            self._subscriber.close()

    # --- saying and remembering

    def say(
        self,
        text: str = "",
        content: str = "",
        file: Sendable | Iterable[Sendable] = (),
        *,
        card: Card | None = None,
        fixed: str = "",
    ) -> None:
        """Say something in this channel, after what was said before. Returns at once; any thread may call it.

        Args:
            text: What to say. ``content``: the same as markdown, where it differs.
            file: Path of a file to send with it, or one that came with a message, or several. It is copied, and may be
                changed or removed as soon as the command is over.
            card: Buttons to show under it.
            fixed: Lines whose columns must line up, shown under the text in a fixed-width font.

        Raises:
            FileRefused: A file is not there, is no plain file (a link, folder, device), or is too large.
        """
        paths = [file] if isinstance(file, str | os.PathLike | File) else list(file)
        sources = self.desk.shelf.sources(path for path in paths if path != "")
        if not (text or content or card or fixed or sources):
            return
        reply = Reply(id=new_id(), text=content or text, card=card, fixed=fixed)
        if sources:
            self._on_loop(self._send_files, reply, sources, current_topic.get())
        else:
            self.reply(reply)

    def reply(self, reply: Reply) -> None:
        """Like :meth:`say`, with the id and version of your choice: said twice it is shown once."""
        self._on_loop(self.desk.outbox.send, self.id, reply)

    async def dispose(self) -> None:
        """Close this channel for good: nobody can write there any more, and the bot hears nothing of it.

        What was said there stays, what this bot said is still shown, and direct channels go on. In a space without
        rooms of its own people may write on; the bot is silent there.
        """
        self.desk.roster.end(self.id)
        await self.desk.end(self.id)

    def remember(self, key: str, value: Any) -> None:
        """Keep a JSON value for this channel, also over a restart."""
        self.notes.remember(key, value)

    def recall(self, key: str, default: Any = None) -> Any:
        """What was remembered under ``key``, or ``default``."""
        return self.notes.recall(key, default)

    def forget(self, key: str | None = None) -> None:
        """Drop one thing, or all that was remembered for this channel."""
        self.notes.forget(key)

    def append(self, key: str, item: Any) -> list[Any]:
        """Add to a remembered list; gives the list."""
        return self.notes.append(key, item)

    def update(self, key: str, label: str, item: Any) -> dict[str, Any]:
        """Set one entry of a remembered object; gives the object."""
        return self.notes.update(key, label, item)

    async def ask(self, question: str, timeout: float | None = None) -> str | None:
        """Ask in this channel; the next line said here that is no command is the answer.

        Questions are shown one at a time, first asked first. The turn is given back while waiting, and the wait does
        not count against the command's time limit. After a restart an instruction is carried out again, so its
        question is asked once more, marked "(again)". In a group, what a command asks is answered only by who may use
        that command.

        Args:
            timeout: Seconds from showing the question; None waits for ever.

        Returns:
            What was said, or None on time-out.
        """
        topic = current_topic.get()
        mark = " (again)" if topic is not None and topic.is_again else ""
        reply = Reply(id=f"{new_id()}{'~again' if mark else ''}", text=question + mark)
        do = topic.do if topic is not None and topic.instruction is None else ""
        answer = await self.wait(self.questions.ask(lambda: self.reply(reply), timeout, do))
        if topic is not None and answer is not None:
            topic.hops = 0  # a person has said something
        return answer

    # --- machines

    def open_dialog(self, do: str, person: Person | None = None, **options: Any) -> None:
        """Begin a dialog with somebody: run the machine of a command. Returns at once; any thread may call it.

        The machine asks, what this person says here that is no command goes to it, and the command's ``on_answers``
        gets what it gathered. It lasts over a restart. With who is in the middle of another, none is begun; that is
        said, but what the group instructs waits its turn.

        Args:
            do: Keyword of the command that makes the machine, by ``get_machine``.
            person: In a group: who talks with it; None is everybody. In a direct channel there is but one.
            options: JSON values for ``get_machine``.

        Raises:
            UsageError: No command is named so.
        """
        if do not in self.desk.commands:
            raise UsageError(f"no command {do!r} to start; there are {', '.join(sorted(self.desk.commands))}")
        topic = current_topic.get()
        dialog = Progress(
            id=f"{new_id()}@{self.id}",
            channel=self.id,
            key="" if self.is_direct or person is None else person.id,
            do=do,
            options=decode(encode(options)),
            person=person,
            instruction=topic.instruction if topic is not None else None,
        )
        self._on_loop(self.desk.dialogs.start, self, dialog)

    def step(self, event: str = "next", person: Person | None = None, **given: Any) -> None:
        """Give an event to the machine of a person, or of the whole channel. Returns at once; any thread may call it.

        Args:
            event: ``next`` is for ``Steps``; ``cancel`` ends the machine; or a word of your own.
            given: For the functions of the machine.
        """
        key = "" if self.is_direct or person is None else person.id
        self._on_loop(self.desk.dialogs.step, self, event, key, given)

    # --- group side of the bus

    def broadcast(
        self,
        message: dict[str, Any],
        *,
        id: str = "",
        channels: Iterable[str] | None = None,
        people: Iterable[Person] | None = None,
    ) -> str:
        """Give an instruction to all direct channels of this group. Returns at once; any thread may call it.

        Args:
            message: ``message["do"]`` names the command whose ``on_instruction`` is called there.
            id: An earlier broadcast's id, to say the same again: who has done it does not do it twice.
            channels: Only these direct channels.
            people: Instead of ``channels``, those of these people: who is here, or has left since the program started.

        Returns:
            Id of the instruction.

        Raises:
            UsageError: Not in a group, or no command is named so.
        """
        if self.is_direct:
            raise UsageError("broadcast goes from a group to its direct channels; in a direct channel use bot.report")
        do = message.get("do") if isinstance(message, dict) else None
        if not isinstance(do, str) or do not in self.desk.commands:
            known = ", ".join(sorted(self.desk.commands))
            raise UsageError(f'broadcast needs {{"do": KEYWORD, ...}} with the keyword of a command: {known}')
        encode(message)  # what cannot travel is refused here, where the mistake is
        envelope = Envelope(group=self.id, side="group", id=id or new_id(), do=do, body=message, hops=_hops())
        topic = current_topic.get()
        if topic is not None:
            topic.broadcasts.add(envelope.id)
        if self._is_loop(envelope):
            return envelope.id
        if people is not None:
            channels = self._hearing.channels_of(people)
        self._on_loop(self._put_all, tuple(channels) if channels is not None else None, envelope)
        return envelope.id

    def observe(self, *, all: bool = False) -> Observation:
        """Hear the direct channels: ``async with bot.observe() as answers``, then iterate ``answers.within(60)``.

        Args:
            all: Every report of this group, not only answers to what this run broadcast.
        """
        if self.is_direct:
            raise UsageError("observe is for group channels; a direct channel hears the group by on_instruction")
        return Observation(self, self.home.clock, current_topic.get(), is_all=all)

    async def in_force(self) -> None:
        """Return once all direct channels are listened to and the publisher knows it; BusTimeout after 5 s."""
        await self.wait(self.desk.switchboard.in_force(IN_FORCE_TIMEOUT))

    def receipt(self, report: Report, message: dict[str, Any]) -> None:
        """Answer one report; the command's ``on_receipt`` is called in that direct channel, if the frame arrives."""
        envelope = Envelope(
            group=self.id, side="group", id=new_id(), re=report.id, do=report.do, body=message, hops=_hops()
        )
        if not self._is_loop(envelope):
            self._on_loop(self.desk.switchboard.put, report.channel, envelope)

    def listen_to(self, members: Iterable[Member]) -> None:
        """Hear the direct channels of these people from now on, also when they leave the group."""
        self._hearing.listen_to(members)

    # --- direct side of the bus

    def report(self, message: dict[str, Any]) -> str:
        """Tell the group something about the instruction being carried out. Returns at once; any thread may call it.

        Returns:
            Id of the report.

        Raises:
            UsageError: No instruction is being carried out here.
        """
        topic = current_topic.get()
        if topic is None or topic.instruction is None:
            raise UsageError("report answers an instruction; call it within on_instruction")
        instruction = topic.instruction
        topic.last_report = message
        return self.report_to(instruction.group, instruction.do, instruction.id, message)

    def report_to(
        self, group: str, do: str, re: str, message: dict[str, Any], *, id: str = "", n: int | None = None
    ) -> str:
        """Tell a group something outside of the instruction's turn, or the same once more with its ``id`` and ``n``."""
        if not self.is_direct:
            raise UsageError("report goes from a direct channel to its group; in a group use bot.broadcast")
        if threading.get_ident() != self._thread:
            encode(message)  # what cannot travel is refused here, where the mistake is
        if n is None:
            n = self.instructions.next_number()
        envelope = Envelope(
            group=group, side="direct", id=id or new_id(), re=re, n=n, do=do, body=message, hops=_hops()
        )
        self._on_loop(self.desk.switchboard.put, self.id, envelope)
        return envelope.id

    async def take(self, effect: Callable[[sqlite3.Connection], object], done: dict[str, Any] | None = None) -> bool:
        """Run a job of the store, in one transaction with the note that the instruction of this turn is carried out.

        It is for commands that :meth:`~shellbot.commands.base.Command.takes` their instructions.

        Args:
            done: The instruction is over with that, and this is what you will report. Without it an instruction is
                over when ``on_instruction`` is, and one that a crash has cut off is carried out again.

        Returns:
            False where that was done before, or is being done: then nothing is stored, and nothing is to be done.
        """
        is_new = await self._hearing.take(effect, done)
        if is_new is None:
            await self.desk.store.write(effect)
        return is_new is not False

    # --- within

    def _is_loop(self, envelope: Envelope) -> bool:
        """Whether bots would answer each other for ever; it is said once."""
        if envelope.hops < LOOP_HOPS:
            return False
        if (now := self.clock.time()) - self._loops_since > LOOP_SPAN:
            self._loops, self._loops_since = 0, now
        self._loops += 1
        if self._loops == LOOP_LIMIT + 1:
            logger.warning("bots answered each other %d times channel=%s do=%s", LOOP_LIMIT, self.id, envelope.do)
            text = (
                f"I stopped `{envelope.do}`: bots answered each other {LOOP_LIMIT:,} times, and nobody said anything."
            )
            self.reply(Reply(id=f"{envelope.id}/loop", text=text))
        return self._loops > LOOP_LIMIT

    def _send_files(self, reply: Reply, sources: list[Source], topic: Topic | None) -> None:
        outbox = self.desk.outbox
        copied = self.home.run_blocking(self.desk.shelf.copy, sources)
        kept = asyncio.ensure_future(outbox.keep(self.id, reply, copied))
        # what is shown where neither files nor words could be kept
        bare = replace(reply, text=f"{reply.text}\n\n(The files could not be kept.)".strip())
        outbox.send(self.id, bare, kept=kept)
        if topic is not None:
            topic.keeping.append(kept)

    def _put_all(self, channels: tuple[str, ...] | None, envelope: Envelope) -> None:
        for channel in channels if channels is not None else self.direct_channels:
            self.desk.switchboard.put(channel, envelope)

    def _on_loop(self, call: Callable[..., Any], *args: Any) -> None:
        """Call on the engine's loop: now if we are there, else soon, in order."""
        if threading.get_ident() == self._thread:
            call(*args)
        else:
            self._loop.call_soon_threadsafe(call, *args)


def _hops() -> int:
    """Of what is put now."""
    topic = current_topic.get()
    return topic.hops + 1 if topic is not None else 0
