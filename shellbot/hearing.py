"""What a bot hears over the bus: in a direct channel what the group says, in a group what its direct channels report.

Each becomes a turn of the bot. An instruction is kept as one that is carried out, and is done once however often it
arrives; of what thousands report at once many are heard in one turn.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from logging import getLogger
from typing import Any, Protocol
from uuid import uuid4

from shellbot.clocks import BaseClock
from shellbot.envelope import Envelope
from shellbot.events import Person
from shellbot.instructions import Instructions
from shellbot.observation import Observation, Report
from shellbot.roster import Member, Roster
from shellbot.switchboard import Switchboard
from shellbot.turns import Topic, current_topic

logger = getLogger(__name__)

TOGETHER = 100  # reports that a turn takes at most, so that the loop goes on
Effect = Callable[[sqlite3.Connection], object]


class Hears(Protocol):
    """What is called of a command; see :class:`shellbot.commands.base.Command`."""

    keyword: str

    @property
    def timeout(self) -> float: ...

    def takes(self, message: dict[str, Any]) -> bool: ...

    async def on_instruction(self, bot: Any, message: dict[str, Any]) -> None: ...

    async def on_receipt(self, bot: Any, message: dict[str, Any]) -> None: ...

    def is_one_of_many(self, report: Report) -> bool: ...

    async def on_report(self, bot: Any, report: Report) -> None: ...

    async def on_reports(self, bot: Any, reports: Sequence[Report]) -> None: ...


class Hearer(Protocol):
    """What is needed of the bot."""

    id: str
    state: str
    mailbox_size: int
    instructions: Instructions
    observations: dict[Observation, None]

    @property
    def is_closed(self) -> bool: ...

    @property
    def clock(self) -> BaseClock: ...

    def begin(
        self, topic: Topic, handler: Callable[..., Awaitable[Any]], *args: Any, limit: float | None = None
    ) -> asyncio.Future[Any]: ...

    def report_to(self, group: str, do: str, re: str, message: dict[str, Any]) -> str: ...

    def report_error(self, error: BaseException, what: str) -> None: ...


class Hearing:
    """The ears of one bot. Used on the engine's loop only."""

    __slots__ = ("_bot", "_commands", "_people", "_reports", "_roster", "_switchboard")

    def __init__(self, bot: Hearer, commands: Mapping[str, Hears], roster: Roster, switchboard: Switchboard) -> None:
        self._bot = bot
        self._commands = commands
        self._roster = roster
        self._switchboard = switchboard
        self._people: dict[str, Person] = {}  # direct channel -> who speaks there
        self._reports: dict[str, deque[tuple[Report, int]]] = {}  # by command, with hops: those that one turn takes

    def listen_to_group(self) -> None:
        """In a direct channel: hear what groups say there."""
        self._switchboard.listen(self._bot.id, "group", self._hear_instruction)

    def listen_to(self, members: Iterable[Member]) -> None:
        """In a group: hear the direct channels of these people from now on, also when they leave the group."""
        for member in members:
            if member.direct and member.direct not in self._people:
                self._switchboard.listen(member.direct, "direct", self._hear_report)
            if member.direct:
                self._people[member.direct] = member.person

    def channels_of(self, people: Iterable[Person]) -> list[str]:
        """The direct channels of these people, as far as they are listened to."""
        wanted = {person.id for person in people}
        return [channel for channel, person in tuple(self._people.items()) if person.id in wanted]

    def stop(self) -> None:
        """Hear nothing more."""
        self._switchboard.ignore(self._bot.id, "group", self._hear_instruction)
        for channel in self._people:
            self._switchboard.ignore(channel, "direct", self._hear_report)
        self._people.clear()

    # --- in a direct channel

    def _hear_instruction(self, channel: str, envelope: Envelope) -> None:
        if self._bot.is_closed:
            return  # the program stops; it is said again to the next run
        command = self._commands.get(envelope.do)
        if command is None:
            logger.warning("instruction for an unknown command do=%s channel=%s", envelope.do, channel)
        elif envelope.re:
            topic = Topic(envelope.id, hops=envelope.hops)
            self._bot.begin(topic, command.on_receipt, self._bot, envelope.body, limit=command.timeout)
        else:
            self.carry_out(envelope, is_again=False)

    def carry_out(self, envelope: Envelope, *, is_again: bool) -> None:
        """Do what the group says, once: what was done before is only reported again.

        Args:
            is_again: An earlier run has begun with it.
        """
        bot, command = self._bot, self._commands.get(envelope.do)
        if command is None:
            bot.instructions.finish(envelope, None)
            return
        topic = Topic(
            f"{envelope.id}@{bot.id}", instruction=envelope, is_again=is_again, is_taken=is_again, hops=envelope.hops
        )

        async def turn() -> None:
            if is_again or command.takes(envelope.body) or await self._take(envelope, topic):
                await command.on_instruction(bot, envelope.body)

        def over(done: asyncio.Future[Any]) -> None:
            if not topic.is_taken or done.cancelled() or bot.state != "running":
                return  # it was done before; or the program stops, and it is carried out again by the next run
            if (error := done.exception()) is not None:
                bot.report_error(error, f"instruction {envelope.do}")
            if not topic.is_done:
                bot.instructions.finish(envelope, topic.last_report)

        bot.begin(topic, turn, limit=command.timeout).add_done_callback(over)

    async def take(self, effect: Effect, done: dict[str, Any] | None) -> bool | None:
        """See :meth:`ShellBot.take`; None where this turn is on no instruction, or on one that is kept already."""
        topic = current_topic.get()
        if topic is None or topic.instruction is None or topic.is_taken:
            return None
        topic.is_done = done is not None
        return await self._take(topic.instruction, topic, effect, done)

    async def _take(
        self, envelope: Envelope, topic: Topic, effect: Effect | None = None, done: dict[str, Any] | None = None
    ) -> bool:
        bot = self._bot
        topic.is_taken, report = await bot.instructions.take(envelope, bot.clock.utcnow(), effect, done)
        if report is not None:
            bot.report_to(envelope.group, envelope.do, envelope.id, report)
        return topic.is_taken

    # --- in a group

    def _hear_report(self, channel: str, envelope: Envelope) -> None:
        bot = self._bot
        if bot.is_closed:
            return  # the program stops; it is said again to the next run
        command = self._commands.get(envelope.do)
        if envelope.group != bot.id or command is None:
            return
        report = Report(
            # the roll of an old poll knows neither today's name nor the address
            person=self._roster.person(bot.id, channel) or self._people[channel],
            channel=channel,
            message=envelope.body,
            do=envelope.do,
            id=envelope.id,
            re=envelope.re,
            n=envelope.n,
        )
        for observation in tuple(bot.observations):
            observation.hear(report)
        if command.is_one_of_many(report):
            self._hear_with_others(command, report, envelope.hops)
        else:
            bot.begin(Topic(report.id, hops=envelope.hops), command.on_report, bot, report, limit=command.timeout)

    def _hear_with_others(self, command: Hears, report: Report, hops: int) -> None:
        """Have the next turn for such reports take this one, too."""
        reports = self._reports.get(command.keyword)
        if reports is None:
            self._hear_together(command)
            reports = self._reports[command.keyword] = deque()
        elif len(reports) >= self._bot.mailbox_size:
            raise asyncio.QueueFull(f"{len(reports)} reports wait in {self._bot.id} already")
        reports.append((report, hops))

    def _hear_together(self, command: Hears) -> None:
        topic = Topic(uuid4().hex)  # what is said in it is of no one report

        async def turn() -> None:
            waiting = self._reports.pop(command.keyword)
            taken = [waiting.popleft() for _ in range(min(len(waiting), TOGETHER))]
            if waiting:
                self._hear_together(command)
                self._reports[command.keyword] = waiting
            topic.hops = max(hops for _, hops in taken)
            await command.on_reports(self._bot, [report for report, _ in taken])

        self._bot.begin(topic, turn, limit=command.timeout)
