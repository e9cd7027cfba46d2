"""A bus on paper: a publisher, a network and a subscriber whose every step is called by the test."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from shellbot.bus import Subscriber
from shellbot.bus.frames import (
    ALL,
    MANY,
    Ask,
    Frame,
    Gap,
    head,
    parse_ask,
    reply_begin,
    reply_end,
    reply_missed,
    welcome,
)
from shellbot.context import Context


class Nothing(Exception):
    """There is nothing to read."""


class Message:
    """One that was put."""

    def __init__(self, number: int, channel: str, is_due: bool, is_early: bool) -> None:
        self.number = number
        self.channel = channel
        self.is_due = is_due
        self.is_early = is_early
        self.text = b"%b %d" % (channel.encode(), number)


class World:
    """Both ends, what is between them, and what was put and delivered.

    The subscriber is the real one; its transport is this.

    Args:
        is_exact: Whether it counts for each subscriber.
        slice: How many messages are in one frame of a reply.
    """

    IN_PROCESS = True
    blocked = Nothing

    def __init__(self, *, is_exact: bool = False, slice: int = 2) -> None:
        self.is_exact = is_exact
        self.slice = slice
        self.socket = self
        self.epoch = 1
        self.starts = [0]  # how many messages were put before each history
        self.history: list[Message] = []
        self.every: list[Message] = []
        self.floor = 0
        self.first_here = 0  # of this connection
        self.heads: list[int] = []
        self.held: set[bytes] = set()  # at the publisher
        self.trie: dict[bytes, None] = {}  # in the subscriber's socket
        self.up: deque[bytes] = deque()
        self.down: deque[bytes] = deque()
        self.pipe: deque[bytes] = deque()  # across the network, not read yet
        self.reply: Iterator[bytes] | None = None
        self.delivered: list[Frame | Gap] = []
        self.promised: set[str] = set()
        self.subscriber: Subscriber

    # -- the transport of the subscriber ----------------------------------------------------------------------------

    def connect(self, address: object, room: int) -> World:
        self.trie.clear()
        self.pipe.clear()
        self.break_off()
        return self

    def recv(self, flags: int) -> bytes:
        if not self.pipe:
            raise Nothing
        return self.pipe.popleft()

    def send(self, frame: bytes) -> None:
        if frame[0] == 1:
            assert frame[1:] not in self.trie, "subscribed to twice"
            self.trie[frame[1:]] = None
        elif frame[0] == 0:
            del self.trie[frame[1:]]
        self.up.append(frame)

    def adapt(self, now: float) -> None:
        pass

    def fileno(self) -> int:
        return -1

    def close(self) -> None: ...

    # -- the network ------------------------------------------------------------------------------------------------

    def break_off(self) -> None:
        """What is on its way is lost; there is a new connection, and the socket says again what it wants."""
        self.held.clear()
        self.reply = None
        if self.down and self.down[0].startswith(b"\xffh W"):
            # The subscriber never learns of this connection.
            for message in self.history[self.first_here :]:
                message.is_due &= not message.is_early
        self.first_here = len(self.history)
        self.down.clear()
        self.down.append(welcome(self.epoch))
        self.up.clear()
        self.up.extend(b"\x01" + topic for topic in self.trie)

    def carry(self, count: int) -> None:
        for _ in range(min(count, len(self.down))):
            self.pipe.append(self.down.popleft())

    # -- the publisher ----------------------------------------------------------------------------------------------

    def put(self, channel: str) -> None:
        stream = self.subscriber.incoming.stream
        is_promised = channel in self.promised or "" in self.promised
        is_seen = f"{channel} ".encode() in self.held or channel[:1].encode() in self.held
        # publisher.wait_ready() would have promised it, too, as long as nobody has broken anything.
        is_early = not is_promised and is_seen and stream.answered == 0 and stream.welcomes <= 1
        # Without a history nobody can fill what comes while a connection is new; the gap is told beside it.
        is_lost = not is_seen and (stream._anchor is None or stream._anchor[0] != self.epoch) and bool(self.held)
        is_due = self.holds(channel) and (is_early or (is_promised and not is_lost))
        message = Message(len(self.every) + 1, channel, is_due, is_early)
        self.every.append(message)
        self.history.append(message)
        self.send_down(message.text)

    def send_down(self, frame: bytes) -> None:
        if any(frame.startswith(topic) for topic in self.held):
            self.down.append(frame)

    def tell_head(self) -> None:
        self.heads.append(len(self.history))
        if self.epoch:
            self.send_down(head(self.epoch, len(self.history)))

    def evict(self, count: int) -> None:
        self.floor = min(len(self.history), self.floor + count)

    def hear(self, count: int) -> None:
        for _ in range(min(count, len(self.up))):
            frame = self.up.popleft()
            if frame[0] == 1:
                self.held.add(frame[1:])
            elif frame[0] == 0:
                self.held.discard(frame[1:])
            elif question := parse_ask(frame):
                self.reply = self.answer(question)

    def go_on(self) -> None:
        """The next frame of the reply."""
        if self.reply is not None:
            frame = next(self.reply, None)
            if frame is None:
                self.reply = None
            else:
                self.send_down(frame)

    def answer(self, question: Ask) -> Iterator[bytes]:
        begin = reply_begin
        if question.epoch == 0 or self.epoch == 0:
            yield begin(question, self.epoch, b"-" if question.epoch == 0 else b"? ?")
            if question.last and self.epoch:
                # As of the end, so all at once.
                latest = [m.text for m in self.history[self.floor :] if self.is_of(question, m)][-question.last :]
                if latest:
                    self.send_down(reply_missed(question, b"\n".join(latest)))
        elif question.epoch != self.epoch or question.position > len(self.history):
            yield begin(question, self.epoch, b"? ?")
        else:
            yield from self.replay(question)
        table, count = (self.epoch, self.had(question, len(self.history))) if self.is_exact else (0, 0)
        yield reply_end(question, self.epoch, len(self.history), table, count)

    def replay(self, question: Ask) -> Iterator[bytes]:
        at, skip = question.position, question.received
        if question.scope == ALL:
            at, skip = at + skip, 0
        is_begun = False
        while not is_begun or at < len(self.history):
            if at < self.floor:
                first, gap = at + 1, b""
                is_counted = self.is_exact and question.table == self.epoch and not is_begun
                if is_counted:
                    skip = max(0, question.had - self.had(question, self.floor))
                at, skip = self.behind(question, skip), 0
                if is_counted:
                    gap = b" %d" % (self.had(question, at) - question.had)
                yield reply_begin(question, self.epoch, b"%d %d%b" % (first, at, gap))
            elif not is_begun:
                yield reply_begin(question, self.epoch)
            if question.scope == MANY:
                skip = 0
            is_begun = True
            if at < self.floor:
                continue  # the ring went on while we waited to be sent
            texts = []
            while at < len(self.history) and len(texts) < self.slice:
                message = self.history[at]
                at += 1
                if self.is_of(question, message):
                    if skip:
                        skip -= 1
                    else:
                        texts.append(message.text)
            if texts:
                yield reply_missed(question, b"\n".join(texts))

    def behind(self, question: Ask, count: int) -> int:
        """Where a reply goes on behind a gap, so that nothing the subscriber has comes again.

        Unless it was counted, nobody knows how many of the messages it has are in the gap: as many as it may have are
        left out behind it, and told as gone.
        """
        if question.scope == MANY and question.received:
            return len(self.history)
        at = self.floor
        while count and at < len(self.history):
            count -= self.is_of(question, self.history[at])
            at += 1
        return at

    def is_of(self, question: Ask, message: Message) -> bool:
        return question.scope in (ALL, MANY) or message.channel.encode() in question.names

    def had(self, question: Ask, until: int) -> int:
        return sum(self.is_of(question, message) for message in self.history[:until])

    def begin_anew(self, keeps_history: bool) -> None:
        """A publisher with another history, or one that keeps none."""
        self.break_off()
        self.starts.append(len(self.every))
        self.history = []
        self.heads = []
        self.floor = self.first_here = 0
        self.epoch = len(self.starts) if keeps_history else 0
        self.break_off()

    # -- the subscriber ---------------------------------------------------------------------------------------------

    def holds(self, channel: str) -> bool:
        return channel in self.subscriber.channels or "" in self.subscriber.channels

    def take(self, count: int) -> None:
        for _ in range(count):
            found = self.subscriber.receive(0)
            self.note()
            if found is None:
                return
            self.delivered.append(found)

    def look(self) -> None:
        self.subscriber.look_ready()
        self.note()

    def renew(self) -> None:
        """As when the bus does not answer."""
        if self.subscriber.incoming.stream.welcomes and not self.pipe:
            self.subscriber.incoming._renew()

    def note(self) -> None:
        if self.subscriber.incoming.stream.is_ready:
            self.promised.update(self.subscriber.channels)

    def add(self, channel: str) -> None:
        self.subscriber.add(channel)

    def remove(self, channel: str) -> None:
        if len(self.subscriber.channels) > 1:
            self.subscriber.remove(channel)
            self.promised.discard(channel)
            for message in self.every:
                if not self.holds(message.channel):
                    message.is_due = False

    def settle(self) -> None:
        """Everything that is on its way arrives."""
        for _ in range(2000):
            if not (self.up or self.down or self.pipe or self.reply):
                break
            self.hear(1000)
            self.go_on()
            self.carry(1000)
            self.take(1000)
        else:
            raise AssertionError("it never comes to rest")
        self.take(1000)


@contextmanager
def a_world(channels: list[str], *, last: int = 0, is_exact: bool = False, **of_publisher: Any) -> Iterator[World]:
    """A subscriber, open, on a bus on paper."""
    world = World(is_exact=is_exact, **of_publisher)
    with mock.patch("shellbot.bus.transports.load", return_value=world):
        settings = {"address": "memory://paper", "exact_gaps": is_exact}
        with Subscriber(Context({"bus": settings}), channels, last) as subscriber:
            world.subscriber = subscriber
            world.take(1)
            yield world


def verify(world: World, is_all: bool) -> None:
    """Nothing twice, nothing out of order, nothing missing that no gap tells of."""
    trace = world.delivered
    numbers = [one.message for one in trace if isinstance(one, Frame)]
    assert numbers == sorted(set(numbers)), "twice, or out of order"
    given = set(numbers)
    missing = {message.number for message in world.every if message.is_due} - given
    after = 0
    for index, one in enumerate(trace):
        if isinstance(one, Frame):
            after = one.message
            continue
        before = next((item.message for item in trace[index:] if isinstance(item, Frame)), len(world.every) + 1)
        within = {number for number in missing if number < before}
        if one.first is not None and one.last is not None and one.at_most is not None:
            assert 0 < one.at_most <= one.last - one.first + 1
            # Where two histories have such positions, it is one of them.
            ends = [*world.starts[1:], len(world.every)]
            places = [
                set(range(start + one.first, start + one.last + 1))
                for start, end in zip(world.starts, ends, strict=True)
                if start + one.last <= end and start + one.first < before
            ]
            assert any(not is_all or one.at_most == len(place - given) for place in places), "not exact"
            within = max((within & place for place in places if len(within & place) <= one.at_most), key=len)
        else:
            within = {number for number in within if number > after}
        missing -= within
    assert not missing, f"gone in silence: {sorted(missing)}"
