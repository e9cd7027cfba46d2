"""Faults that more than one bench makes: hubs killed in the middle of a flow, and a reader that is stopped."""

from __future__ import annotations

from contextlib import nullcontext
from time import monotonic
from typing import Any, NamedTuple

from benchmarks.faults.row import Outcome
from benchmarks.faults.scenes import CALM, followed, halt, judged, kill_hubs, pause, put_on
from benchmarks.scene.reader import NEAR
from benchmarks.scene.stage import Stage
from shellbot.testing import stopped


def hubs_killed(
    programs: int, rate: float, times: int, bus: dict[str, Any], size: int = 0, every: float = 0.3
) -> Outcome:
    """Kill one hub after the other with -9 while programs put, so many a second each; 0 is flat out.

    Of each program, its parent starts the process again.

    Args:
        every: Seconds between the moment a hub is seen and its end.

    Returns:
        ``recoveries`` has the longest silence that a reader saw after each kill, counted from the signal on.
    """
    with Stage(**bus) as stage:
        senders = [stage.sender(name) for name in "abcd"[:programs]]
        reader = stage.reader()
        put_on(senders, rate, size=size)
        pause(CALM)
        kills = kill_hubs(stage, times, every)
        # The last one is looked at as long as the others, while all goes on.
        pause(NEAR)
        halt(senders, [reader])
        found = judged(stage, [reader], [one.killed_at for one in kills])
        found.takeovers = followed(kills)
    return found


class Beside(NamedTuple):
    """What became of two readers, one of which was stopped, or was not.

    Attributes:
        one: What came to the first.
        other: What came to the second, which went on.
        delays: Of what was put in that time, in seconds to the second reader: ``p50``, ``p99``, ``max``.
        worst_put: The longest that a put took.
        cuts: How many readers the hub has cut off because they were too slow.
    """

    one: Outcome
    other: Outcome
    delays: dict[str, float]
    worst_put: float
    cuts: int


def reader_stopped(bus: dict[str, Any], rate: float, size: int, seconds: float, is_stopped: bool = True) -> Beside:
    """Two readers of one program that puts, so many a second with so much text; one is stopped for so long."""
    with Stage(**bus) as stage:
        sender = stage.sender("a")
        one, other = stage.reader(), stage.reader()
        put_on([sender], rate, size=size, is_stamped=True)
        pause(CALM)
        since = monotonic()
        with stopped(one) if is_stopped else nullcontext():
            pause(seconds)
        back = monotonic()
        pause(CALM)
        facts = stage.look()
        worst_put = sender.halt(60)["worst"]
        put_on([sender], 200)
        halt([sender], [one, other])
        return Beside(
            judged(stage, [one], [back], healed=back),
            judged(stage, [other]),
            other.delays(since, back),
            worst_put,
            facts.cuts if facts else 0,
        )
