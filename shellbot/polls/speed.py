"""How fast ballots go out: as measured, or as the platform declares it before any did. Pure."""

from __future__ import annotations

UNKNOWN = 0.01  # seconds a ballot, where a platform declares nothing: it is on this machine
LEAST = 20  # ballots that make a measure


class Speed:
    """Seconds a ballot takes, all that goes on side by side included.

    Args:
        declared: Ballots a second that the platform is said to take; 0: it says nothing.
        measured: Seconds a ballot, from an earlier measure; 0: there is none.
    """

    def __init__(self, declared: float = 0.0, measured: float = 0.0) -> None:
        self.each = measured or (1 / declared if declared else UNKNOWN)

    def measure(self, ballots: int, seconds: float) -> bool:
        """Take what was seen of one opening so far; False where that is too little to go by."""
        if ballots < LEAST or seconds <= 0:
            return False
        self.each = seconds / ballots
        return True

    def left(self, ballots: int) -> float:
        """Seconds that so many ballots take."""
        return ballots * self.each


def worded(seconds: float) -> str:
    """A length of time as people say it: ``a moment``, ``about 40 s``, ``about 5 min``."""
    if seconds < 2:
        return "a moment"
    if seconds < 90:
        return f"about {_rounded(seconds)} s"
    if seconds < 5400:
        return f"about {_rounded(seconds / 60)} min"
    return f"about {seconds / 3600:.1f} h"


def _rounded(number: float) -> int:
    step = 10 if number >= 30 else 5 if number >= 10 else 1
    return max(step, round(number / step) * step)
