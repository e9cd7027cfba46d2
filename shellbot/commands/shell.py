"""From a line somebody typed to the command that is meant, and one helpful line where none is."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from logging import getLogger
from types import MappingProxyType

from shellbot.bot import ShellBot
from shellbot.commands.arguments import Arguments, arguments_of
from shellbot.commands.base import NEAR, Command, Said
from shellbot.commands.default import KEYWORD as DEFAULT
from shellbot.commands.empty import KEYWORD as EMPTY
from shellbot.commands.uploaded import KEYWORD as UPLOADED
from shellbot.dialogs import is_cancel
from shellbot.errors import AgentStopped, CommandError, ConfigError, FileRefused
from shellbot.events import CardAction, Message, Person
from shellbot.markup import plain
from shellbot.progress import Progress
from shellbot.trail import Attempt, Use, Way
from shellbot.turns import current_topic

logger = getLogger(__name__)

_KEYWORD = re.compile(r"[^\s]{1,40}\Z")


@dataclass(frozen=True, slots=True)
class Call:
    """A command and what stands after its keyword."""

    command: Command
    arguments: str


class Shell:
    """The commands of one engine.

    In a direct channel every line is for the bot. In a group people also talk to each other, so there a line is for the
    bot when it begins with a keyword, or is addressed: by the bot's name, or with ``/``, ``!`` or ``@``, or where the
    platform says so.
    """

    def __init__(self, commands: Iterable[Command], name: str = "shelly") -> None:
        self._name = name.casefold()
        found: dict[str, Command] = {}
        self._arguments: dict[str, Arguments] = {}
        for command in commands:
            keyword = command.keyword.casefold()
            if not _KEYWORD.match(keyword):
                raise ConfigError(f"{type(command).__name__} needs a keyword: one word, e.g. keyword = 'hello'")
            found[keyword] = command  # a later one replaces a built-in of the same word
            taken = self._arguments[keyword] = arguments_of(command.execute)
            if not command.usage_message:
                command.usage_message = taken.usage(command.keyword)
        self._listeners = [c for c in found.values() if type(c).on_message is not Command.on_message]
        self._takers = [c for c in found.values() if type(c).on_text is not Command.on_text]
        self._hinting = [c for c in found.values() if type(c).hint is not Command.hint]
        self._pressed = [c for c in found.values() if type(c).on_action is not Command.on_action]
        self._unsealers = [c for c in found.values() if type(c).on_sealed is not Command.on_sealed]
        self.commands: Mapping[str, Command] = MappingProxyType(found)

    def available(self, bot: ShellBot, person: Person) -> list[Command]:
        """The commands that this person may use in this bot's channel, by keyword."""
        here = (c for c in self.commands.values() if (c.in_direct if bot.is_direct else c.in_group))
        return sorted((c for c in here if self._may(bot, person, c)), key=lambda command: command.keyword)

    def find(self, bot: ShellBot, text: str) -> Call | None:
        """The command a line calls in this channel, if any."""
        _, line = self._addressed(bot, text)
        word, *arguments = line.split(None, 1) or [""]
        command = self.commands.get(word.rstrip(":,").casefold())
        if command is None or not (command.in_direct if bot.is_direct else command.in_group):
            return None
        return Call(command, arguments[0].strip() if arguments else "")

    def is_for(self, bot: ShellBot, message: Message) -> bool:
        """Whether a line is for the bot, whatever it says."""
        return message.is_called or self._addressed(bot, message.text)[0]

    async def run(self, bot: ShellBot, call: Call, message: Message) -> None:
        """Carry out a command in the running turn; what goes wrong is said in one line."""
        await self._tell(bot, message)
        await self._carry_out(bot, call, message)

    async def _carry_out(self, bot: ShellBot, call: Call, message: Message) -> None:
        command = call.command
        try:
            self._check(bot, message, command, command.use_of(call.arguments), "typed")
            self._about(command)
            execute = command.execute
            taken = self._arguments[command.keyword.casefold()]
            values = taken.fit(call.arguments, command.usage_message)
            handed = {
                "person": message.person,
                "message": message,
                "files": message.files,
                "arguments": call.arguments,
            }
            kwargs = {name: handed[name] for name in taken.handed}
            if command.is_async:
                returned = await execute(bot, *values, **kwargs)
            else:
                returned = await bot.home.run_blocking(lambda: execute(bot, *values, **kwargs))
            if isinstance(returned, str):
                name = type(command).__name__
                logger.warning("%s.execute returned a text, which nobody is told; say it with bot.say(...)", name)
        except CommandError as error:
            bot.say(str(error))
        except FileRefused as error:
            logger.warning("command sends a file that cannot be sent keyword=%s path=%r", command.keyword, error.path)
            bot.say(plain(str(error)))
        except AgentStopped:
            raise  # the program stops; the next run carries the command out again
        except Exception:
            logger.exception("command failed keyword=%s channel=%s", command.keyword, bot.id)
            bot.say(f"`{command.keyword}` failed; this is the bot's fault, and it is in its log.")

    async def veil(self, bot: ShellBot, event: Said) -> Said:
        """The event as it may be kept. What is for another command, a dialog or a question stays as it is."""
        if isinstance(event, Message) and event.files and not event.text.strip():
            return event  # a file is no vote
        for command in self.commands.values():
            if (veiled := await command.veil(bot, event)).sealed:
                return event if isinstance(event, Message) and self._is_for_another(bot, event) else veiled
        return event

    async def hear(self, bot: ShellBot, message: Message) -> None:
        """Deal with a line that calls no command: an answer, a ballot, or a slip."""
        await self._tell(bot, message)
        if message.sealed:
            await self._hear_sealed(bot, message)
            return
        text = message.text.strip()
        if text or not message.files:  # files alone answer no question
            await self._hear_words(bot, message, text, self._line(bot, text))
        elif (call := self._uploaded(bot, "", message.person)) is not None:
            await self._carry_out(bot, call, message)

    async def _hear_words(self, bot: ShellBot, message: Message, text: str, line: str) -> None:
        try:
            if not self._is_claimed(bot, message) and await self._answers(bot, message, text, line):
                return
            for command in self._takers:
                if self._may_answer(bot, message.person, command):
                    self._about(command)
                    if await command.on_text(bot, message):
                        return
        except CommandError as error:
            bot.say(str(error))
            return
        call = self._uploaded(bot, line, message.person) if message.files else None
        call = call or self._last(bot, message)
        if call is not None:
            await self._carry_out(bot, call, message)
        elif hint := self._hint(bot, message):
            bot.say(hint)

    async def act(self, bot: ShellBot, action: CardAction) -> None:
        """Deal with the press of a button."""
        if action.sealed:
            await self._hear_sealed(bot, action)
            return
        try:
            if (dialog := bot.desk.dialogs.of_card(bot, action.card)) is not None:
                self._check_answer(bot, action, dialog)
                await bot.desk.dialogs.act(bot, action)
                return
            barred: Command | None = None
            for command in self._pressed:
                if not self._may_answer(bot, action.person, command):
                    barred = barred or command
                    continue
                self._about(command)
                if await command.on_action(bot, action):
                    if command.is_admin:
                        self._check(bot, action, command, _answering(command), "button")
                    return
            if barred is not None:  # whether the card is its own, only the command itself could say
                self._check(bot, action, barred, _answering(barred), "button")
        except CommandError as error:
            bot.say(str(error))
            return
        bot.say("These buttons belong to nothing I still know of.")

    async def _hear_sealed(self, bot: ShellBot, event: Said) -> None:
        try:
            for command in self._unsealers:
                if self._may_answer(bot, event.person, command):
                    self._about(command)
                    if await command.on_sealed(bot, event):
                        return
        except CommandError as error:
            bot.say(str(error))

    # --- who may

    def _may(self, bot: ShellBot, person: Person, command: Command) -> bool:
        return bot.desk.guard.may(person, bot.channel, command.keyword, command.use_of(""))

    def _check(
        self,
        bot: ShellBot,
        event: Said,
        command: Command,
        use: Use,
        way: Way,
        *,
        owner: str | None = None,
        refusal: str = "",
    ) -> None:
        """Let it pass, or raise NotAllowed; see :meth:`Guard.check`."""
        attempt = Attempt(
            cause=f"{bot.id}/{event.id}",
            person=event.person,
            channel=bot.channel,
            keyword=command.keyword,
            use=use,
            owner=owner,
            way=way,
        )
        bot.desk.guard.check(attempt, refusal)

    def _check_answer(self, bot: ShellBot, event: Said, dialog: Progress) -> None:
        """Who answers a dialog must be allowed to use its command, unless it was the group that asked this person."""
        if dialog.instruction is not None:
            return
        command = self.commands[dialog.do]
        way: Way = "button" if isinstance(event, CardAction) else "answer"
        if dialog.key not in ("", event.person.id):
            use, refusal = Use("own", command.keyword), "This question is for somebody else."
            self._check(bot, event, command, use, way, owner=dialog.key, refusal=refusal)
        self._check(bot, event, command, _answering(command), way)

    async def _answers(self, bot: ShellBot, message: Message, text: str, line: str) -> bool:
        """Give a line to the dialog or question that waits for it.

        In a group others talk meanwhile: what is asked of all is answered by those who may.

        Raises:
            NotAllowed: It is this person's own dialog, and its command is not for this person any more.
        """
        dialogs, questions = bot.desk.dialogs, bot.questions
        dialog = dialogs.taking(bot, message.person, line)
        if dialog is not None:
            is_own = bot.is_direct or dialog.key != ""
            if is_own or self._may_answer(bot, message.person, self.commands[dialog.do]):
                if not is_cancel(line):
                    self._check_answer(bot, message, dialog)
                if await dialogs.hear(bot, message, line):
                    return True
        if not questions.is_open:
            return False
        asking = self.commands.get(questions.do.casefold())
        return (bot.is_direct or self._may_answer(bot, message.person, asking)) and questions.answer(text)

    def _may_answer(self, bot: ShellBot, person: Person, command: Command | None) -> bool:
        """Whether somebody may press or answer what this command shows; without one, what the bot itself asks."""
        if command is None:
            return not bot.desk.guard.refusal(person, bot.channel)
        return command.is_asking or bot.desk.guard.may(person, bot.channel, command.keyword, _answering(command))

    @staticmethod
    def _about(command: Command) -> None:
        """What is asked from now on in this turn, this command asks."""
        if (topic := current_topic.get()) is not None:
            topic.do = command.keyword

    def _is_for_another(self, bot: ShellBot, message: Message) -> bool:
        if self._is_claimed(bot, message):
            return False
        line = self._line(bot, message.text)
        is_asked = bot.questions.is_open or bot.desk.dialogs.taking(bot, message.person, line) is not None
        return is_asked or self.find(bot, message.text) is not None

    def _is_claimed(self, bot: ShellBot, message: Message) -> bool:
        return any(command.claims(bot, message) for command in self.commands.values())

    def _line(self, bot: ShellBot, text: str) -> str:
        return text.strip() if bot.is_direct else self._addressed(bot, text)[1]

    def _addressed(self, bot: ShellBot, text: str) -> tuple[bool, str]:
        line = text.strip()
        is_addressed = bot.is_direct
        if line[:1] in ("@", "/", "!"):
            is_addressed, line = True, line[1:].lstrip()
        name, *rest = line.split(None, 1) or [""]
        if rest and name.rstrip(":,").casefold() == self._name:
            is_addressed, line = True, rest[0]
        return is_addressed, line

    async def _tell(self, bot: ShellBot, message: Message) -> None:
        """Let those hear of it who listen to all that is said in a group; never of what is said in private."""
        if bot.is_direct:
            return
        for command in self._listeners:
            try:
                await command.on_message(bot, message)
            except AgentStopped:
                raise
            except Exception:
                logger.exception("a listener failed keyword=%s channel=%s", command.keyword, bot.id)

    def _uploaded(self, bot: ShellBot, line: str, person: Person) -> Call | None:
        """The command for files that come with no other, where there is one that this person may use."""
        command = self.commands.get(UPLOADED)
        if command is None or not (command.in_direct if bot.is_direct else command.in_group):
            return None
        return Call(command, line) if self._may(bot, person, command) else None

    def _last(self, bot: ShellBot, message: Message) -> Call | None:
        """The command for lines that call none, if there is one, the line is for the bot, and it may be used."""
        line = self._addressed(bot, message.text)[1]
        is_addressed = self.is_for(bot, message)
        is_alone = not line or line.rstrip(":,!?").casefold() == self._name
        command = self.commands.get(EMPTY if is_alone else DEFAULT)
        if command is None or not (is_addressed or (is_alone and line)) or not self._may(bot, message.person, command):
            return None
        return Call(command, "" if is_alone else line)

    def _hint(self, bot: ShellBot, message: Message) -> str:
        person = message.person
        line = self._addressed(bot, message.text)[1]
        is_addressed = self.is_for(bot, message)
        for command in self._hinting:
            if self._may_answer(bot, person, command) and (hint := command.hint(bot, message, line)):
                return hint
        if refusal := bot.desk.guard.refusal(person, bot.channel):
            return refusal if is_addressed else ""
        word, *rest = line.split(None, 1) or [""]
        word = word.casefold()
        shown = [command for command in self.available(bot, person) if not command.is_hidden]
        elsewhere = self.commands.get(word)
        if elsewhere is not None and self._may(bot, person, elsewhere):
            where = "in a group channel" if elsewhere.in_group else "in your direct channel"
            return f"`{elsewhere.keyword}` works {where}."
        near = difflib.get_close_matches(word, [command.keyword.casefold() for command in shown], n=1, cutoff=NEAR)
        if near and (is_addressed or len(word) > 3):
            command = self.commands[near[0]]
            # with its own word before them it may know what the others mean
            if is_addressed and rest and (hint := command.hint(bot, message, f"{near[0]} {rest[0]}")):
                return hint
            return f"Did you mean `{command.help_here(bot)[0]}`?"
        if is_addressed:
            return "I do not know that. Say `help` for what I can do."
        return ""


def _answering(command: Command) -> Use:
    """What a button or an answer asks for, which has no line: what the command does without any words."""
    return Use("administer" if command.is_admin else "use", command.keyword)
