"""The fault proxy does what it says, to real sockets."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from shellbot.errors import BadAddress, NotRunning
from shellbot.testing import FaultProxy

WAIT = 5.0


class Line:
    """A server that listens, a proxy before it, and connections through it."""

    def __init__(self, stack: ExitStack, listener: socket.socket, target: str, **options: int) -> None:
        self.stack = stack
        self.listener = listener
        self.proxy = stack.enter_context(FaultProxy(target, **options))

    def client(self) -> socket.socket:
        host, _, port = self.proxy.address.removeprefix("tcp://").partition(":")
        return self.stack.enter_context(socket.create_connection((host, int(port)), WAIT))

    def served(self) -> socket.socket:
        self.listener.settimeout(WAIT)
        server, _ = self.listener.accept()
        server.settimeout(WAIT)
        return self.stack.enter_context(server)

    def pair(self) -> tuple[socket.socket, socket.socket]:
        return self.client(), self.served()

    @property
    def has_visitor(self) -> bool:
        return is_readable(self.listener)


def is_readable(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], 0)[0])


def read(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = sock.recv(size - len(data))
        assert part, f"the end after {len(data)} of {size} bytes"
        data += part
    return bytes(data)


def read_until_reset(sock: socket.socket) -> bytes:
    data = bytearray()
    while True:
        try:
            part = sock.recv(65536)
        except ConnectionResetError:
            return bytes(data)
        assert part, "an end, not a reset"
        data += part


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as kept:
        yield kept


@pytest.fixture
def line(stack: ExitStack) -> Line:
    return tcp_line(stack)


def tcp_line(stack: ExitStack, **options: int) -> Line:
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    return Line(stack, listener, f"tcp://127.0.0.1:{listener.getsockname()[1]}", **options)


def ipc_line(stack: ExitStack, folder: Path) -> Line:
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(str(folder / "bus"))
    listener.listen()
    return Line(stack, listener, f"ipc://{folder}/bus")


@pytest.fixture(params=["tcp", "ipc"])
def any_line(request: pytest.FixtureRequest, stack: ExitStack, runtime_folder: Path) -> Iterator[Line]:
    if request.param == "tcp":
        yield tcp_line(stack)
    else:
        yield ipc_line(stack, runtime_folder)
        (runtime_folder / "bus").unlink()


# --- without faults


def test_without_faults_bytes_go_both_ways_and_are_counted(any_line):
    client, server = any_line.pair()
    client.sendall(b"question")
    assert read(server, 8) == b"question"
    server.sendall(b"an answer")
    assert read(client, 9) == b"an answer"
    counts = any_line.proxy.counts
    assert (counts.connections, counts.bytes_up, counts.bytes_down, counts.resets) == (1, 8, 9, 0)


def test_the_end_of_one_way_leaves_the_other_open(any_line):
    client, server = any_line.pair()
    client.shutdown(socket.SHUT_WR)
    assert server.recv(1) == b""
    server.sendall(b"still here")
    assert read(client, 10) == b"still here"
    server.close()
    assert client.recv(1) == b""


def test_megabytes_go_through_whole(any_line):
    client, server = any_line.pair()
    data = os.urandom(1 << 20) * 16
    sending = threading.Thread(target=client.sendall, args=(data,))
    sending.start()
    assert read(server, len(data)) == data
    sending.join()


def test_a_reset_is_passed_on_as_one(line):
    client, server = line.pair()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    assert read_until_reset(server) == b""
    assert line.proxy.counts.resets == 0


def test_while_no_server_is_there_connections_are_reset_and_later_they_work(stack):
    listener = stack.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    line = Line(stack, listener, f"tcp://127.0.0.1:{listener.getsockname()[1]}")
    with pytest.raises(ConnectionResetError):
        line.client().recv(1)
    listener.listen()
    client, server = line.pair()
    client.sendall(b"x")
    assert read(server, 1) == b"x"


# --- hold


def test_what_is_held_waits_and_nothing_of_it_is_lost(any_line):
    client, server = any_line.pair()
    any_line.proxy.hold("up")
    client.sendall(b"first ")
    client.sendall(b"second")
    any_line.proxy.wait_until(lambda: any_line.proxy.counts.bytes_waiting == 12)
    assert not is_readable(server)
    server.sendall(b"the other way goes on")
    assert read(client, 21) == b"the other way goes on"
    any_line.proxy.heal()
    assert read(server, 12) == b"first second"


def test_the_end_of_a_connection_is_held_too(line):
    client, server = line.pair()
    line.proxy.hold()
    client.sendall(b"last words")
    client.close()
    line.proxy.wait_until(lambda: line.proxy.counts.bytes_waiting == 10)
    assert not is_readable(server)
    line.proxy.heal()
    assert read(server, 10) == b"last words"
    assert server.recv(1) == b""


def test_who_sends_into_a_hold_feels_it_as_the_room_is_bounded(stack):
    room = 100_000
    line = tcp_line(stack, buffer_bytes=room)
    client, server = line.pair()
    line.proxy.hold("up")
    client.settimeout(0.2)  # without progress for so long, everything is full
    sent = 0
    try:
        while True:
            sent += client.send(bytes(65536))
    except TimeoutError:
        pass
    assert line.proxy.counts.bytes_waiting < room + 256 * 1024
    line.proxy.heal()
    assert read(server, sent) == bytes(sent)


# --- black hole


def test_a_black_hole_kills_for_ever_what_is_there_and_leaves_it_open(any_line):
    proxy = any_line.proxy
    client, server = any_line.pair()
    proxy.blackhole()
    client.sendall(b"lost")
    server.sendall(b"lost too")
    proxy.wait_until(lambda: proxy.counts.bytes_swallowed == 12)
    proxy.heal()
    client.sendall(b"still lost")
    server.sendall(b"still lost too")
    proxy.wait_until(lambda: proxy.counts.bytes_swallowed == 36)
    assert not is_readable(client)
    assert not is_readable(server)


def test_a_connection_made_into_a_black_hole_is_silent_and_later_ones_work(line):
    proxy = line.proxy
    proxy.blackhole()
    silent = line.client()
    silent.sendall(b"hello?")
    proxy.wait_until(lambda: proxy.counts.bytes_swallowed == 6)
    assert not line.has_visitor
    proxy.heal()
    later, server = line.pair()
    later.sendall(b"hello!")
    assert read(server, 6) == b"hello!"
    assert not is_readable(silent)


def test_a_black_hole_one_way_lets_the_other_through(line):
    client, server = line.pair()
    line.proxy.blackhole("down")
    later, later_server = line.pair()
    for one, other in ((client, server), (later, later_server)):
        one.sendall(b"up")
        assert read(other, 2) == b"up"
        other.sendall(b"down")
    line.proxy.wait_until(lambda: line.proxy.counts.bytes_swallowed == 8)
    assert not is_readable(client)
    assert not is_readable(later)


def test_what_ends_in_a_black_hole_tells_nobody(line):
    client, server = line.pair()
    line.proxy.blackhole()
    client.sendall(b"x")
    client.close()
    line.proxy.heal()
    later, later_server = line.pair()
    later.close()
    assert later_server.recv(1) == b""  # so the end of the one before has been dealt with, too
    assert not is_readable(server)


# --- refuse and reset


def test_refused_is_who_connects_and_who_is_there_goes_on(line):
    client, server = line.pair()
    line.proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        line.client()
    client.sendall(b"on")
    assert read(server, 2) == b"on"
    with socket.socket() as thief, pytest.raises(OSError, match="in use"):
        thief.bind(("127.0.0.1", int(line.proxy.address.rpartition(":")[2])))
    line.proxy.heal()
    line.pair()


def test_a_reset_cuts_all_and_new_connections_work(line):
    pairs = [line.pair() for _ in range(3)]
    line.proxy.reset()
    for pair in pairs:
        for end in pair:
            assert read_until_reset(end) == b""
    assert line.proxy.counts.resets == 3
    client, server = line.pair()
    client.sendall(b"x")
    assert read(server, 1) == b"x"


def test_an_ipc_server_sees_a_reset_as_an_end(stack, tmp_path, runtime_folder):
    line = ipc_line(stack, runtime_folder)
    client, server = line.pair()
    line.proxy.reset()
    assert read_until_reset(client) == b""
    assert server.recv(1) == b""
    (runtime_folder / "bus").unlink()


def test_a_forked_child_does_not_keep_connections_open(line):
    client, server = line.pair()
    client.sendall(b"x")
    assert read(server, 1) == b"x"
    child = multiprocessing.get_context("fork").Process(target=signal.pause)
    child.start()
    try:
        line.proxy.reset()
        assert read_until_reset(client) == b""
    finally:
        child.kill()
        child.join()


@pytest.mark.parametrize("size", [0, 1, 999, 65_536, 1_000_000])
def test_a_cut_comes_after_exactly_so_many_bytes(line, size):
    client, server = line.pair()
    other, other_server = line.pair()
    line.proxy.cut_after(size)
    data = os.urandom(1_000_100)
    sending = threading.Thread(target=send_in_vain, args=(server, data))
    sending.start()
    assert read_until_reset(client) == data[:size]
    sending.join()
    assert line.proxy.counts.resets == 1
    other_server.sendall(b"unharmed")
    assert read(other, 8) == b"unharmed"


def send_in_vain(sock: socket.socket, data: bytes) -> None:
    try:
        sock.sendall(data)
    except OSError:
        pass


def test_a_cut_on_the_way_up_comes_when_the_last_byte_has_gone(line):
    client, server = line.pair()
    line.proxy.cut_after(5, "up")
    client.sendall(b"exact")
    assert read_until_reset(server) == b"exact"
    assert read_until_reset(client) == b""


# --- slow and spoiled


def test_slices_change_no_byte(line):
    client, server = line.pair()
    line.proxy.slice(1)
    data = os.urandom(3_000)
    client.sendall(data)
    assert read(server, len(data)) == data


def test_latency_delays_each_byte_and_the_end(line):
    client, server = line.pair()
    line.proxy.latency(0.1, "up")
    began = time.monotonic()
    client.sendall(b"late")
    client.close()
    assert read(server, 4) == b"late"
    assert time.monotonic() - began >= 0.1
    assert server.recv(1) == b""


def test_a_heal_lets_go_of_what_was_delayed(line):
    client, server = line.pair()
    line.proxy.latency(3600)
    client.sendall(b"now")
    line.proxy.wait_until(lambda: line.proxy.counts.bytes_waiting == 3)
    assert not is_readable(server)
    line.proxy.heal("up")
    assert read(server, 3) == b"now"


def test_a_rate_holds_for_all_connections_together(line):
    pairs = [line.pair() for _ in range(2)]
    line.proxy.rate(200_000)
    began = time.monotonic()
    for client, _ in pairs:
        client.sendall(bytes(20_000))
    for _, server in pairs:
        read(server, 20_000)
    assert time.monotonic() - began >= 0.17  # 40 kB, the first 2 kB at once; clocks are rough


def test_one_bit_is_flipped_in_the_way_that_was_named(line):
    client, server = line.pair()
    line.proxy.flip(at=9, direction="up")
    client.sendall(b"\0\0\0")
    assert read(server, 3) == b"\0\2\0"
    server.sendall(b"\0\0\0")
    assert read(client, 3) == b"\0\0\0"
    assert line.proxy.counts.flips == 1


def test_random_flips_are_the_same_for_the_same_seed(stack):
    def spoiled(seed: int) -> bytes:
        line = tcp_line(stack)
        client, server = line.pair()
        line.proxy.flip(probability=0.001, seed=seed)
        client.sendall(bytes(10_000))
        return read(server, 10_000)

    assert spoiled(1) == spoiled(1) != spoiled(2)
    assert any(spoiled(1))


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["hold", "heal", "slice", "latency", "rate"]),
            st.sampled_from(["up", "down", "both"]),
            st.integers(1, 3000),
        ),
        max_size=8,
    )
)
def test_no_byte_is_lost_or_moved_by_faults_that_only_delay(steps: list[tuple[str, str, int]]) -> None:
    with ExitStack() as stack:
        line = tcp_line(stack)
        client, server = line.pair()
        up, down = bytearray(), bytearray()
        for do, direction, size in steps:
            value = {"slice": size, "latency": size / 1e6, "rate": size * 1000}.get(do)
            getattr(line.proxy, do)(*[] if value is None else [value], direction)
            for end, sent in ((client, up), (server, down)):
                data = os.urandom(size)
                end.sendall(data)
                sent += data
        line.proxy.heal()
        assert read(server, len(up)) == up
        assert read(client, len(down)) == down
        assert line.proxy.counts.bytes_waiting == 0


# --- its own life


def test_healed_at_is_when_it_was_healed_last(line):
    began = line.proxy.healed_at
    line.proxy.hold()
    assert line.proxy.healed_at == began
    before = time.monotonic()
    line.proxy.heal()
    assert before <= line.proxy.healed_at <= time.monotonic()


def test_before_and_after_its_time_it_says_so():
    proxy = FaultProxy("tcp://127.0.0.1:5555")
    with pytest.raises(NotRunning, match="has not been started"):
        proxy.hold()
    proxy.close()
    with proxy:
        pass
    with pytest.raises(NotRunning, match="closed"):
        proxy.hold()
    proxy.close()
    assert proxy.counts.connections == 0


def test_who_waits_for_what_does_not_come_is_told():
    with FaultProxy("tcp://127.0.0.1:5555") as proxy:
        with pytest.raises(TimeoutError):
            proxy.wait_until(lambda: proxy.counts.resets, 0.01)
        with pytest.raises(ZeroDivisionError):
            proxy.wait_until(lambda: 1 / proxy.counts.resets)


@pytest.mark.parametrize("target", ["memory://lunch", "tcp://127.0.0.1", "5555"])
def test_a_target_without_a_socket_is_refused(target):
    with pytest.raises(BadAddress):
        FaultProxy(target)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda proxy: proxy.hold("left"),
        lambda proxy: proxy.slice(0),
        lambda proxy: proxy.latency(-1),
        lambda proxy: proxy.rate(0),
        lambda proxy: proxy.flip(),
        lambda proxy: proxy.flip(1, probability=0.5),
        lambda proxy: proxy.flip(probability=1.0),
        lambda proxy: proxy.cut_after(1, "both"),
    ],
)
def test_what_makes_no_sense_is_refused(line, wrong):
    with pytest.raises(ValueError):
        wrong(line.proxy)


def test_nothing_of_it_is_left():
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    before, threads = open_files(), threading.active_count()
    with ExitStack() as stack:
        line = tcp_line(stack)
        for _ in range(5):
            line.pair()
        line.proxy.refuse()
    assert (open_files(), threading.active_count()) == (before, threads)


def test_the_port_can_be_chosen_and_is_free_again_afterwards():
    with FaultProxy("tcp://127.0.0.1:5555") as proxy:
        address = proxy.address
    port = int(address.rpartition(":")[2])
    with FaultProxy("tcp://127.0.0.1:5555", port=port) as proxy:
        assert proxy.address == address
        with pytest.raises(OSError, match="in use"):
            FaultProxy("tcp://127.0.0.1:5555", port=port).start()


# --- among friends


async def test_an_async_test_uses_it_as_it_is():
    has_ended = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()
        await writer.wait_closed()
        has_ended.set()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with FaultProxy(f"tcp://127.0.0.1:{port}") as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.address.rpartition(":")[2]))
            proxy.hold("down")
            writer.write(b"hello\n")
            await asyncio.to_thread(proxy.wait_until, lambda: proxy.counts.bytes_waiting == 6)
            proxy.heal()
            async with asyncio.timeout(WAIT):
                assert await reader.readline() == b"hello\n"
                writer.close()
                await writer.wait_closed()
                await has_ended.wait()


def test_zeromq_goes_on_after_a_hold_in_slices_and_comes_back_after_a_reset():
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher, context.socket(zmq.SUB) as subscriber:
        for end in (publisher, subscriber):
            end.linger, end.rcvtimeo = 0, 5000
        publisher.setsockopt(zmq.XPUB_VERBOSE, 1)
        port = publisher.bind_to_random_port("tcp://127.0.0.1")
        with FaultProxy(f"tcp://127.0.0.1:{port}") as proxy:
            proxy.slice(1)
            subscriber.subscribe("room ")
            subscriber.connect(proxy.address)
            assert publisher.recv() == b"\1room "
            proxy.hold("down")
            for number in range(100):
                publisher.send_string(f"room {number}")
            proxy.wait_until(lambda: proxy.counts.bytes_waiting)
            assert not subscriber.poll(0)
            proxy.heal()
            assert [subscriber.recv_string() for _ in range(100)] == [f"room {number}" for number in range(100)]
            proxy.reset()
            until = time.monotonic() + WAIT
            while not publisher.poll(10) or publisher.recv() != b"\1room ":
                subscriber.poll(0)  # ZeroMQ subscribes again in the thread of who uses the socket
                assert time.monotonic() < until
            publisher.send_string("room again")
            assert subscriber.recv_string() == "room again"
