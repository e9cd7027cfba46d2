"""Rest of an engine under test; where it does not come, that is logged."""

from __future__ import annotations

from logging import getLogger

from shellbot import stillness
from shellbot.engine import Engine

logger = getLogger(__name__)


class Stillness(stillness.Stillness):
    """:class:`shellbot.stillness.Stillness` of this engine."""

    def __init__(self, engine: Engine, *, patience: float = 3.0) -> None:
        super().__init__(engine, engine.desk, patience=patience)
        self._patience = patience

    async def wait(self) -> bool:
        """Return at rest; False, with a warning, where the patience has ended before."""
        is_still = await super().wait()
        if not is_still:
            logger.warning("something still goes on after %g s", self._patience)
        return is_still
