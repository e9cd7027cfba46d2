"""Kill, stop and continue real processes, and only those that were named."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

PAUSE = 0.002  # seconds between looks at what other processes do: there is nothing to wait on


class HasPid(Protocol):
    """A ``multiprocessing.Process``, a ``subprocess.Popen``, a ``Publisher``, a ``Server``."""

    @property
    def pid(self) -> int | None: ...


Process = int | HasPid


def kill(process: Process, *, timeout: float = 5.0) -> None:
    """End it with -9; returns when it has ended, a child of ours perhaps still to be joined.

    Raises:
        ProcessLookupError: It is not there.
        TimeoutError: It is still there.
    """
    with _Held(process) as held:
        held.send(signal.SIGKILL)
        held.wait_gone(timeout)


@contextmanager
def stopped(process: Process, *, timeout: float = 5.0) -> Iterator[int]:
    """Stop it (SIGSTOP) for the length of a ``with``; gives its pid. At the end it goes on, whatever happened.

    Raises:
        ProcessLookupError: It is not there.
        TimeoutError: It did not stop.
    """
    with _Held(process) as held:
        try:
            held.send(signal.SIGSTOP)
            held.wait_stopped(timeout)
            yield held.pid
        finally:
            try:
                held.send(signal.SIGCONT)
            except ProcessLookupError:
                pass


@dataclass(frozen=True, slots=True)
class Kill:
    """One of many kills.

    Attributes:
        pid: Who was killed, at ``killed_at`` on ``time.monotonic()``.
        successor: Who was there afterwards, first seen at ``back_at``.
    """

    pid: int
    killed_at: float
    successor: int
    back_at: float


class kill_every:
    """Kill whoever ``find_pid()`` names, wait until somebody else is named, and again: in a thread, for a ``with``.

    ::

        with kill_every(lambda: hub_pid(folder), 0.2, times=10) as killing:
            ...
            killing.wait()

    Args:
        find_pid: Gives a pid or a process, or None while there is nobody. Called in the thread.
        every: Seconds between the moment somebody is seen and the kill.
        times: Kills; then it is done.
        patience: Seconds to wait for somebody to be there.

    Attributes:
        kills: Those whose successor has been seen.
    """

    def __init__(
        self, find_pid: Callable[[], Process | None], every: float, times: int, *, patience: float = 10.0
    ) -> None:
        self.kills: list[Kill] = []
        self._find_pid = find_pid
        self._every = every
        self._times = times
        self._patience = patience
        self._is_over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="kill_every", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error

    def wait(self, timeout: float | None = None) -> list[Kill]:
        """Return all kills, once they are done and the last successor is there.

        Raises:
            TimeoutError: Not done in time, or nobody came back within the patience.
            Exception: What ``find_pid()`` raised.
        """
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"{len(self.kills)} of {self._times} kills are done after {timeout:g} s")
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return self.kills

    def _run(self) -> None:
        try:
            victim = self._wait_for_other_than(None)
            while victim is not None and len(self.kills) < self._times:
                with victim:
                    if self._is_over.wait(self._every):
                        return
                    killed_at = time.monotonic()
                    victim.send(signal.SIGKILL)
                    victim.wait_gone(self._patience)
                successor = self._wait_for_other_than(victim.pid)
                if successor is not None:
                    self.kills.append(Kill(victim.pid, killed_at, successor.pid, time.monotonic()))
                victim = successor
            if victim is not None:
                victim.close()
        except Exception as error:
            self._error = error

    def _wait_for_other_than(self, former: int | None) -> _Held | None:
        """Whoever is named and there; None once this is over."""
        until = time.monotonic() + self._patience
        while not self._is_over.is_set():
            found = self._find_pid()
            if found is not None and _pid(found) != former:
                try:
                    return _Held(found)
                except ProcessLookupError:
                    pass
            if time.monotonic() > until:
                instead = "nobody" if found is None else f"still {_pid(found)}"
                raise TimeoutError(f"after {self._patience:g} s there is {instead}; kills done: {len(self.kills)}")
            self._is_over.wait(PAUSE)
        return None


class _Held:
    """One process, by a descriptor where the system has them: no signal reaches another that got its number since."""

    def __init__(self, process: Process) -> None:
        self.pid = _pid(process)
        self._descriptor = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else None
        if _has_been_joined(process):
            self.close()
            raise ProcessLookupError(f"process {self.pid} has ended, its number may be another's now")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def send(self, number: signal.Signals) -> None:
        if self._descriptor is not None:
            signal.pidfd_send_signal(self._descriptor, number)
        else:
            os.kill(self.pid, number)

    def wait_gone(self, timeout: float) -> None:
        if self._descriptor is not None:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            is_gone = bool(poll.poll(timeout * 1000))
        else:
            is_gone = _wait(lambda: not _is_there(self.pid), timeout)
        if not is_gone:
            raise TimeoutError(f"process {self.pid} is still there {timeout:g} s after it was killed")

    def wait_stopped(self, timeout: float) -> None:
        if not _wait(lambda: _states(self.pid) <= set("tTZX"), timeout):
            raise TimeoutError(f"process {self.pid} has not stopped after {timeout:g} s")


def _pid(process: Process) -> int:
    pid = process if isinstance(process, int) else process.pid
    if pid is None:
        raise ProcessLookupError("this process has not been started")
    if pid <= 1 or pid == os.getpid():
        raise ValueError(f"{pid} is a group of processes, the system's first one, or this one: it is not killed")
    return pid


def _has_been_joined(process: Process) -> bool:
    # A Popen knows it as returncode, a multiprocessing.Process as exitcode; asking the latter looks, and may join.
    return any(getattr(process, name, None) is not None for name in ("returncode", "exitcode"))


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    states = _states(pid)
    return not states or not states <= set("ZX")


def _states(pid: int) -> set[str]:
    """Of all its threads, where the system tells."""
    states = set()
    for path in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            states.add(path.read_text().rpartition(")")[2].split()[0])
        except OSError:
            pass  # this thread has ended
    return states


def _wait(condition: Callable[[], bool], timeout: float) -> bool:
    until = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(PAUSE)
    return True
