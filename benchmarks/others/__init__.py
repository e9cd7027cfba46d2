"""Other message systems, each from its own package and with its own server, at their best settings for speed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figures import NotRun

# Beside what shellbot itself needs, not in it: no test and no user sees these packages.
FOLDER = Path(__file__).parents[2] / ".venv" / "others"
REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"


def install(say: Callable[[str], None]) -> None:
    """Put the packages of requirements.txt into FOLDER, once. Where that fails it is said; their rows are not run."""
    wanted = f"{sys.version}\n{REQUIREMENTS.read_text('utf-8')}"
    stamp = FOLDER / "stamp"
    if stamp.is_file() and stamp.read_text("utf-8") == wanted:
        return
    say(f"installing into {FOLDER} (once)")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    command = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--target", str(FOLDER)]
    done = subprocess.run([*command, "--requirement", str(REQUIREMENTS)], capture_output=True, text=True, check=False)
    if done.returncode:
        say(f"could not install {REQUIREMENTS.name}: {done.stderr.strip()}")
    else:
        stamp.write_text(wanted, "utf-8")


def no_package(name: str) -> NotRun:
    return NotRun(f"no package {name} here; scripts/bench bus installs it where it can reach a package index")


@contextmanager
def server(name: str, arguments: Sequence[str], is_ready: str) -> Iterator[None]:
    """A server that serves until the block ends, in a folder of its own; begun when it has said ``is_ready``.

    Raises:
        NotRun: It is not installed.
    """
    # Debian puts some where only root looks.
    program = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
    if program is None:
        raise NotRun(f"no {name} here; apt-get install {name}")
    with tempfile.TemporaryDirectory(prefix="sb-") as folder:
        with subprocess.Popen(
            [program, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            try:
                said: list[str] = []
                for line in process.stdout:
                    said.append(line)
                    if is_ready in line:
                        break
                else:
                    raise RuntimeError(f"{name} ended before it was ready:\n{''.join(said)}")
                yield
            finally:
                process.terminate()
