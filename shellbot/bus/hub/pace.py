"""How fast texts come: when the rest of the hub's loop is due, and when to let them gather. No clock of its own."""

from __future__ import annotations

# While texts keep coming the rest of the loop is looked after so many seconds after the last time. It takes a processor
# that whoever hands a text on needs just then.
_LOOK_EVERY = 0.004
# From so many texts a second on they are let gather for so many seconds. Woken for each of them the hub would take the
# processor, and the lock of the pipe, from who puts them.
_FLOOD = 100_000
GATHER = 0.0002
# Fewer in a row are no flood, however close.
_BURST = 64


class Pace:
    """Told now and then how far the hub is.

    Args:
        position: How many texts were sent so far.
    """

    def __init__(self, now: float, position: int) -> None:
        self._now = now
        self._position = position

    def left(self, now: float) -> float:
        """Milliseconds until the rest is due, where texts keep coming."""
        return (self._now + _LOOK_EVERY - now) * 1000

    def is_flood(self, now: float, position: int) -> bool:
        """Whether texts come so fast that it pays to wait for more."""
        return position - self._position > _BURST + _FLOOD * (now - self._now)

    def note(self, now: float, position: int) -> None:
        """The rest is looked after now."""
        self._now, self._position = now, position
