"""A command that asks step by step."""

from __future__ import annotations

from typing import Any

from shellbot.bot import ShellBot
from shellbot.commands.base import Command
from shellbot.events import Message


class Dialog(Command):
    """Starts its machine with whoever says its keyword. Write ``get_machine`` and ``on_answers``.

    What stands after the keyword comes to ``get_machine`` as ``arguments``. In a group each person has a machine of
    their own. When a group broadcasts ``{"do": keyword, ...}``, the machine starts in each direct channel, with the
    rest of the message as options; ``on_answers`` may then tell the group by ``bot.report``.
    """

    async def execute(self, bot: ShellBot, arguments: str = "", **kwargs: Any) -> None:
        message: Message = kwargs["message"]
        bot.open_dialog(self.keyword, message.person, arguments=arguments)

    async def on_instruction(self, bot: ShellBot, message: dict[str, Any]) -> None:
        options = {name: value for name, value in message.items() if name != "do"}
        bot.open_dialog(self.keyword, **{"arguments": "", **options})
