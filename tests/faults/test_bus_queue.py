"""Faults of those who put, and of the queue: rows A1 to A16 of docs/faults.md.

Where it can be done, a test first shows the harm: what happens to a program that has only the plain means.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import queue
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from shellbot.bus import Publisher
from shellbot.context import Context
from shellbot.errors import BusError, InvalidChannel, InvalidMessage, MessageTooLarge, NotRunning, QueueFull, TooDeep
from tests.bus.conftest import Buses, free_tcp_address
from tests.bus.watching import ROOT, Program, is_gone, state_of, wait_until

ENDS = "tests.faults.programs.bus_ends"
METHODS = ["fork", "spawn", "forkserver"]


@pytest.fixture
def tcp() -> Iterator[Buses]:
    made = Buses(free_tcp_address())
    yield made
    made.close()


def idle() -> Publisher:
    """A publisher that is not started: what is put stays where it can be looked at."""
    return Publisher(Context())


HOSTILE = st.one_of(st.none(), st.integers(), st.floats(), st.binary(), st.text(), st.sets(st.text()))


@given(st.one_of(HOSTILE, st.lists(HOSTILE), st.tuples(HOSTILE, HOSTILE)))
def test_a01_hostile_channels_are_refused_whole(channels: Any) -> None:
    publisher = idle()
    before = publisher.fan.queued_bytes
    try:
        publisher.put(channels, {"a": 1})
    except InvalidChannel:
        assert publisher.fan.queued_bytes == before
    else:
        names = [channels] if isinstance(channels, str) else list(channels)
        assert [publisher.fan.get_nowait().split(" ")[0] for _ in names] == names


def test_a01_one_bad_name_among_many_sends_nothing() -> None:
    publisher = idle()
    for channels in (["a", "b", ""], ["x"] * 1_000_000, (name for name in "ab")):
        with pytest.raises(InvalidChannel):
            publisher.put(channels, 1)
    assert publisher.fan.empty()


def test_a01_a_put_of_too_many_bytes_is_refused_before() -> None:
    publisher = idle()
    with pytest.raises(MessageTooLarge):
        publisher.put([f"room-{n}" for n in range(1000)], "x" * 100_000)
    assert publisher.fan.empty()


@pytest.mark.parametrize("options", [[], ["-O"], ["-OO"]], ids=["plain", "O", "OO"])
def test_a02_refusals_are_the_same_under_optimization(options: list[str]) -> None:
    command = [sys.executable, *options, "-m", "tests.faults.programs.hostile"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=15, check=True)
    right, of, level = found.stdout.split()
    assert right == of
    assert int(level) == (len(options[0]) - 1 if options else 0)


@pytest.mark.parametrize("name", ["room 1", "a\nb", "\0", "a\x7f", "x" * 256, "\u2029", "\t"])
def test_a03_names_that_would_break_the_wire_are_refused(name: str) -> None:
    with pytest.raises(InvalidChannel):
        idle().put(name, 1)


def test_a03_wildcards_and_unicode_are_literal(tcp: Buses) -> None:
    names = ["*", ">", "v.*", "#", "🍕", "קבוצה", "e\u0301", "é"]
    publisher = tcp.publisher()
    subscribers = [tcp.subscriber(name, ready=True) for name in names]
    publisher.put(names, "end")
    for name, subscriber in zip(names, subscribers, strict=True):
        assert subscriber.receive(5).channel == name  # type: ignore[union-attr]
        assert subscriber.get() is None


@pytest.mark.parametrize("name", ["v.x\r\nPUB v.y", "v.x\nroom-2 {}", "a\r", "a\x0b"])
def test_a04_a_name_cannot_carry_another_record(name: str) -> None:
    publisher = idle()
    with pytest.raises(InvalidChannel):
        publisher.put(["a", name], 1)
    with pytest.raises(InvalidMessage):
        publisher.fan.put(f"a 1\n{name} 2")
    assert publisher.fan.empty()


def test_a04_line_breaks_in_messages_stay_inside() -> None:
    publisher = idle()
    publisher.put("a", 'x"\nroom-2 {"forged": 1}\n\x01\r\u2028')
    assert json.loads(publisher.fan.get().partition(" ")[2]) == 'x"\nroom-2 {"forged": 1}\n\x01\r\u2028'
    assert publisher.fan.empty()


def test_a05_what_json_would_change_silently_is_refused() -> None:
    # the harm: the standard library turns keys into texts, and writes what others cannot read
    assert json.dumps({1: "a", "1": "b"}) == '{"1": "a", "1": "b"}'
    assert json.dumps(float("nan")) == "NaN"
    assert json.loads(json.dumps("\ud800")) == "\ud800"
    publisher = idle()
    cycle: list[Any] = []
    cycle.append(cycle)
    for value in ({1: "a", "1": "b"}, float("nan"), "\ud800", {1, 2}, b"x", cycle, 2**64, object()):
        with pytest.raises(InvalidMessage) as caught:
            publisher.put("a", {"outer": [value]})
        assert caught.value.path.startswith("$.outer[0]")
    assert publisher.fan.empty()


def test_a06_what_cannot_be_sent_raises_at_the_call() -> None:
    # the harm: multiprocessing.Queue takes it, and a thread prints an error later
    theirs: multiprocessing.Queue[Any] = multiprocessing.Queue()
    errors: list[Any] = []
    theirs._on_queue_feeder_error = lambda error, item: errors.append(error)  # type: ignore[attr-defined]
    theirs.put(lambda: 0)
    wait_until(lambda: errors)
    theirs.close()
    theirs.join_thread()
    with pytest.raises(InvalidMessage):
        idle().put("a", lambda: 0)


@pytest.mark.parametrize("depth", [63, 64, 65, 1000, 100_000])
def test_a07_deep_messages_are_refused_on_both_sides(tcp: Buses, depth: int) -> None:
    if depth == 100_000:
        # the harm
        with pytest.raises(RecursionError):
            json.loads("[" * depth + "]" * depth)
    publisher = tcp.publisher()
    subscriber = tcp.subscriber("a", ready=True)
    value: Any = 1
    for _ in range(depth):
        value = [value]
    publisher.fan.put("a " + "[" * depth + "1" + "]" * depth)
    if depth <= 64:
        publisher.put("a", value)
        assert [subscriber.get(block=True, timeout=5) for _ in range(2)] == [value, value]
    else:
        with pytest.raises(TooDeep):
            publisher.put("a", value)
        publisher.put("a", "next")
        assert subscriber.get(block=True, timeout=5) == "next"
        assert subscriber.broken == 1


def limited(code: str) -> subprocess.CompletedProcess[str]:
    """Run some lines in a process that may have 512 MB."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (512 * 1024 * 1024,) * 2)

    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=15, preexec_fn=limit)


def test_a08_hostile_sizes_leave_the_process_alive() -> None:
    # the harm: a number of 5,000 digits raises what a handler of broken JSON does not expect to be one
    with pytest.raises(ValueError, match="digits"):
        json.loads("1" * 5000)
    found = limited(
        "from shellbot.bus import Bus, Publisher, Subscriber\n"
        "from shellbot.context import Context\n"
        "bus = Bus(Context({'bus': {'address': 'memory://x'}}))\n"
        "publisher, subscriber = bus.publish(), bus.subscribe('a')\n"
        "publisher.start(); subscriber.wait_ready(5)\n"
        "hostile = ['1' * 5000, '[' * 500_000, '[{}' + ',{}' * 340_000 + ']', '\"' + 'x' * 1_100_000 + '\"', '1e999']\n"
        "for text in hostile:\n"
        "    publisher.fan.put('a ' + text)\n"
        "publisher.put('a', 'alive')\n"
        "heard = []\n"
        "while 'alive' not in heard:\n"
        "    heard.append(subscriber.get(block=True, timeout=5))\n"
        "print(len(heard), subscriber.broken)\n"
        "publisher.close()\n"
    )
    assert found.returncode == 0, found.stderr
    heard, broken = map(int, found.stdout.split())
    assert heard + broken == 6


def test_a09_a_message_too_large_is_refused_at_the_call(tcp: Buses) -> None:
    publisher = tcp.publisher()
    subscriber = tcp.subscriber("a", ready=True)
    publisher.put("a", "x" * (1024 * 1024 - 2))
    for size in (1024 * 1024 - 1, 100 * 1024 * 1024):
        with pytest.raises(MessageTooLarge):
            publisher.put("a", "x" * size)
    publisher.put("a", "next")
    assert len(subscriber.get(block=True, timeout=5)) == 1024 * 1024 - 2
    assert subscriber.get(block=True, timeout=5) == "next"


def test_a09_an_ask_too_large_cuts_only_who_sent_it(tcp: Buses) -> None:
    publisher = tcp.publisher()
    subscriber = tcp.subscriber("a", ready=True)
    context: zmq.Context[Any] = zmq.Context()
    stranger = context.socket(zmq.XSUB)
    stranger.connect(tcp.address)
    stranger.send(b"\x01b ")
    publisher.wait_ready("b", 10)
    stranger.send(b"\x02" + b"x" * (2 * 1024 * 1024))
    stranger.send(b"\x01c ")
    publisher.put("a", "next")
    assert subscriber.get(block=True, timeout=5) == "next"
    stranger.close(0)
    context.term()


def memory_of(pid: int) -> int:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * resource.getpagesize()


def fill(put: Callable[[Any, Any], None], message: Any) -> int:
    count = 0
    while True:
        try:
            put("a", message)
        except QueueFull:
            return count
        count += 1


def test_a10_a_stopped_publisher_makes_put_wait_and_then_say_so(tcp: Buses) -> None:
    # the harm: multiprocessing.Queue takes what memory there is
    theirs: multiprocessing.Queue[Any] = multiprocessing.Queue()
    theirs.cancel_join_thread()
    for _ in range(5000):
        theirs.put_nowait("x" * 1000)
    theirs.close()

    publisher = tcp.publisher(put_timeout=0.3)
    subscriber = tcp.subscriber("a", ready=True)
    assert publisher.pid is not None
    os.kill(publisher.pid, signal.SIGSTOP)
    wait_until(lambda: state_of(publisher.pid or 0) == "T")
    try:
        before = memory_of(os.getpid())
        started = time.monotonic()
        count = fill(publisher.put, "x" * 1000)
        assert 0.3 <= time.monotonic() - started < 10
        assert memory_of(os.getpid()) - before < 16 * 1024 * 1024
        assert 100 < count < 2000
        with pytest.raises(queue.Full):
            publisher.put_nowait("a", "x" * 1000)
    finally:
        os.kill(publisher.pid, signal.SIGCONT)
    assert [len(subscriber.get(block=True, timeout=5)) for _ in range(count)] == [1000] * count
    publisher.put("a", "goes on")
    assert subscriber.get(block=True, timeout=5) == "goes on"


def test_a10_a_publisher_that_never_goes_on_does_not_hold_up_close(tcp: Buses) -> None:
    publisher = tcp.publisher(put_timeout=0.1)
    assert publisher.pid is not None
    os.kill(publisher.pid, signal.SIGSTOP)
    fill(publisher.put, "x" * 1000)
    publisher.close()
    assert not publisher.is_alive()


def put_for(publisher: Publisher, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        publisher.put("a", "x" * 1000)


@pytest.mark.alone
@pytest.mark.parametrize("is_full", [False, True], ids=["empty", "full"])
def test_a11_put_to_a_dead_publisher_raises_within_a_second(tcp: Buses, is_full: bool) -> None:
    publisher = tcp.publisher(put_timeout=10)
    pid = publisher.pid or 0
    if is_full:
        os.kill(pid, signal.SIGSTOP)
        fill(publisher.put_nowait, "x" * 1000)
    publisher.kill()
    wait_until(lambda: is_gone(pid))
    died = time.monotonic()
    with pytest.raises(NotRunning):
        put_for(publisher, 5)
    assert time.monotonic() - died < 1
    with pytest.raises(NotRunning):
        publisher.put(["a", "b"], 1)
    with pytest.raises(NotRunning):
        publisher.fan.put("a 1")


def test_a11_a_put_that_waits_is_told_at_once(tcp: Buses) -> None:
    publisher = tcp.publisher(put_timeout=10)
    pid = publisher.pid or 0
    os.kill(pid, signal.SIGSTOP)
    fill(publisher.put_nowait, "x" * 1000)
    found: list[Exception] = []

    def put() -> None:
        try:
            publisher.put("a", "x" * 1000)
        except BusError as error:
            found.append(error)

    waiting = threading.Thread(target=put)
    waiting.start()
    publisher.kill()
    waiting.join(2)
    assert [type(error) for error in found] == [NotRunning]


def test_a11_a_forked_child_finds_out_too(tcp: Buses) -> None:
    """Nobody tells it, as its parent is told; so it looks itself, also where all went well before the fork."""
    publisher = tcp.publisher(put_timeout=10)
    subscriber = tcp.subscriber("room-1", ready=True)
    publisher.put("room-1", "of the parent")
    child = os.fork()
    if child == 0:
        try:
            for _ in range(2000):
                publisher.put("room-1", "of the child")
                time.sleep(0.005)
        except NotRunning:
            os._exit(7)
        finally:
            os._exit(1)
    try:
        assert [subscriber.get(block=True, timeout=5) for _ in range(2)] == ["of the parent", "of the child"]
        publisher.kill()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise


@pytest.mark.parametrize("method", METHODS)
def test_a11_a_program_whose_publisher_died_ends(method: str) -> None:
    with Program(ENDS, method, "outlive", free_tcp_address()) as program:
        program.line()
        assert program.line() == "told"
        assert program.wait(10) == 0


@pytest.mark.parametrize("what", ["close", "forget", "exit"])
def test_a12_what_was_put_last_arrives(tcp: Buses, what: str) -> None:
    """Also from a program that ends without close(), and from one that ends by os._exit()."""
    subscriber = tcp.subscriber("room-1")
    with Program(ENDS, "fork", what, tcp.address) as program:
        program.line()
        assert [subscriber.get(block=True, timeout=10) for _ in range(1000)] == list(range(1000))
        assert program.wait(10) == 0


def test_a12_multiprocessing_queue_loses_the_tail() -> None:
    """The harm: what a thread has not written yet is gone with os._exit()."""
    theirs: multiprocessing.Queue[int] = multiprocessing.get_context("fork").Queue()
    pid = os.fork()
    if pid == 0:
        for number in range(20_000):
            theirs.put(number)
        os._exit(0)
    os.waitpid(pid, 0)
    got = []
    with pytest.raises(queue.Empty):
        got.extend(iter(lambda: theirs.get(timeout=0.2), None))
    assert len(got) < 20_000
    theirs.close()
    theirs.join_thread()


def test_a13_a_program_ends_though_nobody_is_there() -> None:
    address = free_tcp_address()
    code = (
        "from shellbot.bus import Bus\nfrom shellbot.context import Context\n"
        f"subscriber = Bus(Context({{'bus': {{'address': {address!r}}}}})).subscribe(['a', 'b'])\n"
        "assert subscriber.get() is None\nsubscriber.add('c')\nprint('end')\n"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=15, check=True)
    assert (found.stdout, found.stderr) == ("end\n", "")


def test_a14_a_subscriber_opened_before_a_fork_says_so(tcp: Buses) -> None:
    publisher = tcp.publisher()
    used = tcp.subscriber("a", ready=True)
    unused = tcp.subscriber("a")
    publisher.put("a", "for the parent")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = []
        for use in (used.get, used.wait_ready, lambda: used.add("b")):
            try:
                use()
            except BusError as error:
                said.append(str(os.getpid()) in str(error))
        unused.wait_ready(10)
        publisher.put("a", "from the child")
        said.append(unused.get(block=True, timeout=5) == "from the child")
        used.close()
        os.write(writing, json.dumps(said).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    assert json.loads(os.read(reading, 1000)) == [True] * 4
    os.close(reading)
    assert [used.get(block=True, timeout=5) for _ in range(2)] == ["for the parent", "from the child"]


def test_a14_a_forked_child_keeps_no_connection_open(tcp: Buses) -> None:
    """The harm: the publisher sends to a copy nobody reads, and waits for room for ever."""
    publisher = tcp.publisher(put_timeout=5)
    subscriber = tcp.subscriber("a", ready=True)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    try:
        subscriber.close()
        for _ in range(10_000):
            publisher.put("a", "x" * 1000)
    finally:
        os.close(writing)
        os.waitpid(pid, 0)


def test_a14_threads_may_put_at_the_same_time(tcp: Buses) -> None:
    publisher = tcp.publisher()
    subscriber = tcp.subscriber("a", ready=True)

    def put(thread: int) -> None:
        for number in range(500):
            publisher.put("a", [thread, number, "x" * (number * 20)])

    threads = [threading.Thread(target=put, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    next_of = [0] * 4
    for _ in range(2000):
        sender, number, text = subscriber.get(block=True, timeout=5)
        assert (number, len(text)) == (next_of[sender], number * 20)
        next_of[sender] += 1
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("method", METHODS)
def test_a15_every_start_method(tcp: Buses, method: str) -> None:
    subscriber = tcp.subscriber("room-1")
    with Program(ENDS, method, "close", tcp.address) as program:
        assert int(program.line()) != program.pid
        assert [subscriber.get(block=True, timeout=10) for _ in range(1000)] == list(range(1000))
        assert program.wait(10) == 0
        assert program.errors() == ""


def start_under_lock(count: int) -> None:
    with Program(ENDS, "fork", "locked", free_tcp_address(), count) as program:
        assert program.line(100) == "done"
        assert program.wait(10) == 0


def test_a16_a_fork_while_the_lock_of_logging_is_held() -> None:
    start_under_lock(20)


@pytest.mark.long
@pytest.mark.timeout(120)
def test_a16_a_fork_while_the_lock_of_logging_is_held_long() -> None:
    start_under_lock(200)


def test_a16_is_a_fault_without_care() -> None:
    """The harm: a child forked while a thread holds a lock waits for it for ever."""
    lock = threading.Lock()
    with lock:
        pid = os.fork()
        if pid == 0:
            os._exit(int(lock.acquire(timeout=0.2)))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
