"""The command: what a bot does when somebody says its keyword.

Write ``execute`` plain or ``async``. A plain one runs on a worker thread, so it may block; an async one runs on the
engine's loop. Either has ``timeout`` seconds of running; waiting for people does not count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from shellbot.errors import MachineError
from shellbot.events import CardAction, Message, Person
from shellbot.machines.base import Machine
from shellbot.trail import Use

if TYPE_CHECKING:
    from shellbot.bot import ShellBot
    from shellbot.observation import Report
    from shellbot.stores.base import Store

Said: TypeAlias = Message | CardAction

NEAR = 0.75  # how alike a word must be to one that is known to be taken for a slip (difflib ratio)


class Command:
    """One word that a bot understands. Subclass it, name the ``keyword``, write ``execute``."""

    keyword: str = ""
    information_message: str = ""
    usage_message: str = ""
    in_group: bool = True
    in_direct: bool = True
    is_hidden: bool = False
    is_admin: bool = False
    """Whether this administers: then nobody may use it but admins, and who is named for it in the settings."""
    is_asking: ClassVar[bool] = False
    """Whether its buttons and ``on_text`` take what people were asked for, as ballots: who was asked may answer."""
    timeout: ClassVar[float] = 30.0

    def execute(self, bot: ShellBot, *args: Any, **kwargs: Any) -> Any:
        """Do what was asked for in this channel. Its parameters say what is read from the line.

        ``execute(self, bot, count: int, item: str = "tea", *, person)`` is called with values read from
        ``order 3 green tea``; a line that does not fit is answered with one that helps, and ``usage_message`` is made
        from the parameters unless you write one. ``execute(self, bot, arguments="", **kwargs)``, as in 2017, gets what
        stands after the keyword, without outer white space.

        Args:
            args: ``str, int, float, bool, date, timedelta, Literal``, or one of them ``| None``. The last that is a str
                takes the rest of the line; ``*names: str`` takes words.
            kwargs: Behind a ``*``, those you name: ``person`` who said it, ``message``, the
                :class:`~shellbot.events.Message`, ``files`` that came with it, each a
                :class:`~shellbot.events.File`, ``arguments``, the line. ``**kwargs`` gets the first three.

        Raises:
            UsageError: Its text is said in the channel.
        """
        bot.say(self.usage_message or f"`{self.keyword}` does nothing yet.")

    def use_of(self, arguments: str) -> Use:
        """What a line asks for that calls this command; ``arguments`` stand after the keyword. See ``docs/access.md``.

        Write it where only some of what the command does administers. The words of ``deed`` stand in the log.
        """
        return Use("administer" if self.is_admin else "use", self.keyword)

    async def on_instruction(self, bot: ShellBot, message: dict[str, Any]) -> None:
        """Called in a direct channel when the group has broadcast ``{"do": keyword, ...}``, and the frame arrived."""

    def takes(self, message: dict[str, Any]) -> bool:
        """Whether :meth:`on_instruction` keeps this instruction itself, by ``bot.take(effect)``, before it acts.

        Others are kept before it is called. That costs one more write, and saves this care.
        """
        return False

    async def on_report(self, bot: ShellBot, report: Report) -> None:
        """Called in the group channel for each report of a direct channel to an instruction of this command."""

    def is_one_of_many(self, report: Report) -> bool:
        """Whether to hear a report together with others that have come: by :meth:`on_reports`, in one turn for all.

        That is for what ten thousand channels report at once; each turn costs more than what most of them do.
        """
        return False

    async def on_reports(self, bot: ShellBot, reports: Sequence[Report]) -> None:
        """Called in the group channel with those reports, oldest first, in place of :meth:`on_report`.

        An error is that of the turn; so see to it that the other reports do not suffer from one.
        """

    async def on_receipt(self, bot: ShellBot, message: dict[str, Any]) -> None:
        """Called in a direct channel when the group answers one report; never repeated by itself."""

    def help_here(self, bot: ShellBot) -> tuple[str, str]:
        """What `help` says of it in this channel: how it is used there, and what it does."""
        return self.usage_message or self.keyword, self.information_message

    def help_further(self, bot: ShellBot) -> str:
        """What `help` with the keyword says besides, in Markdown: all that is too long for the list of `help`."""
        return ""

    def hint(self, bot: ShellBot, message: Message, line: str) -> str:
        """What to say to a line that nobody took and that may have been meant for this command; ``""`` for nothing.

        In a group people talk to each other, so say something only where it is nearly sure. ``line``: the text without
        the name of the bot.
        """
        return ""

    async def on_message(self, bot: ShellBot, message: Message) -> None:
        """Called with all that people say in a group, before it is dealt with; never with what is said in private.

        Called again where a crash cut the turn off: the message then has the same ``id``.
        """

    async def on_close(self, bot: ShellBot) -> None:
        """Called when this channel is about to be closed for good. Raise UsageError to say why not now."""

    async def on_text(self, bot: ShellBot, message: Message) -> bool:
        """Take a line that is no command; True if it was meant for this. Asked in the order of the commands."""
        return False

    async def veil(self, bot: ShellBot, event: Said) -> Said:
        """Hide what nobody may know: asked of lines and presses at the door, before anything of them is kept or shown.

        Returns:
            The event as it may be kept, with its ``sealed`` set: it comes to :meth:`on_sealed`. Or the event itself.
        """
        return event

    async def on_sealed(self, bot: ShellBot, event: Said) -> bool:
        """Take what was veiled at the door; True if it is this command's."""
        return False

    def claims(self, bot: ShellBot, message: Message) -> bool:
        """Whether a line that calls no command names what is this one's, as ``#7 2`` does: then no question gets it."""
        return False

    async def on_action(self, bot: ShellBot, action: CardAction) -> bool:
        """Take the press of a button; True if the card is one of this command's."""
        return False

    def get_machine(self, bot: ShellBot, **options: Any) -> Machine:
        """The machine that ``bot.open_dialog(keyword, person, **options)`` runs; see ``docs/machines.md``.

        Called again before each of its steps and after a restart, and then to give the same machine.
        """
        raise MachineError(f"{type(self).__name__} has no machine to start; write get_machine()")

    def on_answers(self, bot: ShellBot, answers: dict[str, Any], person: Person | None) -> Any:
        """Take what a machine gathered that was not cancelled, in the channel where it ran; plain or ``async``.

        Called again where a crash cut it off. ``bot.report`` answers the group, where it asked for this.

        Args:
            person: Who talked with the machine last; None if nobody had to.
        """

    async def on_join(self, bot: ShellBot, person: Person) -> None:
        """Called in a group channel when somebody has come in. The console says it anew in each run.

        A broadcast from here reaches the direct channel of who has just come, too.
        """

    async def on_leave(self, bot: ShellBot, person: Person) -> None:
        """Called in a group channel when somebody has left it."""

    async def on_start(self, bot: ShellBot) -> None:
        """Take up in this channel what an earlier run left. The channel's first turn, direct channels before groups."""

    async def prepare(self, store: Store) -> None:
        """Make the tables this command needs; called once, before any channel starts."""

    @property
    def is_async(self) -> bool:
        """Whether ``execute`` is to run on the loop."""
        return asyncio.iscoroutinefunction(self.execute)
