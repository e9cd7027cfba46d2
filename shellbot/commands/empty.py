"""``*empty``: the bot is called, and nothing is asked of it."""

from __future__ import annotations

from typing import Any

from shellbot.bot import ShellBot
from shellbot.commands.base import Command

KEYWORD = "*empty"


class Empty(Command):
    """Carried out where somebody says the name of the bot and nothing else. Write ``execute``."""

    keyword = KEYWORD
    is_hidden = True

    async def execute(self, bot: ShellBot, arguments: str = "", **kwargs: Any) -> None:
        bot.say("Yes? Say `help` for what I can do.")
