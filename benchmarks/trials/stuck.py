"""Two readers under a steady load, one of them stopped for a while: what the other feels, what the first is told."""

from __future__ import annotations

from benchmarks.faults.acts import reader_stopped

# With sender, number and time it is 1 KiB of JSON.
_TEXT_BYTES = 970


def run(is_stopped: bool, rate: float, seconds: float) -> dict[str, float]:
    """Times in ms, of what was put while one was stopped, or might have been; ``untold`` is what the stopped one lost
    without a gap that tells it."""
    found = reader_stopped({"slow": "disconnect"}, rate, _TEXT_BYTES, seconds, is_stopped)
    return {
        **{name: delay * 1e3 for name, delay in found.delays.items()},
        "cuts": found.cuts,
        "untold": found.one.unreported,
        "one doubled": found.one.duplicated,
        "lost": found.other.lost,
        "doubled": found.other.duplicated,
        "disordered": found.other.reordered,
    }
