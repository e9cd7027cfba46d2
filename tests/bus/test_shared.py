"""Many subscribers of one process share a connection, and none of them can tell."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import select
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shellbot.bus import Bus, Gap, Subscriber, shared
from shellbot.bus import line as lines
from shellbot.bus.frames import ALL, Ask, Frame, head, parse_ask, reply_begin, reply_end, reply_missed, welcome
from shellbot.bus.line import HELD, Line
from shellbot.bus.tap import Tap
from shellbot.context import Context
from shellbot.errors import BusClosed, BusError, BusTimeout
from tests.bus.conftest import Buses, free_tcp_address
from tests.bus.scripted import Scripted
from tests.bus.watching import wait_until
from tests.processes import started

LONG = 10


@pytest.fixture
def sharing(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first subscriber on."""
    monkeypatch.setattr(shared, "DIRECT", 0)


@pytest.fixture(params=["tcp", "ipc"])
def buses(request: pytest.FixtureRequest, short_folder: Path) -> Iterator[Buses]:
    made = Buses(free_tcp_address() if request.param == "tcp" else f"ipc://{short_folder}/bus")
    yield made
    made.close()


@pytest.fixture
def ipc(short_folder: Path) -> Iterator[Buses]:
    made = Buses(f"ipc://{short_folder}/bus")
    yield made
    made.close()


@pytest.fixture
def threads() -> Iterator[Callable[..., threading.Thread]]:
    made: list[threading.Thread] = []

    def run(target: Callable[..., object], *arguments: Any) -> threading.Thread:
        made.append(threading.Thread(target=target, args=arguments))
        made[-1].start()
        return made[-1]

    yield run
    for thread in made:
        thread.join(LONG)
        assert not thread.is_alive()


def connections(subscribers: list[Subscriber]) -> list[Any]:
    return list(dict.fromkeys(one.incoming.connection for one in subscribers))


def is_shared(subscriber: Subscriber) -> bool:
    return isinstance(subscriber.incoming, Tap) and subscriber.incoming.own is None


def line_of(subscriber: Subscriber) -> Line:
    line = subscriber.incoming.connection
    assert isinstance(line, Line)
    return line


def take(subscriber: Subscriber, count: int) -> list[Any]:
    return [subscriber.get(block=True, timeout=LONG) for _ in range(count)]


# -- who shares --------------------------------------------------------------------------------------------------------


def test_those_after_the_eighth_share_one_connection(buses: Buses) -> None:
    buses.publisher()
    readers = [buses.subscriber("a", ready=True) for _ in range(30)]
    assert [is_shared(one) for one in readers] == [False] * 8 + [True] * 22
    assert len({id(one.socket) for one in readers}) == 9
    readers[0].close()
    assert not is_shared(buses.subscriber("a", ready=True))
    assert is_shared(buses.subscriber("a", ready=True))


def test_who_needs_a_connection_of_its_own_has_one(ipc: Buses, sharing: None) -> None:
    ipc.publisher()
    for alone in ({"exact_gaps": True}, {"guarantee": "fast"}):
        assert not is_shared(ipc.subscriber("a", ready=True, **alone))
    with Subscriber(ipc.context(), "a", last=1) as with_past:
        with_past.wait_ready()
        assert not is_shared(with_past)
    with Subscriber("memory://shared", "a") as in_memory:
        assert in_memory.get() is None
        assert not is_shared(in_memory)
    injected = Subscriber(ipc.context(), "a")
    injected.socket = mock.Mock(spec=["recv"], recv=lambda: "a 1")
    assert injected.get() == 1
    assert not is_shared(injected)


def test_only_those_with_the_same_settings_share(ipc: Buses, sharing: None) -> None:
    ipc.publisher()
    readers = [ipc.subscriber("a", ready=True, probe=probe) for probe in (1, 1, 2)]
    assert connections(readers) == [line_of(readers[0]), line_of(readers[2])]


def test_the_connection_ends_with_the_last_of_them(buses: Buses, sharing: None) -> None:
    publisher = buses.publisher()
    readers = [buses.subscriber("a", ready=True) for _ in range(3)]
    line = line_of(readers[0])
    for one in readers[:2]:
        one.close()
    assert line.incoming.is_open
    publisher.put("a", 1)
    assert take(readers[2], 1) == [1]
    readers[2].close()
    assert not line.incoming.is_open
    later = buses.subscriber("a", ready=True)
    publisher.put("a", 2)
    assert take(later, 1) == [2]
    assert line_of(later) is not line


def test_who_is_dropped_leaves(ipc: Buses, sharing: None) -> None:
    ipc.publisher()
    stays = ipc.subscriber("a", ready=True)
    dropped = Bus(ipc.context()).subscribe("b")
    dropped.wait_ready()
    assert line_of(dropped) is line_of(stays)
    assert len(line_of(stays)._taps) == 2
    del dropped
    gc.collect()
    assert len(line_of(stays)._taps) == 1


# -- what they read ----------------------------------------------------------------------------------------------------


def test_each_gets_its_own_in_order(buses: Buses) -> None:
    publisher = buses.publisher()
    names = [f"room-{number}" for number in range(7)]
    held = [[names[n % 7], names[n % 3]] if n % 5 else [""] if n % 2 else ["nobody"] for n in range(50)]
    readers = [buses.subscriber(one, ready=True) for one in held]
    for number in range(700):
        publisher.put(names[number % 7], number)
    publisher.put([*names, "nobody"], "end")
    for one, channels in zip(readers, held, strict=True):
        expected = [n for n in range(700) if names[n % 7] in channels or channels == [""]]
        ends = len(set(channels)) if channels != [""] else 8
        assert take(one, len(expected) + ends) == expected + ["end"] * ends
        assert one.get() is None
        assert (one.gaps, one.broken, one.state, one.reconnects) == (0, 0, "live", 0)


def test_frames_say_their_channels_and_are_counted_for_each(ipc: Buses, sharing: None) -> None:
    publisher = ipc.publisher()
    one, both = ipc.subscriber("a", ready=True), ipc.subscriber(["a", "b"], ready=True)
    publisher.put(["b", "a"], 1)
    assert [both.receive(LONG), both.receive(LONG)] == [Frame("b", 1, 1), Frame("a", 1, 2)]
    assert one.receive(LONG) == Frame("a", 1, 1)


def test_a_channel_that_others_hold_is_ready_at_once(tcp: Buses, sharing: None) -> None:
    hub = Scripted(tcp.address)
    try:
        first = Subscriber(tcp.context(probe=0), ["a", "b"])
        tcp.ends.append(first)
        answer(hub, first)
        second = Subscriber(tcp.context(probe=0), "b")
        tcp.ends.append(second)
        second.wait_ready(0.01)
        assert not hub.has_heard()
        other = Subscriber(tcp.context(probe=0), "c")
        tcp.ends.append(other)
        with pytest.raises(BusTimeout):
            other.wait_ready(0.01)
        assert other.state == "new"
        answer(hub, other)
        assert other.state == "live"
    finally:
        hub.close()


def answer(hub: Scripted, subscriber: Subscriber, position: int = 0) -> None:
    """Answer its next question."""
    subscriber.ask_ready()
    hub.answer(question_of(hub, subscriber), position)
    wait_until(lambda: subscriber.look_ready() and subscriber.incoming.stream.is_ready)


def question_of(hub: Scripted, subscriber: Subscriber) -> Ask:
    """What it asks next."""

    def has_asked() -> bool:
        subscriber.look_ready()
        return hub.has_heard()

    while True:
        wait_until(has_asked)
        if question := parse_ask(hub.hear()):
            return question


def test_nothing_comes_that_was_handed_out_before(ipc: Buses, sharing: None) -> None:
    publisher = ipc.publisher()
    first = ipc.subscriber("a", ready=True)
    publisher.put("a", "before")
    assert take(first, 1) == ["before"]
    assert first.get() is None
    publisher.put("a", "on its way")
    wait_until(lambda: select.select([line_of(first).incoming.fileno()], [], [], 0)[0])
    second = ipc.subscriber("a", ready=True)
    publisher.put("a", "after")
    assert take(second, 1) == ["after"]
    assert take(first, 2) == ["on its way", "after"]


def test_channels_are_added_and_removed_for_one_only(buses: Buses, sharing: None) -> None:
    publisher = buses.publisher()
    one, other = buses.subscriber("a", ready=True), buses.subscriber(["a", "b"], ready=True)
    one.add(["b", "c"])
    one.wait_ready()
    publisher.put(["a", "b", "c"], 1)
    assert take(one, 3) == [1, 1, 1]
    publisher.put(["a", "b", "c"], 2)
    wait_until(lambda: other.look_ready() and len(other._pending) == 4)
    one.remove(["a", "c"])
    other.remove("b")
    publisher.put(["c", "a", "b"], 3)
    assert [one.receive(LONG), one.receive(LONG)] == [Frame("b", 2, 4), Frame("b", 3, 5)]
    assert [other.receive(LONG) for _ in range(3)] == [Frame("a", n, n) for n in (1, 2, 3)]
    one.add("")
    one.wait_ready()
    publisher.put(["x", "b"], 4)
    assert take(one, 2) == [4, 4]
    one.remove("")
    publisher.put(["x", "b"], 5)
    assert one.receive(LONG) == Frame("b", 5, 8)
    assert other.get() is None


def test_a_channel_nobody_holds_any_more_is_left(tcp: Buses, sharing: None) -> None:
    hub = Scripted(tcp.address)
    try:
        one, other = (Subscriber(tcp.context(probe=0), ["a", name]) for name in "bc")
        tcp.ends += [one, other]
        answer(hub, one)
        answer(hub, other)
        assert {b"a ", b"b ", b"c "} < hub.held
        one.close()
        hub.answer(question_of(hub, other), 0)
        question_of(hub, other)
        assert {b"a ", b"c "} < hub.held
    finally:
        hub.close()


def test_close_while_others_read(buses: Buses, sharing: None, threads: Callable[..., threading.Thread]) -> None:
    publisher = buses.publisher()
    count = 3000
    stay = [buses.subscriber("a", ready=True) for _ in range(4)]
    got: dict[int, list[Any]] = {}

    def read(number: int) -> None:
        got[number] = take(stay[number], count)

    def come_and_go() -> None:
        for number in range(60):
            with Bus(buses.context()).subscribe(["a", f"b{number % 5}"]) as one:
                one.wait_ready(LONG)
                one.add(f"c{number % 3}")
                one.get()
                one.remove("a")

    reading = [threads(read, number) for number in range(4)]
    coming = [threads(come_and_go) for _ in range(2)]
    for number in range(count):
        publisher.put(["a", "b1"], number)
    for thread in reading + coming:
        thread.join(LONG)
    assert list(got.values()) == [list(range(count))] * 4
    assert len(line_of(stay[0])._taps) == 4


# -- waiting -----------------------------------------------------------------------------------------------------------


def test_many_threads_wait(buses: Buses, threads: Callable[..., threading.Thread]) -> None:
    publisher = buses.publisher()
    readers = [buses.subscriber(["all", f"own-{number}"], ready=True) for number in range(40)]
    got: dict[int, list[Any]] = {}

    def read(number: int) -> None:
        got[number] = take(readers[number], 60)

    started_threads = [threads(read, number) for number in range(40)]
    for number in range(50):
        publisher.put("all", number)
    for _ in range(10):
        publisher.put([f"own-{number}" for number in range(40)], "own")
    for thread in started_threads:
        thread.join(LONG)
    assert all(got[number] == [*range(50), *["own"] * 10] for number in range(40))


def test_who_leads_and_has_what_it_wants_lets_another_lead(
    ipc: Buses, sharing: None, threads: Callable[..., threading.Thread]
) -> None:
    publisher = ipc.publisher()
    readers = {name: ipc.subscriber(name, ready=True) for name in "abc"}
    line = line_of(readers["a"])
    got: list[Any] = []
    waiting = {name: threads(lambda one: got.append(one.get(block=True)), one) for name, one in readers.items()}
    wait_until(lambda: len(line._waiting) == 3)
    while waiting:
        assert line._leader is not None
        name = line._leader.channels[0]
        publisher.put(name, name)
        waiting.pop(name).join(LONG)
        assert name in got
    assert sorted(got) == ["a", "b", "c"]
    assert line._leader is None


def test_who_reads_without_waiting_wakes_those_who_wait(
    ipc: Buses, sharing: None, threads: Callable[..., threading.Thread]
) -> None:
    publisher = ipc.publisher()
    waits, other, polls = (ipc.subscriber(name, ready=True) for name in "abc")
    line = line_of(waits)
    got: list[Any] = []
    for one in (waits, other):
        threads(lambda one: got.append(one.get(block=True)), one)
    wait_until(lambda: len(line._waiting) == 2)
    publisher.put("a", 1)
    publisher.put("b", 2)
    wait_until(lambda: polls.get() is None and len(got) == 2)
    assert sorted(got) == [1, 2]


@pytest.mark.parametrize("first", [0, 1])
def test_close_wakes_who_waits(ipc: Buses, sharing: None, threads: Callable[..., threading.Thread], first: int) -> None:
    ipc.publisher()
    readers = [ipc.subscriber("a", ready=True) for _ in range(2)]
    line = line_of(readers[0])
    ended: list[int] = []

    def wait(number: int) -> None:
        with pytest.raises(BusClosed):
            readers[number].get(block=True)
        ended.append(number)

    threads(wait, 0)
    wait_until(lambda: line._leader is not None)
    threads(wait, 1)
    wait_until(lambda: len(line._waiting) == 2)
    readers[first].close()
    wait_until(lambda: ended)
    readers[1 - first].close()
    wait_until(lambda: len(ended) == 2)
    assert ended == [first, 1 - first]
    with pytest.raises(BusClosed):
        readers[0].get()


def test_time_out_of_one_leaves_the_others_waiting(
    ipc: Buses, sharing: None, threads: Callable[..., threading.Thread]
) -> None:
    publisher = ipc.publisher()
    short, long = ipc.subscriber("a", ready=True), ipc.subscriber("b", ready=True)
    got: list[Any] = []
    line = line_of(short)
    brief = threads(lambda: got.append(short.get(block=True, timeout=0.3)))
    wait_until(lambda: line._leader is not None)
    threads(lambda: got.append(long.get(block=True)))
    brief.join(LONG)
    publisher.put("b", 1)
    wait_until(lambda: len(got) == 2)
    assert got == [None, 1]


def test_nobody_runs_in_circles(ipc: Buses, sharing: None, threads: Callable[..., threading.Thread]) -> None:
    ipc.publisher()
    readers = [ipc.subscriber("a", ready=True) for _ in range(5)]
    looked = mock.Mock(wraps=line_of(readers[0])._pump)
    with mock.patch.object(Line, "_pump", looked):
        waiting = [threads(one.get, True, 0.5) for one in readers]
        for thread in waiting:
            thread.join(LONG)
    assert looked.call_count < 60


async def test_many_tasks_wait_in_one_loop(buses: Buses) -> None:
    publisher = buses.publisher()
    readers = [buses.subscriber(["all", f"own-{number}"]) for number in range(40)]
    await asyncio.gather(*(one.aio.wait_ready(LONG) for one in readers))

    async def read(one: Subscriber) -> list[Any]:
        return [await one.aio.get(timeout=LONG) for _ in range(310)]

    reading = [asyncio.ensure_future(read(one)) for one in readers]

    def put() -> None:
        for number in range(300):
            publisher.put("all", number)
        for _ in range(10):
            publisher.put([f"own-{number}" for number in range(40)], "own")

    await asyncio.to_thread(put)
    assert await asyncio.gather(*reading) == [[*range(300), *["own"] * 10]] * 40
    assert not line_of(readers[-1])._watches


async def test_tasks_in_other_loops_and_threads_share_too(
    ipc: Buses, sharing: None, threads: Callable[..., threading.Thread]
) -> None:
    publisher = ipc.publisher()
    here, there, beside, polled = (ipc.subscriber(["all", name], ready=True) for name in "abcd")
    got: dict[str, list[Any]] = {}

    async def read(one: Subscriber) -> list[Any]:
        return [await one.aio.get(timeout=LONG) for _ in range(500)]

    threads(lambda: got.setdefault("there", asyncio.run(read(there))))
    threads(lambda: got.setdefault("beside", take(beside, 500)))
    reading = asyncio.ensure_future(read(here))

    def put() -> None:
        for number in range(500):
            publisher.put("all", number)

    await asyncio.to_thread(put)
    assert await reading == list(range(500))
    wait_until(lambda: len(got) == 2)
    assert got == {"there": list(range(500)), "beside": list(range(500))}
    assert take(polled, 500) == list(range(500))


async def test_close_wakes_a_task(ipc: Buses, sharing: None) -> None:
    ipc.publisher()
    stays, one = ipc.subscriber("a", ready=True), ipc.subscriber("a", ready=True)
    waiting = asyncio.ensure_future(one.aio.get())
    await asyncio.sleep(0)
    await asyncio.to_thread(one.close)
    with pytest.raises(BusClosed):
        await asyncio.wait_for(waiting, LONG)
    assert stays.get() is None


def test_who_wants_a_descriptor_has_a_connection_of_its_own(ipc: Buses, sharing: None) -> None:
    publisher = ipc.publisher()
    one, other = ipc.subscriber("a", ready=True), ipc.subscriber("a", ready=True)
    for number in range(10):
        publisher.put("a", number)
    assert take(one, 3) == [0, 1, 2]
    number = one.fileno()
    assert number != line_of(other).incoming.fileno()
    assert not is_shared(one)
    for later in range(10, 20):
        publisher.put("a", later)
    got: list[Any] = []
    while len(got) < 17:
        while (found := one.get()) is not None:
            got.append(found)
        if len(got) < 17:
            assert select.select([number], [], [], LONG)[0]
    assert got == list(range(3, 20))
    assert take(other, 20) == list(range(20))
    assert (one.gaps, one.reconnects) == (0, 1)


# -- what is missed ----------------------------------------------------------------------------------------------------


def test_a_publisher_that_is_killed_loses_nothing_for_anybody(buses: Buses, sharing: None) -> None:
    publisher = buses.publisher()
    readers = [buses.subscriber(["all", f"own-{number}"], ready=True) for number in range(20)]
    got: list[list[Any]] = [[] for _ in readers]

    def read() -> bool:
        for one, its in zip(readers, got, strict=True):
            while (found := one.get()) is not None:
                its.append(found)
        return all(len(its) == 1000 for its in got)

    killed: int | None = 0
    for number in range(1000):
        if number in (300, 600):
            # The one before may be about to be replaced.
            wait_until(lambda killed=killed: publisher.pid not in (None, killed))
            killed = publisher.pid
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
        publisher.put("all" if number % 2 else [f"own-{one}" for one in range(20)], number)
        if not number % 50:
            read()
    wait_until(read)
    assert got == [list(range(1000))] * 20
    assert all(one.reconnects >= 1 and one.gaps == 0 for one in readers)
    assert all(one.replayed <= 1000 for one in readers)


def test_a_gap_is_told_to_each_with_its_channels(tcp: Buses, sharing: None) -> None:
    hub = Scripted(tcp.address)
    try:
        one, other = (Subscriber(tcp.context(probe=0), ["a", name]) for name in "bc")
        tcp.ends += [one, other]
        answer(hub, one, 10)
        answer(hub, other, 10)
        hub.send(b"a 1", b"b 2")
        assert take(one, 2) == [1, 2]
        hub.break_off()
        question = question_of(hub, one)
        assert (question.position, question.received, set(question.names)) == (10, 2, {b"a", b"b", b"c"})
        hub.answer(question, 51, [b"c 50", b"a 51"], gap=b"11 49")
        gaps = [Gap(("a", "b"), 11, 49, 37), Gap(("a", "c"), 11, 49, 37)]
        assert [one.receive(LONG) for _ in range(2)] == [gaps[0], Frame("a", 51, 3)]
        heard = [other.receive(LONG) for _ in range(4)]
        assert heard == [Frame("a", 1, 1), gaps[1], Frame("c", 50, 2), Frame("a", 51, 3)]
        assert (one.replayed, other.replayed) == (1, 2)
    finally:
        hub.close()


# -- who does not read -------------------------------------------------------------------------------------------------


def test_who_is_full_holds_up_the_others(buses: Buses, sharing: None, threads: Callable[..., threading.Thread]) -> None:
    publisher = buses.publisher()
    sleeps, reads = buses.subscriber("a", ready=True), buses.subscriber(["a", "b"], ready=True)
    count = 6000
    putting = threads(lambda: [publisher.put("a", number) for number in range(count)])
    got: list[Any] = []
    while (found := reads.get(block=True, timeout=0.3)) is not None:
        got.append(found)
    assert HELD - 256 < len(got) <= HELD
    assert len(sleeps._pending) <= HELD
    waits = threads(lambda: got.extend(take(reads, count - len(got))))
    assert take(sleeps, count) == list(range(count))
    for thread in (putting, waits):
        thread.join(LONG)
    assert got == list(range(count))


def test_who_is_full_and_closed_holds_up_nobody(
    ipc: Buses, sharing: None, threads: Callable[..., threading.Thread]
) -> None:
    publisher = ipc.publisher()
    sleeps, reads = ipc.subscriber("a", ready=True), ipc.subscriber("a", ready=True)
    got: list[Any] = []
    threads(lambda: got.extend(take(reads, 3000)))
    putting = threads(lambda: [publisher.put("a", number) for number in range(3000)])
    wait_until(lambda: line_of(reads)._is_stuck)
    sleeps.close()
    putting.join(LONG)
    wait_until(lambda: len(got) == 3000)
    assert got == list(range(3000))


def test_who_is_new_is_ready_also_beside_one_that_is_full(
    ipc: Buses, sharing: None, threads: Callable[..., threading.Thread]
) -> None:
    publisher = ipc.publisher()
    sleeps, reads = ipc.subscriber("a", ready=True), ipc.subscriber("a", ready=True)
    threads(lambda: [publisher.put("a", number) for number in range(4000)])
    while not line_of(reads)._is_stuck:
        reads.get()
    new = ipc.subscriber(["a", "b"], ready=True)
    for one in (sleeps, reads, new):
        one.close()


@pytest.mark.parametrize("is_closed", [False, True])
async def test_a_loop_sleeps_while_somebody_holds_it_up(ipc: Buses, sharing: None, is_closed: bool) -> None:
    publisher = ipc.publisher()
    sleeps, reads = ipc.subscriber("a", ready=True), ipc.subscriber("a", ready=True)

    async def read() -> list[Any]:
        return [await reads.aio.get(timeout=LONG) for _ in range(3000)]

    reading = asyncio.ensure_future(read())
    await asyncio.to_thread(lambda: [publisher.put("a", number) for number in range(1900)])
    line = line_of(reads)
    await asyncio.to_thread(wait_until, lambda: line._is_stuck and reads.aio._waiting)
    await asyncio.to_thread(lambda: [publisher.put("a", number) for number in range(1900, 3000)])
    while not line._watches:  # it comes and goes in this loop, with each message that is still read
        await asyncio.to_thread(wait_until, lambda: line._watches)
    (watch,) = line._watches.values()
    with line:
        # As if it had been held up while the loop read for all.
        watch.begin()
        watch.stir()
    with mock.patch.object(line, "_pump", wraps=line._pump) as looked:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(reading), 0.1)
        assert looked.call_count < 5
        # Its descriptor may stay readable, and cannot be read.
        assert watch._number == -1
    if is_closed:
        sleeps.close()
    else:
        assert await asyncio.to_thread(take, sleeps, 3000) == list(range(3000))
    assert await reading == list(range(3000))


def test_at_disconnect_who_is_full_goes_on_alone_and_misses_nothing(
    buses: Buses, sharing: None, threads: Callable[..., threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "PATIENCE", 0.05)
    publisher = buses.publisher(slow="disconnect")
    sleeps, reads = (buses.subscriber(names, ready=True, slow="disconnect") for names in (["a", "b"], ["a", "c"]))
    count = 8000
    putting = threads(lambda: [publisher.put("abc"[number % 3], number) for number in range(count)])
    assert take(reads, 2 * count // 3) == [number for number in range(count) if number % 3 != 1]
    putting.join(LONG)
    assert not is_shared(sleeps)
    assert len(sleeps._pending) <= HELD
    assert sleeps.state == "syncing"
    expected = [number for number in range(count) if number % 3 != 2]
    assert take(sleeps, len(expected)) == expected
    wait_until(lambda: sleeps.get() is None and sleeps.state == "live")
    assert sleeps.gaps == 0
    publisher.put(["a", "b"], "more")
    assert take(sleeps, 2) == ["more", "more"]
    assert reads.get(block=True, timeout=LONG) == "more"
    assert is_shared(reads)


def test_who_has_left_may_be_closed_or_changed_before_it_reads_on(
    ipc: Buses, sharing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "PATIENCE", 0.0)
    publisher = ipc.publisher(slow="disconnect")
    closes, changes, reads = (ipc.subscriber(["a", "b"], ready=True, slow="disconnect") for _ in range(3))
    for number in range(3000):
        publisher.put("ab"[number % 2], number)
        reads.get()
    wait_until(lambda: reads.get() is None and not is_shared(closes) and not is_shared(changes))
    closes.close()
    with pytest.raises(BusClosed):
        closes.get()
    changes.remove("b")
    changes.add("c")
    changes.wait_ready(LONG)
    publisher.put(["a", "b", "c"], "end")
    assert take(changes, 1502) == [*range(0, 3000, 2), "end", "end"]


# -- processes ---------------------------------------------------------------------------------------------------------


def test_a_child_has_a_connection_of_its_own_and_leaves_its_parents_alone(ipc: Buses, sharing: None) -> None:
    publisher = ipc.publisher()
    readers = [ipc.subscriber("a", ready=True) for _ in range(2)]
    ours, theirs = multiprocessing.Pipe()

    def be_child() -> None:
        try:
            readers[0].get()
        except BusError as error:
            theirs.send(str(error))
        with Bus(ipc.context()).subscribe("a") as own:
            own.wait_ready(LONG)
            theirs.send("ready")
            theirs.send(own.get(block=True, timeout=LONG))
        readers[0].close()
        readers[1].close()
        theirs.send("closed")

    child = multiprocessing.get_context("fork").Process(target=be_child)
    child.start()
    try:
        assert f"opened in process {os.getpid()}" in ours.recv()
        assert ours.recv() == "ready"
        publisher.put("a", 1)
        assert [take(one, 1) for one in readers] == [[1], [1]]
        assert ours.recv() == 1
        assert ours.recv() == "closed"
        publisher.put("a", 2)
        assert [take(one, 1) for one in readers] == [[2], [2]]
    finally:
        child.join(LONG)
        child.kill()
        child.join()


def test_a_child_that_closes_does_not_wake_its_parent(ipc: Buses) -> None:
    ipc.publisher()
    reader = ipc.subscriber("a", ready=True)
    assert reader.get(block=True, timeout=0.01) is None
    child = multiprocessing.get_context("fork").Process(target=reader.close)
    child.start()
    child.join(LONG)
    with mock.patch.object(reader.incoming, "wait", wraps=reader.incoming.wait) as waited:
        assert reader.get(block=True, timeout=0.2) is None
    assert waited.call_count < 10


FEW_FILES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from shellbot.bus import Bus, shared
from shellbot.context import Context
from shellbot.errors import ShellbotError
shared.DIRECT = int(sys.argv[2])
bus = Bus(Context({"bus": {"address": sys.argv[1]}}))
with bus.publish() as publisher:
    readers = [bus.subscribe(["all", f"own-{number}"]) for number in range(2000)]
    for one in readers:
        one.wait_ready(5)
    publisher.put(["all", *(f"own-{number}" for number in range(2000))], 1)
    print([[one.get(block=True, timeout=5) for _ in "12"] for one in readers] == [[1, 1]] * 2000)
    for one in readers:
        one.close()
"""


@pytest.mark.parametrize(("direct", "heard"), [(shared.DIRECT, "True"), (10_000, "")])
def test_two_thousand_in_a_process_with_few_files(ipc: Buses, direct: int, heard: str) -> None:
    """The second row is without sharing: there they do not fit."""
    with started("-c", FEW_FILES, ipc.address, str(direct)) as process:
        out, errors = process.communicate(timeout=18)
    assert out.strip() == heard, errors
    assert bool(process.returncode) == (not heard)


# -- on paper ----------------------------------------------------------------------------------------------------------


class Nothing(Exception):
    """There is nothing to read."""


class Paper:
    """A hub whose every step is called by the test; it has one history, and forgets nothing."""

    IN_PROCESS = False

    def __init__(self) -> None:
        self.history: list[bytes] = []
        self.ends: list[PaperEnd] = []

    def connect(self, address: object, room: int) -> PaperEnd:
        self.ends.append(PaperEnd(self))
        return self.ends[-1]

    def put(self, text: bytes) -> None:
        self.history.append(text)
        for end in self.ends:
            end.give(text)

    def tell_head(self) -> None:
        for end in self.ends:
            end.give(head(1, len(self.history)))

    def hear(self) -> None:
        for end in self.ends:
            end.hear()

    def answer(self, question: Ask) -> Iterator[bytes]:
        yield reply_begin(question, 1)
        if question.epoch:
            since = self.history[question.position :]
            of_scope = [text for text in since if question.scope == ALL or text.split()[0] in question.names]
            missed = of_scope[question.received :]
            for place in range(0, len(missed), 3):
                yield reply_missed(question, b"\n".join(missed[place : place + 3]))
        yield reply_end(question, 1, len(self.history))


class PaperEnd:
    """A connection to it."""

    blocked = Nothing

    def __init__(self, hub: Paper) -> None:
        self.hub = hub
        self.socket = self
        self.held: set[bytes] = set()
        self.wanted: dict[bytes, None] = {}
        self.up: deque[bytes] = deque()
        self.pipe: deque[bytes] = deque([welcome(1)])

    def give(self, frame: bytes) -> None:
        if any(frame.startswith(topic) for topic in self.held):
            self.pipe.append(frame)

    def hear(self) -> None:
        while self.up:
            frame = self.up.popleft()
            if frame[0] == 1:
                self.held.add(frame[1:])
            elif frame[0] == 0:
                self.held.discard(frame[1:])
            elif question := parse_ask(frame):
                for one in self.hub.answer(question):
                    self.give(one)

    def break_off(self) -> None:
        """What was not read is lost."""
        self.held.clear()
        self.pipe = deque([welcome(1)])
        self.up = deque(b"\x01" + topic for topic in self.wanted)

    def adapt(self, now: float) -> None:
        """No thread hands on."""

    def recv(self, flags: int) -> bytes:
        if not self.pipe:
            raise Nothing
        return self.pipe.popleft()

    def send(self, frame: bytes) -> None:
        if frame[0] == 1:
            assert frame[1:] not in self.wanted, "subscribed to twice"
            self.wanted[frame[1:]] = None
        elif frame[0] == 0:
            del self.wanted[frame[1:]]
        self.up.append(frame)

    def close(self) -> None:
        self.hub.ends.remove(self)


class Reader:
    """A subscriber, and what it was promised.

    Attributes:
        due: Numbers that it must get.
    """

    def __init__(self, subscriber: Subscriber) -> None:
        self.subscriber = subscriber
        self.promised: set[str] = set()
        self.due: set[int] = set()
        self.got: list[int] = []

    def take(self, count: int) -> None:
        while count and (found := self.subscriber.receive(0)) is not None:
            count -= 1
            assert isinstance(found, Frame), "a gap, though nothing is gone"
            assert found.channel in self.subscriber.channels or "" in self.subscriber.channels
            self.got.append(found.message)

    def look(self) -> None:
        if self.subscriber.look_ready():
            self.promised.update(self.subscriber.channels)


def test_who_leaves_something_behind_wakes_the_leader() -> None:
    hub = Paper()
    with mock.patch("shellbot.bus.transports.load", return_value=hub), mock.patch.object(shared, "DIRECT", 0):
        context = Context({"bus": {"address": "tcp://127.0.0.1:5555", "probe": 0}})
        with Subscriber(context, "a") as leads, Subscriber(context, "b") as polls:
            settle(hub, [Reader(leads), Reader(polls)])
            line = line_of(polls)
            line._leader, tap = leads.incoming, leads.incoming  # type: ignore[assignment]
            line.waker.clear()
            hub.put(b"b 1")
            hub.put(b"a 2")
            assert polls.get() == 1
            assert not tap.pending
            assert select.select([line.waker.fileno()], [], [], 0)[0]
            line._leader = None


CHANNELS = ["a", "b", "c"]
THEIRS = [["a"], ["a", "b"], [""], ["c", "b"], ["", "a"]]
WHO = st.integers(0, len(THEIRS) - 1)
STEPS: list[Any] = [
    *[st.tuples(st.just("put"), st.sampled_from(CHANNELS), st.integers(1, 4))] * 6,
    *[st.tuples(st.just("take"), WHO, st.integers(1, 5))] * 6,
    *[st.tuples(st.just("hear"))] * 2,
    *[st.tuples(st.just("look"), WHO)] * 2,
    st.tuples(st.just("tell_head")),
    st.tuples(st.just("break_off"), st.integers(0, 3)),
    st.tuples(st.just("add"), WHO, st.sampled_from(["", *CHANNELS])),
    st.tuples(st.just("remove"), WHO, st.sampled_from(["", *CHANNELS])),
    st.tuples(st.just("part"), WHO),
]


@settings(max_examples=400)
@given(st.lists(st.one_of(*STEPS), max_size=80), st.sampled_from(["block", "disconnect"]))
def test_each_has_what_it_was_promised_in_order_and_once(steps: list[Any], slow: str) -> None:
    hub = Paper()
    number = 0
    with ExitStack() as stack:
        stack.enter_context(mock.patch("shellbot.bus.transports.load", return_value=hub))
        stack.enter_context(mock.patch.object(shared, "DIRECT", 0))
        for name, value in {"HELD": 6, "HELD_BEFORE_ANSWER": 12, "_AT_ONCE": 3, "PATIENCE": 0.0}.items():
            stack.enter_context(mock.patch.object(lines, name, value))
        context = Context({"bus": {"address": "tcp://127.0.0.1:5555", "probe": 0, "slow": slow}})
        readers = [Reader(stack.enter_context(Subscriber(context, list(names)))) for names in THEIRS]
        for one in readers:
            one.subscriber.ask_ready()
        settle(hub, readers)
        assert all(is_shared(one.subscriber) for one in readers)
        for name, *arguments in steps:
            if name == "put":
                channel, count = arguments
                for _ in range(count):
                    number += 1
                    put(hub, readers, channel, number)
            elif name in ("hear", "tell_head"):
                getattr(hub, name)()
            elif name == "break_off":
                if hub.ends:  # the only reader may have left
                    hub.ends[arguments[0] % len(hub.ends)].break_off()
            else:
                one = readers[arguments[0]]
                if name == "take":
                    one.take(arguments[1])
                elif name == "look":
                    one.look()
                elif name == "part" and is_shared(one.subscriber):
                    line_of(one.subscriber).part_with(one.subscriber.incoming)  # type: ignore[arg-type]
                elif name == "add":
                    one.subscriber.add(arguments[1])
                elif name == "remove" and len(one.subscriber.channels) > 1:
                    one.subscriber.remove(arguments[1])
                    remaining = set(one.subscriber.channels)
                    one.promised &= remaining
                    one.due -= {n for n in one.due if hub.history[n - 1].split()[0].decode() not in remaining}
            assert all(len(one.subscriber._pending) <= 12 or not is_shared(one.subscriber) for one in readers)
        settle(hub, readers)
        for channel in CHANNELS:
            number += 1
            put(hub, readers, channel, number)
        settle(hub, readers)
        for one in readers:
            assert one.got == sorted(set(one.got)), "twice, or out of order"
            assert not one.due - set(one.got), "gone in silence"
    assert not hub.ends


def put(hub: Paper, readers: list[Reader], channel: str, number: int) -> None:
    for one in readers:
        if one.promised & {"", channel}:
            one.due.add(number)
    hub.put(b"%b %d" % (channel.encode(), number))


def settle(hub: Paper, readers: list[Reader]) -> None:
    """All is heard, answered and read."""
    for _ in range(500):
        hub.hear()
        before = [len(one.got) for one in readers]
        for one in readers:
            one.take(1000)
            one.look()
        is_still = before == [len(one.got) for one in readers] and not any(end.up or end.pipe for end in hub.ends)
        if is_still and all(one.promised >= set(one.subscriber.channels) for one in readers):
            return
    raise AssertionError("it never comes to rest")
