"""When nothing goes on in an engine any more: no turn, no frame on the bus, no write to the store."""

from __future__ import annotations

import asyncio
from logging import getLogger

from shellbot.agents.container import Container
from shellbot.bot import Desk
from shellbot.envelope import Envelope
from shellbot.errors import AgentStopped, BusTimeout
from shellbot.spaces.base import new_id

logger = getLogger(__name__)

CHANNEL = "shellbot-stillness"


class Stillness:
    """Knows by going every way once itself: what was on the way before has arrived when it has.

    A round goes through the store, over the bus and through the mailbox of each bot. Two rounds between which the
    store did not change mean rest, as everything that happens is written down.

    Args:
        patience: Seconds of real time after which it is waited no longer: a command may run for long, and a publisher
            that is stopped gives nothing back.
    """

    def __init__(self, home: Container, desk: Desk, *, patience: float = 3.0) -> None:
        self._home = home
        self._desk = desk
        self._patience = patience
        self._is_listening = False
        self._back: dict[str, asyncio.Event] = {}

    async def start(self) -> None:
        """Listen for the own frames; else the first :meth:`wait` does."""
        self._is_listening = True
        switchboard = self._desk.switchboard
        switchboard.listen(CHANNEL, "direct", self._hear)
        try:
            await switchboard.in_force(self._patience)
        except BusTimeout:
            logger.warning("the bus does not answer; what is on it is not waited for")

    async def wait(self) -> bool:
        """Return at rest; False where the patience has ended before."""
        if not self._is_listening:
            await self.start()
        try:
            async with asyncio.timeout(self._patience):
                last = -1
                while (changes := await self._round()) != last:
                    last = changes
        except (TimeoutError, BusTimeout):
            return False
        return True

    async def _round(self) -> int:
        desk = self._desk
        await desk.store.read(lambda db: None)  # whoever waited for a write is awake now, and goes on before us
        await desk.switchboard.in_force(self._patience)  # so is whoever waited until the publisher knows of a channel
        hop = new_id()  # another engine on this bus may do the same
        self._back[hop] = asyncio.Event()
        try:
            desk.switchboard.put(CHANNEL, Envelope(group=CHANNEL, side="direct", id=hop, do=""))
            await self._back[hop].wait()
        finally:
            del self._back[hop]
        turns = []
        for agent in self._home.agents:
            try:
                turns.append(agent.post(_nothing))
            except (AgentStopped, asyncio.QueueFull):
                pass
        if turns:
            await asyncio.wait(turns)  # an agent that stops meanwhile ends them, too
        return await desk.store.read(lambda db: db.total_changes)

    def _hear(self, channel: str, envelope: Envelope) -> None:
        if envelope.id in self._back:
            self._back[envelope.id].set()


async def _nothing() -> None:
    """A turn that shows that those before it are over, or wait."""
