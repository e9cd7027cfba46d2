"""Addresses, settings and guarantees: what check() says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from shellbot.bus import Bus
from shellbot.bus.address import parse_address
from shellbot.bus.lock import AddressLock
from shellbot.context import Context
from shellbot.errors import BadAddress, ConfigError, GuaranteeUnavailable
from shellbot.runtime import runtime_folder


def bus(**settings: Any) -> Bus:
    return Bus(Context({"bus": settings}))


@pytest.mark.parametrize(
    ("url", "scheme", "place", "port"),
    [
        ("tcp://127.0.0.1:5555", "tcp", "127.0.0.1", 5555),
        ("tcp://localhost:1", "tcp", "localhost", 1),
        ("tcp://*:65535", "tcp", "*", 65535),
        ("tcp://[::1]:5555", "tcp", "[::1]", 5555),
        ("tcp://bus.example.org:5555", "tcp", "bus.example.org", 5555),
        ("memory://lunch", "memory", "lunch", 0),
        ("ipc:///tmp/lunch", "ipc", "/tmp/lunch", 0),
    ],
)
def test_addresses_that_can_be_used(url: str, scheme: str, place: str, port: int) -> None:
    found = parse_address(url)
    assert (found.scheme, found.place, found.port) == (scheme, place, port)


@pytest.mark.parametrize(
    "url",
    [
        "tcp://*:99999",
        "tcp://*:0",
        "tcp://*:-1",
        "tcp://*: 5",
        "tcp://*:5 ",
        "tcp://*:",
        "tcp://*",
        "tcp://:5555",
        "tcp://a b:5555",
        "tcp://127.0.0.1:٥",
        "tcp://127.0.0.1:5555/x",
        "tcp://127.0.0.1:5555\n",
        "tcp://[::z]:5555",
        "tcp://127.0.0.1:*",
        "ipc://",
        "ipc://*",
        "ipc://@abstract",
        "ipc:///no/such/folder/bus",
        "ipc:///tmp",
        "ipc:///tmp/a\0b",
        "ipc:///tmp/" + "x" * 104,
        "memory://",
        "memory://a b",
        "udp://127.0.0.1:5555",
        "TCP://127.0.0.1:5555",
        "nats://127.0.0.1:4222",
        "127.0.0.1:5555",
        "",
        5555,
        ["tcp://127.0.0.1:5555"],
    ],
)
def test_addresses_that_cannot(url: Any) -> None:
    with pytest.raises(BadAddress) as caught:
        bus(address=url).check()
    assert caught.value.address == url


def test_the_longest_path_that_works(short_folder: Path) -> None:
    room = 107 - len(str(short_folder)) - 1
    longest = f"ipc://{short_folder}/{'x' * room}"
    subscriber = bus(address=longest).subscribe("a")
    with subscriber, bus(address=longest).publish() as publisher:
        subscriber.wait_ready(10)
        publisher.put("a", 1)
        assert subscriber.get(block=True, timeout=5) == 1
    with pytest.raises(BadAddress):
        bus(address=longest + "x").check()


@pytest.mark.parametrize("host", ["*", "0.0.0.0", "192.168.1.1", "[::]", "example.org"])
def test_others_than_this_machine_need_keys(host: str) -> None:
    one = bus(address=f"tcp://{host}:5555")
    one.check()
    one.subscribe("a")
    with pytest.raises(BadAddress, match="keys"):
        one.publish()


def test_a_subscriber_maps_the_star_to_this_machine(tcp_address: str) -> None:
    port = tcp_address.rpartition(":")[2]
    with bus(address=tcp_address).publish() as publisher, bus(address=f"tcp://*:{port}").subscribe("a") as subscriber:
        subscriber.wait_ready(10)
        publisher.put("a", 1)
        assert subscriber.get(block=True, timeout=5) == 1


@pytest.mark.parametrize("level", ["log", "once"])
def test_more_than_replay_is_not_promised(level: str) -> None:
    one = bus(guarantee=level, address="memory://x")
    for use in (one.check, lambda: one.subscribe("a"), one.publish):
        with pytest.raises(GuaranteeUnavailable) as caught:
            use()
        assert (caught.value.asked, caught.value.offered) == (level, "replay")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("guarantee", "Fast"),
        ("guarantee", 2),
        ("slow", "drop"),
        ("slow", "wait"),
        ("slow_grace", -1),
        ("history", 1000),
        ("history", "much"),
        ("exact_gaps", "perhaps"),
        ("probe", -0.5),
        ("put_timeout", "soon"),
        ("put_timeout", -1),
        ("linger", float("nan")),
        ("linger", []),
    ],
)
def test_settings_that_make_no_sense(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        bus(**{name: value}).check()
    assert caught.value.key == f"bus.{name}"


def test_the_runtime_folder(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELLBOT_RUNTIME", f"{short_folder}/own")
    assert runtime_folder() == short_folder / "own"
    assert (short_folder / "own").stat().st_mode & 0o777 == 0o700
    monkeypatch.delenv("SHELLBOT_RUNTIME")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_folder))
    assert runtime_folder() == short_folder / "shellbot"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/no/such/folder")
    monkeypatch.setenv("TMPDIR", str(short_folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert runtime_folder() == short_folder / f"shellbot-{os.getuid()}"


def test_a_folder_of_others_is_refused(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELLBOT_RUNTIME", f"{short_folder}/own")
    (short_folder / "own").mkdir(mode=0o755)
    with pytest.raises(ConfigError, match="0700"):
        runtime_folder()
    (short_folder / "own").rmdir()
    (short_folder / "real").mkdir(mode=0o700)
    (short_folder / "own").symlink_to(short_folder / "real")
    with pytest.raises(ConfigError):
        runtime_folder()


def test_one_holder_per_address(short_folder: Path) -> None:
    lock = AddressLock(short_folder / "x.lock")
    other = AddressLock(short_folder / "y.lock")
    assert lock.is_held
    assert other.is_held
    second = AddressLock(short_folder / "x.lock")
    assert not second.is_held
    assert second.holder == str(os.getpid())
    lock.release()
    lock.release()
    again = AddressLock(short_folder / "x.lock")
    assert again.is_held
    # Somebody cleans the folder: the next one finds a file that nobody holds, and says nothing wrong of it.
    for path in short_folder.glob("*.lock"):
        path.unlink()
    AddressLock(short_folder / "x.lock").release()
    again.release()
    other.release()


@pytest.mark.parametrize(
    ("variable", "value", "error"),
    [
        ("SHELLBOT_BUS_GUARANTEE", "log", GuaranteeUnavailable),
        ("SHELLBOT_BUS_ADDRESS", "tcp://*:99999", BadAddress),
        ("SHELLBOT_BUS_PUT_TIMEOUT", "soon", ConfigError),
    ],
)
def test_what_the_environment_asks_for_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, error: type[Exception]
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(error):
        Bus(Context()).check()


def test_a_file_where_the_socket_should_be_is_left_alone(tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("precious")
    with pytest.raises(BadAddress, match="is a file, and no socket"):
        Bus(Context({"bus": {"address": f"ipc://{precious}"}})).publish()
    assert precious.read_text() == "precious"
