"""Run the rows, print the table as it grows, and say which promises did not hold."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from benchmarks.faults import network, places, processes
from benchmarks.faults.row import Line, NotRun, Outcome, Row, milliseconds

COLUMNS = ("fault", "level", "sent", "delivered", "lost", "unreported", "duplicated", "reordered", "recovery_ms")
# With --long each fault happens so many times as often: more than 1,000 kills of hubs.
LONG = 36


def rows(only: str | None = None) -> list[Row]:
    """All of them, or those whose name has this word."""
    found = [*network.rows(), *processes.rows(), *places.rows()]
    return [row for row in found if only is None or only in row.fault]


def run(chosen: Sequence[Row], scale: int, rounds: int, show: Callable[[str], None]) -> list[Line]:
    """Each row, so many rounds; each line is shown when it is there."""
    lines = []
    for heading in (COLUMNS, tuple("---" for _ in COLUMNS)):
        show(_cells(heading))
    for row in chosen:
        # What is only compared with need not happen often.
        line = _run(row, 1 if row.is_harm else scale, rounds)
        lines.append(line)
        show(cells(line))
    return lines


def _run(row: Row, scale: int, rounds: int) -> Line:
    found = Outcome()
    try:
        for _ in range(rounds):
            with _runtime_folder():
                found.add(row.run(scale=scale))
    except NotRun as error:
        return Line(row, found, str(error))
    except (TimeoutError, EOFError, KeyError) as error:
        found.broken.append(f"{type(error).__name__}: {error}")
    return Line(row, found)


@contextmanager
def _runtime_folder() -> Iterator[None]:
    """Nothing of a bus that runs on this machine is touched."""
    before = os.environ.get("SHELLBOT_RUNTIME")
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="sb-", dir=memory) as folder:
        os.environ["SHELLBOT_RUNTIME"] = folder
        try:
            yield
        finally:
            os.environ.pop("SHELLBOT_RUNTIME")
            if before is not None:
                os.environ["SHELLBOT_RUNTIME"] = before


def cells(line: Line) -> str:
    """A line of the table."""
    row, found = line.row, line.outcome
    if line.missing:
        return _cells((row.fault, row.level, "not run", *[""] * 6))
    counts = (found.sent, found.delivered, found.lost, found.unreported, found.duplicated, found.reordered)
    return _cells((row.fault, row.level, *(f"{count:,}" for count in counts), milliseconds(found.recoveries)))


def _cells(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def table(lines: Sequence[Line]) -> str:
    """The table, and under it what else there is to say."""
    text = [_cells(COLUMNS), _cells(tuple("---" for _ in COLUMNS)), *map(cells, lines)]
    return "\n".join((*text, "", *remarks(lines)))


def remarks(lines: Sequence[Line]) -> list[str]:
    """Take-overs, notes, promises that did not hold, and what was not run."""
    found = []
    for line in lines:
        row, outcome = line.row, line.outcome
        said = list(dict.fromkeys(outcome.notes))[:3]
        if row.why_no_harm:
            said.append(row.why_no_harm)
        if outcome.takeovers:
            said.insert(0, f"{len(outcome.takeovers)} take-overs, {milliseconds(outcome.takeovers)} ms")
        if outcome.told:
            said.append(f"gap told {milliseconds(outcome.told)} ms after the path was back")
        if line.missing:
            said.append(f"not run: {line.missing}")
        said += [f"**{broken}**" for broken in line.broken]
        if said:
            found.append(f"- {row.fault}, {row.level}: {'; '.join(said)}")
    return found
