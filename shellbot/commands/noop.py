"""``pass``: nothing."""

from __future__ import annotations

from typing import Any

from shellbot.bot import ShellBot
from shellbot.commands.base import Command


class Noop(Command):
    """Does nothing, and says so to nobody."""

    keyword = "pass"
    information_message = "Do nothing"
    usage_message = "pass"

    async def execute(self, bot: ShellBot, arguments: str = "", **kwargs: Any) -> None:
        return
