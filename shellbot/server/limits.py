"""How much one person, one address and everybody together may ask of the server."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from shellbot.errors import RateLimited


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the server; a demo or a test with many people from one address raises some.

    ``message_rate`` per second and person with ``message_burst`` at once (presses count too); ``joins_per_minute``
    per address; streams per person, per address and in all; a stream's queue by frames and bytes. ``body_timeout`` is
    for a whole form, and of a body with files for each piece; ``transfer_timeout`` for all of a file up or down.
    """

    message_rate: float = 5.0
    message_burst: int = 20
    joins_per_minute: int = 20
    streams_per_person: int = 4
    streams_per_address: int = 64
    streams: int = 2_000
    stream_frames: int = 256
    stream_bytes: int = 1 << 20
    body_bytes: int = 1 << 20
    body_timeout: float = 10.0
    transfers_per_person: int = 8
    transfers: int = 256
    transfer_timeout: float = 600.0
    header_timeout: float = 10.0


class Buckets:
    """Token buckets by key. One thread uses them; at most 10,000 keys are remembered, the idlest is forgotten first."""

    def __init__(self, rate: float, burst: int, now: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._now = now
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Take one token.

        Raises:
            RateLimited: There is none; ``retry_after`` tells when there will be.
        """
        now = self._now()
        level, then = self._levels.pop(key, (float(self._burst), now))
        level = min(float(self._burst), level + (now - then) * self._rate)
        if level < 1.0:
            self._levels[key] = (level, now)
            wait = (1.0 - level) / self._rate
            raise RateLimited(f"That was a bit fast. Please wait {math.ceil(wait)} s.", retry_after=wait)
        self._levels[key] = (level - 1.0, now)
        if len(self._levels) > 10_000:
            self._levels.popitem(last=False)
