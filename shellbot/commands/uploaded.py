"""``*upload``: files came."""

from __future__ import annotations

from typing import Any

from shellbot.bot import ShellBot
from shellbot.commands.base import Command

KEYWORD = "*upload"


class Uploaded(Command):
    """Carried out for each message with files that calls no command. Write ``execute``; it is handed the ``files``.

    In a group also where the bot is not addressed.
    """

    keyword = KEYWORD
    is_hidden = True

    async def execute(self, bot: ShellBot, arguments: str = "", **kwargs: Any) -> None:
        count = len(kwargs["files"])
        bot.say("Thank you, I have the file." if count == 1 else f"Thank you, I have the {count} files.")
