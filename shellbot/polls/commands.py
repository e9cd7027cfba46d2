"""The ``poll`` command: what people type, and the hooks by which both sides hear the bus."""

from __future__ import annotations

import hashlib
from datetime import tzinfo
from typing import Any

from shellbot.bot import ShellBot
from shellbot.commands.base import Command
from shellbot.errors import NotAllowed, UsageError
from shellbot.events import CardAction, Message, Person
from shellbot.markup import plain
from shellbot.observation import Report
from shellbot.polls import ballot, booth, records
from shellbot.polls.booth import Booth
from shellbot.polls.chair import Chair
from shellbot.polls.grammar import parse
from shellbot.polls.spec import USAGE
from shellbot.polls.texts import status
from shellbot.polls.zone import read_zone
from shellbot.stores.base import Store


class PollCommand(Command):
    """Opens, lists and closes votes in a group; takes ballots in direct channels."""

    keyword = "poll"
    information_message = "Ask everybody in the direct channel, hear the result here; `poll list`, `poll close [#N]`"
    usage_message = USAGE
    in_direct = False

    def __init__(self) -> None:
        self._chairs: dict[str, Chair] = {}
        self._booths: dict[str, Booth] = {}
        self._zone: tzinfo | None = None  # read at the first start of a channel

    async def prepare(self, store: Store) -> None:
        await records.prepare(store)
        await booth.prepare(store)

    def zone(self, bot: ShellBot) -> tzinfo:
        """The zone of the times that people write and read."""
        if self._zone is None:
            self._zone = read_zone(bot.desk.context)
        return self._zone

    async def on_start(self, bot: ShellBot) -> None:
        if bot.is_direct:
            self._booths[bot.id] = Booth(bot, self.zone(bot))
            await self._booths[bot.id].resume()
        else:
            self._chairs[bot.id] = Chair(bot, self.zone(bot))
            await self._chairs[bot.id].resume()

    async def on_leave(self, bot: ShellBot, person: Person) -> None:
        await self._chairs[bot.id].leave(person)

    def chair(self, bot: ShellBot) -> Chair:
        """The one who runs the polls of this group."""
        return self._chairs[bot.id]

    async def execute(self, bot: ShellBot, arguments: str = "", **kwargs: Any) -> None:
        message: Message = kwargs["message"]
        chair = self.chair(bot)
        words = arguments.split()
        match [words[0].casefold(), *words[1:]] if words else []:
            case [] | ["list"]:
                running = chair.find(None)
                now = bot.clock.utcnow()
                lines = [status(round, now, self.zone(bot)) for round in running] or [
                    f"No vote is open. Write: `{USAGE}`"
                ]
                bot.say("\n".join(lines))
            case ["close"]:
                await self._close(bot, chair, None, message)
            case ["close", which] if which.startswith("#"):
                number, rest = ballot.split_number(which)
                if number is None or rest:
                    raise UsageError("Write the number of the vote, e.g. `poll close #3`.")
                await self._close(bot, chair, number, message)
            case _:
                asked = parse(arguments, message.time, self.zone(bot))
                if asked.opens_at or asked.spec.results != "hidden" or asked.spec.remind:
                    raise UsageError("`opens`, `results` and `remind` come with a later version; leave them out.")
                # the id is made of the message's, so that a message dealt with again after a crash opens no second vote
                poll = hashlib.sha256(f"{bot.id} {message.id}".encode()).hexdigest()[:16]
                await chair.open(poll, asked.spec, message.person, bot.clock.utcnow(), asked.closes_at)

    async def _close(self, bot: ShellBot, chair: Chair, number: int | None, message: Message) -> None:
        found = chair.find(number)
        if not found:
            raise UsageError("No vote is open." if number is None else f"No vote #{number} is open.")
        mine = [round for round in found if round.opener.id == message.person.id]
        if not mine:
            raise NotAllowed(f"Only {plain(found[0].opener.name)}, who opened it, can close vote #{found[0].number}.")
        if len(mine) > 1:
            raise UsageError("Which one? " + ", ".join(f"`poll close #{round.number}`" for round in mine))
        await chair.close(mine[0])

    # --- both sides of the bus

    async def on_instruction(self, bot: ShellBot, message: dict[str, Any]) -> None:
        booth = self._booths[bot.id]
        match message.get("op"):
            case "open":
                await booth.open(message)
            case "close":
                await booth.close(message)

    async def on_receipt(self, bot: ShellBot, message: dict[str, Any]) -> None:
        if message.get("op") == "receipt":
            await self._booths[bot.id].confirm(message)

    async def on_report(self, bot: ShellBot, report: Report) -> None:
        await self._chairs[bot.id].hear(report)

    # --- what people do in a direct channel

    async def on_text(self, bot: ShellBot, message: Message) -> bool:
        return bot.is_direct and await self._booths[bot.id].typed(message.text, message)

    async def on_action(self, bot: ShellBot, action: CardAction) -> bool:
        return bot.is_direct and await self._booths[bot.id].pressed(action.card, action.value, action)
