"""A program of a scene and whoever tells it what to do: JSON values, one a line, over its standard input and output."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, Self

ROOT = Path(__file__).parents[2]
PATIENCE = 15.0


class Program:
    """A module run by another interpreter in a process group of its own; killed with all it started at the end.

    Args:
        first: What it is told first.
        environment: In place of this process's.
    """

    def __init__(self, module: str, first: Any, environment: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self.process.pid
        self._read = b""
        self.tell(first)

    def tell(self, what: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self, timeout: float = PATIENCE) -> Any:
        """What it says next.

        Raises:
            TimeoutError: Nothing.
            EOFError: It has ended.
        """
        assert self.process.stdout is not None
        deadline = monotonic() + timeout
        while b"\n" not in self._read:
            if not select.select([self.process.stdout], [], [], max(0.0, deadline - monotonic()))[0]:
                raise TimeoutError(f"process {self.pid} says nothing for {timeout:g} s")
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise EOFError(f"process {self.pid} has ended")
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return json.loads(line)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """The program and all that it started, at once."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    # What it was told last it did not read.
                    pass


class Orders:
    """The program's own side."""

    def __init__(self) -> None:
        self._read = b""
        self._is_over = False

    def __iter__(self) -> Iterator[Any]:
        """What is told, until there is nobody any more."""
        while (order := self.take(None)) is not None:
            yield order

    def take(self, timeout: float | None = 0.0) -> Any:
        """What is told next; None when nothing is in this time."""
        while b"\n" not in self._read:
            if self._is_over or not select.select([0], [], [], timeout)[0]:
                return None
            data = os.read(0, 65536)
            self._is_over = not data
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return json.loads(line)

    @property
    def are_there(self) -> bool:
        """Whether something was told that was not taken yet, or nobody will tell anything any more."""
        return b"\n" in self._read or bool(select.select([0], [], [], 0)[0])


def say(what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()
