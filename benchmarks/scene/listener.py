"""A subscriber in a thread that records what comes: who put it, in which order, after which pause."""

from __future__ import annotations

import threading
from array import array
from collections import defaultdict
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any, Self

from shellbot.bus import Bus, Gap
from shellbot.context import Context
from shellbot.errors import BusClosed, InvalidMessage
from shellbot.testing import History, Verdict, read_message

# Shorter pauses are not remembered.
_PAUSE = 0.002
_LOOK_EVERY = 0.005
_READER = "reader"


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing came from ``begun`` to ``ended``, by the monotonic clock."""

    begun: float
    ended: float

    def since(self, moment: float) -> float:
        """The length of what comes after a moment."""
        return max(0.0, self.ended - max(self.begun, moment))


class Listener:
    """Reads until it is closed.

    Args:
        channels: Names of senders, or ``""`` for all.
        last: Begin with so many messages from before.
        bus: Settings.

    Attributes:
        next: The number after the last one that came, of each sender.
        gaps: What was told, with the time it was.
        pauses: When nothing came.
        stamps, delays: When those messages were put that say so, and the seconds from then to here.
        strange: How many messages came that no sender has put.
    """

    def __init__(self, address: str, channels: str | list[str] = "", *, last: int = 0, **bus: Any) -> None:
        self.subscriber = Bus(Context({"bus": {"address": address, **bus}})).subscribe(channels, last)
        self.next: defaultdict[str, int] = defaultdict(int)
        self.gaps: list[tuple[float, Gap]] = []
        self.pauses: list[Pause] = []
        self.strange = 0
        self.stamps = array("d")
        self.delays = array("d")
        self._history = History()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self, ready: float | None = 10.0) -> Self:
        """Connect; with ``ready``, what is put from now on comes."""
        if ready:
            self.subscriber.wait_ready(ready)
        self._thread.start()
        return self

    def _run(self) -> None:
        before = monotonic()
        try:
            for found in self.subscriber.frames():
                now = monotonic()
                if isinstance(found, Gap):
                    self.gaps.append((now, found))
                    self._history.gap(_READER, found.at_most)
                else:
                    if now - before > _PAUSE:
                        self.pauses.append(Pause(before, now))
                    before = now
                    try:
                        sender, number = read_message(found.message)
                    except InvalidMessage:
                        self.strange += 1
                        continue
                    self._history.arrived(_READER, found.channel, sender, number)
                    if (stamp := found.message.get("at")) is not None:
                        self.stamps.append(stamp)
                        self.delays.append(now - stamp)
                    self.next[sender] = number + 1
        except BusClosed:
            return

    def wait_for(self, sent: dict[str, int], timeout: float = 15.0) -> bool:
        """Whether the last of these has come in time, of each sender."""
        deadline = monotonic() + timeout
        while any(self.next[sender] < count for sender, count in sent.items()):
            if monotonic() > deadline:
                return False
            sleep(_LOOK_EVERY)
        return True

    def verdict(self, sent: dict[str, int]) -> Verdict:
        """What became of these numbers of messages. To be called once, when nothing more comes."""
        for sender, count in sent.items():
            for number in range(count):
                self._history.put(sender, sender, number)
        return self._history.verdict(_READER)

    def longest_pause(self, since: float, until: float | None = None) -> float:
        """Seconds in which nothing came after a moment, of a pause that began before another."""
        now = monotonic() if until is None else until
        return max((pause.since(since) for pause in self.pauses if pause.begun <= now), default=0.0)

    def delays_of(self, since: float, until: float) -> list[float]:
        """Seconds from put to here of what was put in this time, the shortest first."""
        found = zip(self.stamps, self.delays, strict=True)
        return sorted(delay for stamp, delay in found if since <= stamp <= until)

    def close(self) -> None:
        self.subscriber.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(5)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.close()
