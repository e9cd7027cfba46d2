"""The queue between those who put and the publisher: order, whole texts, and the face of multiprocessing.Queue."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import queue
import random
import signal
import subprocess
import sys
import threading
from multiprocessing.context import BaseContext

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shellbot.bus.fan import Fan
from shellbot.bus.records import Assembler, Cutter, writer_id, writer_pid
from shellbot.cells import process_tag
from shellbot.errors import BusClosed, InvalidMessage, NotRunning, QueueFull
from tests.bus.watching import state_of, wait_until

SIZES = (1, 60, 500, 4094, 4095, 4096, 4097, 8177, 8178, 20_000)
MIB = 1024 * 1024


# -- records, pure -------------------------------------------------------------------------------------------


def texts_of(records: bytes, reads: list[int]) -> list[bytes]:
    """What an assembler makes of a stream that arrives in reads of these sizes."""
    assembler = Assembler()
    found: list[bytes] = []
    start = 0
    for size in [*reads, len(records)]:
        if data := records[start : start + size]:
            found += assembler.feed(data)
        start += size
    return found


def pieces(text: bytes, writer: bytes) -> list[bytes]:
    """The records of a long text."""
    full, last = Cutter(writer).cut(b"", text)
    return [full[start : start + 4096] for start in range(0, len(full), 4096)] + [last]


LINES = st.binary(max_size=6000).map(lambda text: b"t" + text.replace(b"\n", b"").replace(b"\x01", b""))


@given(st.lists(LINES, max_size=8), st.lists(st.integers(1, 9000), max_size=8))
def test_texts_come_back_however_the_stream_is_cut(texts: list[bytes], reads: list[int]) -> None:
    writer = writer_id(os.getpid(), 1)
    stream = b"".join(text + b"\n" if len(text) < 4096 else b"".join(pieces(text, writer)) for text in texts)
    assert texts_of(stream, reads) == texts


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 20_000)), max_size=12), st.randoms())
def test_pieces_of_many_writers_may_mix(plan: list[tuple[int, int]], chance: random.Random) -> None:
    # Each writer's records in order, the writers mixed at will: as the pipe does.
    queues: dict[int, list[bytes]] = {}
    texts: dict[int, list[bytes]] = {}
    for writer, size in plan:
        text = b"%d:%d:" % (writer, len(texts.get(writer, []))) + b"x" * size
        texts.setdefault(writer, []).append(text)
        records = [text + b"\n"] if len(text) < 4096 else pieces(text, writer_id(7, writer))
        queues.setdefault(writer, []).extend(records)
    stream = b""
    while queues:
        writer = chance.choice(list(queues))
        stream += queues[writer].pop(0)
        if not queues[writer]:
            del queues[writer]
    found = texts_of(stream, [])
    for writer, expected in texts.items():
        assert [text for text in found if text.startswith(b"%d:" % writer)] == expected


def test_each_record_fits_into_one_atomic_write() -> None:
    for size in (4096, 4097, 8162, 8163, MIB):
        records = pieces(b"x" * size, writer_id(1, 1))
        assert all(len(record) == 4096 for record in records[:-1])
        assert len(records[-1]) <= 4096
        for name in (b"a ", b"x" * 255 + b" "):
            full, last = Cutter(writer_id(1, 1)).cut(name, b"x" * size)
            assert len(full) % 4096 == 0
            assert len(last) <= 4096
            assert texts_of(full + last, [5000]) == [name + b"x" * size]


def test_a_text_begun_anew_replaces_what_was_left_open() -> None:
    writer = writer_id(1, 1)
    first = pieces(b"a" * 10_000, writer)
    second = pieces(b"b" * 10_000, writer)
    assert texts_of(b"".join(first[:2] + second), []) == [b"b" * 10_000]


def test_parts_of_the_dead_are_dropped() -> None:
    assembler = Assembler()
    for pid in (1, 2):
        assembler.feed(b"".join(pieces(b"a" * 10_000, writer_id(pid, 0))[:2]))
    assembler.drop([writer_id(1, 0)])
    assert assembler.dropped == 1
    assert assembler.open_bytes == 2 * 4081


def test_open_parts_have_a_bound() -> None:
    assembler = Assembler()
    for number in range(70):
        assembler.feed(b"".join(pieces(b"a" * MIB, writer_id(1, number))[:-1]))
    assert assembler.open_bytes <= 64 * MIB
    assert assembler.dropped >= 5


def test_what_comes_after_an_end_waits_until_it_is_asked_for() -> None:
    assembler = Assembler()
    last = Cutter(writer_id(1, 1)).end
    assert assembler.feed(b"a\n" + last + b"b\nc\n" + last + b"d\ne") == [b"a"]
    assert assembler.has_ended
    assert assembler.resume() == [b"b", b"c"]
    assert assembler.has_ended
    assert assembler.resume() == [b"d"]
    assert not assembler.has_ended
    assert assembler.feed(b"f\n") == [b"ef"]


# -- the face of multiprocessing.Queue -----------------------------------------------------------------------


def test_what_is_put_is_got() -> None:
    fan = Fan()
    assert fan.empty()
    texts = ["a 1", "", "é", "x" * 4095, "y" * 4096, "z" * MIB, "b 2"]
    got: list[str | None] = []
    reader = threading.Thread(target=lambda: got.extend(fan.get(timeout=5) for _ in range(len(texts) + 1)))
    reader.start()
    for text in texts:
        fan.put(text)
    fan.put(None)
    reader.join()
    assert got == [*texts, None]
    assert fan.empty()


def test_the_rest_of_the_face() -> None:
    fan = Fan()
    with pytest.raises(queue.Empty):
        fan.get_nowait()
    with pytest.raises(queue.Empty):
        fan.get(block=True, timeout=0.01)
    fan.put_nowait(b"bytes")
    fan.put("x" * 5000)
    fan.put(None)
    assert (fan.qsize(), fan.empty(), fan.full()) == (3, False, False)
    assert fan.qsize() == 3
    assert [fan.get_nowait(), fan.get(False), fan.get()] == ["bytes", "x" * 5000, None]
    assert fan.qsize() == 0
    for item in ("a", None, "b", None):
        fan.put(item)
    assert [fan.get(timeout=1) for _ in range(4)] == ["a", None, "b", None]
    fan.put("again")
    fan.close()
    fan.join_thread()
    fan.cancel_join_thread()
    with pytest.raises(BusClosed):
        fan.put("x")
    assert fan.get() == "again"


def fill(fan: Fan) -> None:
    while True:
        fan.put("x" * 3000, timeout=0.01)


def test_a_full_queue_says_so() -> None:
    fan = Fan(patience=0.05)
    with pytest.raises(queue.Full):
        fill(fan)
    assert fan.full()
    with pytest.raises(QueueFull):
        fan.put_nowait("x" * 3000)
    with pytest.raises(QueueFull):
        fan.put("x" * 10_000)
    held = fan.qsize()
    assert held * 3000 < MIB + 4096
    for _ in range(held):
        fan.get_nowait()
    # The text that did not fit whole left nothing behind.
    fan.put("y" * 10_000)
    assert fan.get_nowait() == "y" * 10_000
    assert fan.empty()


@pytest.mark.parametrize("item", [1, {"a": 1}, ["a"], bytearray(b"x"), "a\nb", b"\xffh W 1", "\x01", "\ud800"])
def test_only_texts_of_one_line_are_taken(item: object) -> None:
    fan = Fan()
    with pytest.raises(InvalidMessage):
        fan.put(item)  # type: ignore[arg-type]
    assert fan.empty()


def test_a_blocked_put_goes_on_when_there_is_room() -> None:
    fan = Fan()
    with pytest.raises(QueueFull):
        fill(fan)
    done = threading.Event()
    writer = threading.Thread(target=lambda: (fan.put("last", timeout=10), done.set()))
    writer.start()
    while not done.is_set():
        fan.get(timeout=5)
    writer.join()


def test_writers_are_told_when_the_reader_has_ended() -> None:
    fan = Fan()
    fan.page.begin_reading()
    fan.put("a")
    fan.page.end_reading(is_final=True)
    fan.look_now()
    with pytest.raises(NotRunning):
        fan.put("b")


# -- many writers --------------------------------------------------------------------------------------------


def text_of(process: int, thread: int, number: int, sizes: tuple[int, ...]) -> str:
    size = sizes[(number * 7 + thread) % len(sizes)]
    body = chr(97 + number % 26) * size
    return f"{process} {thread} {number} {hashlib.md5(body.encode()).hexdigest()} {body}"


def write(fan: Fan, process: int, threads: int, count: int, sizes: tuple[int, ...]) -> None:
    def work(thread: int) -> None:
        for number in range(count):
            fan.put(text_of(process, thread, number, sizes), timeout=60)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def write_for_ever(fan: Fan) -> None:
    while True:
        fan.put("victim " + "v" * MIB, timeout=60)


def check_writers(
    method: str, processes: int, threads: int, count: int, sizes: tuple[int, ...], kills: int = 0
) -> tuple[int, int]:
    """Let them all write, kill others meanwhile; every text comes whole, once, in the order of its thread."""
    context: BaseContext = multiprocessing.get_context(method)
    fan = Fan(patience=60)
    writers = [
        context.Process(target=write, args=(fan, n, threads, count, sizes), daemon=True)  # type: ignore[attr-defined]
        for n in range(processes)
    ]
    victim = context.Process(target=write_for_ever, args=(fan,), daemon=True)  # type: ignore[attr-defined]
    killed = whole = 0
    next_of = {(process, thread): 0 for process in range(processes) for thread in range(threads)}
    left = processes * threads * count
    try:
        for writer in [*writers, victim] if kills else writers:
            writer.start()
        while left or killed < kills:
            text = fan.get(timeout=30)
            assert text is not None
            if text.startswith("victim "):
                assert text == "victim " + "v" * MIB
                whole += 1
            else:
                process, thread, number, checksum, body = text.split(" ", 4)
                assert hashlib.md5(body.encode()).hexdigest() == checksum
                assert next_of[int(process), int(thread)] == int(number)
                next_of[int(process), int(thread)] += 1
                left -= 1
            # By what has arrived, it is in the middle of a record.
            if killed < kills and whole > killed and fan.assembler.open_bytes:
                assert victim.pid is not None
                os.kill(victim.pid, signal.SIGKILL)
                victim.join()
                killed += 1
                if killed < kills:
                    victim = context.Process(target=write_for_ever, args=(fan,), daemon=True)  # type: ignore[attr-defined]
                    victim.start()
        for writer in writers:
            writer.join(10)
            assert writer.exitcode == 0
    finally:
        for one in [*writers, victim]:
            if one.pid is not None:
                one.kill()
                one.join()
    assert set(next_of.values()) == {count}
    while not fan.empty():
        fan.take()
    fan.assembler.drop([one for one in fan.assembler.open_writers if not process_tag(writer_pid(one))])
    assert fan.assembler.open_bytes == 0
    return killed, fan.assembler.dropped


def test_eight_threads_in_four_processes() -> None:
    check_writers("fork", processes=4, threads=8, count=60, sizes=SIZES)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_every_start_method_and_a_writer_killed_in_mid_record(method: str) -> None:
    killed, dropped = check_writers(method, processes=2, threads=2, count=150, sizes=(*SIZES, 300_000), kills=1)
    assert killed == 1
    assert dropped <= 2


@pytest.mark.long
@pytest.mark.timeout(120)
def test_eight_threads_in_four_processes_long() -> None:
    check_writers("fork", processes=4, threads=8, count=1500, sizes=(*SIZES, MIB), kills=10)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(sizes=st.lists(st.one_of(st.integers(1, 9000), st.just(4095), st.just(MIB)), min_size=1, max_size=5))
def test_any_sizes_in_threads(sizes: list[int]) -> None:
    check_writers("fork", processes=1, threads=4, count=10, sizes=tuple(sizes))


def test_a_fork_while_a_text_is_open_gets_an_id_of_its_own() -> None:
    fan = Fan()
    fan.put("x" * 5000)
    pid = os.fork()
    if pid == 0:
        try:
            fan.put("y" * 5000)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    records = bytes(os.read(fan.reading, MIB)).split(b"\n")[:-1]
    assert len({record[1:13] for record in records}) == 2


def test_multiprocessing_queue_stands_still_where_ours_goes_on() -> None:
    """The harm that is repaired: a process killed while it reads keeps the lock of the queue."""
    theirs: multiprocessing.Queue[str] = multiprocessing.get_context("fork").Queue()
    ours = Fan()
    pids = []
    for fan in (theirs, ours):
        pid = os.fork()
        if pid == 0:
            try:
                fan.get()
            finally:
                os._exit(0)
        pids.append(pid)
    # Both wait in get() when the system says that they sleep.
    for pid in pids:
        wait_until(lambda pid=pid: state_of(pid) == "S")
    wait_until(lambda: not theirs._rlock._semlock._get_value())  # type: ignore[attr-defined]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    theirs.put("text")
    ours.put("text")
    with pytest.raises(queue.Empty):
        theirs.get(timeout=0.3)
    assert ours.get(timeout=5) == "text"
    theirs.close()
    theirs.join_thread()


def test_importing_the_bus_is_cheap() -> None:
    """Neither ZeroMQ nor asyncio is loaded before it is needed."""
    code = "import sys, shellbot.bus; print([name for name in ('zmq', 'asyncio', 'sqlite3') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_text_longer_than_the_queue_gets_through_without_waiting() -> None:
    fan = Fan()
    text = "x" * (fan.capacity + 100_000)
    refused = 0
    found: list[bytes] = []
    while True:
        try:
            fan.put_nowait(text)
            break
        except QueueFull:
            refused += 1
            found += fan.take()
    found += fan.take()
    assert refused
    assert found == [text.encode()]
    assert fan.assembler.dropped == 0


@given(st.lists(LINES.filter(bool), min_size=1, max_size=30))
def test_texts_put_together_come_out_one_by_one_in_their_order(texts: list[bytes]) -> None:
    fan = Fan()
    assert fan.put_texts(texts) == len(texts)
    assert fan.take() == texts


def test_short_texts_put_together_share_a_write(monkeypatch: pytest.MonkeyPatch) -> None:
    fan = Fan()
    writes: list[int] = []
    write = os.write
    monkeypatch.setattr(
        "shellbot.bus.fan.os.write", lambda number, data: writes.append(len(data)) or write(number, data)
    )
    assert fan.put_texts([b"x" * 99] * 100) == 100
    assert writes == [4000, 4000, 2000]
    assert fan.put_texts([b"x" * 4095, b"y", b"z" * 4094]) == 3
    assert writes[3:] == [4096, 2, 4095]
    assert len(fan.take()) == 103


def test_texts_that_do_not_fit_together_are_taken_as_far_as_they_do_and_the_rest_afterwards() -> None:
    fan = Fan()
    texts = [b"%05d " % number + b"x" * (20_000 if number % 10 == 0 else 3000) for number in range(500)]
    left, found = list(texts), []
    while left:
        try:
            taken = fan.put_texts(left)
        except QueueFull:
            found += fan.take()
        else:
            assert taken > 0
            del left[:taken]
    found += fan.take()
    assert found == texts
    assert fan.assembler.dropped == 0


def test_another_text_in_the_place_of_one_that_did_not_fit_is_no_mixture() -> None:
    fan = Fan()
    with pytest.raises(QueueFull):
        fan.put_nowait("a" * (fan.capacity + 100_000))
    found = fan.take()
    fan.put_nowait("b" * 100_000)
    found += fan.take()
    with pytest.raises(QueueFull):
        fan.put_nowait("a" * (fan.capacity + 100_000))
    assert [len(text) for text in found] == [100_000]
    assert fan.assembler.dropped == 0
