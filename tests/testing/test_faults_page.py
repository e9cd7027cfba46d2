"""The part on faults of the page on testing says what is so."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from shellbot import testing
from shellbot.testing import Kill, Verdict
from shellbot.testing.relay import Counts
from tests.bus.conftest import free_tcp_address

PAGE = (Path(__file__).parents[2] / "docs/testing.md").read_text()


def test_the_example_runs(tmp_path):
    (example,) = re.findall(r"~~~python\n(.*?)~~~", PAGE, re.DOTALL)
    file = tmp_path / "test_faults.py"
    file.write_text(example.replace("tcp://127.0.0.1:5555", free_tcp_address()))  # 5555 may be taken on this machine
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=19, check=False, cwd=tmp_path)
    assert "1 passed" in done.stdout, done.stdout


def test_every_public_name_and_every_fault_is_on_it():
    words = set(re.findall(r"\w+", PAGE))
    faults = {name for name in vars(testing.FaultProxy) if not name.startswith("_")} - {"start", "close"}
    figures = {field.name for kind in (Counts, Kill, Verdict) for field in fields(kind)}
    assert words >= {*testing.__all__} - {"Dialogue", "ServerEnded"} | faults | figures
