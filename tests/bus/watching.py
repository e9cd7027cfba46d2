"""To watch processes from outside: wait for a condition, read a state, run a program in a group of its own."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]


def wait_until(condition: Callable[[], object], timeout: float = 10.0) -> None:
    """Return when the condition holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.002)


def state_of(pid: int) -> str:
    """The state letter of a process: S sleeps, T stopped, Z ended and not yet waited for; '' is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def is_gone(pid: int) -> bool:
    return state_of(pid) in ("", "Z")


class Program:
    """A module of ours run by another interpreter, in a process group of its own; killed with all its children."""

    def __init__(self, module: str, *arguments: Any) -> None:
        command = [sys.executable, "-X", "dev", "-W", "error", "-m", module, *map(str, arguments)]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self.process.pid
        self._read = b""

    def line(self, timeout: float = 15.0) -> str:
        """The next line it prints; what it said to standard error where it prints none."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + timeout
        while b"\n" not in self._read:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert data, f"no line; standard error: {self.errors()}"
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return line.decode()

    def errors(self) -> str:
        """What it said to standard error, once it is over."""
        assert self.process.stderr is not None
        self.kill()
        return self.process.stderr.read().decode()

    def signal_group(self, number: int) -> None:
        """As a terminal does for Ctrl-C."""
        os.killpg(self.pid, number)

    def wait(self, timeout: float = 15.0) -> int:
        return self.process.wait(timeout)

    def kill(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
