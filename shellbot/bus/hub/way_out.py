"""The way out of the hub: frames in order to all who subscribed, whatever a slow reader does."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from operator import length_hint
from time import monotonic

from shellbot.bus.frames import probe
from shellbot.bus.hub.rules import Rules
from shellbot.bus.transports import SendingEnd

logger = logging.getLogger(__name__)

# A reader that was cut off gets what it missed at most once in so many seconds.
CUT_PAUSE = 1.0

_exhaust = deque[object](maxlen=0).extend


class GaveUp(Exception):
    """Subscribers took nothing for as long as a stop may wait."""


class WayOut:
    """Sends, and waits where there is no room.

    Args:
        meanwhile: Called again and again while it waits; may raise GaveUp, given the seconds waited.
        went_on: Called when there was room again.

    Attributes:
        position: How many messages were sent to all, counted with those of earlier hubs.
        cuts: How many readers were cut off because they were too slow.
    """

    def __init__(
        self,
        end: SendingEnd,
        rules: Rules,
        position: int,
        meanwhile: Callable[[float], object],
        went_on: Callable[[], object],
    ) -> None:
        self.position = position
        self.cuts = 0
        self._end = end
        self._send = end.send
        self._rules = rules
        self._meanwhile = meanwhile
        self._went_on = went_on
        self._paused: dict[bytes, float] = {}

    def send(self, texts: list[bytes]) -> None:
        """All of them, in order."""
        if len(texts) == 1:
            self._send_one(texts[0])
            return
        before = self.position
        coming = iter(texts)
        left = 0
        try:
            while length_hint(coming):
                try:
                    # Without a step of Python per text.
                    _exhaust(map(self._send, coming))
                except self._end.blocked:
                    left = length_hint(coming)
                    self.position = before + len(texts) - left - 1
                    self._push(texts[-1 - left])
        except GaveUp:
            self.position = before + len(texts) - left - 1
            raise
        self.position = before + len(texts)

    def _send_one(self, text: bytes) -> None:
        """As send(), with the fewest steps: whoever waits for a single message feels each."""
        try:
            self._send(text)
        except self._end.blocked:
            self._push(text)
        self.position += 1

    def _push(self, frame: bytes) -> None:
        """Send a frame for which there was no room, however long it takes."""
        since = monotonic()
        is_told = False
        while True:
            if self._rules.slow.policy == "disconnect":
                self._cut_stuck()
            waited = monotonic() - since
            if waited > self._rules.patience and not is_told:
                is_told = True
                logger.warning("a reader has taken nothing for %.1f s, and all others wait for it", waited)
            self._meanwhile(waited)
            try:
                self._end.send(frame)
                self._went_on()
                return
            except self._end.blocked:
                pass

    def _cut_stuck(self) -> None:
        """Find out by their private topics who has no room, and break their connections."""
        for uid in self._end.asked():
            if not self._end.send_now(probe(uid)) and self._end.cut(uid):
                self.cuts += 1
                self._paused[uid] = monotonic() + CUT_PAUSE
                logger.warning("cut off a reader that took nothing for %g s reader=%s", self._rules.slow.grace, uid[:8])

    def paused_until(self, uid: bytes) -> float:
        """When this reader may be served again, by the monotonic clock."""
        return self._paused.get(uid, 0.0)

    def hold(self, uid: bytes, until: float) -> None:
        """Serve this reader again only then."""
        self._paused[uid] = until

    def forget_pauses(self, now: float) -> None:
        if self._paused:
            self._paused = {uid: until for uid, until in self._paused.items() if until > now}
