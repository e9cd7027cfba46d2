"""The contracts on imports: each is broken on purpose, and must say so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import shellbot

ROOT = Path(shellbot.__file__).parent.parent
LINT = Path(sys.executable).parent / "lint-imports"

BREAKS = [
    ("floors", "context.py", "import shellbot.bus.bus"),
    ("floors", "codecs.py", "from shellbot.clocks import BaseClock"),
    ("floors", "stores/base.py", "from shellbot.spaces.base import Space"),
    ("floors", "roster.py", "from shellbot.outbox import Outbox"),
    ("floors", "utils.py", ""),
    ("root", "bot.py", "from shellbot import Context"),
    ("root", "agents/agent.py", "import shellbot"),
    ("pure", "events.py", "from time import monotonic"),
    ("pure", "polls/tally.py", "import asyncio"),
    ("pure", "polls/ballot.py", "from shellbot.stores.base import Store"),
    ("pure", "bus/frames.py", "import threading"),
    ("pure", "machines/input.py", "import time"),
    ("transports", "bus/transports/memory.py", "import shellbot.bus.transports.zmq"),
    ("stores", "stores/sqlite.py", "from shellbot.stores.memory import MemoryStore"),
    ("spaces", "spaces/memory.py", "from shellbot.spaces.console import ConsoleSpace"),
    ("zmq", "bus/bus.py", "import zmq"),
    ("prompt_toolkit", "spaces/base.py", "import prompt_toolkit"),
    ("yaml", "engine.py", "import yaml"),
    ("click", "engine.py", "import click"),
    ("flask", "engine.py", "import flask"),
    ("flask", "spaces/base.py", "from uvicorn import Server"),
    ("webex", "spaces/webex/space.py", "import webexteamssdk"),
    ("webex", "engine.py", "import requests"),
    ("websockets", "spaces/webex/space.py", "from websockets.asyncio.client import connect"),
    ("pure", "spaces/webex/cards.py", "import asyncio"),
    ("pure", "spaces/webex/hosts.py", "import socket"),
]


@pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="only in a checkout")
@pytest.mark.parametrize(("contract", "module", "line"), BREAKS)
def test_an_import_in_the_wrong_direction_breaks_its_contract(
    tmp_path: Path, contract: str, module: str, line: str
) -> None:
    shutil.copytree(ROOT / "shellbot", tmp_path / "shellbot", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / "shellbot" / module
    if not path.parent.exists():
        path.parent.mkdir()
        (path.parent / "__init__.py").touch()
    before = path.read_text("utf-8") if path.exists() else ""
    path.write_text(f"{before}\n{line}\n", "utf-8")

    done = subprocess.run(
        [LINT, "--no-cache", "--no-logo", "--contract", contract],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=18,
        check=False,
    )

    name = f"shellbot.{module.removesuffix('.py').replace('/', '.')}"
    assert done.returncode == 1, done.stdout + done.stderr
    assert "0 kept, 1 broken" in done.stdout
    assert name in done.stdout
