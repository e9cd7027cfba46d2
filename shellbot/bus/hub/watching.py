"""What the hub sleeps on: descriptors, and what to do when something came on one."""

from __future__ import annotations

import select
from collections.abc import Callable


class Watching:
    """One poll() with a deed for each descriptor; those without one are the caller's.

    What poll() tells may be out of date when its turn comes: a deed before it has closed the descriptor, and the next
    that was opened has its number. So each deed has a number of its own, and is done only for what was told after it
    was given: ``since = watching.newest``, then poll, then ``serve(descriptor, since)``.
    """

    def __init__(self) -> None:
        self.poller = select.poll()
        self.newest = 0
        self._deeds: dict[int, tuple[int, Callable[[], object]]] = {}

    def listen(self, descriptor: int, deed: Callable[[], object] | None = None, events: int = select.POLLIN) -> None:
        """Wake when it is readable, or only at its end with 0 for ``events``. A descriptor of -1 is none."""
        if descriptor >= 0:
            self.poller.register(descriptor, events)
            if deed is not None:
                self.newest += 1
                self._deeds[descriptor] = (self.newest, deed)

    def ignore(self, descriptor: int) -> None:
        self._deeds.pop(descriptor, None)
        try:
            self.poller.unregister(descriptor)
        except KeyError:
            pass

    def serve(self, descriptor: int, since: int) -> None:
        """Do what is to be done, if that was known before poll() was asked."""
        number, deed = self._deeds.get(descriptor, (0, None))
        if deed is not None and number <= since:
            deed()
