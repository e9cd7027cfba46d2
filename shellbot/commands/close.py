"""``close``: end a room."""

from __future__ import annotations

from shellbot.bot import ShellBot
from shellbot.commands.base import Command
from shellbot.errors import UsageError
from shellbot.events import Person
from shellbot.markup import plain

SURE = "now"


class Close(Command):
    """Closes the room for good, as in 2017, but asks first, and not while a vote is under way.

    What was said stays to be read, and direct channels go on.
    """

    keyword = "close"
    information_message = "Close this room for good"
    usage_message = "close now"
    in_direct = False
    is_admin = True

    async def execute(self, bot: ShellBot, sure: str = "", *, person: Person) -> None:
        for command in bot.desk.commands.values():
            await command.on_close(bot)
        if sure.casefold() != SURE:
            raise UsageError(
                "This closes the room for good, for everybody: nobody can write here any more, and what was said stays "
                f"to be read. To do it, say: `{self.usage_message}`"
            )
        bot.say(f"{plain(person.name)} has closed this room. Goodbye!")
        await bot.dispose()
