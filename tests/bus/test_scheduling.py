"""Threads that only hand on are polite where nobody computes, prompt where somebody does; others are as they were."""

from __future__ import annotations

import errno
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest

from shellbot.bus import scheduling
from shellbot.bus.bus import Bus
from shellbot.bus.scheduling import PERIOD, SLICE_NS, Handing, slice_of
from shellbot.context import Context

pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="needs Linux")


def threads_of(pid: int) -> tuple[set[int], set[int]]:
    """Those that ZeroMQ has started, and all others."""
    found: tuple[set[int], set[int]] = (set(), set())
    for entry in Path(f"/proc/{pid}/task").iterdir():
        found[not entry.joinpath("comm").read_text().startswith("ZMQbg")].add(int(entry.name))
    return found


def is_polite(thread: int) -> bool:
    return os.sched_getscheduler(thread) == os.SCHED_BATCH


def is_prompt(thread: int) -> bool:
    return os.sched_getscheduler(thread) == os.SCHED_OTHER and slice_of(thread) == SLICE_NS


def is_as_promised(pid: int) -> bool:
    """Whether ZeroMQ's threads are either; that depends on what else runs here. No other thread is polite."""
    ours, others = threads_of(pid)
    return bool(ours) and all(is_polite(one) or is_prompt(one) for one in ours) and not any(map(is_polite, others))


def wait_until_as_promised(pid: int) -> None:
    """Each thread gives itself its name, once it runs."""
    deadline = monotonic() + 10
    while not is_as_promised(pid):
        assert monotonic() < deadline
        sleep(0.01)


def test_in_the_process_that_sends_and_in_one_that_reads(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/b"
    with Bus(Context({"bus": {"address": address}})).publish() as publisher:
        found = subprocess.run([sys.executable, __file__, address], capture_output=True, text=True, check=False)
        assert (found.returncode, found.stderr) == (0, "")
        assert publisher.pid is not None
        wait_until_as_promised(publisher.pid)


def compute() -> None:
    while True:
        pass


@contextmanager
def full_machine() -> Iterator[None]:
    """Each processor has something to compute."""
    made = [multiprocessing.Process(target=compute, daemon=True) for _ in range(os.cpu_count() or 1)]
    try:
        for one in made:
            one.start()
        yield
    finally:
        for one in made:
            one.kill()
            one.join()


@pytest.mark.skipif(slice_of(0) == 0, reason="nothing tells of slices here")
def test_all_of_them_are_prompt_on_a_machine_that_is_full(tmp_path: Path) -> None:
    bus = Bus(Context({"bus": {"address": f"ipc://{tmp_path}/b"}}))
    with full_machine(), bus.publish() as publisher, bus.subscribe("room") as subscriber:
        subscriber.wait_ready(10)
        assert publisher.pid is not None
        pid, deadline, is_all = publisher.pid, monotonic() + 15, False
        while not is_all:
            assert monotonic() < deadline
            publisher.put("room", 1)
            assert subscriber.get(block=True, timeout=10) == 1
            sleep(0.005)
            ours = threads_of(os.getpid())[0] | threads_of(pid)[0] | {pid}
            is_all = all(map(is_prompt, ours))
        assert slice_of(threading.get_native_id()) != SLICE_NS


class Machine:
    """What the system tells of its processors."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = monotonic()
        self._idle = self._total = 0
        monkeypatch.setattr(scheduling, "_processors", lambda: (self._idle, self._total))

    def go_on(self, handing: Handing, share_idle: float, seconds: float = PERIOD) -> None:
        self._total += 1000
        self._idle += int(1000 * share_idle)
        self.now += seconds
        handing.adapt(self.now)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.fixture
def handing() -> Handing:
    return Handing()


@pytest.fixture
def sleeper(handing: Handing) -> Iterator[int]:
    """The one thread that hands on, beside ours."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait, daemon=True)
    with handing.starting(with_caller=True):
        thread.start()
    assert thread.native_id is not None
    yield thread.native_id
    handing.rest()
    over.set()
    thread.join()


@pytest.mark.skipif(slice_of(0) == 0, reason="nothing tells of slices here")
def test_they_change_with_the_machine_and_not_with_every_breath(
    machine: Machine, handing: Handing, sleeper: int
) -> None:
    caller, usual = threading.get_native_id(), slice_of(0)
    assert is_polite(sleeper)
    told = []
    for share in (0.9, 0.9, 0.65, 0.3, 0.65, 0.75, 0.65, 0.1):
        machine.go_on(handing, share)
        told.append(handing.is_prompt)
        assert is_prompt(sleeper) == is_prompt(caller) == handing.is_prompt
        assert is_polite(sleeper) != handing.is_prompt
    assert told == [False, False, False, True, True, False, False, True]
    handing.rest()
    assert (os.sched_getscheduler(caller), slice_of(caller)) == (os.SCHED_OTHER, usual)


def test_a_thread_that_somebody_else_starts_meanwhile_is_none_of_them(machine: Machine, handing: Handing) -> None:
    begin, over = threading.Event(), threading.Event()
    others: list[threading.Thread] = []

    def start_one() -> None:
        begin.wait()
        others.append(threading.Thread(target=over.wait, daemon=True))
        others[0].start()

    somebody = threading.Thread(target=start_one)
    somebody.start()
    sleeper = threading.Thread(target=over.wait, daemon=True)
    with handing.starting():
        begin.set()
        somebody.join()
        sleeper.start()
    try:
        for share in (0.9, 0.1, 0.1, 0.9):
            machine.go_on(handing, share)
        assert sleeper.native_id is not None
        assert others[0].native_id is not None
        assert is_polite(sleeper.native_id)
        assert not is_polite(others[0].native_id)
    finally:
        over.set()


def test_after_a_long_silence_nothing_is_concluded(machine: Machine, handing: Handing, sleeper: int) -> None:
    machine.go_on(handing, 0.9)
    machine.go_on(handing, 0.1, seconds=60)
    assert not handing.is_prompt


def test_who_hands_on_very_much_stays_polite(
    machine: Machine, handing: Handing, sleeper: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "_seconds", lambda thread: machine.now / 2)
    for _ in range(3):
        machine.go_on(handing, 0.1)
    assert not handing.is_prompt


def test_where_the_system_does_not_tell_nothing_is_changed(
    machine: Machine, handing: Handing, sleeper: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> tuple[int, int]:
        raise FileNotFoundError(errno.ENOENT, "No such file")

    monkeypatch.setattr(scheduling, "_processors", refuse)
    for _ in range(3):
        machine.go_on(handing, 0.1)
    assert not handing.is_prompt


def test_where_it_is_not_allowed_nothing_is_said(handing: Handing, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    with handing.starting():
        policy = os.sched_getscheduler(0)
    assert policy == os.SCHED_OTHER


def test_who_has_chosen_for_himself_keeps_that(machine: Machine, handing: Handing) -> None:
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        with handing.starting(with_caller=True):
            pass
        for share in (0.9, 0.1, 0.1):
            machine.go_on(handing, share)
        handing.rest()
        assert is_polite(threading.get_native_id())
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


if __name__ == "__main__":
    with Bus(Context({"bus": {"address": sys.argv[1]}})).subscribe("room") as subscriber:
        subscriber.wait_ready(5)
        wait_until_as_promised(os.getpid())
