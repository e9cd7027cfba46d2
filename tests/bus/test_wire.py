"""What is on the wire, byte by byte, as other programs and later versions see it."""

from __future__ import annotations

import re
import socket
from typing import Any

import pytest
import zmq

from shellbot.bus.frames import Ask, ask, is_covered, parse_ask, private_topic, reply, topic, topics, welcome
from shellbot.errors import InvalidChannel
from tests.bus.conftest import Buses

UID = b"0123456789abcdef0123456789abcdef"

# Frames of 26.11. They are added to, never changed.
GOLDEN = {
    "welcome": (welcome(123), b"\xffh W 123"),
    "ask": (ask(UID, 7), b"\x02" + UID + b" 7 0 0 0"),
    "reply": (
        reply(Ask(UID, b"7", 0, 0, 0), 123, 456),
        [b"\xffs" + UID + b" 7 B 123 456 -", b"\xffs" + UID + b" 7 E"],
    ),
    "private": (private_topic(UID), b"\xffs" + UID + b" "),
    "topic": (topic("rôom-1"), "rôom-1 ".encode()),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_frames(name: str) -> None:
    made, golden = GOLDEN[name]
    assert made == golden


def test_an_ask_is_understood_with_fields_of_later_versions() -> None:
    assert parse_ask(b"\x02" + UID + b" 7 1 2 3") == Ask(UID, b"7", 1, 2, 3)
    assert parse_ask(b"\x02" + UID + b" 7 1 2 3 room-1 room-2") == Ask(UID, b"7", 1, 2, 3)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02",
        b"\x03" + UID + b" 7 0 0 0",
        b"\x02" + UID,
        b"\x02" + UID + b" 7 0 0",
        b"\x02" + UID + b" x 0 0 0",
        b"\x02" + UID + b" -1 0 0 0",
        b"\x02" + UID[:-1] + b" 7 0 0 0",
        b"\x02" + UID.upper() + b" 7 0 0 0",
        b"\x02room-1 7 0 0 0",
        b"\x02" + UID + b" " + b"9" * 20 + b" 0 0 0",
    ],
)
def test_a_broken_ask_is_ignored(data: bytes) -> None:
    assert parse_ask(data) is None


@pytest.mark.parametrize(
    "name",
    [
        None,
        5,
        b"a",
        "",
        "a b",
        "a\n",
        "a\t",
        "\0",
        "\x7f",
        "\x85",
        "\xa0",
        "\u2028",
        "x" * 256,
        "é" * 128,
        "\ud800",
        "v\r\nPUB",
    ],
)
def test_names_that_cannot_travel(name: Any) -> None:
    with pytest.raises(InvalidChannel):
        topic(name)


def test_topics_are_all_checked() -> None:
    assert topics("a") == [b"a "]
    assert topics(("a", "b")) == [b"a ", b"b "]
    with pytest.raises(InvalidChannel):
        topics(["a"] * 10_001)


def test_subscriptions_of_other_programs_are_prefixes() -> None:
    assert is_covered(b"room-1 ", {b"room-1 "})
    assert is_covered(b"room-1 ", {b"room"})
    assert is_covered(b"room-1 ", {b""})
    assert not is_covered(b"room-1 ", {b"room-2 ", b"room-1 x"})


@pytest.fixture
def plain(tcp: Buses) -> Any:
    """A SUB socket as anybody would write it."""
    context: zmq.Context[Any] = zmq.Context()
    plain = context.socket(zmq.SUB)
    plain.linger = 0
    plain.rcvtimeo = 5000
    plain.connect(tcp.address)
    yield plain
    plain.close()
    context.term()


def test_a_plain_sub_reads_along(tcp: Buses, plain: Any) -> None:
    publisher = tcp.publisher()
    plain.subscribe("room-1 ")
    publisher.wait_ready("room-1", 10)
    publisher.put(["room-1", "room-10"], {"choice": "sushi", "é": [1, None]})
    publisher.put("room-1", "end")
    assert plain.recv_string().split(" ", 1) == ["room-1", '{"choice":"sushi","é":[1,null]}']
    assert not plain.rcvmore
    assert plain.recv_string().split(" ", 1) == ["room-1", '"end"']


def test_the_first_frame_of_a_connection_is_the_welcome(tcp: Buses, plain: Any) -> None:
    publisher = tcp.publisher()
    plain.subscribe(b"")
    publisher.wait_ready("a", 10)
    publisher.put("a", 1)
    assert re.fullmatch(rb"\xffh W [1-9][0-9]*", plain.recv())
    assert plain.recv() == b"a 1"


def test_our_subscriber_reads_a_plain_publisher(tcp: Buses) -> None:
    context: zmq.Context[Any] = zmq.Context()
    plain = context.socket(zmq.XPUB)
    plain.bind(tcp.address)
    subscriber = tcp.subscriber("room-1")
    assert subscriber.get() is None
    heard = {plain.recv() for _ in range(3)}
    assert b"\x01room-1 " in heard
    plain.send_string('room-1 {"a": 1}')
    assert subscriber.get(block=True, timeout=5) == {"a": 1}
    plain.close(0)
    context.term()


def test_junk_on_the_port_harms_nobody(tcp: Buses) -> None:
    publisher = tcp.publisher()
    port = int(tcp.address.rpartition(":")[2])
    junk = []
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 100, b"\x01\x00\x7f", b""):
        one = socket.create_connection(("127.0.0.1", port))
        one.sendall(data)
        junk.append(one)
    subscriber = tcp.subscriber("a", ready=True)
    publisher.put("a", 1)
    assert subscriber.get(block=True, timeout=5) == 1
    for one in junk:
        one.close()


def test_a_stranger_upstream_harms_nobody(tcp: Buses) -> None:
    publisher = tcp.publisher()
    context: zmq.Context[Any] = zmq.Context()
    stranger = context.socket(zmq.XSUB)
    stranger.connect(tcp.address)
    for frame in (
        b"",
        b"\x02",
        b"\x02x 1 2 3 4",
        b"\x07",
        b"\x01" + b"x" * 5000,
        b"\x00never",
        b"\x02" + UID + b" 1 0 0 0",
    ):
        stranger.send(frame)
    subscriber = tcp.subscriber("a", ready=True)
    publisher.put("a", 1)
    assert subscriber.get(block=True, timeout=5) == 1
    stranger.close(0)
    context.term()
