"""``audit``: whether what is said in a group is written down for somebody else, and how to have it stopped."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any, Literal

from shellbot.bot import ShellBot
from shellbot.commands.base import Command
from shellbot.events import Message, Person
from shellbot.markup import plain
from shellbot.trail import Use
from shellbot.updaters import Updater

NOTE = "audit"  # under which a channel remembers since when it is audited, or until when it is not
PATIENCE = 5.0  # seconds that an updater may hold up the group
SHORTEST, LONGEST = timedelta(seconds=1), timedelta(days=7)


class Audit(Command):
    """Hands what people say in a group to an updater, from ``audit on`` until ``audit off``.

    Nobody is audited before an admin has said so in the group, everybody can read there whether it is on, and anybody
    can have a while without it, whatever the rules of access say of this command. What is said in that while is never
    handed on, and nothing of a direct channel ever is.

    Args:
        updater: Where it goes.
        pause: How long ``audit off`` lasts, where it does not say.
    """

    keyword = "audit"
    information_message = "Say whether this group is audited; switch it on, or off for a while"
    usage_message = "audit [on | off [DURATION]]"
    in_direct = False

    def __init__(self, updater: Updater, pause: timedelta = timedelta(minutes=10)) -> None:
        self._updater = updater
        self._pause = pause

    def use_of(self, arguments: str) -> Use:
        word = (arguments.split(None, 1) or [""])[0].casefold()
        if word in ("", "off"):
            return Use("own", f"{self.keyword} {word}".rstrip(), is_noted=word != "")
        return Use("administer", f"{self.keyword} on" if word == "on" else self.keyword)

    async def execute(
        self,
        bot: ShellBot,
        switch: Literal["on", "off"] | None = None,
        duration: timedelta | None = None,
        *,
        message: Message,
    ) -> None:
        state = bot.recall(NOTE, {})
        if switch == "on":
            bot.remember(NOTE, {"since": message.time.isoformat()})
            bot.say("From now on, what is said here is audited. Anybody can say `audit off`.")
        elif switch == "off" and state:
            pause = min(max(duration or self._pause, SHORTEST), LONGEST)
            until = message.time + pause
            bot.remember(NOTE, {"since": until.isoformat()})
            self._arm(bot, until)
            bot.say(f"What is said here is not audited for {_words(pause)}. Then it is again, and I say so.")
        elif not state:
            bot.say("What is said here is not audited.")
        elif (left := _since(state) - message.time) > timedelta(0):
            bot.say(f"What is said here is not audited for another {_words(left)}.")
        else:
            bot.say("What is said here is audited. Anybody can say `audit off`.")

    async def on_message(self, bot: ShellBot, message: Message) -> None:
        state = bot.recall(NOTE, {})
        # by when it was said: what waited for its turn while the pause ended was still said in the pause
        if state and message.time >= _since(state):
            async with asyncio.timeout(PATIENCE):
                await bot.home.run_blocking(self._updater.put, message)

    async def on_join(self, bot: ShellBot, person: Person) -> None:
        state = bot.recall(NOTE, {})
        if state and _since(state) <= bot.clock.utcnow():
            bot.say(f"{plain(person.name)}, what is said here is audited. Anybody can say `audit off`.")

    async def on_start(self, bot: ShellBot) -> None:
        state = bot.recall(NOTE, {})
        if not bot.is_direct and state and _since(state) > bot.clock.utcnow():
            self._arm(bot, _since(state))

    def _arm(self, bot: ShellBot, until: datetime) -> None:
        bot.at(until, self._over, bot, until)

    async def _over(self, bot: ShellBot, until: datetime) -> None:
        state = bot.recall(NOTE, {})
        if state and _since(state) == until:  # else it was switched again meanwhile
            bot.say("What is said here is audited again. Anybody can say `audit off`.")


def _since(state: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(state["since"])


def _words(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= 2 * size or seconds == size:
            count = round(seconds / size)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{seconds} s"
