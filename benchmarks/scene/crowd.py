"""A program with very many subscribers of one channel, read in turn.

It is told ``{"address": .., "channel": .., "count": subscribers}`` and says ``{"pid": its own}`` when all are ready.
It is told ``{"until": n}`` and says ``{"delivered", "lost", "doubled", "gaps", "pause"}`` when each has the messages up
to that number, or nothing has come for ten seconds.
"""

from __future__ import annotations

import os
from time import monotonic
from typing import Any

from benchmarks.scene.talk import Orders, say
from shellbot.bus import Bus
from shellbot.context import Context

_PATIENCE = 10.0


def main() -> None:
    orders = Orders()
    first = orders.take(None)
    bus = Bus(Context({"bus": {"address": first["address"]}}))
    subscribers = [bus.subscribe(first["channel"]) for _ in range(first["count"])]
    for one in subscribers:
        one.wait_ready(60)
    say({"pid": os.getpid()})
    until = 0
    wanted = [0] * len(subscribers)
    delivered = lost = doubled = 0
    came = monotonic()
    pause = 0.0
    while not until or (min(wanted) < until and monotonic() - came < _PATIENCE):
        order = orders.take()
        if order:
            until = order["until"]
        for at, one in enumerate(subscribers):
            while (message := one.get()) is not None:
                now = monotonic()
                pause, came = max(pause, now - came), now
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
