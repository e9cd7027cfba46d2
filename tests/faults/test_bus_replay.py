"""Faults between those who put and those who read, at ``replay``: rows of docs/faults.md.

Senders are programs of their own; readers are threads of the test, where it matters behind a proxy.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import zmq

from benchmarks.scene.listener import Listener
from benchmarks.scene.stage import Stage, free_address, memory_bytes, wait_until
from shellbot.bus import Bus, Gap
from shellbot.context import Context
from shellbot.errors import NotRunning
from shellbot.testing import FaultProxy, Verdict, kill, kill_every, read_message, stopped
from tests.bus.watching import ROOT
from tests.conftest import missing

MIB = 1024 * 1024
# What takes about a second must be over in so many, on a busy machine too.
SOON = 3.0


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as made:
        yield made


@pytest.fixture
def fast() -> Iterator[Stage]:
    """Without the repair."""
    with Stage(guarantee="fast") as made:
        yield made


def all_came(stage: Stage, *listeners: Listener) -> None:
    """All that was put came to each of these readers, once and in order."""
    total = sum(stage.sent.values())
    for listener in listeners:
        assert listener.wait_for(stage.sent), f"came {dict(listener.next)} of {stage.sent}"
        assert listener.verdict(stage.sent) == Verdict(total, total)


def go_on_until_heard(stage: Stage, listener: Listener) -> None:
    """Each sender puts until something of it comes again, so that all that will ever come has come."""
    for sender in stage.senders:
        sender.put(0, rate=200)
        before = sender.halt()["sent"]
        sender.put(0, rate=200)
        assert listener.wait_for({sender.name: before + 1})
        sender.halt()
    assert listener.wait_for(stage.sent)


# -- the queue


def test_a09_a_message_of_a_mebibyte_survives_the_hubs_that_read_it(stage: Stage) -> None:
    senders = [stage.sender(name) for name in "ab"]
    listener = stage.listener()
    for sender in senders:
        sender.put(0, rate=20, size=MIB - 100)
    with kill_every(stage.hub, 0.1, times=3) as killing:
        killing.wait(15)
    for sender in senders:
        sender.halt()
    all_came(stage, listener)


def test_a10_a_stopped_hub_makes_the_others_wait_and_then_say_so(stage: Stage) -> None:
    stage.sender("a")
    guest = stage.sender("b", put_timeout=0.2)
    listener = stage.listener()
    with stopped(stage.wait_hub()):
        guest.put(1200, size=1000)
        with pytest.raises(TimeoutError):
            guest.finish(0.5)
    assert guest.finish()["full"] > 0
    all_came(stage, listener)


def test_a11_a_publisher_that_was_killed_is_started_again_and_put_goes_on(stage: Stage) -> None:
    publisher = Bus(Context({"bus": {"address": stage.address, "linger": 0.5}})).publish()
    with publisher:
        listener = stage.listener()
        first = publisher.pid or 0
        kill(first)
        for number in range(1000):
            publisher.put("me", {"from": "me", "n": number})
        assert listener.wait_for({"me": 1000})
        assert listener.verdict({"me": 1000}) == Verdict(1000, 1000)
        assert publisher.restarts == 1
        publisher.kill()
        publisher.join(5)
        with pytest.raises(NotRunning):
            publisher.put("me", 1)


def test_a12_what_a_guest_put_last_arrives(stage: Stage) -> None:
    stage.sender("a")
    listener = stage.listener()
    guest = stage.sender("b")
    guest.put(1000)
    guest.finish()
    guest.end()
    all_came(stage, listener)


# -- the publisher


def kill_often(stage: Stage, listener: Listener, times: int) -> None:
    """One program alone, whose process is killed again and again."""
    sender = stage.senders[0]
    sender.put(0, rate=20_000)
    # Not sooner: a process that dies as soon as it is there is given a pause.
    with kill_every(stage.hub, 0.15, times=times) as killing:
        killing.wait(110)
    sender.halt()


def test_b01_at_fast_a_killed_publisher_loses_messages(fast: Stage) -> None:
    fast.sender("a")
    listener = fast.listener()
    kill_often(fast, listener, 3)
    go_on_until_heard(fast, listener)
    assert listener.verdict(fast.sent).lost > 0


def test_b01_a_killed_publisher_is_started_again_and_loses_nothing(stage: Stage) -> None:
    stage.sender("a")
    listener = stage.listener()
    kill_often(stage, listener, 5)
    all_came(stage, listener)


@pytest.mark.long
@pytest.mark.timeout(120)
def test_b01_a_publisher_killed_200_times_loses_nothing(stage: Stage) -> None:
    stage.sender("a")
    listener = stage.listener()
    kill_often(stage, listener, 200)
    all_came(stage, listener)


def test_b04_a_stopped_publisher_is_noticed_and_nothing_is_lost(stage: Stage) -> None:
    sender = stage.sender("a")
    listener, unaware = stage.listener(), stage.listener(probe=0)
    sender.put(100).finish()
    with stopped(stage.wait_hub()):
        sender.put(1000).finish()
        wait_until(lambda: listener.subscriber.state == "disconnected", SOON)
        # the harm, where nobody asks: all seems well
        assert unaware.subscriber.state == "live"
    assert listener.wait_for(stage.sent, SOON)
    all_came(stage, listener, unaware)
    assert listener.gaps == []


# -- readers


def test_b09_a_plain_socket_that_comes_late_misses_what_was_put(stage: Stage) -> None:
    """The harm that is repaired."""
    sender = stage.sender("a")
    context: zmq.Context[Any] = zmq.Context()
    late = context.socket(zmq.SUB)
    late.setsockopt(zmq.SUBSCRIBE, b"a ")
    sender.put(20).finish()
    wait_until(lambda: (facts := stage.look()) and facts.sent == 20)
    late.connect(stage.address)
    sender.put(0, rate=100)
    first = late.recv()
    sender.halt()
    assert read_message(json.loads(first.partition(b" ")[2]))[1] >= 20
    late.close(0)
    context.term()


def test_b09_who_comes_late_gets_the_last_messages_or_exactly_those_from_now_on(stage: Stage) -> None:
    sender = stage.sender("a")
    sender.put(1000).finish()
    # Put is not sent yet: who came before would get all of them as they come.
    wait_until(lambda: (facts := stage.look()) and facts.position == 1000)
    sender.put(0, rate=5000)
    late = Bus(Context({"bus": {"address": stage.address}})).subscribe("a", last=300)
    from_now = Bus(Context({"bus": {"address": stage.address}})).subscribe("a")
    with late, from_now:
        late.wait_ready(10)
        from_now.wait_ready(10)
        sender.halt()
        sender.put(100).finish()
        for subscriber in (late, from_now):
            numbers: list[int] = []
            while not numbers or numbers[-1] < sender.sent - 1:
                numbers.append(subscriber.get(block=True, timeout=5)["n"])
            assert numbers == list(range(numbers[0], sender.sent))
            if subscriber is late:
                assert late.replayed > 0, numbers[:3]
                assert numbers[0] >= 700
        assert subscriber.gaps == 0


@pytest.mark.parametrize("last", [1, 1000, 1_000_000])
def test_b09_as_many_of_the_last_as_there_are(stage: Stage, last: int) -> None:
    sender = stage.sender("a")
    sender.put(500).finish()
    wait_until(lambda: (facts := stage.look()) and facts.position == 500)
    with Bus(Context({"bus": {"address": stage.address}})).subscribe("", last=last) as subscriber:
        count = min(last, 500)
        assert [subscriber.get(block=True, timeout=5)["n"] for _ in range(count)] == list(range(500 - count, 500))
        assert subscriber.get() is None


def test_b10_with_block_all_wait_for_one_that_does_not_read() -> None:
    """The harm that disconnect repairs; here it is asked for."""
    with Stage(slow="block", put_timeout=0.3) as stage:
        sender = stage.sender("a")
        stuck = Bus(Context({"bus": {"address": stage.address}})).subscribe("a")
        stuck.wait_ready(10)
        listener = stage.listener()
        sender.put(40_000, size=1000)
        with pytest.raises(TimeoutError):
            sender.finish(2)
        assert listener.next["a"] < 40_000
        came = [stuck.get(block=True, timeout=5)["n"] for _ in range(40_000)]
        assert came == list(range(40_000))
        assert sender.finish()["full"] > 0
        all_came(stage, listener)
        stuck.close()


def test_b10_with_disconnect_the_others_go_on_and_it_catches_up() -> None:
    with Stage(slow="disconnect", history=64 * MIB) as stage:
        sender = stage.sender("a")
        stuck = Bus(Context({"bus": {"address": stage.address}})).subscribe("a")
        stuck.wait_ready(10)
        listener = stage.listener()
        assert sender.put(30_000, size=1000).finish()["full"] == 0
        assert listener.wait_for(stage.sent)
        facts = stage.look()
        assert facts is not None
        assert facts.cuts >= 1
        came = [stuck.receive(5) for _ in range(30_000)]
        assert not any(isinstance(one, Gap) for one in came)
        assert [one.message["n"] for one in came] == list(range(30_000))  # type: ignore[union-attr]
        stuck.close()
        all_came(stage, listener)


def test_b10_one_that_lags_more_than_the_ring_holds_is_told_so() -> None:
    with Stage(slow="disconnect", history=8 * MIB) as stage:
        sender = stage.sender("a")
        with FaultProxy(stage.address, buffer_bytes=64 * 1024) as proxy:
            slow, listener = stage.listener(address=proxy.address), stage.listener()
            proxy.hold("down")
            assert sender.put(12_000, rate=6000, size=1000).finish()["full"] == 0
            assert listener.wait_for(stage.sent)
            proxy.heal()
            assert slow.wait_for(stage.sent)
            verdict = slow.verdict(stage.sent)
            assert verdict.lost > 0
            assert slow.gaps
            assert (verdict.unreported, verdict.duplicated, verdict.reordered) == (0, 0, 0)
        all_came(stage, listener)


# -- the network


def reset(proxy: FaultProxy, wait_more: Callable[[], None]) -> None:
    for _ in range(5):
        wait_more()
        proxy.reset()


def refuse(proxy: FaultProxy, wait_more: Callable[[], None]) -> None:
    proxy.refuse()
    proxy.reset()
    wait_more()
    proxy.heal()


def dark(direction: Any) -> Callable[[FaultProxy, Callable[[], None]], None]:
    def cut(proxy: FaultProxy, wait_more: Callable[[], None]) -> None:
        proxy.blackhole(direction)
        wait_more()
        proxy.heal()

    return cut


def has_reset(proxy: FaultProxy, before: int) -> bool:
    return proxy.counts.resets > before


def half_a_frame(proxy: FaultProxy, wait_more: Callable[[], None]) -> None:
    for resets, size in enumerate((1, 7, 100, 1001, 10_003)):
        proxy.cut_after(size)
        wait_more()
        wait_until(partial(has_reset, proxy, resets))


def hold(proxy: FaultProxy, wait_more: Callable[[], None]) -> None:
    proxy.hold("down")
    wait_more()
    proxy.reset()
    proxy.heal()


def slices(proxy: FaultProxy, wait_more: Callable[[], None]) -> None:
    proxy.slice(1)
    wait_more()
    proxy.slice(7)
    wait_more()
    proxy.heal()


def slow(proxy: FaultProxy, wait_more: Callable[[], None]) -> None:
    proxy.latency(0.05)
    proxy.rate(200_000)
    wait_more()
    proxy.heal()


LOSING = {
    "reset": reset,
    "refuse": refuse,
    "dark down": dark("down"),
    "dark both": dark("both"),
    "hold, then reset": hold,
}
ALL = LOSING | {"half a frame": half_a_frame, "dark up": dark("up"), "slices": slices, "slow": slow}


def cut_network(stage: Stage, fault: Callable[[FaultProxy, Callable[[], None]], None]) -> Iterator[Listener]:
    sender = stage.sender("a")
    with FaultProxy(stage.address) as proxy:
        listener, plain = stage.listener(address=proxy.address), stage.listener()
        sender.put(0, rate=3000)

        def wait_more() -> None:
            """The sender goes on for a while, as one can see who reads beside the fault."""
            wanted = plain.next["a"] + 500
            wait_until(lambda: plain.next["a"] >= wanted)

        wait_more()
        fault(proxy, wait_more)
        sender.halt()
        yield listener
        plain.close()
        listener.close()


@pytest.mark.parametrize("name", LOSING)
def test_b14_at_fast_a_cut_network_loses_messages(fast: Stage, name: str) -> None:
    for listener in cut_network(fast, LOSING[name]):
        go_on_until_heard(fast, listener)
        assert listener.verdict(fast.sent).lost > 0


@pytest.mark.parametrize("name", ALL)
def test_b14_a_cut_network_loses_nothing(stage: Stage, name: str) -> None:
    for listener in cut_network(stage, ALL[name]):
        all_came(stage, listener)
        assert listener.gaps == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("direction", ["up", "down"])
def test_b15_flipped_bits_crash_nobody_and_what_follows_comes(stage: Stage, direction: Any, seed: int) -> None:
    sender = stage.sender("a")
    with FaultProxy(stage.address) as proxy:
        listener, other = stage.listener(address=proxy.address), stage.listener()
        sender.put(100).finish()
        proxy.flip(probability=1e-4, seed=seed, direction=direction)
        for _ in range(10):
            sender.put(200).finish()
            assert other.wait_for(stage.sent)
            proxy.reset()
        proxy.heal()
        proxy.reset()
        go_on_until_heard(stage, listener)
        all_came(stage, other)
        assert stage.look()


def test_b15_what_does_not_parse_is_a_dead_letter(stage: Stage) -> None:
    context: zmq.Context[Any] = zmq.Context()
    publisher = context.socket(zmq.XPUB)
    publisher.bind(stage.address)
    with Bus(Context({"bus": {"address": stage.address}})).subscribe("a") as subscriber:
        assert subscriber.get() is None
        subscribed: set[bytes] = set()
        while b"\x01a " not in subscribed:
            subscribed.add(publisher.recv())
        letters = [b"a {", b"a ", b"a nul", b"a \xfe\xff", b"a [1}", b'a "\x00"']
        for letter in letters:
            publisher.send(letter)
        publisher.send(b'a "whole"')
        assert subscriber.get(block=True, timeout=5) == "whole"
        assert list(subscriber.dead_letters) == letters
    publisher.close(0)
    context.term()


def test_b16_junk_and_idle_connections_do_not_disturb(stage: Stage) -> None:
    sender = stage.sender("a")
    listener = stage.listener()
    where = stage.address.removeprefix("tcp://").split(":")
    sender.put(0, rate=2000)
    strangers = []
    junk = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff" + bytes(8) + b"\x7f\x03\x00NULL",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f" * 100,
        bytes(range(256)) * 100,
        b"",
    ]
    for number in range(200):
        one = socket.create_connection((where[0], int(where[1])), 5)
        one.sendall(junk[number % len(junk)])
        strangers.append(one)
    wanted = listener.next["a"] + 1000
    wait_until(lambda: listener.next["a"] > wanted)
    late = stage.listener("a")
    assert late.subscriber.state == "live"
    sender.halt()
    for one in strangers:
        one.close()
    all_came(stage, listener)
    assert listener.subscriber.reconnects == 0


def lose_the_tail(stage: Stage) -> Iterator[Listener]:
    """The last message of a burst is on its way when the connection breaks, and nothing follows it."""
    sender = stage.sender("a")
    with FaultProxy(stage.address) as proxy:
        listener = stage.listener(address=proxy.address)
        sender.put(99).finish()
        assert listener.wait_for(stage.sent)
        proxy.hold("down")
        before = proxy.counts.bytes_waiting
        sender.put(1).finish()
        proxy.wait_until(lambda: proxy.counts.bytes_waiting > before)
        proxy.reset()
        proxy.heal()
        yield listener
        listener.close()


def test_b17_at_fast_the_last_message_is_lost_with_its_connection(fast: Stage) -> None:
    for listener in lose_the_tail(fast):
        go_on_until_heard(fast, listener)
        assert listener.verdict(fast.sent).lost >= 1


def test_b17_the_last_message_comes_though_nothing_follows_it(stage: Stage) -> None:
    for listener in lose_the_tail(stage):
        assert listener.wait_for(stage.sent, SOON)
        all_came(stage, listener)


def test_b17_the_last_message_comes_though_the_connection_is_silent(stage: Stage) -> None:
    """Nobody says that it is dead: the reader finds out by asking."""
    sender = stage.sender("a")
    with FaultProxy(stage.address) as proxy:
        listener = stage.listener(address=proxy.address)
        sender.put(99).finish()
        assert listener.wait_for(stage.sent)
        proxy.blackhole()
        sender.put(1).finish()
        proxy.wait_until(lambda: proxy.counts.bytes_swallowed)
        proxy.heal()
        assert listener.wait_for(stage.sent, SOON)
        all_came(stage, listener)
        listener.close()


def test_b18_a_bus_that_begins_anew_is_not_mistaken(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same sender puts the same numbers again: neither old, nor double."""
    with tempfile.TemporaryDirectory(prefix="sb-") as folder:
        monkeypatch.setenv("SHELLBOT_RUNTIME", folder)
        found: list[int | None] = []
        with Bus(Context({"bus": {"address": stage.address}})).subscribe("a") as subscriber:
            for _ in range(2):
                with stage.sender("a") as sender:
                    subscriber.wait_ready(10)
                    sender.put(50).finish()
                    while not found or found[-1] != 49:
                        one = subscriber.receive(5)
                        assert one is not None
                        found.append(None if isinstance(one, Gap) else one.message["n"])
                    found.append(-1)
                for ring in Path(folder).glob("*.ring"):
                    ring.unlink()
        assert [one for one in found if one is not None] == [*range(50), -1, *range(50), -1]
        assert None in found


def days_of(environment: Mapping[str, str]) -> int:
    """By the clock of a process."""
    command = [sys.executable, "-c", "import time; print(int(time.time() // 86400))"]
    return int(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)


def test_b19_a_clock_that_jumps_a_day_changes_nothing(stage: Stage, tmp_path: Path) -> None:
    libraries = list(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not libraries:
        missing("libfaketime", "apt-get install faketime")
    moment = tmp_path / "moment"
    moment.write_text("+0")
    environment = os.environ | {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME_TIMESTAMP_FILE": str(moment),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    assert days_of(environment) == days_of(os.environ)
    moment.write_text("+1d")
    assert days_of(environment) > days_of(os.environ)
    moment.write_text("+0")
    jumping = stage.sender("a", environment=environment)
    steady = stage.sender("b")
    listener = stage.listener()
    for sender in (jumping, steady):
        sender.put(0, rate=2000)
    for jump in ("+1d", "-1d", "+0"):
        wanted = listener.next["a"] + 1000
        moment.write_text(jump)
        assert listener.wait_for({"a": wanted})
    kill(stage.wait_hub())
    for sender in (jumping, steady):
        sender.halt()
    all_came(stage, listener)
    assert listener.subscriber.reconnects == 1


# -- how much a process may have


def run_limited(code: str, descriptors: int) -> subprocess.CompletedProcess[str]:
    """Some lines in a process that may have so many descriptors."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=18, preexec_fn=limit, check=False)


def test_b28_subscribers_without_descriptors_say_so(stage: Stage) -> None:
    stage.sender("a")
    found = run_limited(
        "from shellbot import Bus, Context\n"
        "from shellbot.errors import BusError\n"
        # At `fast` each has a connection of its own.
        f"bus = Bus(Context({{'bus': {{'address': {stage.address!r}, 'guarantee': 'fast'}}}}))\n"
        "held = []\n"
        "try:\n"
        "    while True:\n"
        "        held.append(bus.subscribe('a')); held[-1].wait_ready(5)\n"
        "except BusError as error:\n"
        "    print(len(held), type(error).__name__, error)\n",
        100,
    )
    assert found.returncode == 0, found.stderr
    count, _, text = found.stdout.partition(" ")
    assert int(count) > 10
    assert "descriptors" in text or "open files" in text


def test_b28_many_subscribers_in_one_process(stage: Stage) -> None:
    sender = stage.sender("a")
    subscribers = [Bus(Context({"bus": {"address": stage.address}})).subscribe("a") for _ in range(300)]
    try:
        for subscriber in subscribers:
            subscriber.wait_ready(10)
        sender.put(5).finish()
        for subscriber in subscribers:
            assert [read_message(subscriber.get(block=True, timeout=5))[1] for _ in range(5)] == list(range(5))
    finally:
        for subscriber in subscribers:
            subscriber.close()


@pytest.mark.parametrize("slow", ["block", "disconnect"])
def test_b29_a_reader_that_stops_does_not_grow_the_hub(slow: str) -> None:
    # the harm: without a high-water mark a socket takes whatever comes, though nobody reads
    context: zmq.Context[Any] = zmq.Context()
    hoarding = context.socket(zmq.PUSH)
    hoarding.set(zmq.SNDHWM, 0)
    hoarding.connect(free_address())
    for _ in range(40_000):
        hoarding.send(b"x" * 1000, zmq.NOBLOCK)
    hoarding.close(0)
    context.term()

    with Stage(slow=slow, history=8 * MIB, put_timeout=0.2) as stage:
        sender = stage.sender("a")
        with Bus(Context({"bus": {"address": stage.address}})).subscribe("a") as stuck:
            stuck.wait_ready(10)
            hub = stage.wait_hub()
            sender.put(10).finish()
            before = memory_bytes(hub)
            sender.put(0, size=1000)
            if slow == "block":
                wait_until(lambda: (facts := stage.look()) and facts.programs[0].queued_bytes > 150_000)
            else:
                wait_until(lambda: (facts := stage.look()) and facts.position > 40_000)
            grown = memory_bytes(hub) - before
        sender.halt()
    assert grown < 12 * MIB


@pytest.mark.parametrize("more_kib", [4900, 5200, 5500, 5800])
def test_b14_what_came_behind_the_begin_of_a_gap_does_not_come_again(more_kib: int) -> None:
    """The ring has lost what was put before some messages that the reader has, and not those messages."""
    with Stage(history=8 * MIB) as stage:
        sender, filler = stage.sender("a"), stage.sender("b")
        with FaultProxy(stage.address) as proxy:
            listener, other = stage.listener("a", address=proxy.address), stage.listener("b")

            def fill(bytes_: int) -> None:
                filler.put(bytes_ // 3000, size=3000 - 40).finish()
                assert other.wait_for({"b": filler.sent})

            sender.put(10).finish()
            for _ in range(5):
                fill(MIB)
            fill(MIB // 2)
            sender.put(20).finish()
            assert listener.wait_for(stage.sent | {"b": 0})
            proxy.refuse()
            proxy.reset()
            fill(more_kib * 1024)
            sender.put(1).finish()
            proxy.heal()
            sender.put(0, rate=200)
            assert listener.wait_for({"a": 32})
            sender.halt()
            put = {"a": sender.sent}
            assert listener.wait_for(put)
            verdict = listener.verdict(put)
            assert (verdict.unreported, verdict.duplicated, verdict.reordered) == (0, 0, 0)
