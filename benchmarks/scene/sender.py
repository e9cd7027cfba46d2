"""A program that publishes as it is told.

First it is told ``{"address", "name", "bus": {settings}, "crash": [..]}`` and says ``{"pid": of its publisher}``, or
``{"error": kind, "text": ..}``. Then it is told, in any order:

=============================================  =======================================================================
``{"put": n, "rate": a second, "bytes": x}``    puts so many with so much text; says ``{"sent": so far, "worst": seconds
                                               of a put, "full": how often the queue was}``
``{"put": .., "stamp": true}``                 the same; each message says when it was put
``{"put": 0, ..}``                             the same, until it is told something else
``{"pid": true}``                              says ``{"pid": of its publisher, "restarts": n}``
``{"fork": true}``                             forks a child that does nothing; says ``{"child": pid}``
``{"close": true}``                            closes, says ``{"closed": seconds}``, and ends
=============================================  =======================================================================
"""

from __future__ import annotations

import os
import select
import signal
from itertools import count
from time import monotonic
from typing import Any

from benchmarks.scene.crash import arm
from benchmarks.scene.talk import Orders, say
from shellbot.bus import Bus, Publisher
from shellbot.context import Context
from shellbot.errors import QueueFull, ShellbotError
from shellbot.testing import make_message

_BATCH = 0.002


class Sender:
    """Numbered messages on one channel, which bears the name of who puts them."""

    def __init__(self, publisher: Publisher, name: str, orders: Orders) -> None:
        self._publisher = publisher
        self._name = name
        self._orders = orders
        self._sent = self._full = 0
        self._worst = 0.0

    def put(self, number: int, rate: float, size: int, is_stamped: bool) -> dict[str, Any]:
        self._worst = 0.0
        more: dict[str, Any] = {"text": "x" * size} if size else {}
        step = max(1, int(rate * _BATCH)) if rate else 50
        begun = monotonic()
        done = 0
        while (done < number or not number) and (number or not self._orders.are_there):
            wanted = min(step, number - done) if number else step
            for _ in range(wanted):
                if is_stamped:
                    more["at"] = monotonic()
                self._put_one(more)
            done += wanted
            if rate and (wait := begun + done / rate - monotonic()) > 0:
                select.select([], [], [], wait)
        return {"sent": self._sent, "worst": self._worst, "full": self._full}

    def _put_one(self, more: dict[str, Any]) -> None:
        message = make_message(self._name, self._sent, **more)
        since = monotonic()
        for _ in count():
            try:
                self._publisher.put(self._name, message)
                break
            except QueueFull:
                self._full += 1
        self._sent += 1
        self._worst = max(self._worst, monotonic() - since)


def _fork() -> int:
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    return pid


def main() -> None:
    orders = Orders()
    first = orders.take(None)
    if first.get("crash"):
        arm(*first["crash"])
    try:
        publisher = Bus(Context({"bus": {"address": first["address"], **first["bus"]}})).publish()
        publisher.start()
    except ShellbotError as error:
        say({"error": type(error).__name__, "text": str(error)})
        return
    say({"pid": publisher.pid})
    sender = Sender(publisher, first["name"], orders)
    for order in orders:
        if "put" in order:
            say(sender.put(order["put"], order.get("rate", 0), order.get("bytes", 0), order.get("stamp", False)))
        elif "pid" in order:
            say({"pid": publisher.pid, "restarts": publisher.restarts})
        elif "fork" in order:
            say({"child": _fork()})
        elif "close" in order:
            since = monotonic()
            publisher.close()
            say({"closed": monotonic() - since})
            return


if __name__ == "__main__":
    main()
