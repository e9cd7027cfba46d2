"""The tutorial is followed: each block is run, or written, as its reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/tutorial.md").read_text()
# What was said just before, the language, and what stands in the block.
BLOCKS = re.findall(r"([^\n]*\n?[^\n]*)\n\n```(\w+)\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [number for number, (_, language, _) in enumerate(BLOCKS) if language == "sh"]


def output_of(number):
    """What the page shows below a command; None when it shows nothing."""
    before, language, text = BLOCKS[number + 1] if number + 1 < len(BLOCKS) else ("", "", "")
    return text if language == "text" and not before else None


def path_in(before):
    named = re.findall(r"`([\w/]+\.\w+)`:$", before)
    return named[0] if named else None


@pytest.fixture
def reader(tmp_path):
    """A folder with what ``scripts/run`` has made, and the shell of who reads there."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("shellbot", "pytest"):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {name} "$@"\n')
        (programs / name).chmod(0o755)
    (programs / "activate").write_text(f'export PATH="{programs}:$PATH"\n')

    def run(text):
        done = subprocess.run(
            ["/bin/sh", "-ec", text if ".venv" in text else f". .venv/bin/activate\n{text}"],
            capture_output=True,
            text=True,
            timeout=19,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "PYTEST_ADDOPTS": "-p no:cacheprovider"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def follow(folder, reader, number):
    """Do what stands on the page before this block; commands that leave nothing behind are left out."""
    for before, language, text in BLOCKS[:number]:
        path = path_in(before)
        if language == "sh":
            if "shellbot init" in text:
                reader(text)
        elif path and "Add this" in before:
            file = folder / path
            file.write_text(f"{file.read_text()}\n\n{text}")
        elif path and (folder / path).exists():
            assert (folder / path).read_text() == text, f"the page shows another {path}"
        elif path:
            (folder / path).write_text(text)


@pytest.mark.parametrize("number", COMMANDS)
def test_a_command_of_the_tutorial_does_what_the_page_says(tmp_path, reader, number):
    follow(tmp_path, reader, number)
    told = reader(BLOCKS[number][2])
    if (shown := output_of(number)) is not None:
        # Each channel has its own order; between two there is none.
        assert sorted(told.splitlines()) == sorted(shown.splitlines())
    elif "pytest" in BLOCKS[number][2]:
        assert re.search(r"^\d+ passed", told, re.MULTILINE)


def test_each_block_is_run_written_or_compared():
    assert len(COMMANDS) >= 6
    for number, (before, language, _) in enumerate(BLOCKS):
        is_output = language == "text" and number - 1 in COMMANDS and output_of(number - 1) is not None
        assert language == "sh" or path_in(before) or is_output, before
    assert len(BLOCKS) == PAGE.count("\n```") / 2
