"""The seat of an address: its files, what is left of them, and who may come in at the door."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from shellbot.bus.address import parse_address
from shellbot.bus.hub.seat import Answer, FileSeat, Hello, hand_over, receive
from shellbot.bus.ring import Ring

MIB = 1024 * 1024


@pytest.fixture
def folder(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    runtime = short_folder / "runtime"
    monkeypatch.setenv("SHELLBOT_RUNTIME", str(runtime))
    return runtime


def seat_of(port: int) -> FileSeat:
    return FileSeat(parse_address(f"tcp://127.0.0.1:{port}"))


def test_one_at_a_time_has_the_seat_and_the_kernel_gives_it_on(folder: Path) -> None:
    first, second = seat_of(5555), seat_of(5555)
    assert first.claim()
    assert first.claim()
    assert not second.claim()
    assert second.holder == str(os.getpid())
    first.release()
    assert second.claim()
    second.release()


def test_a_bus_that_said_little_keeps_little(folder: Path) -> None:
    seat = seat_of(5555)
    assert seat.claim()
    ring = seat.ring(16 * MIB)
    ring.append(b"a 1\n", 1)
    epoch = ring.epoch
    (path,) = folder.glob("*.ring")
    assert path.stat().st_blocks * 512 >= 16 * MIB
    seat.release(is_last=True)
    assert path.stat().st_size > 16 * MIB
    assert path.stat().st_blocks * 512 < MIB
    # and the next one goes on, with all of the room
    assert seat.claim()
    ring = seat.ring(16 * MIB)
    assert (ring.epoch, ring.position) == (epoch, 1)
    assert path.stat().st_blocks * 512 >= 16 * MIB
    for _ in range(300):
        ring.append(b"x" * 99_999 + b"\n", 1)
    assert ring.position == 301
    del ring
    seat.release(is_last=True)
    again = Ring(path, 16 * MIB)
    assert (again.epoch, again.position, again.is_new) == (epoch, 301, False)
    again.close()


def test_what_nobody_used_for_a_day_is_removed_and_what_is_used_is_not(folder: Path) -> None:
    old, used, new = seat_of(5001), seat_of(5002), seat_of(5003)
    for seat in (old, used):
        assert seat.claim()
        seat.ring(8 * MIB)
    old.release()
    for path in folder.glob("*.lock"):
        os.utime(path, (0, 0))
    assert new.claim()
    new.ring(8 * MIB)
    assert len(list(folder.glob("*.ring"))) == 2
    assert len(list(folder.glob("*.lock"))) == 2
    assert not seat_of(5002).claim()
    used.release()
    new.release()


@pytest.fixture
def door() -> Iterator[tuple[socket.socket, socket.socket]]:
    inside, outside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with inside, outside:
        outside.settimeout(5)
        yield inside, outside


def test_a_stranger_without_the_cookie_is_not_let_in(folder: Path, door: tuple[socket.socket, socket.socket]) -> None:
    inside, outside = door
    before = len(os.listdir("/proc/self/fd"))
    reading, writing = os.pipe()
    hello = msgspec.json.encode(Hello("0" * 32, 1, "fast"))
    socket.send_fds(outside, [hello], [reading, writing, reading])
    assert "cookie" in str(receive(inside))
    for junk in (b"", b"{}", b"[1]", b"\xff" * 100, hello[:-1]):
        outside.send(junk) if junk else outside.send(b" ")
        assert isinstance(receive(inside), str)
    os.close(reading)
    os.close(writing)
    assert len(os.listdir("/proc/self/fd")) == before


def test_one_that_dies_at_the_door_has_gone_and_said_nothing_wrong(door: tuple[socket.socket, socket.socket]) -> None:
    inside, outside = door
    outside.close()
    assert receive(inside) == "it has gone before it said who it is"


def test_who_shows_the_cookie_hands_over_its_ends(folder: Path, door: tuple[socket.socket, socket.socket]) -> None:
    inside, outside = door
    reading, writing = os.pipe()
    inside.send(msgspec.json.encode(Answer(7, guarantee="replay")))
    answer = hand_over(outside, "replay", [reading, reading, reading])
    assert answer is not None
    assert answer.pid == 7
    guest = receive(inside)
    assert not isinstance(guest, str)
    assert (folder / "cookie").stat().st_mode & 0o777 == 0o600
    os.write(writing, b"x")
    assert os.read(guest.descriptors[0], 1) == b"x"
    for descriptor in (*guest.descriptors, reading, writing):
        os.close(descriptor)
