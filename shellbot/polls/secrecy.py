"""The keys of a group's anonymous polls: made with a poll, read again after a restart, destroyed at its end."""

from __future__ import annotations

import asyncio
from logging import getLogger

from shellbot.bot import ShellBot
from shellbot.errors import ConfigError
from shellbot.polls import records
from shellbot.polls.keys import Keys
from shellbot.polls.records import Round
from shellbot.polls.sealing import Urn

logger = getLogger(__name__)


class Secrets:
    """Gives the polls of one group their urns. All of it does nothing for polls with names."""

    def __init__(self, bot: ShellBot) -> None:
        self._bot = bot
        self._keys = Keys(bot.desk.keys)

    async def make(self, round: Round) -> None:
        """Give a new poll its urn. ConfigError: the key cannot be kept."""
        if round.spec.anonymous:
            round.urn = Urn(await asyncio.to_thread(self._keys.make, round.id))

    async def restore(self, round: Round) -> bool:
        """Give a poll of an earlier run its urn, unless it is over; False if the key cannot be read."""
        if round.spec.anonymous and not round.is_over:
            try:
                round.urn = Urn(await asyncio.to_thread(self._keys.read, round.id))
            except (ConfigError, ValueError) as error:
                logger.error("an anonymous poll cannot go on poll=%s: %s", round.id, error)
                return False
        return True

    async def destroy(self, round: Round) -> None:
        """Destroy the key of a poll that is over, after all that it opens is gone from the store."""
        if not round.spec.anonymous:
            return
        round.urn = None
        try:
            await asyncio.to_thread(self._keys.destroy, round.id)
        except OSError as error:
            logger.error("the key of a poll was not destroyed; the next start tries again poll=%s: %s", round.id, error)

    async def tidy(self) -> None:
        """Make up, at a start, for what a kill left of polls that are over: the log of writes first, the key last."""
        if not self._keys.has_any():
            return
        anonymous = "state IN ('closed', 'cancelled') AND CAST(rules AS TEXT) LIKE '%\"anonymous\"%'"
        store = self._bot.desk.store
        over = await store.read(lambda db: records.select(db, self._bot.id, anonymous))
        left = [round for round in over if self._keys.has(round.id)]
        if left:
            await store.erase(lambda db: None)
        for round in left:
            await self.destroy(round)
