"""What programs of 2017 do with the bus, as they wrote it."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import queue
import time
from typing import Any

import pytest

from shellbot.bus import Bus, Publisher, Subscriber
from shellbot.context import Context
from tests.bus.conftest import Buses


class FakeSocket:
    """What their tests put in the place of a socket."""

    def __init__(self, *frames: Any) -> None:
        self.frames = list(frames)
        self.sent: list[str] = []
        self.closed = False

    def send_string(self, text: str) -> None:
        self.sent.append(text)

    def recv(self, **kwargs: Any) -> Any:
        return self.frames.pop(0) if self.frames else None

    def close(self) -> None:
        self.closed = True


class PlainContext:
    """A context with the face of 2017 and nothing else."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.values = settings

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def set(self, key: str, value: Any) -> None:
        self.values[key] = value

    def check(self, key: str, default: Any = None) -> Any:
        return self.values.setdefault(key, default)

    def increment(self, key: str, delta: int = 1) -> int:
        self.values[key] = self.values.get(key, 0) + delta
        return int(self.values[key])


def test_the_root_has_the_names() -> None:
    import shellbot

    for name in ("Bus", "Context", "Publisher", "Subscriber"):
        assert getattr(shellbot, name).__name__ == name


def test_check_fills_in_the_address() -> None:
    context = Context()
    Bus(context).check()
    assert context.get("bus.address") == Bus.DEFAULT_ADDRESS == "tcp://127.0.0.1:5555"


def test_ends_are_made_by_the_bus_and_by_hand(tcp_address: str) -> None:
    context = Context({"bus.address": tcp_address})
    bus = Bus(context)
    assert bus.subscribe("a").channels == Subscriber(context, "a").channels == ["a"]
    assert bus.subscribe(("a", "b")).channels == ["a", "b"]
    assert bus.subscribe("").channels == [""]
    for publisher in (bus.publish(), Publisher(context), Publisher(tcp_address)):
        assert publisher.daemon
        assert isinstance(publisher, multiprocessing.Process)
        assert publisher.socket is None
        assert (publisher.DEFER_DURATION, publisher.EMPTY_DELAY) == (0.3, 0.005)


@pytest.mark.parametrize("channels", [None, [], (), 5, {"a"}, iter("a"), ["a", None], [[]], b"a"])
def test_a_subscriber_needs_channels(channels: Any) -> None:
    with pytest.raises(AssertionError):
        Bus(Context()).subscribe(channels)
    with pytest.raises(ValueError, match="channel"):
        Subscriber(Context(), channels)


@pytest.mark.parametrize("channels", [None, "", [], (), [""], ["a", ""], ["a", None]])
def test_put_needs_channels(channels: Any) -> None:
    publisher = Publisher(Context())
    for kind in (AssertionError, ValueError):
        with pytest.raises(kind):
            publisher.put(channels, "hello")
    assert publisher.fan.empty()


@pytest.mark.parametrize("message", [None, ""])
def test_put_needs_a_message(message: Any) -> None:
    publisher = Publisher(Context())
    for kind in (AssertionError, ValueError):
        with pytest.raises(kind):
            publisher.put("channel", message)
    assert publisher.fan.empty()


def test_put_hands_one_text_per_channel_to_the_fan() -> None:
    publisher = Publisher(Context())
    publisher.put(["a", "b"], {"x": 1})
    for name in ("a", "b"):
        channel, text = publisher.fan.get().split(" ", 1)
        assert (channel, json.loads(text)) == (name, {"x": 1})


@pytest.mark.parametrize("make", [multiprocessing.Queue, queue.Queue], ids=["multiprocessing", "queue"])
@pytest.mark.parametrize("context", [Context({"a": 1}), PlainContext({})], ids=["ours", "plain"])
def test_run_in_line_with_a_queue_and_a_socket_put_in(make: Any, context: Any) -> None:
    publisher = Publisher(context)
    publisher.fan = make()
    publisher.socket = socket = FakeSocket()
    context.set("publisher.counter", 5)
    publisher.put("channel", "hello")
    publisher.put(["a", "b"], [1])
    publisher.fan.put(None)
    publisher.run()
    assert socket.sent == ['channel "hello"', "a [1]", "b [1]"]
    assert socket.closed
    assert context.get("publisher.counter") == 3
    publisher.put("again", 1)
    if make is multiprocessing.Queue:
        publisher.fan.get()
        publisher.fan.close()
        publisher.fan.join_thread()


def test_run_in_line_may_be_done_twice() -> None:
    publisher = Publisher(Context())
    for n in range(2):
        publisher.socket = socket = FakeSocket()
        publisher.fan.put(f"channel {n}")
        publisher.fan.put(None)
        publisher.run()
        assert socket.sent == [f"channel {n}"]
        assert publisher.socket is None


def test_run_in_line_ends_at_the_switch_after_draining() -> None:
    context = Context({"general.switch": "off"})
    publisher = Publisher(context)
    publisher.socket = socket = FakeSocket()
    publisher.put("channel", 1)
    publisher.run()
    assert socket.sent == ["channel 1"]


def test_process_sends() -> None:
    publisher = Publisher(Context())
    publisher.socket = socket = FakeSocket()
    publisher.process("channel 1")
    assert socket.sent == ["channel 1"]


class Shouting(Publisher):
    """A publisher of somebody's own."""

    def process(self, item: str) -> None:
        super().process(item.upper())


def test_process_may_be_replaced(tcp: Buses) -> None:
    publisher = Shouting(tcp.context())
    tcp.ends.append(publisher)
    publisher.start()
    subscriber = tcp.subscriber("A", ready=True)
    publisher.put("a", "hello")
    assert subscriber.get(block=True, timeout=5) == "HELLO"


def test_a_real_queue_in_the_process(tcp: Buses) -> None:
    publisher = tcp.publisher(start=False)
    publisher.fan = multiprocessing.Queue()
    publisher.start()
    subscriber = tcp.subscriber("a", ready=True)
    for n in range(100):
        publisher.put("a", n)
    assert publisher.put_encoded([publisher.encoded("a", n) for n in range(100, 110)]) == 10
    assert [subscriber.get(block=True, timeout=5) for _ in range(110)] == list(range(110))
    publisher.close()
    assert publisher.exitcode == 0
    publisher.fan.close()
    publisher.fan.join_thread()


def test_get_with_a_socket_put_in() -> None:
    for recv in (lambda: 'channel {"a": 1}', lambda **kwargs: b'channel {"a": 1}', lambda flags: b'channel {"a": 1}'):
        subscriber = Subscriber(Context(), "channel")
        subscriber.socket = type("Socket", (), {"recv": staticmethod(recv)})()
        assert subscriber.get() == subscriber.get(block=True) == {"a": 1}
        assert subscriber.receive().channel == "channel"  # type: ignore[union-attr]


def test_get_gives_none_when_the_socket_has_nothing() -> None:
    subscriber = Subscriber(Context(), "channel")
    subscriber.socket = FakeSocket()
    assert subscriber.get() is None


def test_the_socket_is_lazy(tcp: Buses) -> None:
    subscriber = tcp.subscriber("a")
    assert subscriber.socket is None
    subscriber.get()
    assert subscriber.socket is not None


def test_a_publisher_is_no_message_between_processes() -> None:
    with pytest.raises((RuntimeError, TypeError)):
        pickle.dumps(Publisher(Context()))


def test_group_and_direct_channels_as_documented(tcp: Buses) -> None:
    # the group tells its direct channels, they answer under their own names
    channels = ["direct-1", "direct-2"]
    publisher = tcp.publisher()
    group = tcp.subscriber(channels, ready=True)
    direct = [tcp.subscriber(name, ready=True) for name in channels]
    publisher.put(channels, {"do": "vote"})
    for name, one in zip(channels, direct, strict=True):
        assert one.get(block=True, timeout=5) == {"do": "vote"}
        publisher.put(name, {"from": name, "choice": "sushi"})
    heard = [group.get(block=True, timeout=5) for _ in range(4)]
    assert [one["from"] for one in heard if "from" in one] == channels


def test_polling_as_in_2017(tcp: Buses) -> None:
    publisher = tcp.publisher()
    subscriber = tcp.subscriber("a", ready=True)
    publisher.put("a", "x")
    deadline = time.monotonic() + 5
    while (message := subscriber.get()) is None:
        assert time.monotonic() < deadline
    assert message == "x"
