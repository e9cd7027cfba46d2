"""``sleep``: wait, and hold up nobody."""

from __future__ import annotations

from typing import Any

from shellbot.bot import ShellBot
from shellbot.commands.base import Command
from shellbot.errors import UsageError

LONGEST = 3600.0


class Sleep(Command):
    """Waits in its channel, while everything else goes on there; in 2017 it stopped all rooms."""

    keyword = "sleep"
    information_message = "Wait for some seconds"
    usage_message = "sleep SECONDS"

    async def execute(self, bot: ShellBot, seconds: float = 1.0, **kwargs: Any) -> None:
        if not 0 <= seconds <= LONGEST:
            raise UsageError(f"I can sleep for 0 to {LONGEST:.0f} seconds, for instance `sleep 5`.")
        await bot.wait(bot.clock.sleep(seconds))
        bot.say(f"That were {seconds:g} s.")
