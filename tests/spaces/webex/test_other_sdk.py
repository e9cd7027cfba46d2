"""The same on the other SDK. Both cannot be installed in one environment, so this makes one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOOLS = ("hypothesis", "pytest", "pytest-timeout", "pillow")


@pytest.mark.long
@pytest.mark.timeout(300)
def test_the_space_does_the_same_on_webexpythonsdk(tmp_path):
    core = re.findall(r"^(?!webexteamssdk)[\w-]+[><=].*$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    core = core[: core.index(next(line for line in core if line.startswith("axe-")))]
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", *core, *TOOLS, "webexpythonsdk"], check=True, timeout=240)
    without = subprocess.run([python, "-c", "import webexteamssdk"], capture_output=True, check=False)
    assert without.returncode != 0
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/spaces/webex"],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"\b\d\d+ passed", done.stdout)
    assert "skipped" not in done.stdout
