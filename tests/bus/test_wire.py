"""What is on the wire, byte by byte, as other programs and later versions see it."""

from __future__ import annotations

import re
import socket
from typing import Any

import orjson
import pytest
import zmq

from shellbot.bus.frames import (
    ALL,
    EVERYTHING,
    MANY,
    NAMED,
    Ask,
    ask,
    head,
    is_covered,
    parse_ask,
    private_topic,
    probe,
    reply_begin,
    reply_end,
    reply_missed,
    scope_of,
    topic,
    topics,
    welcome,
    wire_topics,
)
from shellbot.errors import InvalidChannel
from tests.bus.conftest import Buses

UID = b"0123456789abcdef0123456789abcdef"

ASK = Ask(UID, b"7", 1, 2, 3, 4, 5, 6, NAMED, (b"room-1", b"room-2"))

# Frames of 26.11. They are added to, never changed.
GOLDEN = {
    "welcome": (welcome(123), b"\xffh W 123"),
    "head": (head(123, 456), b"\xffh H 123 456"),
    "ask, from now on": (ask(UID, 7), b"\x02" + UID + b" 7 0 0 0 0 0 0 a"),
    "ask, since an anchor": (
        ask(UID, 7, b"n room-1 room-2", epoch=1, position=2, received=3, last=4, table=5, count=6),
        b"\x02" + UID + b" 7 1 2 3 4 5 6 n room-1 room-2",
    ),
    "ask, with too many names": (ask(UID, 7, MANY), b"\x02" + UID + b" 7 0 0 0 0 0 0 m"),
    "reply begins": (reply_begin(ASK, 123), b"\xffs" + UID + b" 7 B 123 -"),
    "reply behind a gap": (reply_begin(ASK, 123, b"457 460"), b"\xffs" + UID + b" 7 B 123 457 460"),
    "reply behind a gap that was counted": (reply_begin(ASK, 1, b"4 9 2"), b"\xffs" + UID + b" 7 B 1 4 9 2"),
    "reply of another history": (reply_begin(ASK, 123, b"? ?"), b"\xffs" + UID + b" 7 B 123 ? ?"),
    "missed messages": (reply_missed(ASK, b'a 1\na "x y"'), b"\xffs" + UID + b' 7 M a 1\na "x y"'),
    "reply ends": (reply_end(ASK, 123, 456), b"\xffs" + UID + b" 7 E 123 456 0 0"),
    "reply ends, counted": (reply_end(ASK, 123, 456, 8, 9), b"\xffs" + UID + b" 7 E 123 456 8 9"),
    "probe": (probe(UID), b"\xffs" + UID + b" 0 P"),
    "private": (private_topic(UID), b"\xffs" + UID + b" "),
    "topic": (topic("rôom-1"), "rôom-1 ".encode()),
    "scope of all": (scope_of({b"", b"a "}), b"a"),
    "scope of names": (scope_of([b"room-1 ", b"room-2 "]), b"n room-1 room-2"),
    "scope of too many names": (scope_of([b"%05d " % n for n in range(50_000)]), b"m"),
    "topics of one": (wire_topics(b"a "), (b"a ",)),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_frames(name: str) -> None:
    made, golden = GOLDEN[name]
    assert made == golden


def test_control_frames_are_never_messages() -> None:
    for made, _ in GOLDEN.values():
        if isinstance(made, bytes) and made[:1] == b"\xff":
            with pytest.raises(ValueError):
                orjson.loads(made.partition(b" ")[2])


def test_all_channels_are_the_first_bytes_of_all_names() -> None:
    assert wire_topics(b"") == EVERYTHING
    assert len(EVERYTHING) == 145
    for name in ("!", "~", "\xa1", "é", "\u0800", "\uffff", "\U0001f355", "\U0010ffff"):
        assert topic(name)[:1] in EVERYTHING
    assert not any(welcome(1).startswith(one) for one in EVERYTHING)


def test_an_ask_is_understood() -> None:
    assert parse_ask(ask(UID, 7)) == Ask(UID, b"7")
    assert parse_ask(b"\x02" + UID + b" 7 1 2 3 4 5 6 n room-1 room-2") == ASK
    assert parse_ask(b"\x02" + UID + b" 7 1 2 3 4 5 6 a") == ASK._replace(scope=ALL, names=())
    assert parse_ask(b"\x02" + UID + b" 7 1 2 3 4 5 6 m") == ASK._replace(scope=MANY, names=())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02",
        b"\x03" + UID + b" 7 0 0 0 0 0 0 a",
        b"\x02" + UID,
        b"\x02" + UID + b" 7 0 0 0",
        b"\x02" + UID + b" 7 0 0 0 0 0 0",
        b"\x02" + UID + b" 7 0 0 0 0 0 0 x",
        b"\x02" + UID + b" x 0 0 0 0 0 0 a",
        b"\x02" + UID + b" -1 0 0 0 0 0 0 a",
        b"\x02" + UID + b" 7 0 0 0 0 0 0x1 a",
        b"\x02" + UID[:-1] + b" 7 0 0 0 0 0 0 a",
        b"\x02" + UID.upper() + b" 7 0 0 0 0 0 0 a",
        b"\x02room-1 7 0 0 0 0 0 0 a",
        b"\x02" + UID + b" " + b"9" * 20 + b" 0 0 0 0 0 0 a",
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
        b"\x02" + UID + b" 1 0 0 0 0 0 0 a",
    ):
        stranger.send(frame)
    subscriber = tcp.subscriber("a", ready=True)
    publisher.put("a", 1)
    assert subscriber.get(block=True, timeout=5) == 1
    stranger.close(0)
    context.term()
