"""The threads of ZeroMQ that only hand on do not interrupt who woke them; those of the program are as they were."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest

from shellbot.bus.batch import batch_threads
from shellbot.bus.bus import Bus
from shellbot.context import Context

pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="needs Linux")


def is_as_promised(pid: int) -> bool:
    """Whether all threads of a process that ZeroMQ has started, and only those, are of SCHED_BATCH."""
    threads = [(entry.joinpath("comm").read_text(), int(entry.name)) for entry in Path(f"/proc/{pid}/task").iterdir()]
    of_zeromq = {thread for name, thread in threads if name.startswith("ZMQbg")}
    batch = {thread for _, thread in threads if os.sched_getscheduler(thread) == os.SCHED_BATCH}
    return bool(of_zeromq) and batch == of_zeromq


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


def test_where_it_is_not_allowed_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    with batch_threads():
        policy = os.sched_getscheduler(0)
    assert policy == os.SCHED_OTHER


def test_who_has_chosen_for_himself_keeps_that() -> None:
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        with batch_threads():
            pass
        assert os.sched_getscheduler(0) == os.SCHED_BATCH
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


if __name__ == "__main__":
    with Bus(Context({"bus": {"address": sys.argv[1]}})).subscribe("room") as subscriber:
        subscriber.wait_ready(5)
        wait_until_as_promised(os.getpid())
