"""A program that reads and judges.

First it is told ``{"address": .., "channels": .., "last": .., "bus": {settings}}`` and says ``{"pid": its own}`` when
it is ready. Then it is told, in any order:

==============================================  ======================================================================
``{"next": true}``                              says the number after the last one that came, by sender
``{"wait": numbers, "timeout": seconds}``       says whether these came in time
``{"judge": numbers, "events": [moments]}``     says what became of these, the gaps with their moments, and the longest
                                                pause after each moment; once
==============================================  ======================================================================
"""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from benchmarks.scene.listener import Listener
from benchmarks.scene.talk import Orders, say

# A pause belongs to an event if it begins so soon after it, in seconds.
_NEAR = 0.5


def judge(listener: Listener, sent: dict[str, int], events: list[float]) -> dict[str, Any]:
    delays = sorted(listener.delays)
    return {
        "verdict": asdict(listener.verdict(sent)),
        "gaps": [[moment, gap.at_most] for moment, gap in listener.gaps],
        "pauses": [listener.longest_pause(event, event + _NEAR) for event in events],
        "p99": delays[len(delays) * 99 // 100] if delays else 0.0,
        "replayed": listener.subscriber.replayed,
        "reconnects": listener.subscriber.reconnects,
    }


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


if __name__ == "__main__":
    main()
