"""How many files go up and down at once, by person and in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from shellbot.errors import RateLimited
from shellbot.server.limits import Limits


class Transfers:
    """Counts what is under way. Used on the loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_person: Counter[str] = Counter()

    @contextmanager
    def of(self, person_id: str) -> Iterator[None]:
        """Count one of this person while the block runs.

        Raises:
            RateLimited: Too many are under way.
        """
        if self._by_person[person_id] >= self._limits.transfers_per_person:
            raise RateLimited("Too many files are under way. Please wait for some of them.", retry_after=2.0)
        if self._by_person.total() >= self._limits.transfers:
            raise RateLimited("Too many people send or fetch files now. Please try again in a moment.", retry_after=5.0)
        self._by_person[person_id] += 1
        try:
            yield
        finally:
            self._by_person[person_id] -= 1
            if not self._by_person[person_id]:
                del self._by_person[person_id]
