"""To run trials: each in a fresh process, those that are compared in turn, forwards and then backwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Absent, Group, Measured, NotRun, Round, Trial

ROOT = Path(__file__).parent.parent
TIMEOUT = 120.0


class TrialFailed(Exception):
    """A trial gave no result; the text has what it said."""


def measure(
    groups: Sequence[Group],
    rounds: int | None = None,
    is_quick: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> list[Measured]:
    """Run all groups and give their figures, in order.

    Args:
        rounds: In place of each group's own number.
        is_quick: With tiny counts: it shows that everything works, not how fast.
        say: Told what is run now.
    """
    measured: list[Measured] = []
    for group in groups:
        done: list[Round] = []
        absent: dict[str, Absent] = {}
        count = rounds or group.rounds
        for number in range(count):
            say(f"{group.key}: round {number + 1} of {count}")
            done.append(_round(group, number, is_quick, absent))
        measured += [figure.measure(done) for figure in group.figures]
    return measured


def _round(group: Group, number: int, is_quick: bool, absent: dict[str, Absent]) -> Round:
    # A B C, then C B A: what the machine does meanwhile falls on all alike.
    trials = list(group.trials) if number % 2 == 0 else list(reversed(group.trials))
    found: dict[str, Mapping[str, float]] = {}
    for trial in trials:
        # What is missing now is missing in the next round too.
        if trial.name not in absent:
            try:
                found[trial.name] = run_trial(trial, is_quick)
            except NotRun as error:
                absent[trial.name] = Absent(str(error))
    return found | absent


def run_trial(trial: Trial, is_quick: bool = False) -> dict[str, float]:
    """Run one trial in a process of its own, with a runtime folder of its own.

    Raises:
        NotRun: It needs something that is not installed here.
        TrialFailed: It ended without a result, or did not end.
    """
    arguments: dict[str, Any] = dict(trial.arguments) | (dict(trial.quick) if is_quick else {})
    command = [sys.executable, "-m", "benchmarks.trials", trial.module, json.dumps(arguments)]
    # Not in a longer place: the path of a socket ends at 107 bytes.
    with tempfile.TemporaryDirectory(prefix="sb-") as folder, tempfile.TemporaryFile("w+") as heard:
        # Settings of a user would be measured too.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SHELLBOT_")}
        environment |= {"SHELLBOT_RUNTIME": folder, "TMPDIR": folder}
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=heard,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=TIMEOUT)
            except subprocess.TimeoutExpired:
                output = b""
            finally:
                # Its own group: nothing it started stays behind, also when we are interrupted.
                _end_group(process.pid)
            code = process.wait()
        heard.seek(0)
        said = heard.read()
    if code != 0 or not output:
        raise TrialFailed(f"{trial.module} {arguments} gave no result (exit code {code}):\n{said}")
    found: dict[str, float] | str = json.loads(output)
    if isinstance(found, str):
        raise NotRun(found)
    return found


def _end_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        # All have ended by themselves, as they should.
        pass
