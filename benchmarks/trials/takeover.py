"""Hubs killed in the middle of a steady flow of several programs: how long a reader gets nothing, and what is lost."""

from __future__ import annotations

from statistics import median

from benchmarks.faults.acts import hubs_killed


def run(programs: int, rate: float, kills: int) -> dict[str, float]:
    """Kill so many, while each program puts ``rate`` messages a second; times in ms, counted from the signal."""
    found = hubs_killed(programs, rate, kills, {})
    silences = [seconds * 1e3 for seconds in found.recoveries]
    if len(silences) != kills:
        raise AssertionError(f"{len(silences)} kills of {kills} were made: it proves nothing")
    return {
        "p50": median(silences),
        "max": max(silences),
        "lost": found.lost,
        "doubled": found.duplicated,
        "disordered": found.reordered,
    }
