"""``link``: a way into this room for others, or for oneself in another browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from shellbot.bot import ShellBot
from shellbot.commands.base import Command
from shellbot.errors import UsageError
from shellbot.events import Person
from shellbot.markup import plain


class Doors(Protocol):
    """Who makes links; see :class:`shellbot.engine.Engine`."""

    def join_link(self, person: Person, *, is_named: bool) -> str: ...

    async def revoke_links(self, person: Person) -> None: ...


class Link(Command):
    """Says join links. That to a name is made in the direct channel only, where nobody else reads it.

    Args:
        doors: Makes them.
        only_here: Gives what is to be said of a link that does not work from everywhere, else ``""``.
    """

    keyword = "link"
    information_message = "Give you a link: to this room for others, or in the direct channel to your name"
    usage_message = "link [room | revoke]"

    def __init__(self, doors: Doors, only_here: Callable[[str], str]) -> None:
        self._doors = doors
        self._only_here = only_here

    async def execute(self, bot: ShellBot, arguments: str = "", **kwargs: Any) -> None:
        person: Person = kwargs["person"]
        match arguments.casefold():
            case "" if bot.is_direct:
                told = (
                    f"To go on as {plain(person.name)} in another browser, open this there. It counts once, for a day:"
                )
                self._give(bot, told, self._doors.join_link(person, is_named=True))
            case "" | "room":
                told = "Whoever opens this may come into this room. It counts for a day:"
                self._give(bot, told, self._doors.join_link(person, is_named=False))
            case "revoke":
                await self._doors.revoke_links(person)
                bot.say("No link to this room counts any more. Say `link room` for a new one.")
            case _:
                raise UsageError("Say `link`, `link room` for others, or `link revoke` to end all links to this room.")

    def _give(self, bot: ShellBot, told: str, link: str) -> None:
        bot.say(f"{told}\n\n<{link}>\n\n{self._only_here(link)}".rstrip())
