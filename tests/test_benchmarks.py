"""Benchmarks: every row can be measured, nothing is lost on the way, and the table is written whole. Never a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import bus, report
from benchmarks.figures import Figure, Group, Trial, at_least, at_most, of
from benchmarks.runner import TrialFailed, measure, run_trial

ROOT = Path(__file__).parent.parent

GROUPS = {group.key: group for group in bus.groups()}


@pytest.mark.parametrize("key", GROUPS)
def test_every_row_is_measured_and_nothing_is_lost(key: str) -> None:
    group = GROUPS[key]

    measured = measure([group], rounds=1, is_quick=True)

    assert [one.figure for one in measured] == list(group.figures)
    assert all(one.rounds == 1 and one.value >= 0 for one in measured if "grows" not in one.figure.title)
    never = [one for one in measured if one.figure.is_worst and one.figure.unit == ""]
    assert [one.value for one in never] == [0] * len(never)


def test_groups_are_told_apart_by_their_names_and_lines_by_their_titles() -> None:
    titles = [figure.title for group in bus.groups() for figure in group.figures]

    assert len(GROUPS) == len(bus.groups())
    assert len(set(titles)) == len(titles)


def test_readme_names_every_row() -> None:
    text = report.README.read_text("utf-8")

    assert [key for key in GROUPS if f"`{key}`" not in text] == []


def test_a_figure_is_the_median_of_its_rounds_or_the_worst() -> None:
    rounds = [{"fast": {"ms": value}} for value in (9.0, 1.0, 2.04)]

    usual = Figure("time", of("fast", "ms"), "ms", at_most(2), at_most(1), digits=1).measure(rounds)
    worst = Figure("lost", of("fast", "ms"), must=at_most(8), digits=0, is_worst=True).measure(rounds)

    assert (usual.value, usual.least, usual.most, usual.rounds, usual.verdict) == (2.0, 1.0, 9.0, 3, "met")
    assert (worst.value, worst.verdict) == (9, "**missed**")


@pytest.mark.parametrize(("value", "verdict"), [(0.74, "**missed**"), (0.75, "met"), (0.9, "met, aim too")])
def test_a_verdict_says_must_and_aim(value: float, verdict: str) -> None:
    figure = Figure("of raw", of("fast", "x"), "x", at_least(0.75), at_least(0.9))

    assert figure.measure([{"fast": {"x": value}}]).verdict == verdict


def test_compared_trials_are_run_forwards_and_then_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run(trial: Trial, is_quick: bool) -> dict[str, float]:
        ran.append(trial.name)
        return {"x": 1}

    monkeypatch.setattr("benchmarks.runner.run_trial", run)
    measure([Group("three", [Trial(name, "idle") for name in "ABC"], [], rounds=2)])

    assert ran == ["A", "B", "C", "C", "B", "A"]


def test_a_trial_that_fails_says_what_it_said() -> None:
    with pytest.raises(TrialFailed, match="no_such_trial"):
        run_trial(Trial("x", "no_such_trial"))


def test_the_table_goes_between_its_markers_and_nowhere_else(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    begin, end = "<!-- bus: written by scripts/bench bus --write -->", "<!-- end of bus -->"
    path.write_text(f"before\n{begin}\n\nold\n\n{end}\nafter\n")
    measured = Figure("of raw", of("fast", "x"), "x", at_least(0.75)).measure([{"fast": {"x": 0.8}}])

    report.write("bus", report.table([measured]), path)
    once = path.read_text()
    report.write("bus", report.table([measured]), path)

    assert once.startswith(f"before\n{begin}\n\n| figure |")
    assert "\n| of raw | at least 0.75 |  | 0.80 x | 0.80 to 0.80 | 1 | met |\n" in once
    assert once.endswith(f"\n\n{end}\nafter\n")
    assert "old" not in once
    assert path.read_text() == once
    with pytest.raises(ValueError, match="no lines"):
        report.write("other", "text", path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bus", "--only", "nothing"], "no row nothing; there are throughput-100B"),
        (["bus", "--quick", "--write"], "leave out --only and --quick"),
        (["bus", "--rounds", "0"], "give 1 or more"),
        (["other"], "invalid choice"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_line(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )

    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
