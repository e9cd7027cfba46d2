"""Faults of processes and sockets of the bus: rows B2, B3, B5 to B8 of docs/faults.md."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from shellbot.bus import Bus
from shellbot.context import Context
from shellbot.errors import AddressInUse, BadAddress
from tests.bus.conftest import Buses, free_tcp_address, short_folder
from tests.bus.watching import ROOT, Program, is_gone, state_of, wait_until

ENDS = "tests.faults.programs.bus_ends"
METHODS = ["fork", "spawn", "forkserver"]


__all__ = ["short_folder"]


@pytest.fixture
def tcp() -> Iterator[Buses]:
    made = Buses(free_tcp_address())
    yield made
    made.close()


def gone_within(pids: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if all(map(is_gone, pids)):
            return True
        time.sleep(0.01)
    return False


def test_b02_a_plain_daemon_child_is_orphaned() -> None:
    """The harm that is repaired: daemon=True alone leaves the child behind when the parent gets SIGTERM."""
    code = (
        "import multiprocessing, time\n"
        "child = multiprocessing.Process(target=time.sleep, args=(60,), daemon=True)\n"
        "child.start(); print(child.pid, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            parent.terminate()
            parent.wait(5)
            assert not is_gone(child)
        finally:
            os.kill(child, signal.SIGKILL)


@pytest.mark.alone
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP], ids=lambda number: number.name)
def test_b02_no_publisher_outlives_its_parent(
    method: str, number: signal.Signals, request: pytest.FixtureRequest
) -> None:
    """Two publishers on two addresses: under fork, the second has copies of the ends of the first."""
    if number == signal.SIGHUP:
        # Under nohup it is ignored, and a program inherits that.
        before = signal.signal(number, signal.SIG_DFL)
        request.addfinalizer(lambda: signal.signal(number, before))
    with Program(ENDS, method, "sleep", free_tcp_address(), free_tcp_address()) as program:
        pids = [int(pid) for pid in program.line().split()]
        assert len(pids) == 2
        assert not any(map(is_gone, pids))
        os.kill(program.pid, number)
        assert gone_within(pids, 1.0)


def test_b02_sigterm_to_the_publisher_drains_it(tcp: Buses) -> None:
    publisher = tcp.publisher()
    subscriber = tcp.subscriber("a", ready=True)
    os.kill(publisher.pid or 0, signal.SIGSTOP)
    for number in range(500):
        publisher.put("a", number)
    publisher.terminate()
    os.kill(publisher.pid or 0, signal.SIGCONT)
    assert [subscriber.get(block=True, timeout=5) for _ in range(500)] == list(range(500))
    publisher.join(10)
    assert publisher.exitcode == 0


@pytest.mark.parametrize("method", METHODS)
def test_b03_ctrl_c_with_a_thousand_queued_loses_none(tcp: Buses, method: str) -> None:
    subscriber = tcp.subscriber("room-1")
    with Program(ENDS, method, "interrupt", tcp.address) as program:
        publisher = int(program.line())
        subscriber.wait_ready(10)
        os.kill(publisher, signal.SIGSTOP)
        wait_until(lambda: state_of(publisher) == "T")
        os.kill(program.pid, signal.SIGUSR1)
        assert program.line() == "queued"
        program.signal_group(signal.SIGINT)
        os.kill(publisher, signal.SIGCONT)
        assert [subscriber.get(block=True, timeout=5) for _ in range(1000)] == list(range(1000))
        assert program.wait(10) == 130
        assert is_gone(publisher)
        assert program.errors() == ""


def test_b05_an_address_in_use_is_told_at_start(tcp: Buses) -> None:
    context: zmq.Context[Any] = zmq.Context()
    stranger = context.socket(zmq.REP)
    stranger.bind(tcp.address)
    publisher = Bus(tcp.context()).publish()
    with pytest.raises(AddressInUse) as caught:
        publisher.start()
    assert caught.value.address == tcp.address
    assert isinstance(caught.value, OSError)
    assert not publisher.is_alive()
    stranger.close(0)
    context.term()


def test_b06_libzmq_lets_a_second_bind_steal_a_path(tmp_path: Path) -> None:
    """The harm that is repaired."""
    context: zmq.Context[Any] = zmq.Context()
    first, second = context.socket(zmq.PUB), context.socket(zmq.PUB)
    first.bind(f"ipc://{tmp_path}/x")
    second.bind(f"ipc://{tmp_path}/x")
    first.close(0)
    second.close(0)
    context.term()


def test_b06_nobody_steals_a_path_from_us(short_folder: Path) -> None:
    link = short_folder / "link"
    link.symlink_to(short_folder)
    with Bus(Context({"bus": {"address": f"ipc://{short_folder}/bus"}})).publish() as publisher:
        subscriber = Bus(publisher.context).subscribe("a")
        subscriber.wait_ready(10)
        for path in (short_folder / "bus", link / "bus"):
            with Bus(Context({"bus": {"address": f"ipc://{path}"}})).publish() as other:
                other.put("a", "by the same way out")
                assert subscriber.get(block=True, timeout=5) == "by the same way out"
        publisher.put("a", "still here")
        assert subscriber.get(block=True, timeout=5) == "still here"
        assert subscriber.reconnects == 0
        subscriber.close()
    assert not (short_folder / "bus").exists()


def test_b07_a_path_left_by_a_kill_is_taken_again(short_folder: Path) -> None:
    buses = Buses(f"ipc://{short_folder}/bus")
    first = buses.publisher()
    subscriber = buses.subscriber("a", ready=True)
    first.kill()
    first.join(10)
    assert (short_folder / "bus").exists()
    assert (short_folder / "bus").stat().st_mode & 0o077 == 0
    second = buses.publisher()
    subscriber.wait_ready(10)
    second.put("a", 1)
    assert subscriber.get(block=True, timeout=5) == 1
    buses.close()


def test_b07_a_port_left_by_a_kill_is_taken_again(tcp: Buses) -> None:
    subscriber = tcp.subscriber("a")
    for number in range(3):
        publisher = tcp.publisher()
        subscriber.wait_ready(10)
        publisher.put("a", number)
        assert subscriber.get(block=True, timeout=5) == number
        publisher.kill()
        publisher.join(10)


def test_b08_libzmq_takes_addresses_for_others() -> None:
    """The harm that is repaired: what is bound is not what was asked for."""
    context: zmq.Context[Any] = zmq.Context()
    for asked, bound in (("tcp://127.0.0.1:99999", b"tcp://127.0.0.1:34463"), ("tcp://127.0.0.1: 5", b"")):
        one = context.socket(zmq.PUB)
        try:
            one.bind(asked)
        except zmq.ZMQError:
            # Somebody has that port, or it is not ours to take: it was tried all the same.
            pass
        else:
            assert not bound or one.getsockopt(zmq.LAST_ENDPOINT) == bound
        one.close(0)
    context.term()


@pytest.mark.parametrize(
    "url",
    [
        "tcp://*:99999",
        "tcp://127.0.0.1:-1",
        "tcp://127.0.0.1: 5",
        "tcp://127.0.0.1:0",
        "tcp://*",
        "ipc:///tmp/" + "x" * 104,
        "ipc:///missing/folder/x",
        "gopher://x",
    ],
)
def test_b08_bad_addresses_are_told_at_check(url: str) -> None:
    bus = Bus(Context({"bus": {"address": url}}))
    for use in (bus.check, bus.publish, lambda: bus.subscribe("a")):
        with pytest.raises(BadAddress):
            use()
