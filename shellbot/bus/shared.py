"""How a subscriber reads: by a connection of its own, or by one that it shares.

The first subscribers of a process on an address have connections of their own, which is fastest. Those that come later
share one, a :class:`~shellbot.bus.line.Line`; each has a :class:`~shellbot.bus.tap.Tap` of it.
"""

from __future__ import annotations

import os
import threading
from weakref import WeakSet, WeakValueDictionary

from shellbot.bus import transports
from shellbot.bus.address import Address
from shellbot.bus.incoming import Incoming, WayIn
from shellbot.bus.line import Line
from shellbot.bus.options import BusOptions

# So many subscribers of an address have connections of their own before others share one.
DIRECT = 8


def way_in(incoming: Incoming) -> WayIn:
    """How a subscriber that begins now reads: by the connection that it has prepared, or by a tap.

    Raises:
        BadAddress, ConfigError, GuaranteeUnavailable: A setting cannot be used.
    """
    if incoming.is_closed or incoming.socket is not None or incoming.stream.wants_past:
        return incoming
    options = incoming.options
    if options.guarantee == "fast" or options.exact_gaps or transports.load(options.address).IN_PROCESS:
        return incoming
    return _lines.way_in(incoming)


class _Lines:
    """The lines of this process, and who has a connection of its own."""

    def __init__(self) -> None:
        self._renew()
        # A child shares nothing with its parent here, and the lock may be held by a thread that is not there.
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._lines: WeakValueDictionary[BusOptions, Line] = WeakValueDictionary()
        self._direct: dict[Address, WeakSet[Incoming]] = {}

    def way_in(self, incoming: Incoming) -> WayIn:
        options = incoming.options
        with self._lock:
            direct = self._direct.setdefault(options.address, WeakSet())
            if sum(not one.is_closed for one in direct) < DIRECT:
                direct.add(incoming)
                return incoming
            while True:
                line = self._lines.get(options)
                if line is None or line.is_closed:
                    line = self._lines[options] = Line(options)
                if (tap := line.join(incoming)) is not None:
                    return tap


_lines = _Lines()
