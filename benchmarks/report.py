"""The table of a bench, the stamp under it, and the place in README.md where both are written."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import zmq

from benchmarks.figures import Bound, Measured
from benchmarks.runner import ROOT

README = Path(__file__).parent / "README.md"
_COLUMNS = ("figure", "must", "aim", "measured", "spread", "rounds", "verdict")


def table(measured: Sequence[Measured]) -> str:
    """A Markdown table, one line per figure."""
    lines = [_COLUMNS, tuple("---" for _ in _COLUMNS)]
    for one in measured:
        figure = one.figure
        value, least, greatest = (_number(each, figure.digits) for each in (one.value, one.least, one.most))
        unit = f" {figure.unit}" if figure.unit else ""
        found = ("", "") if one.missing else (f"{value}{unit}", f"{least} to {greatest}")
        lines.append(
            (figure.title, _bound(figure.must), _bound(figure.aim), *found, str(one.rounds), one.verdict),
        )
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def _bound(bound: Bound | None) -> str:
    if bound is None:
        return ""
    return f"{'at least' if bound.is_least else 'at most'} {bound.value:g}"


def stamp(load: float, seconds: float) -> str:
    """What was measured, when and where.

    Args:
        load: Of the machine, just before.
        seconds: That it took.
    """
    commit = _git("rev-parse", "--short=12", "HEAD") + (", with changes that are not in it" if dirty() else "")
    now = datetime.datetime.now(datetime.UTC)
    return "\n".join(
        (
            f"- commit {commit}",
            f"- {now:%Y-%m-%d %H:%M} UTC, {seconds / 60:.1f} minutes, load before {load:.2f}",
            f"- {os.cpu_count()} cores, {_processor()}, {platform.system()} {platform.release()}",
            f"- Python {platform.python_version()}, pyzmq {zmq.pyzmq_version()}, libzmq {zmq.zmq_version()}",
        )
    )


def dirty() -> list[str]:
    """Files that are not as the last commit has them, other than the one that is written here."""
    kept = README.relative_to(ROOT).as_posix()
    return [line for line in _git("status", "--porcelain").splitlines() if line[2:].strip() != kept]


def write(name: str, text: str, path: Path = README) -> None:
    """Put text between the markers of this bench.

    Raises:
        ValueError: They are not there.
    """
    begin, end = f"<!-- {name}: written by scripts/bench {name} --write -->", f"<!-- end of {name} -->"
    whole = path.read_text("utf-8")
    found = re.search(rf"{re.escape(begin)}\n(.*?){re.escape(end)}\n", whole, re.DOTALL)
    if not found:
        raise ValueError(f"{path} has no lines '{begin}' and '{end}'; put them where the table belongs")
    path.write_text(f"{whole[: found.start()]}{begin}\n\n{text}\n\n{end}\n{whole[found.end() :]}", "utf-8")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.rstrip("\n")


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.machine()
