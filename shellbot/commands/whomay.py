"""``access``: who may do what."""

from __future__ import annotations

from typing import Any

from shellbot.bot import ShellBot
from shellbot.commands.base import Command
from shellbot.markup import plain


class WhoMay(Command):
    """Says the rules that are in force."""

    keyword = "access"
    information_message = "Say who may do what"
    usage_message = "access"
    is_admin = True

    async def execute(self, bot: ShellBot, arguments: str = "", **kwargs: Any) -> None:
        bot.say("\n".join(f"- {plain(line)}" for line in bot.desk.guard.described()))
