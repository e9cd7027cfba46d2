"""``update``: correct what was gathered in this channel."""

from __future__ import annotations

from shellbot.bot import ShellBot
from shellbot.commands.base import Command
from shellbot.commands.input import GATHERED
from shellbot.errors import UsageError
from shellbot.markup import plain


class Update(Command):
    """Sets one of the answers that ``input`` shows; all of the line behind the key, where 2017 kept its first word."""

    keyword = "update"
    information_message = "Correct what was answered here"
    usage_message = "update KEY VALUE"

    async def execute(self, bot: ShellBot, key: str, value: str) -> None:
        if not value:
            raise UsageError(f"What is {plain(key)} to be? Write: `{self.usage_message}`")
        bot.update(GATHERED, key, value)
        bot.say(f"{plain(key)} is now {plain(value)}")
