"""What is published right after subscribing: how much of it is lost, and how long being ready takes.

Each trial has a new subscriber. When the message does not come, another one is sent until something does; the order
then tells whether the first was lost, and no time has to be guessed.
"""

from __future__ import annotations

from time import monotonic_ns

from benchmarks.systems import READERS, SENDERS, ShellbotReader, address

_ONCE_MORE_AFTER = 0.01


def run(system: str, trials: int) -> dict[str, float]:
    lost = 0
    took = []
    with address("tcp") as url, SENDERS[system](url) as sender:
        for _ in range(trials):
            with READERS[system](url) as reader:
                started = monotonic_ns()
                if isinstance(reader, ShellbotReader):
                    reader.wait_ready()
                took.append(monotonic_ns() - started)
                sender.put({"n": 1})
                while (found := reader.get(_ONCE_MORE_AFTER)) is None:
                    sender.put({"n": 2})
                lost += found["n"] != 1
    took.sort()
    return {"lost": lost, "p50": took[trials // 2] / 1e6, "p99": took[trials * 99 // 100] / 1e6}
