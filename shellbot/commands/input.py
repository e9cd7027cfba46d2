"""``input``: what was gathered in this channel."""

from __future__ import annotations

from typing import Any

from shellbot.bot import ShellBot
from shellbot.commands.base import Command
from shellbot.markup import plain

GATHERED = "input"  # where machines keep what they were told, as in 2017


class Input(Command):
    """Shows the answers that machines have gathered here."""

    keyword = "input"
    information_message = "Show what was answered here"
    usage_message = "input"

    async def execute(self, bot: ShellBot, arguments: str = "", **kwargs: Any) -> None:
        gathered: dict[str, Any] = bot.recall(GATHERED, {})
        if not gathered:
            bot.say("Nothing was answered here yet.")
            return
        bot.say("\n".join(f"- {plain(str(key))}: {plain(str(value))}" for key, value in gathered.items()))
