"""A fault as a row of the table: what it does to whom, what is promised, and what came out."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Protocol

FAST, REPLAY = "fast", "replay"
# Seconds in which a gap is told once the path is back, and a hub is followed, in the middle and at most.
TOLD = 0.25
TAKEOVER_MIDDLE, TAKEOVER_MOST = 0.05, 0.5


class NotRun(Exception):
    """The row cannot be made on this machine; the text says why."""


@dataclass(slots=True)
class Outcome:
    """What became of the messages of a row; of several readers, all together.

    Attributes:
        recoveries: Seconds in which a reader got nothing after the path was back, or after a kill; one for each time.
        takeovers: Seconds from the kill of a hub until the next answers.
        told: Seconds from when the path was back until the gap was told.
        notes: What else there is to say.
        broken: What else was promised and did not hold.
    """

    sent: int = 0
    delivered: int = 0
    lost: int = 0
    unreported: int = 0
    duplicated: int = 0
    reordered: int = 0
    recoveries: list[float] = field(default_factory=list)
    takeovers: list[float] = field(default_factory=list)
    told: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Another reader's, or another round's."""
        for name in ("sent", "delivered", "lost", "unreported", "duplicated", "reordered"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("recoveries", "takeovers", "told", "notes", "broken"):
            getattr(self, name).extend(getattr(other, name))


class Run(Protocol):
    """Makes a fault happen."""

    def __call__(self, *, scale: int) -> Outcome:
        """``scale`` times as often as usual.

        Raises:
            NotRun: It cannot be made here.
        """


@dataclass(frozen=True, slots=True)
class Row:
    """One fault at one level.

    Attributes:
        fault: Begins with its kind, like ``reset``.
        run: Makes it happen.
        is_harm: Shown without the repair: it must do harm.
        is_gap_due: What is missed is not in the ring any more, so it may be lost, and a gap is told.
        may_lose: Without readers to wait for, the ring can come round before they are back; a gap tells that.
        is_paced: Below saturation, so the hub must be followed in time.
        why_no_harm: Where no row of this kind shows a harm without the repair: why there is none, and what is shown.
    """

    fault: str
    level: str
    run: Run
    is_harm: bool = False
    is_gap_due: bool = False
    may_lose: bool = False
    is_paced: bool = True
    why_no_harm: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A row with what came out; ``missing`` says why it was not run."""

    row: Row
    outcome: Outcome
    missing: str = ""

    @property
    def broken(self) -> list[str]:
        """The promises that did not hold."""
        found, row = self.outcome, self.row
        if self.missing:
            return []
        if row.is_harm:
            return [] if found.lost or found.broken else ["harmless: nothing was lost without the repair"]
        wrong = list(found.broken)
        for name in ("unreported", "duplicated", "reordered"):
            if count := getattr(found, name):
                wrong.append(f"{count:,} {name}")
        if found.lost and not (row.is_gap_due or row.may_lose):
            wrong.append(f"{found.lost:,} lost")
        if row.is_gap_due and not found.told:
            wrong.append("no gap was told")
        if found.told and max(found.told) > TOLD:
            wrong.append(f"a gap was told {max(found.told) * 1000:.0f} ms after the path was back")
        if found.takeovers and row.is_paced:
            if median(found.takeovers) > TAKEOVER_MIDDLE:
                wrong.append(f"a hub was followed after {median(found.takeovers) * 1000:.0f} ms in the middle")
            if max(found.takeovers) > TAKEOVER_MOST:
                wrong.append(f"a hub was followed after {max(found.takeovers) * 1000:.0f} ms")
        return wrong


def milliseconds(seconds: list[float]) -> str:
    """Median and maximum."""
    return f"{median(seconds) * 1000:.0f} ({max(seconds) * 1000:.0f})" if seconds else ""
