"""Processes are killed, stopped and continued, and only those that were named."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shellbot.testing import kill, kill_every, stopped
from tests.processes import started

PARROT = "import sys; [print(line, end='', flush=True) for line in sys.stdin]"
SLEEPER = "import signal; signal.pause()"


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def ask(parrot: subprocess.Popen[str]) -> str:
    assert parrot.stdin is not None
    assert parrot.stdout is not None
    parrot.stdin.write("hello\n")
    parrot.stdin.flush()
    return parrot.stdout.readline()


class Supervised:
    """A process that is started again when it has ended; that is looked at when somebody asks who is there."""

    def __init__(self, lives: int = 1000) -> None:
        self.all: list[subprocess.Popen[bytes]] = []
        self.lives = lives

    def find(self) -> int | None:
        if not self.all or self.all[-1].poll() is not None:
            if len(self.all) == self.lives:
                return None
            self.all.append(subprocess.Popen([sys.executable, "-c", SLEEPER]))
        return self.all[-1].pid

    @property
    def codes(self) -> list[int | None]:
        return [process.poll() for process in self.all]


@pytest.fixture
def supervised() -> Iterator[Supervised]:
    made = Supervised()
    yield made
    for process in made.all:
        process.kill()
        process.wait()


# --- kill


@pytest.mark.parametrize("named", [lambda process: process, lambda process: process.pid])
def test_a_killed_process_has_ended_when_the_call_returns(named):
    with started("-c", SLEEPER) as process:
        kill(named(process))
        assert process.poll() == -signal.SIGKILL


def test_a_process_of_multiprocessing_is_killed():
    process = multiprocessing.Process(target=signal.pause)
    process.start()
    kill(process)
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_a_stopped_process_is_killed_all_the_same():
    with started("-c", SLEEPER) as process:
        with stopped(process):
            kill(process)
        assert process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("pid", [0, -1, 1, os.getpid(), -os.getpid()], ids=["0", "-1", "1", "own", "own group"])
def test_groups_and_oneself_are_refused(pid):
    with pytest.raises(ValueError):
        kill(pid)
    with pytest.raises(ValueError):
        with stopped(pid):
            pass


def test_who_has_ended_or_not_begun_is_not_there():
    with started("-c", "pass") as process:
        process.communicate()
        for gone in (process, process.pid, multiprocessing.Process(target=signal.pause)):
            with pytest.raises(ProcessLookupError):
                kill(gone)


# --- stopped


def test_a_process_stands_still_and_goes_on_after_the_block():
    with started("-c", PARROT) as parrot:
        assert ask(parrot) == "hello\n"
        with stopped(parrot) as pid:
            assert (pid, state(pid)) == (parrot.pid, "T")
        assert ask(parrot) == "hello\n"


def test_it_goes_on_also_when_the_block_raises():
    with started("-c", PARROT) as parrot:
        with pytest.raises(ZeroDivisionError):
            with stopped(parrot):
                1 / 0  # noqa: B018
        assert ask(parrot) == "hello\n"


# --- kill_every


def test_each_successor_is_killed_in_turn_and_the_last_one_lives(supervised):
    with kill_every(supervised.find, 0.01, 3) as killing:
        kills = killing.wait(15)
    first, second, third, last = (process.pid for process in supervised.all)
    assert [(one.pid, one.successor) for one in kills] == [(first, second), (second, third), (third, last)]
    assert all(one.killed_at < one.back_at for one in kills)
    assert supervised.codes == [-signal.SIGKILL] * 3 + [None]


def test_each_lives_for_the_time_given_at_least(supervised):
    with kill_every(supervised.find, 0.1, 2) as killing:
        first, second = killing.wait(15)
    assert second.killed_at - first.back_at >= 0.1


def test_when_nobody_comes_back_it_says_so(supervised):
    supervised.lives = 1
    with kill_every(supervised.find, 0.0, 2, patience=0.05) as killing:
        with pytest.raises(TimeoutError, match="nobody; kills done: 0"):
            killing.wait(15)


def test_when_the_killed_one_is_still_named_it_says_so():
    with started("-c", SLEEPER) as process:
        with kill_every(lambda: process.pid, 0.0, 2, patience=0.05) as killing:
            with pytest.raises(TimeoutError, match=f"still {process.pid}"):
                killing.wait(15)


def test_what_goes_wrong_in_finding_is_raised_also_where_nobody_waited():
    called = threading.Event()

    def find() -> int:
        called.set()
        raise LookupError("no such file")

    with pytest.raises(LookupError, match="no such file"):
        with kill_every(find, 0.0, 1):
            called.wait()


def test_leaving_the_block_ends_the_killing(supervised):
    with kill_every(supervised.find, 3600, 1):
        began = time.monotonic()
        while not supervised.all:
            assert time.monotonic() < began + 10
            os.sched_yield()
    assert supervised.codes == [None]


def test_who_ended_before_its_turn_is_not_looked_for_under_its_number():
    with started("-c", PARROT) as parrot:
        asked = []

        def find() -> int:
            asked.append(parrot.pid)
            return parrot.pid

        with kill_every(find, 0.3, 1) as killing:
            while not asked:
                os.sched_yield()
            parrot.communicate()  # it has ended and is nobody's number any more
            with pytest.raises(ProcessLookupError):
                killing.wait(15)
        assert parrot.returncode == 0
