"""Rows of what a network does to one reader, through a proxy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from benchmarks.faults.row import FAST, REPLAY, Outcome, Row
from benchmarks.faults.scenes import CALM, halt, judged, lasting, pause, put_on
from benchmarks.scene.stage import Stage
from shellbot.testing import FaultProxy

MIB = 1024 * 1024
# So that a path that is held or slow is felt.
_BUFFER_BYTES = 256 * 1024

# Does something to a proxy; gives when the path was back, each time.
Fault = Callable[[FaultProxy], list[float]]


def rows() -> list[Row]:
    found: list[Row] = []
    for name, fault in FAULTS.items():
        found += _pair(name, fault, 16_000)
    found.append(Row("reset, 30 in 3 s, at 120 k/s", REPLAY, partial(_run, resets, 120_000, {})))
    found += _pair("slice, 1 byte at a time, and reset 5 times", sliced, 1000)
    name, dropping = "slow, 100 kB/s for 2 s, 1 kB", {"guarantee": FAST, "slow": "drop"}
    found.append(Row(f"{name}, drop", FAST, partial(_run, slowed, 10_000, dropping, 1000), is_harm=True))
    found.append(Row(name, REPLAY, partial(_run, slowed, 10_000, {}, 1000)))
    small = {"history": 8 * MIB, "slow": "disconnect"}
    long = partial(_run, refused_long, 5000, small, 1000)
    found.append(Row("refuse, longer than a ring of 8 MiB holds", REPLAY, long, is_gap_due=True))
    return found


def _pair(name: str, fault: Fault, rate: int) -> list[Row]:
    return [
        Row(name, FAST, partial(_run, fault, rate, {"guarantee": FAST}), is_harm=True),
        Row(name, REPLAY, partial(_run, fault, rate, {})),
    ]


def _run(fault: Fault, rate: int, bus: dict[str, Any], size: int = 0, scale: int = 1) -> Outcome:
    found = Outcome()
    for _ in range(scale):
        with Stage(**bus) as stage, FaultProxy(stage.address, buffer_bytes=_BUFFER_BYTES) as proxy:
            sender = stage.sender("a")
            reader = stage.reader(address=proxy.address)
            put_on([sender], rate, size=size)
            pause(CALM)
            events = fault(proxy)
            pause(CALM)
            halt([sender], [reader])
            found.add(judged(stage, [reader], events, healed=events[-1]))
    return found


def resets(proxy: FaultProxy) -> list[float]:
    return [lasting(0.1, proxy.reset) for _ in range(30)]


def held(proxy: FaultProxy) -> list[float]:
    proxy.hold()
    return [lasting(2.0, proxy.heal)]


def swallowed(proxy: FaultProxy) -> list[float]:
    proxy.blackhole()
    return [lasting(2.0, proxy.heal)]


def silent(proxy: FaultProxy) -> list[float]:
    proxy.blackhole("down")
    return [lasting(1.5, proxy.heal)]


def refused(proxy: FaultProxy) -> list[float]:
    proxy.refuse()
    proxy.reset()
    return [lasting(1.5, proxy.heal)]


def refused_long(proxy: FaultProxy) -> list[float]:
    proxy.refuse()
    proxy.reset()
    return [lasting(2.0, proxy.heal)]


def sliced(proxy: FaultProxy) -> list[float]:
    proxy.slice(1)
    events = [lasting(0.3, proxy.reset) for _ in range(5)]
    proxy.heal()
    return events


def slowed(proxy: FaultProxy) -> list[float]:
    proxy.rate(100_000)
    return [lasting(2.0, proxy.heal)]


def cut_inside(proxy: FaultProxy) -> list[float]:
    """Resets in the middle of a frame, each a byte further."""
    events = []
    for number, size in enumerate(range(10_001, 10_021)):
        proxy.cut_after(size)
        proxy.wait_until(partial(_has_reset, proxy, number), 10)
        events.append(monotonic())
        pause(0.05)
    return events


def _has_reset(proxy: FaultProxy, before: int) -> bool:
    return proxy.counts.resets > before


FAULTS: dict[str, Fault] = {
    "reset, 30 in 3 s, at 16 k/s": resets,
    "reset, 20 inside of a frame": cut_inside,
    "hold, 2 s": held,
    "blackhole, 2 s": swallowed,
    "blackhole, 1.5 s, to the reader only": silent,
    "refuse, 1.5 s, after a reset": refused,
}
