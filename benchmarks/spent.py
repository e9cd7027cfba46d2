"""What a process has taken of the machine so far: memory, processor time, wake-ups. From ``/proc``."""

from __future__ import annotations

import os
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident(*pids: int) -> int:
    """Bytes of resident memory of these processes together."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * _PAGE_BYTES


def spent(pid: int) -> tuple[int, int]:
    """How often the threads of a process went to sleep so far, and for how many nanoseconds they ran."""
    sleeps = ran = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        sleeps += int((task / "status").read_text().split("\nvoluntary_ctxt_switches:")[1].split()[0])
        ran += int((task / "schedstat").read_text().split()[0])
    return sleeps, ran


def percentile(values: list[float], share: int) -> float:
    """The value below which ``share`` percent of them are."""
    return sorted(values)[len(values) * share // 100]
