"""Why and when the process behind a publisher ends: it is told to, its parent has gone, or the switch is off."""

from __future__ import annotations

from collections.abc import Callable

from shellbot.bus.lifeline import FileWatch, ProcessWatch, Waker
from shellbot.bus.options import ContextFace

SWITCH = "general.switch"

# Together less than a second, so that the end of the parent is followed in time.
_ORPHAN_DRAIN = 0.4
_ORPHAN_LINGER = 0.3

_LOOK_EVERY = 0.4
# Where nothing tells that the switch was turned.
_IDLE_SECONDS = 1.0


class Life:
    """What the loop of a hub, or of a program that is not the hub, watches beside its work.

    Args:
        linger: Seconds that a stop may wait for readers.
        watch: The process without which this one ends.
        stopping: Set by a signal handler, with ``is_stopping``.
    """

    def __init__(
        self,
        context: ContextFace,
        linger: float,
        watch: ProcessWatch | None = None,
        stopping: Waker | None = None,
    ) -> None:
        self.is_stopping = False
        self.is_orphan = False
        self.is_hurried = False
        self._context = context
        self._linger = linger
        self._watch = watch
        self._stopping = stopping
        path = getattr(context, "shared_file", None)
        self._switch = FileWatch(path) if path else None
        self._next_look = 0.0

    def watched(self) -> list[tuple[int, Callable[[], object]]]:
        """Descriptors to poll, and what to do when they are readable."""
        found: list[tuple[int, Callable[[], object]]] = []
        if self._watch is not None:
            found.append((self._watch.fileno(), self._orphan))
        if self._stopping is not None:
            found.append((self._stopping.fileno(), self._look))
        if self._switch is not None:
            found.append((self._switch.fileno(), self._look))
        return [(descriptor, action) for descriptor, action in found if descriptor >= 0]

    def _orphan(self) -> None:
        self.is_stopping = self.is_orphan = True

    def _look(self) -> None:
        for waker in (self._stopping, self._switch):
            if waker is not None and waker.fileno() >= 0:
                waker.clear()
        self._next_look = 0.0

    def must_stop(self, now: float) -> bool:
        if now >= self._next_look and not self.is_stopping:
            self._next_look = now + _LOOK_EVERY
            self.is_stopping = self._context.get(SWITCH, "on") != "on"
            if self._watch and self._watch.fileno() < 0 and self._watch.has_ended():
                self._orphan()
        return self.is_stopping

    def patience(self, seconds: float | None) -> float | None:
        """Milliseconds that the loop may sleep, given what it wants itself."""
        if self._switch is None or self._switch.fileno() < 0 or (self._watch and self._watch.fileno() < 0):
            seconds = min(_IDLE_SECONDS, _IDLE_SECONDS if seconds is None else seconds)
        return None if seconds is None else seconds * 1000

    @property
    def drain_limit(self) -> float:
        """Seconds that a stop waits for a reader that has no room."""
        return _ORPHAN_DRAIN if self.is_orphan else self._linger

    @property
    def closing_time(self) -> float:
        """Seconds that the transport may go on handing over."""
        return _ORPHAN_LINGER if self.is_orphan or self.is_hurried else self._linger
