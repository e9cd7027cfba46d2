"""The ``poll`` command: what people type, and the hooks by which both sides hear the bus."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from datetime import tzinfo
from logging import getLogger
from typing import Any

from shellbot.bot import ShellBot
from shellbot.clocks import BaseClock
from shellbot.commands.base import Command, Said
from shellbot.context import Context
from shellbot.errors import CommandError, UnknownChoice, UsageError
from shellbot.events import CardAction, Message, Person
from shellbot.machines.base import Machine
from shellbot.markup import plain
from shellbot.observation import Report
from shellbot.polls import orders, papers, records, sealed, slips
from shellbot.polls.asking import asked, asking, lacking
from shellbot.polls.booth import Booth
from shellbot.polls.chair import Chair
from shellbot.polls.grammar import parse
from shellbot.polls.handing import Queues
from shellbot.polls.invitation import Printer
from shellbot.polls.mirror import Mirror
from shellbot.polls.misplaced import meant_poll, misplaced
from shellbot.polls.orders import Answer, Order, Orders
from shellbot.polls.slips import Slips
from shellbot.polls.spec import USAGE
from shellbot.polls.standing import Standings
from shellbot.polls.zone import read_zone
from shellbot.stores.base import Store
from shellbot.trail import Attempt, Use
from shellbot.turns import current_topic, new_id

logger = getLogger(__name__)

ABOUT = "Ask everybody in the direct channel, and the result comes to the group."
HERE = "`poll list`, `show`, `history`; of yours `close`, `cancel`, `extend 10m`, `reopen`, `remind`, `stop`, with `#N`"

FURTHER = """\
- Other kinds: `poll yesno "Merge?"`, `poll multiple 2 "Toppings?" Ham, Corn, Egg`, `poll rating 5 "How was it?"`
- So that nobody sees who voted what: `poll anonymous "Lunch?" Pizza, Sushi`
- When: `in 10m`, `until friday 17:00`, `opens tomorrow 9:00 in 2h`, `remind 1h before` at the end
- Rules: `results live`, `quorum 50%`, `threshold 2/3` at the end
- `poll new` asks step by step; `poll rehearse "Lunch?" Pizza, Sushi` shows only you what all would get"""


class PollCommand(Command):
    """Opens votes in a group, takes ballots in direct channels, and orders about votes in both."""

    keyword = "poll"
    information_message = f"{ABOUT} {HERE}"
    usage_message = USAGE
    is_asking = True

    def __init__(self) -> None:
        self._chairs: dict[str, Chair] = {}
        self._booths: dict[str, Booth] = {}
        self._mirrors: dict[str, Mirror] = {}
        self._ready: dict[str, asyncio.Event] = {}  # by direct channel: the papers of an earlier run are read
        self._slips: dict[str, Slips] = {}
        self._queues = Queues()
        self._printer = Printer()
        self._orders: dict[str, Orders] = {}
        self._zone: tzinfo | None = None  # read at the first start of a channel

    async def prepare(self, store: Store) -> None:
        await records.prepare(store)
        await papers.prepare(store)
        await store.create(slips.SCHEMA + sealed.SCHEMA)

    def zone(self, bot: ShellBot) -> tzinfo:
        """The zone of the times that people write and read."""
        if self._zone is None:
            self._zone = read_zone(bot.desk.context)
        return self._zone

    async def on_start(self, bot: ShellBot) -> None:
        if bot.is_direct:
            self._booths[bot.id] = Booth(bot, self.zone(bot), self._queues, self._printer)
            self._mirrors[bot.id] = Mirror(bot, self.zone(bot), self._printer)
            try:
                await self._booths[bot.id].resume()
            finally:
                self._ready.setdefault(bot.id, asyncio.Event()).set()
            self._slips[bot.id] = Slips(bot)
            await self._slips[bot.id].resume()
        else:
            self._chairs[bot.id] = Chair(bot, self.zone(bot))
            self._orders[bot.id] = Orders(bot, self._chairs[bot.id], self.zone(bot))
            await self._chairs[bot.id].resume()

    async def on_close(self, bot: ShellBot) -> None:
        if self._chairs[bot.id].find(None):
            raise UsageError("There is a vote under way here. Say `poll close` or `poll cancel` first, or wait for it.")

    async def on_leave(self, bot: ShellBot, person: Person) -> None:
        await self._chairs[bot.id].leave(person)

    async def let_go(self, polls: Iterable[str]) -> None:
        """Know nothing more of these, which were forgotten."""
        for poll in polls:
            for chair in self._chairs.values():
                chair.drop(poll)
            for booth in list(self._booths.values()):
                await booth.drop(poll)

    def chair(self, bot: ShellBot) -> Chair:
        """The one who runs the polls of this group."""
        return self._chairs[bot.id]

    def standings(self, group: str, context: Context, clock: BaseClock) -> Standings:
        """How the polls of this group stand, for pages and exports."""
        return Standings(lambda: self._chairs.get(group), read_zone(context), clock)

    def use_of(self, arguments: str) -> Use:
        """Whose a poll is that an order changes, :class:`Orders` knows; an opening is noted where it is one."""
        try:
            words = orders.read(arguments or "list")
        except UsageError:
            words = None
        if words is None:
            return Use("use", self.keyword)
        return Use("own" if words.op in orders.CHANGING else "use", f"{self.keyword} {words.op}")

    def _check_opening(self, bot: ShellBot, poll: str, person: Person) -> None:
        use = Use("use", f"{self.keyword} open", is_noted=True)
        attempt = Attempt(cause=f"{bot.id}/{poll}", person=person, channel=bot.channel, keyword=self.keyword, use=use)
        bot.desk.guard.check(attempt)

    async def execute(self, bot: ShellBot, arguments: str = "", **kwargs: Any) -> None:
        message: Message = kwargs["message"]
        words = orders.read(arguments or "list")
        if bot.is_direct:
            if words is None:
                raise UsageError(f"Say it in the group: votes open there. What you can say here: {HERE}")
            paper = await self._booths[bot.id].paper_of(words.number) if words.number is not None else None
            group, poll = (paper.group, paper.poll) if paper is not None else ("", "")
            if words.op == "rehearse" and len(groups := bot.desk.roster.groups(bot.id)) == 1:
                group = groups[0]  # it may be the first word that is said here
            await self._slips[bot.id].hand_in(arguments or "list", message, group, poll)
        elif words is not None:
            order = Order(f"{bot.id}/{message.id}", words, message.person, message.time, is_direct=False)
            answer = await self._orders[bot.id].carry_out(order)
            if not answer.is_told:
                bot.say(answer.text, fixed=answer.fixed)
        elif (question := lacking(arguments)) is not None:
            asking(question, self.zone(bot))  # what is no question is told here
            bot.open_dialog(self.keyword, message.person, question=question)
        else:
            found = parse(arguments, message.time, self.zone(bot))
            # the id is made of the message's, so that a message dealt with again after a crash opens no second vote
            poll = _id(bot, message.id)
            now = bot.clock.utcnow()
            self._check_opening(bot, poll, message.person)
            await self.chair(bot).open(poll, found.spec, message.person, now, found.closes_at, found.opens_at)

    def help_here(self, bot: ShellBot) -> tuple[str, str]:
        if bot.is_direct:
            return "poll list", f"The votes that are open. {HERE}. A vote is opened in the group."
        return self.usage_message, self.information_message

    def help_further(self, bot: ShellBot) -> str:
        return "" if bot.is_direct else FURTHER

    def hint(self, bot: ShellBot, message: Message, line: str) -> str:
        meant = meant_poll(line)
        is_named = line.split(None, 1)[:1] == [self.keyword]
        if (bot.is_direct or is_named) and (told := orders.meant(line)):
            return told
        if bot.is_direct:
            return f"Did you mean `{self.keyword} {meant}`? Say it in the group." if meant else ""
        if misplaced(line, self._chairs[bot.id].find(None), message.person):
            return (
                f"{plain(message.person.name)}, please vote in your direct channel, where your ballot is: "
                "here everybody reads it, and it does not count."
            )
        may_open = meant and bot.desk.guard.may(message.person, bot.channel, self.keyword, self.use_of(meant))
        return f"Did you mean `{self.keyword} {meant}`?" if may_open else ""

    def get_machine(self, bot: ShellBot, question: str = "", **options: Any) -> Machine:
        return asking(question, self.zone(bot))

    async def on_answers(self, bot: ShellBot, answers: dict[str, Any], person: Person | None) -> None:
        if person is None:
            return
        now = bot.clock.utcnow()
        spec, closes_at = asked(answers, now)
        poll = _id(bot, new_id())  # the same where this is called again
        self._check_opening(bot, poll, person)
        await self.chair(bot).open(poll, spec, person, now, closes_at)

    # --- both sides of the bus

    def takes(self, message: dict[str, Any]) -> bool:
        return message.get("op") in ("open", "close")

    async def on_instruction(self, bot: ShellBot, message: dict[str, Any]) -> None:
        booth = self._booths[bot.id]
        topic = current_topic.get()
        if topic is not None and topic.instruction is not None:
            self._slips[bot.id].meet(topic.instruction.group)
        match message.get("op"):
            case "open":
                await booth.open(message)
            case "extend" | "reopen":
                await booth.extend(message)
            case "remind":
                await booth.remind(message)
            case "cancel":
                await booth.cancel(message)
            case "note":
                await booth.note(message)
            case "close":
                await booth.close(message)
            case "rehearse":
                self._mirrors[bot.id].show(message)

    async def on_receipt(self, bot: ShellBot, message: dict[str, Any]) -> None:
        if message.get("op") == "receipt":
            await self._booths[bot.id].confirm(message)
        elif message.get("op") == "answer":
            await self._slips[bot.id].answered(message)

    def is_one_of_many(self, report: Report) -> bool:
        return report.message.get("op") != "order"

    async def on_reports(self, bot: ShellBot, reports: Sequence[Report]) -> None:
        await self._chairs[bot.id].hear(reports)

    async def on_report(self, bot: ShellBot, report: Report) -> None:
        await self._hear_order(bot, report)

    async def _hear_order(self, bot: ShellBot, report: Report) -> None:
        """Carry out what somebody said in a direct channel, and answer there."""
        try:
            order = orders.of_report(report.message, report.person)
            if order is None:
                logger.warning("order that makes no sense channel=%s", report.channel)
                return
            # here again: the direct side may be another program, with other rules
            attempt = Attempt(
                cause=order.id,
                person=order.person,
                channel=bot.channel,
                keyword=self.keyword,
                use=self.use_of(report.message["words"]),
                way="order",
            )
            bot.desk.guard.check(attempt)
            answer = await self._orders[bot.id].carry_out(order)
        except CommandError as error:
            answer = Answer(str(error))
        id_ = report.message["order"]
        bot.receipt(report, {"op": "answer", "order": id_, "text": answer.text, "fixed": answer.fixed})

    # --- what people do in a direct channel

    def claims(self, bot: ShellBot, message: Message) -> bool:
        return bot.id in self._booths and self._booths[bot.id].is_named_in(message.text)

    async def veil(self, bot: ShellBot, event: Said) -> Said:
        if not bot.is_direct:
            return event
        await self._ready.setdefault(bot.id, asyncio.Event()).wait()  # or what comes at the start would be kept bare
        return await self._booths[bot.id].veil(event)

    async def on_sealed(self, bot: ShellBot, event: Said) -> bool:
        return bot.is_direct and await self._booths[bot.id].unveil(event)

    async def on_text(self, bot: ShellBot, message: Message) -> bool:
        if not bot.is_direct:
            return False
        booth = self._booths[bot.id]
        try:
            return (not booth.is_asking and self._mirrors[bot.id].typed(message)) or await booth.typed(message)
        except UnknownChoice:
            if told := orders.meant(message.text):
                raise UsageError(told) from None
            raise

    async def on_action(self, bot: ShellBot, action: CardAction) -> bool:
        if not bot.is_direct:
            return False
        return self._mirrors[bot.id].pressed(action) or await self._booths[bot.id].pressed(action)


def _id(bot: ShellBot, source: str) -> str:
    """The id of a poll that was asked for by this."""
    return hashlib.sha256(f"{bot.id} {source}".encode()).hexdigest()[:16]
