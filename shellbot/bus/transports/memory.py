"""memory:// : a bus inside one process, for tests and embedding. Frames are the same, no socket is opened."""

from __future__ import annotations

import os
import threading
from collections import Counter, deque
from weakref import WeakValueDictionary

from shellbot.bus.address import Address
from shellbot.bus.frames import parse_ask
from shellbot.bus.hub.seat import MemorySeat
from shellbot.bus.lifeline import Waker
from shellbot.bus.ring import Ring
from shellbot.bus.transports import Slow

IN_PROCESS = True

SENDING_ROOM = 1000  # of the sending side, as a connection has it


class NoRoom(Exception):
    """Nothing can be sent, or received, now."""


class _Hub:
    """What both ends of one address share."""

    def __init__(self) -> None:
        # One condition for all: whoever waits for room is woken by whoever reads.
        self.changed = threading.Condition()
        self.sending: MemorySending | None = None
        self.receiving: list[MemoryReceiving] = []
        self.rings: dict[str, Ring] = {}


class _Hubs:
    """The addresses in use in this process; names must meet somewhere."""

    def __init__(self) -> None:
        self._renew()
        # A child shares nothing with its parent here, and the lock may be held by a thread that is not there.
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._hubs: WeakValueDictionary[str, _Hub] = WeakValueDictionary()

    def named(self, name: str) -> _Hub:
        with self._lock:
            hub = self._hubs.get(name)
            if hub is None:
                hub = self._hubs[name] = _Hub()
            return hub


_hubs = _Hubs()


class MemorySending:
    """The publisher's side."""

    blocked = NoRoom

    def __init__(self, hub: _Hub, welcome: bytes, slow: Slow) -> None:
        self._hub = hub
        self._slow = slow
        self._welcome = welcome
        self._waker = Waker()
        self._upstream: deque[bytes] = deque()
        self._held: Counter[bytes] = Counter()
        self.socket = self
        with hub.changed:
            hub.sending = self
            for receiving in hub.receiving:
                self.attach(receiving)

    def attach(self, receiving: MemoryReceiving) -> None:
        """A subscriber is connected. The hub is held."""
        receiving.give(self._welcome)
        for topic in receiving.held:
            self.note(b"\x01" + topic)

    def detach(self, receiving: MemoryReceiving) -> None:
        """A subscriber has left. The hub is held."""
        for topic in receiving.held:
            self.note(b"\x00" + topic)

    def note(self, frame: bytes) -> None:
        """Something came upstream; only the first and last subscription of a topic are told. The hub is held."""
        topic = frame[1:]
        if frame[0] == 1:
            self._held[topic] += 1
            if self._held[topic] > 1:
                return
        elif frame[0] == 0:
            self._held[topic] -= 1
            if self._held[topic] > 0:
                return
            del self._held[topic]
        self._upstream.append(frame)
        self._waker.set()

    def send(self, frame: bytes) -> None:
        with self._hub.changed:
            takers = self._takers(frame)
            if self._slow.policy == "drop":
                takers = [taker for taker in takers if taker.has_room]
            elif not self._hub.changed.wait_for(lambda: all(taker.has_room for taker in takers), self._slow.patience):
                raise NoRoom
            for taker in takers:
                taker.give(frame)

    def send_now(self, frame: bytes) -> bool:
        with self._hub.changed:
            takers = self._takers(frame)
            if not all(taker.has_room for taker in takers):
                return False
            for taker in takers:
                taker.give(frame)
            return True

    def _takers(self, frame: bytes) -> list[MemoryReceiving]:
        head = frame[: frame.find(b" ") + 1]
        return [taker for taker in self._hub.receiving if head in taker.held or frame[:1] in taker.held]

    def asked(self) -> list[bytes]:
        with self._hub.changed:
            return [taker.uid for taker in self._hub.receiving if taker.uid]

    def cut(self, uid: bytes) -> bool:
        """What it has not read is lost to it, as with a connection that breaks."""
        with self._hub.changed:
            for taker in self._hub.receiving:
                if taker.uid == uid:
                    taker.frames.clear()
                    taker.give(self._welcome)
                    self._hub.changed.notify_all()
                    return True
        return False

    def send_string(self, text: str) -> None:
        self.send(text.encode())

    def upstream(self) -> list[bytes]:
        with self._hub.changed:
            self._waker.clear()
            found = list(self._upstream)
            self._upstream.clear()
        return found

    def fileno(self) -> int:
        return self._waker.fileno()

    def adapt(self, now: float) -> None:
        """Nothing is to be done: no thread hands on."""

    def close(self, linger: float) -> None:
        """Everything is in the subscribers' hands already."""
        with self._hub.changed:
            if self._hub.sending is self:
                self._hub.sending = None


class MemoryReceiving:
    """A subscriber's side."""

    blocked = NoRoom

    def __init__(self, hub: _Hub, room: int) -> None:
        self._hub = hub
        self._room = SENDING_ROOM + room
        self.waker = Waker()
        self.frames: deque[bytes] = deque()
        self.held: set[bytes] = set()
        self.uid = b""
        self.socket = self
        with hub.changed:
            hub.receiving.append(self)
            if hub.sending:
                hub.sending.attach(self)

    @property
    def has_room(self) -> bool:
        return len(self.frames) < self._room

    def give(self, frame: bytes) -> None:
        """The hub is held."""
        self.frames.append(frame)
        self.waker.set()

    def recv(self, flags: int = 0) -> bytes:
        with self._hub.changed:
            if not self.frames:
                self.waker.clear()
                raise NoRoom
            frame = self.frames.popleft()
            if len(self.frames) == self._room - 1:
                self._hub.changed.notify_all()
            return frame

    def send(self, frame: bytes) -> None:
        with self._hub.changed:
            sending = self._hub.sending
            topic = frame[1:]
            if frame[0] == 1:
                if topic in self.held:
                    return
                self.held.add(topic)
            elif frame[0] == 0:
                if topic not in self.held:
                    return
                self.held.discard(topic)
            elif question := parse_ask(frame):
                self.uid = question.uid
            if sending:
                sending.note(frame)

    def fileno(self) -> int:
        return self.waker.fileno()

    def adapt(self, now: float) -> None:
        """Nothing is to be done: no thread hands on."""

    def close(self) -> None:
        with self._hub.changed:
            if self in self._hub.receiving:
                self._hub.receiving.remove(self)
                if self._hub.sending:
                    self._hub.sending.detach(self)
                self._hub.changed.notify_all()


def seat(address: Address) -> MemorySeat:
    return MemorySeat(address, _hubs.named(address.place))


def bind(address: Address, welcome: bytes, slow: Slow) -> MemorySending:
    """Become the one that sends on this name."""
    return MemorySending(_hubs.named(address.place), welcome, slow)


def connect(address: Address, room: int) -> MemoryReceiving:
    return MemoryReceiving(_hubs.named(address.place), room)
