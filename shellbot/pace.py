"""Who talks to a bot without end: another bot, most likely, whose answers are answers to ours."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

REFILL = 1.0  # lines a second that somebody may say for ever; people do not
REMEMBERED = 10_000  # of whom the latest are


@dataclass(slots=True)
class _Level:
    left: float
    at: float
    is_silent: bool = False


class Pace:
    """Counts the lines of each person in each room, on one clock. Used on the engine's loop.

    Args:
        burst: Lines in a row without a pause; 0 for any number.
    """

    def __init__(self, burst: int) -> None:
        self._burst = burst
        self._levels: OrderedDict[Hashable, _Level] = OrderedDict()

    def take(self, who: Hashable, now: float) -> tuple[bool, bool]:
        """One more line of somebody.

        Returns:
            Whether to answer it, and whether it is the first that is not: from then on none is, until half of what may
            come without a pause could come again.
        """
        if not self._burst:
            return True, False
        level = self._levels.pop(who, None) or _Level(self._burst, now)
        level.left = min(self._burst, level.left + max(0.0, now - level.at) * REFILL)
        level.at = now
        self._levels[who] = level
        if len(self._levels) > REMEMBERED:
            self._levels.popitem(last=False)
        was_silent = level.is_silent
        level.is_silent = level.left < (self._burst / 2 if was_silent else 1)
        if not level.is_silent:
            level.left -= 1
        return not level.is_silent, level.is_silent and not was_silent
