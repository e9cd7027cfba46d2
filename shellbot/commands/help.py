"""``help``: what the bot can do here."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

from shellbot.bot import ShellBot
from shellbot.commands.base import NEAR, Command
from shellbot.errors import UsageError
from shellbot.events import Person
from shellbot.markup import plain


class Help(Command):
    """Lists the commands of the channel, or tells how one is used.

    Args:
        available: Gives the commands that a person may use in a bot's channel.
    """

    keyword = "help"
    information_message = "Say what I can do here"
    usage_message = "help [COMMAND]"

    def __init__(self, available: Callable[[ShellBot, Person], list[Command]]) -> None:
        self._available = available

    async def execute(self, bot: ShellBot, arguments: str = "", **kwargs: Any) -> None:
        shown = [command for command in self._available(bot, kwargs["person"]) if not command.is_hidden]
        if not arguments:
            lines = [f"- `{usage}` {about}".rstrip() for usage, about in (c.help_here(bot) for c in shown)]
            bot.say("What you can say here:\n\n" + "\n".join(lines))
            return
        for command in shown:
            if command.keyword.casefold() == arguments.casefold():
                usage, about = command.help_here(bot)
                bot.say("\n\n".join(filter(None, [f"`{usage}`", about, command.help_further(bot)])))
                return
        keywords = [command.keyword.casefold() for command in shown]
        near = difflib.get_close_matches(arguments.casefold()[:40], keywords, n=1, cutoff=NEAR)
        further = f"Did you mean `help {near[0]}`?" if near else "Say `help` for all of them."
        raise UsageError(f"There is no command {plain(arguments[:40])} here. {further}")
