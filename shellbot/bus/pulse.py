"""When to ask a silent bus whether it is there, and when to give its connection up: no clock of its own, no socket.

A connection that breaks is seen by the system, and ZeroMQ connects again. But where packets vanish without a word, or
a machine is gone, nobody would ever hear of it. ZeroMQ's own heartbeats are no way out: see transports/zmq.py.
"""

from __future__ import annotations

from enum import Enum

LONGEST_QUIET = 60.0
# ZeroMQ itself tries on meanwhile, every 0.2 s.
LONGEST_PATIENCE = 60.0
# A bus that replays to others, too, may take longer to answer than one that is only asked whether it is there.
_REPLAY = 4


class Step(Enum):
    """What to do now."""

    WAIT = 0
    ASK = 1
    RENEW = 2


class Pulse:
    """Looked at only by who waits, and finds nothing to read.

    Args:
        every: Seconds of silence before the first question, and for its answer; 0 never asks.

    Attributes:
        due: When to look again.
    """

    def __init__(self, every: float) -> None:
        self.every = every
        self.due = 0.0
        self._quiet = self._patience = every
        self._frames = self._messages = -1
        self._is_asking = self._was_owed = False

    def look(self, now: float, frames: int, messages: int, is_owed: bool) -> Step:
        """What to do.

        Args:
            frames: How many frames of any kind came so far.
            messages: How many of them were messages.
            is_owed: Whether a question is out anyway.
        """
        every = self.every
        if frames != self._frames:
            if messages != self._messages:
                self._quiet = every
            elif self._is_asking:
                self._quiet = min(2 * self._quiet, max(every, LONGEST_QUIET))
            self._frames, self._messages = frames, messages
            self._is_asking, self._patience = False, every
            self.due = now + self._quiet
            self._was_owed = False
        if is_owed and not self._was_owed and not self._is_asking:
            self.due = now + _REPLAY * every
        self._was_owed = is_owed
        if now < self.due:
            return Step.WAIT
        if not (self._is_asking or is_owed):
            self._is_asking = self._was_owed = True
            self.due = now + every
            return Step.ASK
        self._is_asking, self._quiet = False, every
        self._patience = min(2 * self._patience, max(every, LONGEST_PATIENCE))
        self.due = now + self._patience
        return Step.RENEW
