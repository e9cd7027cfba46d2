"""``version``: which shellbot this is."""

from __future__ import annotations

from typing import Any

from shellbot.bot import ShellBot
from shellbot.commands.base import Command


class Version(Command):
    """Says name and version.

    Args:
        version: Of the program.
    """

    keyword = "version"
    information_message = "Say which version I am"
    usage_message = "version"

    def __init__(self, version: str) -> None:
        self._version = version

    async def execute(self, bot: ShellBot, arguments: str = "", **kwargs: Any) -> None:
        bot.say(f"shellbot {self._version}")
