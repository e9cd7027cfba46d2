"""``step``: let the machine of this channel go on."""

from __future__ import annotations

from shellbot.bot import ShellBot
from shellbot.commands.base import Command
from shellbot.events import Person


class Step(Command):
    """Gives ``next`` to the machine that runs with this person, or with everybody here: :class:`Steps` goes on."""

    keyword = "step"
    information_message = "Go to the next step"
    usage_message = "step"

    async def execute(self, bot: ShellBot, *, person: Person) -> None:
        bot.step("next", person)
