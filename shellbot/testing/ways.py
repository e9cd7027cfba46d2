"""What a fault proxy does to the bytes that go one way. It knows no socket and no clock."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, fields

PIECE_BYTES = 256 * 1024  # at most so much is sent at once
SMOOTH = 0.01  # seconds: a limited rate sends what it may in so long at once


@dataclass(slots=True)
class Way:
    """The faults of one direction, over all connections; made new, or cleared, it has none.

    Attributes:
        slice_bytes: Sent at once; 0 is any number.
        latency: Seconds.
        rate: Bytes per second; 0 is without limit. ``next_at``: when the next may go.
        cut_after: Bytes until a connection is cut.
        flip_at: Bits until one is turned over; ``gaps``: bits between it and each one after it.
    """

    is_held: bool = False
    swallows: bool = False
    slice_bytes: int = 0
    latency: float = 0.0
    rate: float = 0.0
    next_at: float = 0.0
    cut_after: int | None = None
    flip_at: int | None = None
    gaps: Iterator[int] | None = None

    def clear(self) -> None:
        """Have no faults any more."""
        for field in fields(self):
            setattr(self, field.name, field.default)

    @property
    def keeps(self) -> bool:
        """Whether bytes wait here though they could be sent."""
        return self.is_held or self.latency > 0

    def limit(self, size_bytes: int) -> int:
        """How many of so many bytes may be sent at once; 0 when the connection is to be cut."""
        size_bytes = min(size_bytes, PIECE_BYTES)
        if self.slice_bytes:
            size_bytes = min(size_bytes, self.slice_bytes)
        if self.rate:
            size_bytes = min(size_bytes, max(1, int(self.rate * SMOOTH)))
        return size_bytes if self.cut_after is None else min(size_bytes, self.cut_after)

    def passed(self, size_bytes: int, now: float) -> None:
        """So many have been sent."""
        if self.rate:
            self.next_at = max(now, self.next_at) + size_bytes / self.rate
        if self.cut_after is not None:
            self.cut_after -= size_bytes

    def spoil(self, data: bytearray | memoryview) -> int:
        """Turn over the bits that are due, in place; gives their number."""
        if self.flip_at is None:
            return 0
        flips, bits = 0, 8 * len(data)
        while self.flip_at is not None and self.flip_at < bits:
            data[self.flip_at >> 3] ^= 1 << (self.flip_at & 7)
            flips += 1
            gap = next(self.gaps, None) if self.gaps else None
            self.flip_at = None if gap is None else self.flip_at + 1 + gap
        if self.flip_at is not None:
            self.flip_at -= bits
        return flips


def random_gaps(probability: float, seed: str) -> Iterator[int]:
    """Bits left alone between those turned over, where each is with this probability, above 0 and below 1."""
    chance = random.Random(seed)
    while True:
        yield int(math.log(1.0 - chance.random()) / math.log1p(-probability))
