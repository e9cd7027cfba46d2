"""Who listens where somebody else wants to."""

from __future__ import annotations

import os
import pwd
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shellbot.bus import Bus
from shellbot.bus.address import parse_address
from shellbot.bus.holder import UNKNOWN, holder_of, is_stranger
from shellbot.context import Context
from shellbot.errors import AddressInUse
from tests.processes import started

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who listens")

US = (
    f"process {os.getpid()} ({Path('/proc/self/comm').read_text().strip()}) of user {pwd.getpwuid(os.getuid()).pw_name}"
)

HOSTILE = """
import socket
listening = socket.create_server(("127.0.0.1", 0))
open("/proc/self/comm", "w").write("a\\x1b[2J\\nb")
print(listening.getsockname()[1], flush=True)
input()
"""


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def listening(server: socket.socket) -> int:
    port: int = server.getsockname()[1]
    return port


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "*"])
def test_who_listens_is_named(listening: int, host: str) -> None:
    assert holder_of(parse_address(f"tcp://{host}:{listening}")) == US


@pytest.mark.parametrize(
    ("bound", "family", "wanted"),
    [
        ("0.0.0.0", socket.AF_INET, "127.0.0.1"),
        ("::1", socket.AF_INET6, "[::1]"),
        ("::", socket.AF_INET6, "127.0.0.1"),
        ("::ffff:127.0.0.1", socket.AF_INET6, "127.0.0.1"),
    ],
)
def test_who_listens_on_more_than_we_want_is_named(bound: str, family: socket.AddressFamily, wanted: str) -> None:
    if family == socket.AF_INET6 and not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    with socket.socket(family) as server:
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind((bound, 0))
        server.listen()
        assert holder_of(parse_address(f"tcp://{wanted}:{server.getsockname()[1]}")) == US


def test_nobody_is_named_who_leaves_room(listening: int, short_folder: Path) -> None:
    assert holder_of(parse_address(f"tcp://127.0.0.2:{listening}")) == UNKNOWN
    assert holder_of(parse_address(f"ipc://{short_folder}/bus")) == UNKNOWN
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert holder_of(parse_address(f"tcp://127.0.0.1:{bound.getsockname()[1]}")) == UNKNOWN


def test_a_process_with_a_hostile_name_steers_no_terminal() -> None:
    with started("-c", HOSTILE) as stranger:
        assert stranger.stdout is not None
        port = stranger.stdout.readline().strip()
        told = holder_of(parse_address(f"tcp://127.0.0.1:{port}"))
        assert told.startswith(f"process {stranger.pid} (a?[2J")
        assert told.isprintable()


def test_a_publisher_tells_who_has_its_address(listening: int) -> None:
    address = f"tcp://127.0.0.1:{listening}"
    publisher = Bus(Context({"bus": {"address": address}})).publish()
    with pytest.raises(AddressInUse) as caught:
        publisher.start()
    assert str(caught.value) == f"{US} listens on {address} already; stop it, or set another bus.address"


def test_a_stranger_is_one_who_takes_us_in_and_does_not_speak_first_as_a_bus_does(
    listening: int, short_folder: Path
) -> None:
    assert is_stranger(parse_address(f"tcp://127.0.0.1:{listening}"))  # says nothing
    bus = parse_address(f"ipc://{short_folder}/bus")
    assert not is_stranger(bus)  # nobody is there
    with Bus(Context({"bus": {"address": bus.url}})).publish():
        assert not is_stranger(bus)


def test_a_stranger_that_speaks_first_is_one_too(server: socket.socket) -> None:
    def answer() -> None:
        accepted, _ = server.accept()
        with accepted:
            accepted.sendall(b"220 here is a mail server\r\n")

    speaking = threading.Thread(target=answer)
    speaking.start()
    assert is_stranger(parse_address(f"tcp://127.0.0.1:{server.getsockname()[1]}"))
    speaking.join(10)
