"""Benchmarks: every row can be measured, nothing is lost on the way, and the table is written whole. Never a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import bus, others, report
from benchmarks.figures import Figure, Group, NotRun, Trial, at_least, at_most, of, ratio
from benchmarks.messages import FIRST, Tally
from benchmarks.runner import TrialFailed, measure, run_trial

ROOT = Path(__file__).parent.parent

GROUPS = {group.key: group for group in bus.groups()}


@pytest.mark.parametrize("key", [key for key in GROUPS if key != bus.OTHERS])
def test_every_row_is_measured_and_nothing_is_lost(key: str) -> None:
    group = GROUPS[key]

    measured = measure([group], rounds=1, is_quick=True)

    assert [one.figure for one in measured] == list(group.figures)
    assert [one.missing for one in measured if one.missing] == []
    assert all(one.rounds == 1 and one.value >= 0 for one in measured if "grows" not in one.figure.title)
    never = [one for one in measured if one.figure.is_worst and one.figure.unit == ""]
    assert [one.value for one in never] == [0] * len(never)


def test_rows_of_other_systems_are_measured_where_they_are_installed() -> None:
    measured = measure([GROUPS[bus.OTHERS]], rounds=1, is_quick=True)

    assert all(one.rounds == 1 and one.value >= 0 for one in measured if not one.missing)
    if missing := sorted({one.missing for one in measured if one.missing}):
        # Also with --all: shellbot needs none of them.
        pytest.skip("; ".join(missing))


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


def test_what_cannot_be_run_here_says_why_and_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def run(trial: Trial, is_quick: bool) -> dict[str, float]:
        tried.append(trial.name)
        if trial.name == "other":
            raise NotRun("no server here")
        return {"rate": 2.0}

    monkeypatch.setattr("benchmarks.runner.run_trial", run)
    figures = [
        Figure("of other", ratio("ours", "other", "rate"), "x", at_least(1)),
        Figure("ours", of("ours", "rate"), "k/s", at_least(1)),
    ]
    measured = measure([Group("two", [Trial(name, "idle") for name in ("ours", "other")], figures, rounds=3)])

    assert [(one.rounds, one.is_missed, one.verdict) for one in measured] == [
        (0, False, "not run: no server here"),
        (3, False, "met"),
    ]
    assert tried.count("other") == 1
    assert "| of other | at least 1 |  |  |  | 0 | not run: no server here |" in report.table(measured)


def test_a_package_that_is_missing_is_said_by_the_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Goes before the real one, where that is installed.
    (tmp_path / "nats.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    trial = Trial("x", "throughput", {"system": "nats", "transport": "nats", "size": 100, "count": 10})

    with pytest.raises(NotRun, match="no package nats-py here; scripts/bench bus installs it"):
        run_trial(trial)


def test_a_server_that_is_not_installed_is_named_with_the_remedy() -> None:
    with pytest.raises(NotRun, match="apt-get install no-such-server"):
        with others.server("no-such-server", [], "ready"):
            pass


def test_packages_of_others_are_installed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    wanted = tmp_path / "requirements.txt"
    monkeypatch.setattr(others, "FOLDER", tmp_path / "others")
    monkeypatch.setattr(others, "REQUIREMENTS", wanted)

    wanted.write_text("./nowhere\n")
    others.install(said.append)
    wanted.write_text("# nothing\n")
    others.install(said.append)
    others.install(said.append)

    assert [line.split(" ")[:3] for line in said] == [
        ["installing", "into", str(tmp_path / "others")],
        ["could", "not", "install"],
        ["installing", "into", str(tmp_path / "others")],
    ]


def test_a_reader_tells_lost_from_late_and_from_twice() -> None:
    tally, wanted = Tally(), FIRST

    for number in (0, 1, 2, 5, 3, 3, 6):
        wanted = wanted + 1 if FIRST + number == wanted else tally.judge(FIRST + number, wanted)

    assert wanted == FIRST + 7
    assert tally.counted()[1:] == (1, 1, 1)


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
