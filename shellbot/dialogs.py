"""The machines that people talk with: one at a time for each person in a channel, kept in the store, run step by step.

A command makes the machine (``get_machine``) and takes its answers (``on_answers``); here stands what the machine has
reached. For each step it is made anew and given that, so nothing of it lives in memory alone: the new state, what is
said, and that the event was dealt with are one transaction. A bot serves one channel, so the channel's id names both.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from logging import getLogger
from typing import Any, Protocol

import msgspec

from shellbot.agents.container import Container
from shellbot.agents.timers import Timer
from shellbot.errors import AgentStopped, CallTimeout, CommandError, NotAllowed, StoreError, UsageError
from shellbot.events import Capabilities, CardAction, Event, Message, Person, Reply
from shellbot.instructions import Instructions
from shellbot.machines.base import Machine
from shellbot.machines.deeds import Deed
from shellbot.outbox import Outbox
from shellbot.progress import SCHEMA, Progress, keeping, speak
from shellbot.stores.base import Store
from shellbot.turns import Topic, current_topic

logger = getLogger(__name__)

CANCEL = "cancel"
MAX_WAITING = 100  # dialogs that the group asks for and that wait for one person
AGAIN = timedelta(seconds=30)  # until a time-out is tried again that could not be stored
Act = Callable[[Machine, float], list[Deed]]


class Makes(Protocol):
    """What is used of a command; see :class:`shellbot.commands.base.Command`."""

    @property
    def timeout(self) -> float: ...

    def get_machine(self, bot: Any, **options: Any) -> Machine: ...

    def on_answers(self, bot: Any, answers: dict[str, Any], person: Person | None) -> Any: ...


class Speaks(Protocol):
    """What is used of a bot."""

    home: Container
    state: str

    @property
    def instructions(self) -> Instructions: ...

    @property
    def id(self) -> str: ...

    @property
    def is_direct(self) -> bool: ...

    def begin(
        self, topic: Topic, handler: Callable[..., Any], *args: Any, limit: float | None = None
    ) -> asyncio.Future[Any]: ...

    def at(self, when: datetime, f: Callable[..., Any], *args: Any) -> Timer: ...

    def update(self, key: str, label: str, item: Any) -> Any: ...

    def say(self, text: str) -> None: ...

    def reply(self, reply: Reply) -> None: ...


class Dialogs:
    """The dialogs of one instance. Owned by the engine's loop."""

    def __init__(self, store: Store, outbox: Outbox, commands: Mapping[str, Makes], capabilities: Capabilities) -> None:
        self._store = store
        self._outbox = outbox
        self._commands = commands
        self._capabilities = capabilities
        self._dialogs: dict[str, dict[str, Progress]] = {}  # by channel and id; who stands first with a person runs
        self._timers: dict[str, Timer] = {}  # by id

    async def load(self) -> None:
        """Read what an earlier run left. Each channel goes on with :meth:`resume`."""
        await self._store.create(SCHEMA)
        rows = await self._store.read(lambda db: db.execute("SELECT dialog FROM dialogs ORDER BY rowid").fetchall())
        missing: Counter[str] = Counter()
        for (row,) in rows:
            dialog = msgspec.json.decode(row, type=Progress)
            if dialog.do in self._commands:
                self._put(dialog)
            else:
                missing[dialog.do] += 1
        for do, count in missing.items():
            logger.warning("%d dialogs wait for a command that is not here do=%s", count, do)

    def resume(self, bot: Speaks) -> None:
        """Go on in a channel. What fell due meanwhile comes now, behind the turns that wait already."""
        for dialog in tuple(self._dialogs.get(bot.id, {}).values()):
            if dialog.ended:
                self._hand_over(bot, dialog, is_again=True)
            elif dialog.state is not None:
                self._arm(bot, dialog)
            else:
                self._begin_first(bot, dialog.key)

    def find(self, channel: str, key: str) -> Progress | None:
        """The dialog that runs with a person; without one, that with everybody in the channel."""
        return self._first(channel, key) or self._first(channel, "")

    def _first(self, channel: str, key: str) -> Progress | None:
        dialogs = self._dialogs.get(channel, {}).values()
        return next((dialog for dialog in dialogs if dialog.key == key and not dialog.ended), None)

    # --- its steps

    def start(self, bot: Speaks, dialog: Progress) -> None:
        """Begin a dialog. What hinders it is said.

        One that the group asks for begins when the one that runs with this person is over; another is refused.
        Begun twice under one id it is begun once.
        """
        if dialog.id in self._dialogs.get(bot.id, {}):
            return
        if (other := self._first(bot.id, dialog.key)) is None:
            self._begin(bot, dialog)
        elif dialog.instruction is not None:
            if sum(waiting.key == dialog.key for waiting in self._dialogs[bot.id].values()) > MAX_WAITING:
                logger.warning("too many dialogs wait already; one is not begun do=%s channel=%s", dialog.do, bot.id)
                return
            self._store.post(keeping(dialog, []))
            self._put(dialog)
        else:
            bot.say(f"You are in the middle of `{other.do}`: answer its question, or say `{CANCEL}`.")

    def step(self, bot: Speaks, event: str, key: str, given: dict[str, Any]) -> None:
        """Give an event to the machine of a person, or of the channel. If there is none, that is said."""
        if (dialog := self.find(bot.id, key)) is None:
            bot.say("Nothing goes on here that could take a step.")
        elif (made := self._step(bot, dialog, _cancel if event == CANCEL else _happen(event, **given))) is not None:
            self._post(bot, *made)

    async def hear(self, bot: Speaks, message: Message, text: str) -> bool:
        """Take what somebody said, if it is for a machine."""
        dialog = self._meant(bot, message.person, text)
        if dialog is None:
            return False
        await self._move(bot, dialog, _cancel if is_cancel(text) else _happen("input", text=text), message)
        return True

    def taking(self, bot: Speaks, person: Person, text: str) -> Progress | None:
        """The dialog whose machine would take this now."""
        return self._meant(bot, person, text)

    def of_card(self, bot: Speaks, card: str) -> Progress | None:
        """The dialog that this card is one of."""
        return self._dialogs.get(bot.id, {}).get(card.rpartition("/")[0])

    async def act(self, bot: Speaks, action: CardAction) -> bool:
        """Take the press of a button, if it belongs to a machine.

        Raises:
            UsageError, NotAllowed: Not this button any more, or not this person.
        """
        dialog = self.of_card(bot, action.card)
        if dialog is None:
            return False
        if dialog.key and dialog.key != action.person.id:
            raise NotAllowed("This question is for somebody else.")
        if dialog.card is None or dialog.card.card is None or dialog.card.card.id != action.card:
            raise UsageError("This question is over.")
        await self._move(bot, dialog, _happen("input", text=action.value), action)
        return True

    def leave(self, bot: Speaks, person: Person) -> None:
        """This person has left the channel: what was begun with them ends."""
        for dialog in tuple(self._dialogs.get(bot.id, {}).values()):
            if dialog.key == person.id and not dialog.ended:
                self._forget(dialog)

    # --- one step

    def _make(self, bot: Speaks, dialog: Progress) -> Machine:
        machine = self._commands[dialog.do].get_machine(bot, **dialog.options)
        return machine if dialog.state is None else machine.from_state(dialog.state)

    def _meant(self, bot: Speaks, person: Person, text: str) -> Progress | None:
        """The dialog that takes what this person says."""
        dialog = self.find(bot.id, _key(bot, person))
        # one for everybody in a group is not cancelled by a word in passing, while it asks nothing
        if dialog is None or self._is_listening(bot, dialog) or (is_cancel(text) and (dialog.key or bot.is_direct)):
            return dialog
        return None

    def _is_listening(self, bot: Speaks, dialog: Progress) -> bool:
        try:
            return self._make(bot, dialog).is_listening
        except Exception:
            return True  # the step fails likewise, and says so

    def _step(
        self, bot: Speaks, dialog: Progress, act: Act, event: Event | None = None
    ) -> tuple[Progress, list[Reply]] | None:
        """The dialog after a step, and what is to be said. One that fails is given up; that is said."""
        time = event.time if event is not None else bot.home.clock.utcnow()
        try:
            machine = self._make(bot, dialog)
            deeds = act(machine, time.timestamp())
            moved = replace(
                dialog,
                state=machine.to_state(),
                n=dialog.n + 1,
                due=machine.due,
                person=event.person if event is not None else dialog.person,
                ended="cancelled" if machine.is_cancelled else "done" if machine.is_over else "",
                answers=machine.answers if machine.is_over else {},
            )
            return speak(moved, deeds, self._capabilities, bot.update)
        except Exception:
            # MachineError, when the bot was changed meanwhile; or an error in it
            logger.exception("a dialog cannot go on and is given up do=%s channel=%s", dialog.do, bot.id)
            bot.say(f"I cannot go on with `{dialog.do}`; it is in my log.")
            self._forget(dialog)
            self._begin_first(bot, dialog.key)
            return None

    async def _move(self, bot: Speaks, dialog: Progress, act: Act, event: Event | None = None) -> None:
        """Make a step and keep it; what it says is shown when that is on disk."""
        if (made := self._step(bot, dialog, act, event)) is None:
            return
        moved, replies = made
        self._put(moved)  # at once: who comes while it is written sees it
        try:
            await self._store.write(keeping(moved, replies, event))
        except BaseException:
            self._put(dialog)
            raise
        for reply in replies:
            self._outbox.send(bot.id, reply, is_kept=True)
        self._go_on(bot, moved)

    def _begin(self, bot: Speaks, dialog: Progress) -> None:
        if (made := self._step(bot, dialog, lambda machine, now: machine.start(now))) is not None:
            self._post(bot, *made)

    def _post(self, bot: Speaks, moved: Progress, replies: list[Reply]) -> None:
        """Keep a step without waiting. Its replies are kept with it; said again here, they are shown behind that."""
        self._store.post(keeping(moved, replies))
        self._put(moved)
        for reply in replies:
            bot.reply(reply)
        self._go_on(bot, moved)

    def _go_on(self, bot: Speaks, dialog: Progress) -> None:
        self._arm(bot, dialog)
        if dialog.ended == "done":
            self._hand_over(bot, dialog)
        if dialog.ended:
            self._begin_first(bot, dialog.key)

    def _begin_first(self, bot: Speaks, key: str) -> None:
        """Begin the dialog that has waited longest for this person, unless one runs."""
        first = self._first(bot.id, key)
        if first is not None and first.state is None:
            self._begin(bot, first)

    def _arm(self, bot: Speaks, dialog: Progress) -> None:
        """Have the machine stepped when it wants to be."""
        if (timer := self._timers.pop(dialog.id, None)) is not None:
            timer.cancel()
        if dialog.due is not None and not dialog.ended:
            when = datetime.fromtimestamp(dialog.due, UTC)
            self._timers[dialog.id] = bot.at(when, self._due, bot, dialog.id, dialog.n)

    async def _due(self, bot: Speaks, id_: str, n: int) -> None:
        dialog = self._dialogs.get(bot.id, {}).get(id_)
        if dialog is None or dialog.n != n or dialog.due is None:
            return
        due = dialog.due
        current_topic.set(Topic(f"{id_}/{n}/due"))
        try:
            # a timer counts in microseconds, and may be early by less than one
            await self._move(bot, dialog, lambda machine, now: machine.tick(max(now, due)))
        except StoreError:
            self._timers[id_] = bot.at(bot.home.clock.utcnow() + AGAIN, self._due, bot, id_, n)
            raise

    # --- what comes of it

    def _hand_over(self, bot: Speaks, dialog: Progress, *, is_again: bool = False) -> None:
        """Give the answers to the command, in a turn of its own; again after a crash, until that is over."""
        command = self._commands[dialog.do]
        topic = Topic(f"{dialog.id}/end", instruction=dialog.instruction, is_again=is_again, do=dialog.do)

        async def turn() -> None:
            try:
                if asyncio.iscoroutinefunction(command.on_answers):
                    await command.on_answers(bot, dialog.answers, dialog.person)
                else:
                    await bot.home.run_blocking(command.on_answers, bot, dialog.answers, dialog.person)
            except CommandError as error:
                bot.say(str(error))

        def over(done: asyncio.Future[Any]) -> None:
            error = AgentStopped("cancelled") if done.cancelled() else done.exception()
            if isinstance(error, AgentStopped) or bot.state != "running":
                return  # the program stops; the next run hands them over
            if error is not None:
                logger.error("the answers were not dealt with do=%s", dialog.do, exc_info=error)
                late = isinstance(error, CallTimeout)
                text = "took too long, and I stopped it" if late else "failed; this is the bot's fault, and in its log"
                bot.reply(Reply(id=f"{dialog.id}/failed", text=f"`{dialog.do}` {text}."))
            if dialog.instruction is not None and topic.last_report is not None:
                bot.instructions.finish(dialog.instruction, topic.last_report)  # said again when it is asked for again
            self._forget(dialog)

        bot.begin(topic, turn, limit=command.timeout).add_done_callback(over)

    # --- keeping

    def _put(self, dialog: Progress) -> None:
        dialogs = self._dialogs.setdefault(dialog.channel, {})
        dialogs[dialog.id] = dialog
        if dialog.ended == "cancelled":
            del dialogs[dialog.id]
        if not dialogs:
            del self._dialogs[dialog.channel]

    def _forget(self, dialog: Progress) -> None:
        self._put(replace(dialog, ended="cancelled"))
        if (timer := self._timers.pop(dialog.id, None)) is not None:
            timer.cancel()
        self._store.post(lambda db: db.execute("DELETE FROM dialogs WHERE id = ?", (dialog.id,)))


def _happen(event: str, **given: Any) -> Act:
    return lambda machine, now: machine.step(event, now=now, **given)


def is_cancel(text: str) -> bool:
    """Whether this ends a dialog."""
    return text.casefold().rstrip(".!") == CANCEL


def _cancel(machine: Machine, now: float) -> list[Deed]:
    return machine.cancel(now)


def _key(bot: Speaks, person: Person | None) -> str:
    return "" if bot.is_direct or person is None else person.id
