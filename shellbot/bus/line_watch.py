"""A line in an event loop, watched once for all its subscribers there."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from shellbot.bus.incoming import unwatch

if TYPE_CHECKING:
    import asyncio

    from shellbot.bus.line import Line


class LineWatch:
    """A line in an event loop. The line is held wherever this is used."""

    def __init__(self, line: Line, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.count = 0
        self.is_moved = self.is_stirred = False
        self._line = line
        self._number = -1

    def begin(self) -> None:
        if self._number < 0:
            # A copy: the line's own may be closed in another thread, and its number given away again.
            self._number = os.dup(self._line.incoming.fileno())
            self.is_moved = False
            self.loop.add_reader(self._number, self._line.look_in, self)

    def end(self) -> None:
        if self._number >= 0:
            unwatch(self.loop, self._number)
            os.close(self._number)
            self._number = -1

    def stir(self) -> None:
        """Look soon. From any thread."""
        if not self.is_stirred:
            # A loop that was closed looks at nothing.
            with suppress(RuntimeError):
                self.is_stirred = True
                self.loop.call_soon_threadsafe(self._line.look_in, self)
