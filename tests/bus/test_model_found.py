"""What the model of publishers, hub and subscribers has found, each as a short story of its own."""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from shellbot.bus import Publisher, transports
from shellbot.bus.address import parse_address
from shellbot.bus.connections import kept_connections
from shellbot.bus.fan import Fan
from shellbot.bus.frames import parse_ask, welcome
from shellbot.bus.hub.answers import Answer, Heads
from shellbot.bus.hub.intake import Intake
from shellbot.bus.hub.journal import Journal, Passage, Source
from shellbot.bus.hub.waiters import Waiters
from shellbot.bus.hub.watching import Watching
from shellbot.bus.options import MIN_HISTORY
from shellbot.bus.records import Cutter, writer_id
from shellbot.bus.ring import Ring
from shellbot.bus.stream import Hole, Stream
from shellbot.bus.transports import Slow
from shellbot.testing import kill, stopped
from tests.bus.conftest import Buses, free_tcp_address
from tests.bus.watching import state_of, wait_until


def test_queues_that_are_handed_over_again_while_they_are_full_do_not_end_the_hub(tcp: Buses) -> None:
    """The hub read on from a descriptor that it had given back a moment before."""
    hub, *guests = (tcp.publisher() for _ in range(5))
    subscriber = tcp.subscriber("room", ready=True)
    pid = hub.pid
    count = 5000

    def flood(guest: Publisher) -> None:
        for number in range(count):
            guest.put("room", [guest.name, number, "x" * 200])

    threads = [threading.Thread(target=flood, args=(guest,)) for guest in guests]
    for number, guest in enumerate(guests):
        guest.name = str(number)
    with stopped(hub):
        for thread in threads:
            thread.start()
        for guest in guests:
            wait_until(guest.fan.full)
        before = {guest.pid for guest in guests}
        for guest in guests:
            kill(guest)
        # They wait for the hub's answer.
        wait_until(lambda: not before & {guest.pid for guest in guests})
        wait_until(lambda: all(guest.pid and state_of(guest.pid) == "S" for guest in guests))
    for thread in threads:
        thread.join()

    heard = [subscriber.get(block=True, timeout=10) for _ in range(count * len(guests))]
    for guest in guests:
        assert [number for name, number, _ in heard if name == guest.name] == list(range(count))
    assert (hub.pid, hub.restarts) == (pid, 0)


def test_the_hub_does_not_wait_for_a_question_that_another_has_taken() -> None:
    """It hung for ever: recv_fds() leaves out the flags it is given, and what poll() told was out of date."""
    asking, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    reading, writing = os.pipe()
    with asking, asked, os.fdopen(reading, "rb", buffering=0) as answer:
        waiters = Waiters(Watching())
        waiters.note(b"\x01room ")
        waiters.take(asked)
        assert not waiters
        socket.send_fds(asking, [b"room "], [writing])
        os.close(writing)
        waiters.take(asked)
        assert answer.read() == b"\x01"


def test_what_was_told_of_a_closed_descriptor_is_not_done_with_the_next_of_its_number() -> None:
    """One who waited was forgotten, or the hub read where nothing was, when a queue was taken over in the same turn."""
    watching = Watching()
    done = []
    (first, first_end), (second, second_end) = os.pipe(), os.pipe()
    number = second

    def replace() -> None:
        nonlocal second, second_end
        watching.ignore(second)
        os.close(second)
        os.close(second_end)
        second, second_end = os.pipe()
        assert second == number
        watching.listen(second, lambda: done.append("the new one"))

    watching.listen(first, replace)
    watching.listen(second, lambda: done.append("the old one"))
    os.write(first_end, b"1")
    os.write(second_end, b"1")
    since = watching.newest
    for descriptor, _ in sorted(watching.poller.poll(1000)):
        watching.serve(descriptor, since)
    assert done == []

    watching.ignore(first)
    os.write(second_end, b"2")
    since = watching.newest
    for descriptor, _ in watching.poller.poll(1000):
        watching.serve(descriptor, since)
    assert done == ["the new one"]
    for end in (first, first_end, second, second_end):
        os.close(end)


class HeldUp(Publisher):
    """One whose process is not there again before ``go_on`` is set."""

    def prepare(self) -> None:
        self.is_down, self.go_on = threading.Event(), threading.Event()

    def _fork(self) -> Any:
        if "go_on" in self.__dict__:
            self.is_down.set()
            assert self.go_on.wait(10)
        return super()._fork()


@pytest.fixture
def held_up(tcp: Buses) -> HeldUp:
    """Its process was killed, and is not there again."""
    publisher = HeldUp(tcp.context())
    tcp.ends.append(publisher)
    publisher.start()
    publisher.prepare()
    assert publisher.pid is not None
    kill(publisher.pid)
    assert publisher.is_down.wait(10)
    return publisher


def test_close_while_the_process_is_started_again_still_sends_all(tcp: Buses, held_up: HeldUp) -> None:
    """close() took a publisher without a process for one that was never started."""
    subscriber = tcp.subscriber("room")
    subscriber.get()
    held_up.put("room", 1)
    closing = threading.Thread(target=held_up.close)
    closing.start()
    held_up.go_on.set()

    closing.join(10)
    assert not closing.is_alive()
    assert not held_up.is_alive()
    assert held_up.exitcode == 0


def test_kill_while_the_process_is_started_again_is_for_good(held_up: HeldUp) -> None:
    """kill() did nothing then."""
    killing = threading.Thread(target=held_up.kill)
    killing.start()
    held_up.go_on.set()

    killing.join(10)
    held_up.join(10)
    assert not held_up.is_alive()


def test_with_does_not_start_twice_what_is_started_again(held_up: HeldUp) -> None:
    entering = threading.Thread(target=held_up.__enter__)
    entering.start()
    held_up.go_on.set()

    entering.join(10)
    wait_until(lambda: held_up.restarts == 1)
    assert held_up.is_alive()


def test_what_a_reader_has_does_not_come_again_behind_a_gap() -> None:
    """It had more than the ring has given up since it was last told a position: all the rest came twice."""
    ring = Ring(None, 4 * 1024 * 1024)
    stream = Stream(["room"])
    stream.open(b"0" * 32, "tcp://127.0.0.1:5555", replays=True, is_exact=False)

    def connect(at: int) -> list[bytes]:
        """What a new connection brings."""
        found = stream.sort([welcome(ring.epoch)], at)
        question = parse_ask(stream.out.pop())
        assert question is not None
        answer = Answer(question, ring, ring.position, 0.0, Heads(0))
        frames: list[bytes] = []

        def send(frame: bytes) -> bool:
            frames.append(frame)
            return True

        while not answer.go_on(send, ring.position):
            pass
        return found + stream.sort(frames, at + len(found))

    connect(0)
    texts = [b'room "%d %b"' % (number, b"x" * 100_000) for number in range(60)]
    for text in texts:
        ring.append(text + b"\n", 1)
    had = stream.sort(texts[:50], 0)
    assert 0 < ring.first < 50

    found = connect(len(had))
    came = [text for text in [*had, *found] if not isinstance(text, Hole)]
    assert came == sorted(set(came), key=texts.index)
    told = sum(hole.gap.at_most or 0 for hole in found if isinstance(hole, Hole))
    assert len(texts) - len(came) <= told
    ring.close()


def test_a_long_message_outlives_its_writer_and_the_hub_that_read_its_beginning(tcp: Buses) -> None:
    """The next hub forgot the beginning, as its writer was dead, before it was handed the queue with the end."""
    hub, guest, heir = (tcp.publisher() for _ in range(3))
    subscriber = tcp.subscriber("room", ready=True)
    long = "x" * 100_000
    ours, theirs = multiprocessing.Pipe()

    def write() -> None:
        pieces = Cutter(writer_id(os.getpid(), 0)).cut(b"room ", b'"%b"' % long.encode())
        for piece in pieces:
            guest.fan.write(piece)
            theirs.send(True)
            theirs.recv()

    writer = multiprocessing.get_context("fork").Process(target=write)
    writer.start()
    assert ours.poll(10)
    wait_until(lambda: not guest.fan.queued_bytes)
    assert guest.pid is not None
    assert hub.pid is not None
    with stopped(guest.pid):
        with stopped(hub.pid) as pid:
            for _ in range(2):
                ours.recv()
                ours.send(True)
            writer.join(10)
            kill(pid)
        heir.put("room", "the next hub is there")
        assert subscriber.get(block=True, timeout=10) == "the next hub is there"

    guest.put("room", "what was put behind it")
    assert subscriber.get(block=True, timeout=10) == long
    assert subscriber.get(block=True, timeout=10) == "what was put behind it"
    ours.close()
    theirs.close()


@pytest.mark.parametrize("guarantee", ["fast", "replay"])
def test_a_long_message_is_whole_though_its_writer_died_before_its_end_was_read(guarantee: str) -> None:
    """The hub forgot the beginning when it saw that the writer was dead; the end was still in the queue."""
    fan = Fan()
    ring = Ring(None, MIN_HISTORY)
    source: Source = Passage() if guarantee == "fast" else Journal(ring, None)
    intake = Intake.of_fan(fan, None)
    intake.assembler = source.assembler
    long = b"x" * (fan.capacity + 100_000)

    def read() -> list[bytes]:
        source.prepare(intake)
        return source.read(intake)

    def forget_dead() -> None:
        source.forget_dead(lambda: not intake.waiting_bytes)

    writer = multiprocessing.get_context("fork").Process(target=fan.put, args=(b"room " + long,))
    writer.start()
    wait_until(fan.full)
    assert not read()
    writer.join(10)
    assert writer.exitcode == 0
    assert intake.waiting_bytes

    forget_dead()
    assert read() == [b"room " + long]

    # One that dies before it has written the end is forgotten all the same.
    beginning = Cutter(writer_id(writer.pid or 0, 0)).cut(b"room ", long)[0]
    fan.write(beginning[: 10 * 4096])
    forget_dead()
    assert not read()
    forget_dead()
    assert (source.assembler.open_bytes, source.assembler.dropped) == (0, 1)
    ring.close()


@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
def test_a_connection_that_is_kept_for_the_end_does_not_block_libzmq(scheme: str, short_folder: Path) -> None:
    """Its copy made it blocking: libzmq waited in it for ever where the reader was held up, and nobody got the seat."""
    address = parse_address(free_tcp_address() if scheme == "tcp" else f"ipc://{short_folder}/bus")
    sending = transports.load(address).bind(address, welcome(1), Slow())
    receiving = transports.load(address).connect(address, 1000)
    receiving.send(b"\x01room ")
    wait_until(sending.upstream)

    kept = kept_connections(address)
    assert kept
    assert not any(os.get_blocking(one.fileno()) for one in kept)
    for one in kept:
        one.close()
    receiving.close()
    sending.close(0)


def test_close_does_not_give_up_what_waits_for_a_process_that_is_started_late(tcp: Buses) -> None:
    """It waited for ``bus.linger`` only, and the pause before the next start was longer."""
    with mock.patch("shellbot.bus.keeper._YOUNG", 60.0), mock.patch("shellbot.bus.keeper._FIRST_PAUSE", 2.0):
        publisher = tcp.publisher()
        subscriber = tcp.subscriber("room", ready=True)
        assert publisher.pid is not None
        kill(publisher.pid)
        publisher.put("room", "put before the close")
        publisher.close()
    assert publisher.restarts == 1

    # It may have ended before the subscriber was connected again.
    tcp.publisher()
    assert subscriber.get(block=True, timeout=10) == "put before the close"
