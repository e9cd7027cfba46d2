"""What every transport does alike: ready, order, names, limits, stop, close."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from shellbot.bus import Frame
from shellbot.errors import BusClosed, BusTimeout, NotRunning, QueueFull
from tests.bus.conftest import Buses


def test_what_is_put_after_wait_ready_arrives(buses: Buses) -> None:
    publisher = buses.publisher()
    for n in range(20):
        subscriber = buses.subscriber(f"room-{n}", ready=True)
        publisher.put(f"room-{n}", {"n": n})
        assert subscriber.get(block=True, timeout=5) == {"n": n}


def test_wait_ready_waits_for_a_publisher_that_starts_later(buses: Buses) -> None:
    subscriber = buses.subscriber("room-1")
    with pytest.raises(BusTimeout):
        subscriber.wait_ready(0.05)
    publisher = buses.publisher()
    subscriber.wait_ready(10)
    publisher.put("room-1", 1)
    assert subscriber.get(block=True, timeout=5) == 1


def test_messages_keep_their_order(buses: Buses) -> None:
    publisher = buses.publisher()
    subscriber = buses.subscriber("room-1", ready=True)

    def write() -> None:
        for n in range(20_000):
            publisher.put("room-1", n)

    writer = threading.Thread(target=write)
    writer.start()
    assert [subscriber.get(block=True, timeout=5) for _ in range(20_000)] == list(range(20_000))
    writer.join()


def test_a_put_to_several_channels_reaches_each_once(buses: Buses) -> None:
    publisher = buses.publisher()
    everybody = buses.subscriber("", ready=True)
    some = buses.subscriber(["b", "c"], ready=True)
    publisher.put(["a", "b", "c"], "hello")
    publisher.put("d", "end")
    assert [everybody.receive(5).channel for _ in range(4)] == ["a", "b", "c", "d"]  # type: ignore[union-attr]
    assert [some.receive(5) for _ in range(2)] == [Frame("b", "hello", 1), Frame("c", "hello", 2)]
    assert some.get() is None


def test_all_json_values_travel(buses: Buses) -> None:
    publisher = buses.publisher()
    subscriber = buses.subscriber("room-1", ready=True)
    values = [0, False, {}, [], 1.5, "a b", "é\u2028\n\x00\x7f", {"a": [None, True]}, -(2**63), 2**64 - 1, [[]] * 40]
    for value in values:
        publisher.put("room-1", value)
    for value in values:
        assert subscriber.receive(5).message == value  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [4085, 4086, 4087, 4088, 4089, 8200, 1024 * 1024 - 2])
def test_long_messages_travel_whole(buses: Buses, size: int) -> None:
    publisher = buses.publisher()
    subscriber = buses.subscriber("room-1", ready=True)
    text = "".join(chr(97 + n % 26) for n in range(size))
    publisher.put("room-1", text)
    assert subscriber.get(block=True, timeout=5) == text


def test_names_never_leak(buses: Buses) -> None:
    publisher = buses.publisher()
    short = buses.subscriber("room-1", ready=True)
    publisher.put(["room-10", "room-1x", "room-1.a", "oom-1", "ROOM-1"], "not yours")
    publisher.put("room-1", "yours")
    assert short.get(block=True, timeout=5) == "yours"


@pytest.mark.parametrize("name", ["*", ">", "a.b.#", "🍕", "קבוצה", "é", "e\u0301", "{}", '"', "x" * 255, "\u200d"])
def test_names_travel_as_they_are(buses: Buses, name: str) -> None:
    publisher = buses.publisher()
    subscriber = buses.subscriber(["other", name], ready=True)
    publisher.put("e\u0301" if name == "é" else "é", 0)
    publisher.put(name, 1)
    found = subscriber.receive(5)
    if name == "e\u0301":
        assert found == Frame(name, 1, 1)
    assert found is not None
    assert found.channel == name


def test_channels_are_added_and_removed(buses: Buses) -> None:
    publisher = buses.publisher()
    subscriber = buses.subscriber("a", ready=True)
    subscriber.add(["b", "a"])
    subscriber.wait_ready(5)
    assert subscriber.channels == ["a", "b"]
    publisher.put(["a", "b"], 1)
    assert [subscriber.receive(5).channel for _ in range(2)] == ["a", "b"]  # type: ignore[union-attr]
    publisher.put("a", 2)
    subscriber.remove("a")
    publisher.put("b", 3)
    assert subscriber.get(block=True, timeout=5) == 3
    subscriber.wait_ready(5)
    publisher.put(["a", "b"], 4)
    assert subscriber.receive(5) == Frame("b", 4, 4)
    assert subscriber.channels == ["b"]


def test_several_thousand_channels(buses: Buses) -> None:
    names = [f"person-{n}" for n in range(5000)]
    publisher = buses.publisher()
    subscriber = buses.subscriber(names, ready=True)
    publisher.put(names, {"do": "open"})
    assert [subscriber.receive(5).channel for _ in names] == names  # type: ignore[union-attr]


def test_get_gives_none_when_nothing_is_there(buses: Buses) -> None:
    buses.publisher()
    subscriber = buses.subscriber("room-1", ready=True)
    assert subscriber.get() is None
    assert subscriber.get(block=True, timeout=0) is None
    assert subscriber.get(block=True, timeout=0.01) is None
    assert subscriber.receive(timeout=0.01) is None


def test_close_wakes_who_waits(buses: Buses) -> None:
    buses.publisher()
    subscriber = buses.subscriber("room-1", ready=True)
    found: list[object] = []

    def wait() -> None:
        try:
            subscriber.get(block=True)
        except BusClosed as error:
            found.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    subscriber.close()
    waiter.join(5)
    assert len(found) == 1
    for use in (subscriber.get, subscriber.receive, subscriber.wait_ready, lambda: subscriber.add("b")):
        with pytest.raises(BusClosed):
            use()


def test_iterations_end_at_close(buses: Buses) -> None:
    publisher = buses.publisher()
    subscriber = buses.subscriber("room-1", ready=True)
    publisher.put("room-1", 1)
    publisher.put("room-1", 2)
    heard = []
    for message in subscriber:
        heard.append(message)
        if len(heard) == 2:
            subscriber.close()
    assert heard == [1, 2]
    assert list(subscriber) == list(subscriber.frames()) == []


def test_frames_are_numbered_by_the_subscription(buses: Buses) -> None:
    publisher = buses.publisher()
    subscriber = buses.subscriber("room-1", ready=True)
    for n in range(3):
        publisher.put("room-1", n)
    frames = subscriber.frames()
    assert [next(frames).number for _ in range(3)] == [1, 2, 3]


def test_several_publishers_on_one_address(buses: Buses) -> None:
    publishers = [buses.publisher() for _ in range(3)]
    subscriber = buses.subscriber("room-1", ready=True)
    for n in range(300):
        publishers[n % 3].put("room-1", n)
    heard = [subscriber.get(block=True, timeout=5) for _ in range(300)]
    assert sorted(heard) == list(range(300))
    for first in range(3):
        assert [n for n in heard if n % 3 == first] == list(range(first, 300, 3))
    for publisher in publishers:
        publisher.wait_ready("room-1", 10)


def test_another_publisher_goes_on_when_the_first_is_closed(buses: Buses) -> None:
    first, second = buses.publisher(), buses.publisher()
    subscriber = buses.subscriber("room-1", ready=True)
    first.put("room-1", 1)
    first.close()
    second.put("room-1", 2)
    assert [subscriber.get(block=True, timeout=5) for _ in range(2)] == [1, 2]
    third = buses.publisher()
    second.close()
    third.put("room-1", 3)
    assert subscriber.get(block=True, timeout=5) == 3
    assert subscriber.gaps == 0


def test_the_publisher_may_come_again(buses: Buses) -> None:
    subscriber = buses.subscriber("room-1")
    for n in range(3):
        with buses.publisher() as publisher:
            subscriber.wait_ready(10)
            publisher.put("room-1", n)
        assert subscriber.get(block=True, timeout=5) == n


def fill(put: Callable[[Any, Any], None], channels: Any) -> None:
    while True:
        put(channels, "x" * 2000)


def test_put_before_start_is_kept(buses: Buses) -> None:
    publisher = buses.publisher(start=False, put_timeout=0.05)
    subscriber = buses.subscriber("room-1")
    with pytest.raises(QueueFull):
        fill(publisher.put, "room-1")
    assert 500 < publisher.fan.qsize() < 530
    publisher.close()
    # What comes too early for a subscriber is not seen, so this one is told to wait in the process.
    publisher = buses.publisher(start=False)
    publisher.put("room-1", 1)
    publisher.start()
    subscriber.wait_ready(10)
    publisher.put("room-1", 2)
    assert subscriber.get(block=True, timeout=5) in (1, 2)


def test_none_ends_after_what_was_queued_before(buses: Buses) -> None:
    publisher = buses.publisher()
    subscriber = buses.subscriber("room-1", ready=True)
    for n in range(1000):
        publisher.put("room-1", n)
    publisher.fan.put(None)
    assert [subscriber.get(block=True, timeout=5) for _ in range(1000)] == list(range(1000))
    publisher.join(10)
    assert not publisher.is_alive()
    with pytest.raises(NotRunning):
        publisher.put("room-1", "too late")


def test_close_hands_over_what_was_put(buses: Buses) -> None:
    subscriber = buses.subscriber("room-1")
    publisher = buses.publisher()
    subscriber.wait_ready(10)
    heard: list[int] = []
    reader = threading.Thread(target=lambda: heard.extend(subscriber.get(block=True) for _ in range(20_000)))
    reader.start()
    with publisher:
        for n in range(20_000):
            publisher.put("room-1", n)
    reader.join(10)
    assert heard == list(range(20_000))
    with pytest.raises(BusClosed):
        publisher.put("room-1", 1)
    publisher.close()


def test_the_switch_ends_the_publisher_after_draining(buses: Buses) -> None:
    publisher = buses.publisher()
    subscriber = buses.subscriber("room-1", ready=True)
    for n in range(1000):
        publisher.put("room-1", n)
    publisher.context.set("general.switch", "off")
    assert [subscriber.get(block=True, timeout=5) for _ in range(1000)] == list(range(1000))
    publisher.join(10)
    assert not publisher.is_alive()


def test_the_counter_counts_what_was_sent(buses: Buses) -> None:
    context = buses.context()
    context.set("publisher.counter", 99)
    from shellbot.bus import Bus

    with Bus(context).publish() as publisher:
        assert context.get("publisher.counter") == 0
        publisher.put(["a", "b"], 1)
        publisher.put("c", 1)
    assert context.get("publisher.counter") == 3


def test_publisher_waits_for_subscribers(buses: Buses) -> None:
    publisher = buses.publisher()
    first = buses.subscriber("a")
    first.get()
    publisher.wait_ready("a", 10)
    with pytest.raises(BusTimeout):
        publisher.wait_ready(["a", "b"], 0.05)
    done = threading.Event()
    waiter = threading.Thread(target=lambda: (publisher.wait_ready(["a", "b"], 10), done.set()))
    waiter.start()
    second = buses.subscriber("b", ready=True)
    waiter.join(10)
    assert done.is_set()
    publisher.put(["a", "b"], 1)
    assert first.get(block=True, timeout=5) == second.get(block=True, timeout=5) == 1
    buses.subscriber("", ready=True)
    publisher.wait_ready([f"any-{n}" for n in range(1000)], 10)


def test_waiting_may_begin_before_the_start(buses: Buses) -> None:
    publisher = buses.publisher(start=False)
    with pytest.raises(BusTimeout):
        publisher.wait_ready("a", 0.05)
    waiter = threading.Thread(target=publisher.wait_ready, args=("a", 10))
    waiter.start()
    publisher.start()
    buses.subscriber("a", ready=True)
    waiter.join(10)
    assert not waiter.is_alive()


def test_broken_frames_are_set_aside(buses: Buses) -> None:
    publisher = buses.publisher()
    subscriber = buses.subscriber("a", ready=True)
    deep = "[" * 65 + "]" * 65
    broken = ["a {", "a ", "a null", "a NaN", f"a {deep}", 'a "\ud800"', "a " + "x" * 5000]
    for text in broken:
        publisher.fan.put(text.encode(errors="surrogatepass"))
    publisher.put("a", "after")
    assert subscriber.get(block=True, timeout=5) == "after"
    assert subscriber.broken == len(broken)
    assert [len(letter) for letter in subscriber.dead_letters] == [3, 2, 6, 5, 132, 7, 4096]


def test_the_stuck_reader_of_a_channel_makes_put_wait(buses: Buses) -> None:
    publisher = buses.publisher(put_timeout=0.2)
    subscriber = buses.subscriber("a", ready=True)
    with pytest.raises(QueueFull):
        fill(publisher.put, "a")
    with pytest.raises(QueueFull) as caught:
        fill(publisher.put_nowait, [f"{n:04}" for n in range(4)])
    assert len(caught.value.sent) < 4
    read = 0
    while subscriber.get(block=True, timeout=1) is not None:
        read += 1
    assert read == publisher.context.get("publisher.counter")


async def test_asyncio_reads_the_same(buses: Buses) -> None:
    publisher = buses.publisher()
    subscriber = buses.subscriber("a")
    await subscriber.aio.wait_ready(10)
    for n in range(1000):
        publisher.put("a", n)
    assert await subscriber.aio.receive(5) == Frame("a", 0, 1)
    assert await subscriber.aio.get() == 1
    heard = []
    async for message in subscriber:
        heard.append(message)
        if message == 999:
            break
    assert heard == list(range(2, 1000))
    assert await subscriber.aio.get(block=False) is None
    assert await subscriber.aio.get(timeout=0.01) is None
    assert await subscriber.aio.receive(0.01) is None


async def test_asyncio_adds_while_another_task_reads(buses: Buses) -> None:
    publisher = buses.publisher()
    subscriber = buses.subscriber("a")
    await subscriber.aio.wait_ready(10)
    reading = asyncio.ensure_future(subscriber.aio.receive(10))
    await asyncio.sleep(0)
    for n in range(20):
        subscriber.add(f"b{n}")
        await subscriber.aio.wait_ready(10)
        publisher.put(f"b{n}", n)
        assert (await reading).message == n
        reading = asyncio.ensure_future(subscriber.aio.receive(10))
        await asyncio.sleep(0)
    reading.cancel()


async def test_close_wakes_asyncio(buses: Buses) -> None:
    buses.publisher()
    subscriber = buses.subscriber("a")
    await subscriber.aio.wait_ready(10)
    waiting = asyncio.ensure_future(subscriber.aio.get())
    ready = asyncio.ensure_future(anext(aiter(subscriber), "ended"))
    await asyncio.sleep(0)
    subscriber.close()
    with pytest.raises(BusClosed):
        await waiting
    assert await ready == "ended"
    with pytest.raises(BusClosed):
        await subscriber.aio.receive()


async def test_asyncio_is_told_when_nobody_publishes(buses: Buses) -> None:
    subscriber = buses.subscriber("a")
    with pytest.raises(BusTimeout):
        await subscriber.aio.wait_ready(0.05)


async def test_asyncio_is_fair(buses: Buses) -> None:
    publisher = buses.publisher()
    subscriber = buses.subscriber("a")
    await subscriber.aio.wait_ready(10)
    for n in range(2000):
        publisher.put("a", n)
    while subscriber.get(block=True) != 0:
        pass
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    for _ in range(1999):
        await subscriber.aio.get()
    task.cancel()
    assert turns >= 5
