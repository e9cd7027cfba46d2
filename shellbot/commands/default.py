"""``*default``: what is said to the bot and is no command."""

from __future__ import annotations

from typing import Any

from shellbot.bot import ShellBot
from shellbot.commands.base import Command

KEYWORD = "*default"


class Default(Command):
    """Carried out for each line that is for the bot and calls no command, with the whole line. Write ``execute``.

    Where it is given, there are no hints on slips: the line is this command's.
    """

    keyword = KEYWORD
    is_hidden = True

    async def execute(self, bot: ShellBot, arguments: str = "", **kwargs: Any) -> None:
        bot.say("I do not know that. Say `help` for what I can do.")
