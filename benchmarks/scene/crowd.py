"""A program with very many subscribers of one channel, read in turn.

It is told ``{"address": .., "channel": .., "count": subscribers, "bus": {settings}}`` and says ``{"pid": its own}``
when all are ready. It is told ``{"until": n}`` and says ``{"delivered", "lost", "doubled", "gaps", "pause"}`` when each
has the messages up to that number, or nothing has come for ten seconds; ``pause`` is the longest between two messages,
whoever got them.
"""

from __future__ import annotations

import os
import resource
from time import monotonic
from typing import Any

from benchmarks.scene.talk import Orders, say
from shellbot.bus import Bus
from shellbot.context import Context

_PATIENCE = 10.0


def main() -> None:
    orders = Orders()
    first = orders.take(None)
    # At `fast` each has a connection of its own.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    bus = Bus(Context({"bus": {"address": first["address"], **first["bus"]}}))
    subscribers = [bus.subscribe(first["channel"]) for _ in range(first["count"])]
    for one in subscribers:
        one.wait_ready(60)
    say({"pid": os.getpid()})
    until = 0
    wanted = [0] * len(subscribers)
    delivered = lost = doubled = 0
    came = told = pause = 0.0
    while not until or (min(wanted) < until and monotonic() - max(came, told) < _PATIENCE):
        order = orders.take()
        if order:
            until, told = order["until"], monotonic()
        for at, one in enumerate(subscribers):
            while (message := one.get()) is not None:
                now = monotonic()
                pause, came = max(pause, now - (came or now)), now
                number = message["n"]
                delivered += 1
                lost += max(0, number - wanted[at])
                doubled += number < wanted[at]
                wanted[at] = max(wanted[at], number + 1)
    lost += sum(until - number for number in wanted)
    found: dict[str, Any] = {"delivered": delivered, "lost": lost, "doubled": doubled, "pause": pause}
    say(found | {"gaps": sum(one.gaps for one in subscribers)})
    for one in subscribers:
        one.close()


if __name__ == "__main__":
    main()
