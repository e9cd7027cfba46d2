"""What a bus has counted, as one dictionary."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from shellbot.bus import Bus, Publisher, Subscriber
from shellbot.bus.counters import NAMES
from shellbot.context import Context
from shellbot.errors import QueueFull
from shellbot.testing import kill
from tests.bus.watching import state_of, wait_until

MakeBus = Callable[..., Bus]


@pytest.fixture
def make_bus() -> Iterator[MakeBus]:
    """Buses whose ends are closed when the test is over, the readers first: a publisher waits for them."""
    made: list[Bus] = []

    def make(address: str, **settings: Any) -> Bus:
        made.append(Bus(Context({"bus": {"address": address, "linger": 0.3, **settings}})))
        return made[-1]

    yield make
    ends = [end for bus in made for end in bus._ends]
    for end in sorted(ends, key=lambda end: isinstance(end, Publisher)):
        end.close()


def reader(bus: Bus, *channels: str) -> Subscriber:
    subscriber = bus.subscribe(channels)
    subscriber.wait_ready(10)
    return subscriber


def read(subscriber: Subscriber, count: int) -> list[Any]:
    return [subscriber.get(block=True, timeout=10) for _ in range(count)]


def filled(publisher: Publisher, text: str = "x" * 1000) -> int:
    """Put until nothing fits any more, in the queue, the hub and its connections."""
    count = 0
    with suppress(QueueFull):
        while True:
            publisher.put("room", text)
            count += 1
    return count


def stopped(pid: int | None) -> int:
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: state_of(pid) == "T")
    return pid


def test_a_new_bus_has_all_names_and_has_counted_nothing(make_bus: MakeBus, address: str) -> None:
    assert make_bus(address).counters() == dict.fromkeys(NAMES, 0)


def test_each_message_is_counted_at_both_ends(make_bus: MakeBus, address: str) -> None:
    bus = make_bus(address)
    publisher = bus.publish()
    publisher.put("cellar", "to nobody, kept until the start")
    assert {name: count for name, count in bus.counters().items() if count} == {"put": 1, "depth": 1}
    publisher.start()
    one, two = reader(bus, "room"), reader(bus, "room", "hall")
    publisher.put(["room", "hall"], "to two channels")
    publisher.put("room-1", "to nobody")
    wait_until(lambda: bus.counters()["sent"] == 4)
    assert read(one, 1) + read(two, 2) == ["to two channels"] * 3
    assert {name: count for name, count in bus.counters().items() if count} == {"put": 4, "sent": 4, "delivered": 3}
    assert publisher.counters == {"put": 4, "sent": 4, "dropped": 0, "depth": 0, "restarts": 0}


def test_what_a_forked_process_puts_is_counted(make_bus: MakeBus, tcp_address: str) -> None:
    bus = make_bus(tcp_address)
    publisher = bus.publish()
    publisher.start()
    child = multiprocessing.get_context("fork").Process(target=publisher.put, args=("room", 1))
    child.start()
    child.join(10)
    wait_until(lambda: bus.counters()["sent"] == 1)
    assert bus.counters()["put"] == 1


def test_what_a_queue_of_somebody_else_held_is_counted(make_bus: MakeBus, tcp_address: str) -> None:
    bus = make_bus(tcp_address)
    publisher = bus.publish()
    publisher.fan = multiprocessing.Queue()
    publisher.put("room", 1)
    wait_until(lambda: bus.counters()["depth"] == 1)
    publisher.start()
    wait_until(lambda: bus.counters()["sent"] == 1)
    assert (bus.counters()["put"], bus.counters()["depth"]) == (1, 0)
    publisher.close()
    publisher.fan.close()


@pytest.mark.parametrize("guarantee", ["fast", "replay"])
def test_what_a_slow_reader_holds_up_is_the_depth(make_bus: MakeBus, address: str, guarantee: str) -> None:
    bus = make_bus(address, guarantee=guarantee, put_timeout=0.3)
    publisher = bus.publish()
    publisher.start()
    slow = reader(bus, "room")
    count = filled(publisher)
    wait_until(lambda: bus.counters()["put"] == count)
    held_up = bus.counters()
    assert held_up["depth"] == count - held_up["sent"] > 0
    read(slow, count)
    wait_until(lambda: bus.counters()["sent"] == count)
    assert {name: n for name, n in bus.counters().items() if n} == dict.fromkeys(("put", "sent", "delivered"), count)


@pytest.mark.parametrize("guarantee", ["fast", "replay"])
def test_what_no_reader_takes_before_a_stop_is_dropped(make_bus: MakeBus, tcp_address: str, guarantee: str) -> None:
    bus = make_bus(tcp_address, guarantee=guarantee, put_timeout=0.3)
    publisher = bus.publish()
    publisher.start()
    idle = reader(bus, "room")
    count = filled(publisher)
    publisher.close()
    found = bus.counters()
    assert found["dropped"] == count - found["sent"] > 0
    assert (found["put"], found["depth"], found["delivered"]) == (count, 0, 0)
    idle.close()


def test_a_long_message_of_a_killed_writer_is_dropped(make_bus: MakeBus, tcp_address: str) -> None:
    bus = make_bus(tcp_address)
    publisher = bus.publish()
    publisher.start()
    subscriber = reader(bus, "room")
    process = stopped(publisher.pid)
    writer = multiprocessing.get_context("fork").Process(target=publisher.put, args=("room", "x" * 1_047_000))
    writer.start()
    wait_until(publisher.fan.full)
    writer.kill()
    writer.join(10)
    os.kill(process, signal.SIGCONT)
    publisher.put("room", "whole")
    assert read(subscriber, 1) == ["whole"]
    wait_until(lambda: bus.counters()["dropped"] == bus.counters()["sent"] == 1)
    assert (bus.counters()["put"], bus.counters()["depth"]) == (1, 0)


def test_messages_in_the_hands_of_a_killed_hub_are_counted_once(make_bus: MakeBus, tcp_address: str) -> None:
    hub_bus, bus = make_bus(tcp_address), make_bus(tcp_address, put_timeout=0.3)
    hub, publisher = hub_bus.publish(), bus.publish()
    hub.start()
    publisher.start()
    slow = reader(bus, "room")
    count = filled(publisher)
    wait_until(lambda: bus.counters()["put"] == count)
    kill(hub)
    assert read(slow, count) == ["x" * 1000] * count
    wait_until(lambda: bus.counters()["sent"] == count)
    found = bus.counters()
    assert (found["put"], found["depth"], found["dropped"], found["delivered"]) == (count, 0, 0, count)
    assert found["reconnects"] >= 1


def test_a_process_started_again_is_counted_and_goes_on_counting(make_bus: MakeBus, tcp_address: str) -> None:
    bus = make_bus(tcp_address)
    publisher = bus.publish()
    publisher.start()
    subscriber = reader(bus, "room")
    publisher.put("room", 1)
    assert read(subscriber, 1) == [1]
    kill(publisher)
    publisher.put("room", 2)
    assert read(subscriber, 1) == [2]
    wait_until(lambda: bus.counters()["restarts"] == 1 and bus.counters()["sent"] == 2)
    assert bus.counters()["put"] == 2


def test_what_comes_after_all_is_counted_and_what_is_gone_too(
    make_bus: MakeBus, tcp_address: str, runtime_folder: Any
) -> None:
    bus = make_bus(tcp_address)
    first = bus.publish()
    first.start()
    subscriber = reader(bus, "room")
    first.close()
    # The subscriber looks again when all is sent: what came beside the reply is in it.
    second = bus.publish()
    second.start()
    for number in range(3):
        second.put("room", number)
    wait_until(lambda: second.counters["sent"] == 3)
    assert read(subscriber, 3) == [0, 1, 2]
    found = bus.counters()
    assert (found["replayed"], found["gaps"]) == (3, 0)
    assert found["reconnects"] > 0
    subscriber.wait_ready(10)
    second.close()
    # A bus that knows nothing of what was before.
    for ring in runtime_folder.glob("*.ring"):
        ring.unlink()
    third = bus.publish()
    third.start()
    subscriber.wait_ready(10)
    third.put("room", "after the gap")
    assert read(subscriber, 1) == ["after the gap"]
    assert bus.counters()["reconnects"] > found["reconnects"]
    assert bus.counters()["gaps"] == 1


def test_a_frame_that_cannot_be_read_is_a_dead_letter(make_bus: MakeBus, address: str) -> None:
    class Broken:
        def __init__(self) -> None:
            self.frames = [b"room {", b'room "whole"']

        def recv(self) -> bytes | None:
            return self.frames.pop(0) if self.frames else None

    bus = make_bus(address)
    subscriber = bus.subscribe("room")
    subscriber.socket = Broken()
    assert subscriber.get() == "whole"
    assert (bus.counters()["dead_letters"], bus.counters()["delivered"]) == (1, 1)


def test_a_bus_that_travels_leaves_its_ends_behind(make_bus: MakeBus, address: str) -> None:
    bus = make_bus(address)
    bus.publish().put("room", 1)
    kept = bus.publish()
    kept.put("room", 2)
    assert bus.counters()["put"] == 1
    travelled = pickle.loads(pickle.dumps(bus))
    assert travelled.counters() == dict.fromkeys(NAMES, 0)
    assert travelled.context.get("bus.address") == address
