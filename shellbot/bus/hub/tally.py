"""Counts of each channel, so that a gap can say exactly how many of its messages are gone: ``bus.exact_gaps``.

The counting is one hub's own: the next begins another *table*, and a gap that reaches back to an earlier one says only
how many are gone at most.
"""

from __future__ import annotations

import secrets
from collections import Counter

from shellbot.bus.frames import MANY, NAMED, Ask
from shellbot.bus.records import Assembler
from shellbot.bus.ring import Record, Ring


class ExactTally:
    """What was sent since this hub began, and what of it the ring has given up."""

    def __init__(self, ring: Ring) -> None:
        self.table = secrets.randbelow(2**62) + 1
        self._begin = ring.position
        self._had: Counter[bytes] = Counter()
        self._gone: Counter[bytes] = Counter()
        self._assembler = Assembler()
        ring.on_evict = self._evicted

    def count(self, texts: list[bytes]) -> None:
        """These are sent now."""
        self._had.update(_names(texts))

    def _evicted(self, record: Record) -> None:
        texts = self._assembler.feed_through(bytes(record.body))
        if record.first >= self._begin:
            self._gone.update(_names(texts))

    def had(self, question: Ask) -> int:
        return _of(self._had, question)

    def gone(self, question: Ask) -> int:
        return _of(self._gone, question)

    def covers(self, question: Ask) -> bool:
        """Whether the count in this question is one of this table."""
        return question.table == self.table and question.scope != MANY


def _names(texts: list[bytes]) -> list[bytes]:
    return [text[: text.find(b" ")] for text in texts]


def _of(counts: Counter[bytes], question: Ask) -> int:
    return sum(counts[name] for name in question.names) if question.scope == NAMED else counts.total()
