"""``echo``: say the same back."""

from __future__ import annotations

from typing import Any

from shellbot.bot import ShellBot
from shellbot.commands.base import Command
from shellbot.markup import plain


class Echo(Command):
    """Shows that the bot is there and how it reads what one writes."""

    keyword = "echo"
    information_message = "Say the same back"
    usage_message = "echo TEXT"

    async def execute(self, bot: ShellBot, arguments: str = "", **kwargs: Any) -> None:
        bot.say(plain(arguments) or "There is nothing to say back. Write: `echo TEXT`")
