"""osBrain's push and pull between two agents, as it comes: pickle over ipc, each agent a process of its own."""

from __future__ import annotations

import os
import time
from time import monotonic, monotonic_ns
from typing import Any

from benchmarks.messages import FIRST, PROBE, START, Counted, Tally, message
from benchmarks.others import no_package
from benchmarks.peer import TIMEOUT

# Where it makes its sockets; it looks when it is imported.
os.environ["XDG_RUNTIME_DIR"] = os.environ.get("TMPDIR", "/tmp")
try:
    import osbrain
    import Pyro4
except ImportError as error:
    raise no_package("osbrain") from error

_ROW = "row"
_LOOK_EVERY = 0.01


def run(count: int) -> dict[str, float]:
    # Its name server answers broadcasts, on a fixed port of all interfaces; here on a free one of this machine only.
    Pyro4.config.NS_BCHOST, Pyro4.config.NS_BCPORT = "127.0.0.1", 0
    numbers = range(FIRST, FIRST + count)
    names = osbrain.run_nameserver()
    try:
        pusher = osbrain.run_agent("pusher", base=Pusher)
        puller = osbrain.run_agent("puller", base=Puller, attributes={"wanted": numbers.start, "last": numbers[-1]})
        puller.connect(pusher.bind("PUSH", alias=_ROW), handler="take")
        pusher.send(_ROW, {"n": PROBE})
        pusher.send(_ROW, {"n": START})
        _wait(puller, "is_ready")
        started = pusher.put_row(message(100), numbers)
        counted = Counted(*_wait(puller, "counted"))
    finally:
        names.shutdown()
    return {"rate": count / (counted.ended - started) * 1e9, **counted._asdict()}


def _wait(agent: Any, name: str) -> Any:
    """An attribute of an agent, as soon as it is set. It has no way to be told."""
    deadline = monotonic() + TIMEOUT
    while not (found := agent.unsafe.get_attr(name)):
        if monotonic() > deadline:
            raise TimeoutError(f"osBrain's agent never came to {name}")
        time.sleep(_LOOK_EVERY)
    return found


class Pusher(osbrain.Agent):
    """The sending side."""

    def put_row(self, body: dict[str, Any], numbers: range) -> int:
        """Gives the clock before the first one."""
        send = self.send
        started = monotonic_ns()
        for number in numbers:
            body["n"] = number
            send(_ROW, body)
        send(_ROW, {"n": numbers.stop})
        return started


class Puller(osbrain.Agent):
    """The receiving side; ``wanted`` and ``last`` are given."""

    def on_init(self) -> None:
        self.tally = Tally()
        self.is_ready = False
        self.counted: Counted | None = None

    def take(self, body: dict[str, Any]) -> None:
        number = body["n"]
        if number < FIRST:
            self.is_ready = number == START
        elif not self.counted:
            self.wanted = number + 1 if number == self.wanted else self.tally.judge(number, self.wanted)
            if self.wanted > self.last:
                self.counted = self.tally.counted()
