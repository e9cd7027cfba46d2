"""How a bus is run: what all programs on one address have in common, whoever of them is the hub."""

from __future__ import annotations

from dataclasses import dataclass

from shellbot.bus.hub.seat import Answer
from shellbot.bus.options import LEVELS, BusOptions
from shellbot.bus.transports import Slow


@dataclass(frozen=True, slots=True)
class Rules:
    """See :class:`shellbot.bus.options.BusOptions`. The first hub's are everybody's."""

    guarantee: str
    slow: Slow
    history: int
    exact_gaps: bool
    patience: float

    @classmethod
    def of(cls, options: BusOptions) -> Rules:
        slow = Slow(options.slow, options.slow_grace)
        return cls(options.guarantee, slow, options.history, options.exact_gaps, options.put_timeout)

    def adopted(self, answer: Answer) -> Rules:
        """As the hub said that it is."""
        slow = Slow(answer.slow, answer.slow_grace)
        return Rules(answer.guarantee, slow, answer.history, answer.exact_gaps, self.patience)

    @property
    def keeps_history(self) -> bool:
        return self.guarantee != "fast"

    def covers(self, guarantee: str) -> bool:
        """Whether this bus promises that much."""
        return guarantee in LEVELS and LEVELS.index(guarantee) <= LEVELS.index(self.guarantee)

    def answer(self, pid: int) -> Answer:
        return Answer(
            pid,
            guarantee=self.guarantee,
            slow=self.slow.policy,
            slow_grace=self.slow.grace,
            history=self.history,
            exact_gaps=self.exact_gaps,
        )
