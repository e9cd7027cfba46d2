"""A program that reads and judges.

First it is told ``{"address": .., "channels": .., "last": .., "bus": {settings}}`` and says ``{"pid": its own}`` when
it is ready. Then it is told, in any order:

==============================================  ======================================================================
``{"next": true}``                              says the number after the last one that came, by sender
``{"wait": numbers, "timeout": seconds}``       says whether these came in time
``{"judge": numbers, "events": [moments]}``     says what became of these, the gaps with their moments, and the longest
                                                pause after each moment and before the next; once
``{"delays": [since, until]}``                  says ``{"p50", "p99", "max"}`` of the seconds that those took which were
                                                put in this time, and say when
==============================================  ======================================================================
"""

from __future__ import annotations

import os
from dataclasses import asdict
from itertools import pairwise
from math import inf
from typing import Any

from benchmarks.scene.listener import Listener
from benchmarks.scene.talk import Orders, say

# A pause belongs to an event if it begins so soon after it, in seconds.
NEAR = 0.5


def judge(listener: Listener, sent: dict[str, int], events: list[float]) -> dict[str, Any]:
    windows = [(event, min(event + NEAR, following)) for event, following in pairwise([*events, inf])]
    return {
        "verdict": asdict(listener.verdict(sent)),
        "gaps": [[moment, gap.at_most] for moment, gap in listener.gaps],
        "pauses": [listener.longest_pause(event, until) for event, until in windows],
        "replayed": listener.subscriber.replayed,
        "reconnects": listener.subscriber.reconnects,
    }


def delays(listener: Listener, since: float, until: float) -> dict[str, float]:
    found = listener.delays_of(since, until)
    if not found:
        return {"p50": 0.0, "p99": 0.0, "max": 0.0}
    return {"p50": found[len(found) // 2], "p99": found[len(found) * 99 // 100], "max": found[-1]}


def main() -> None:
    orders = Orders()
    first = orders.take(None)
    listener = Listener(first["address"], first["channels"], last=first["last"], **first["bus"])
    with listener:
        say({"pid": os.getpid()})
        for order in orders:
            if "next" in order:
                say(dict(listener.next))
            elif "wait" in order:
                say(listener.wait_for(order["wait"], order["timeout"]))
            elif "judge" in order:
                say(judge(listener, order["judge"], order["events"]))
            elif "delays" in order:
                say(delays(listener, *order["delays"]))


if __name__ == "__main__":
    main()
