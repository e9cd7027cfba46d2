"""Threads of the bus that mostly sleep have short slices; those of the program keep what they had."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from shellbot.bus.bus import Bus
from shellbot.bus.slices import SLICE_NS, attributes, short_slices
from shellbot.context import Context

_SLICE = 5


def slices(pid: int) -> list[int]:
    """Of the threads of a process, the main one first."""
    threads = sorted(int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir())
    return [found[_SLICE] for thread in threads if (found := attributes(thread)) is not None]


@pytest.fixture(autouse=True)
def _can_tell() -> None:
    found = attributes()
    if found is None or not found[_SLICE]:
        pytest.skip("needs Linux 6.12 or newer, which tells and shortens slices")


def test_all_threads_of_the_publisher_process_come_soon(tmp_path: Path) -> None:
    with Bus(Context({"bus": {"address": f"ipc://{tmp_path}/b"}})).publish() as publisher:
        assert publisher.pid is not None
        found = slices(publisher.pid)
        assert len(found) > 1
        assert set(found) == {SLICE_NS}


def test_a_program_that_subscribes_is_scheduled_as_before(tmp_path: Path) -> None:
    before = attributes()
    bus = Bus(Context({"bus": {"address": f"ipc://{tmp_path}/b"}}))
    with bus.publish() as publisher, bus.subscribe("room") as subscriber:
        subscriber.wait_ready(5)
        publisher.put("room", 1)
        assert subscriber.get(block=True, timeout=5) == 1
        assert attributes() == before
        mine = threading.get_native_id()
        assert attributes(mine) == before
        # The one that reads the socket.
        assert SLICE_NS in slices(os.getpid())


def test_they_are_given_back_also_when_something_fails() -> None:
    def fail() -> None:
        with short_slices():
            found = attributes()
            assert found is not None
            assert found[_SLICE] == SLICE_NS
            raise ValueError("on purpose")

    before = attributes()
    with pytest.raises(ValueError, match="on purpose"):
        fail()
    assert attributes() == before
