"""What the hub sleeps on: descriptors, and what to do when one is readable."""

from __future__ import annotations

import select
from collections.abc import Callable


class Watching:
    """One poll() with a deed for each descriptor; those without one are the caller's."""

    def __init__(self) -> None:
        self.poller = select.poll()
        self._deeds: dict[int, Callable[[], object]] = {}

    def listen(self, descriptor: int, deed: Callable[[], object] | None = None) -> None:
        """Wake when it is readable. A descriptor of -1 is none."""
        if descriptor >= 0:
            self.poller.register(descriptor, select.POLLIN)
            if deed is not None:
                self._deeds[descriptor] = deed

    def ignore(self, descriptor: int) -> None:
        self._deeds.pop(descriptor, None)
        try:
            self.poller.unregister(descriptor)
        except KeyError:
            pass

    def serve(self, descriptor: int) -> bool:
        """Do what is to be done; False where nobody said what."""
        deed = self._deeds.get(descriptor)
        if deed is not None:
            deed()
        return deed is not None
