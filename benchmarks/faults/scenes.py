"""What all rows are made of: programs on one address, a fault, and the judgement of those who read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Any

from benchmarks.faults.row import Outcome
from benchmarks.scene.stage import ReaderProgram, SenderProgram, Stage
from shellbot.testing import Kill, kill_every

CALM = 0.3
_TAIL_RATE = 200


def pause(seconds: float) -> None:
    """Let a fault last, or the machine come to rest."""
    sleep(seconds)


def put_on(senders: Sequence[SenderProgram], rate: float, **options: Any) -> None:
    """Until halt()."""
    for sender in senders:
        sender.put(0, rate=rate, **options)


def halt(senders: Sequence[SenderProgram], readers: Sequence[ReaderProgram]) -> None:
    """End what put_on() began, and see that what was put last has come, as far as it ever will."""
    for sender in senders:
        sender.halt(60)
    before = {sender.name: sender.sent for sender in senders}
    put_on(senders, _TAIL_RATE)
    for reader in readers:
        # Where that is not so, the verdict says what is missing.
        reader.wait_for({name: count + 1 for name, count in before.items()}, 20)
    for sender in senders:
        sender.halt()
    for reader in readers:
        reader.wait_for({sender.name: sender.sent for sender in senders}, 10)


def judged(
    stage: Stage, readers: Sequence[ReaderProgram], events: Sequence[float] = (), *, healed: float | None = None
) -> Outcome:
    """What came to these readers, all together.

    Args:
        events: When the path was back, or a process was killed.
        healed: When the path was back, where gaps are due.
    """
    found = Outcome()
    for reader in readers:
        told = reader.judge(stage.sent, list(events))
        verdict = told["verdict"]
        one = Outcome(**{name: verdict[name] for name in verdict if name != "invented"})
        one.recoveries = told["pauses"]
        if verdict["invented"]:
            one.broken.append(f"{verdict['invented']} came that nobody put")
        if healed is not None and told["gaps"]:
            one.told.append(max(0.0, told["gaps"][0][0] - healed))
        found.add(one)
    return found


def kill_hubs(stage: Stage, times: int, every: float) -> list[Kill]:
    with kill_every(stage.hub, every, times=times) as killing:
        return killing.wait(60 + times * (every + 1))


def followed(kills: list[Kill]) -> list[float]:
    """Seconds from each kill until the next hub answered."""
    return [one.back_at - one.killed_at for one in kills]


def lasting(seconds: float, action: Callable[[], object] = lambda: None) -> float:
    """Do something at the end of so many seconds; gives when it was done."""
    pause(seconds)
    action()
    return monotonic()
