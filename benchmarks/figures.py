"""What is measured, and what it should be: figures with their bounds, groups of trials, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from statistics import median
from typing import Any, NoReturn

# What each trial of one round gave, by the trial's name.
Round = Mapping[str, Mapping[str, float]]


class NotRun(Exception):
    """A trial cannot be made on this machine; the text says what to install."""


class Absent(Mapping[str, float]):
    """In place of what a trial gives, where it cannot be made: every look at it raises NotRun with the reason."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __getitem__(self, name: str) -> NoReturn:
        raise NotRun(self._reason)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class Bound:
    """A value that a figure should reach (``is_least``), or stay below."""

    value: float
    is_least: bool = False

    def holds(self, measured: float) -> bool:
        return measured >= self.value if self.is_least else measured <= self.value


def at_least(value: float) -> Bound:
    return Bound(value, is_least=True)


def at_most(value: float) -> Bound:
    return Bound(value)


@dataclass(frozen=True, slots=True)
class Trial:
    """One run in a process of its own.

    Attributes:
        name: Under which a round holds its result.
        module: In ``benchmarks.trials``; its ``run(**arguments)`` gives numbers by name.
        quick: What to change in ``arguments`` where only the way is tried, not the speed.
    """

    name: str
    module: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    quick: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    Attributes:
        value: Its value in one round; a ratio is made here, so that both sides saw the same minute.
        digits: After the point, in the table and for the verdict: what is written is what is judged.
        is_worst: The line shows the worst round, not the median: for what must never happen.
    """

    title: str
    value: Callable[[Round], float]
    unit: str = ""
    must: Bound | None = None
    aim: Bound | None = None
    digits: int = 2
    is_worst: bool = False

    def measure(self, rounds: Sequence[Round]) -> Measured:
        try:
            values = [round(self.value(one), self.digits) for one in rounds]
        except NotRun as error:
            return Measured(self, nan, nan, nan, 0, str(error))
        middle = max(values) if self.is_worst else round(median(values), self.digits)
        return Measured(self, middle, min(values), max(values), len(values))


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure with what came out.

    Attributes:
        missing: Why there is nothing, where it could not be measured here; then no bound is met and none is missed.
    """

    figure: Figure
    value: float
    least: float
    most: float
    rounds: int
    missing: str = ""

    @property
    def is_missed(self) -> bool:
        """Whether the must was measured and does not hold."""
        return self.figure.must is not None and not self.missing and not self.figure.must.holds(self.value)

    @property
    def verdict(self) -> str:
        """``met`` or ``missed`` for the must, with a word on the aim; nothing where a figure is only reported."""
        if self.missing:
            return f"not run: {self.missing}"
        if self.figure.must is None:
            return ""
        if self.is_missed:
            return "**missed**"
        return "met, aim too" if self.figure.aim and self.figure.aim.holds(self.value) else "met"


@dataclass(frozen=True, slots=True)
class Group:
    """Trials that are compared with each other, hence run in turn, and the figures made of them."""

    key: str
    trials: Sequence[Trial]
    figures: Sequence[Figure]
    rounds: int = 7


def of(trial: str, name: str, scale: float = 1.0) -> Callable[[Round], float]:
    """A value as a trial gave it."""
    return lambda one: one[trial][name] * scale


def ratio(trial: str, other: str, name: str) -> Callable[[Round], float]:
    """What one trial gave, divided by what another gave in the same round."""
    return lambda one: one[trial][name] / one[other][name]


def most(name: str, *trials: str) -> Callable[[Round], float]:
    """The largest of what these trials gave."""
    return lambda one: max(one[trial][name] for trial in trials)
