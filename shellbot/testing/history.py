"""What was put and what arrived, kept in little room, and the verdict on it: lost, told, doubled, out of order."""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shellbot.errors import InvalidMessage


def make_message(sender: str, number: int, **more: Any) -> dict[str, Any]:
    """A message that says who sent it and its number there: ``{"from": sender, "n": number}``, and whatever more."""
    return {"from": sender, "n": number, **more}


def read_message(message: object) -> tuple[str, int]:
    """Sender and number.

    Raises:
        InvalidMessage: It was not made by :func:`make_message`.
    """
    if isinstance(message, Mapping):
        sender, number = message.get("from"), message.get("n")
        if isinstance(sender, str) and type(number) is int:
            return sender, number
    raise InvalidMessage(f'a message of a history is like {{"from": "a", "n": 1}}, not {message!r:.200}')


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the messages for one reader. A good one is ``Verdict(sent=n, delivered=n)``.

    Attributes:
        sent: Put.
        delivered: Of these, arrived at least once.
        lost: Put and never arrived.
        unreported: Lost, and no gap in the right place has told it.
        duplicated: Arrivals of what had arrived before.
        reordered: First arrivals that came after something their sender put later.
        invented: Arrivals of what was never put on these channels: spoiled, forged, or of another's channel.
    """

    sent: int
    delivered: int
    lost: int = 0
    unreported: int = 0
    duplicated: int = 0
    reordered: int = 0
    invented: int = 0


class History:
    """Records what senders put and readers got, and judges.

    A message is known by sender, channel and number. On each channel the numbers of a sender grow; how they do does
    not matter, but where each is the one before plus one, millions take a few bytes, else about twenty bytes each.

    Each sender, and each reader, is recorded by one thread at a time, in its order; that of putting and arriving does
    not matter, so that senders in other processes may be recorded afterwards.
    """

    def __init__(self) -> None:
        self._puts: defaultdict[str, _Trail] = defaultdict(_Trail)
        self._readers: defaultdict[str, _Reader] = defaultdict(_Reader)

    def put(self, sender: str, channel: str, number: int) -> None:
        """``sender`` has put this.

        Raises:
            ValueError: The number is not above the last one there. A sender started again takes a new name.
        """
        trail = self._puts[sender]
        last = trail.last.get(channel)
        if last is not None and number <= last:
            raise ValueError(f"{sender!r} put {number} on {channel!r} after {last}; numbers must grow")
        trail.last[channel] = number
        trail.add(channel, number, 0)

    def arrived(self, reader: str, channel: str, sender: str, number: int) -> None:
        """``reader`` got this."""
        at = self._readers[reader]
        at.trails[sender].add(channel, number, len(at.gaps))

    def gap(self, reader: str, at_most: int | None) -> None:
        """``reader`` was told here, in the order of arrivals, that so many may be missing; None is any number."""
        self._readers[reader].gaps.append(at_most)

    def verdict(self, reader: str, channels: Collection[str] | None = None) -> Verdict:
        """Judge what a reader of these channels (all that were put to) got.

        What is lost is told by a gap that came between the arrivals of its sender's nearest messages on either side;
        after the last, where none came later. A gap tells no more than its number, over all senders.
        """
        got = self._readers.get(reader, _Reader())
        sent = delivered = duplicated = reordered = invented = 0
        holes: list[_Hole] = []
        for sender in self._puts.keys() | got.trails.keys():
            order = _Order(self._puts.get(sender, _Trail()), channels)
            pieces = _Pieces()
            for channel, first, count, epoch in got.trails.get(sender, _Trail()).runs():
                found = 0
                for start, end in order.find(channel, first, first + count):
                    found += end - start
                    pieces.add(start, end, epoch)
                invented += count - found
            sent += order.size
            delivered += pieces.size
            duplicated += pieces.duplicated
            reordered += pieces.reordered
            holes += pieces.holes(order.size, len(got.gaps))
        return Verdict(
            sent=sent,
            delivered=delivered,
            lost=sent - delivered,
            unreported=_untold(holes, got.gaps),
            duplicated=duplicated,
            reordered=reordered,
            invented=invented,
        )


class _Trail:
    """Messages of one sender in order, as runs of neighbours on one channel in one epoch: no object for each."""

    def __init__(self) -> None:
        self.last: dict[str, int] = {}
        self._ids: dict[str, int] = {}
        self._channels = array("I")
        self._firsts = array("q")
        self._counts = array("I")
        self._epochs = array("I")
        self._next: tuple[str, int, int] | None = None

    def add(self, channel: str, number: int, epoch: int) -> None:
        if (channel, number, epoch) == self._next:
            self._counts[-1] += 1
        else:
            self._channels.append(self._ids.setdefault(channel, len(self._ids)))
            self._firsts.append(number)
            self._counts.append(1)
            self._epochs.append(epoch)
        self._next = channel, number + 1, epoch

    def runs(self) -> Iterator[tuple[str, int, int, int]]:
        """Channel, first number, count, epoch."""
        names = list(self._ids)
        for channel, first, count, epoch in zip(self._channels, self._firsts, self._counts, self._epochs, strict=True):
            yield names[channel], first, count, epoch


class _Reader:
    """What one reader got. The epoch of an arrival is the number of gaps before it."""

    def __init__(self) -> None:
        self.trails: defaultdict[str, _Trail] = defaultdict(_Trail)
        self.gaps: list[int | None] = []


class _Order:
    """Places of a sender's messages in the order in which it put them, those of the asked channels alone."""

    def __init__(self, puts: _Trail, channels: Collection[str] | None) -> None:
        self.size = 0
        self._runs: defaultdict[str, tuple[array[int], array[int], array[int]]] = defaultdict(
            lambda: (array("q"), array("q"), array("q"))
        )
        for channel, first, count, _ in puts.runs():
            if channels is None or channel in channels:
                for kept, value in zip(self._runs[channel], (first, first + count, self.size), strict=True):
                    kept.append(value)
                self.size += count

    def find(self, channel: str, first: int, end: int) -> Iterator[tuple[int, int]]:
        """Places, as ranges from - to, of those of these numbers that were put."""
        if channel not in self._runs:
            return
        firsts, ends, places = self._runs[channel]
        at = max(0, bisect_right(firsts, first) - 1)
        while at < len(firsts) and firsts[at] < end:
            low, high = max(first, firsts[at]), min(end, ends[at])
            if low < high:
                yield places[at] + low - firsts[at], places[at] + high - firsts[at]
            at += 1


@dataclass(frozen=True, slots=True)
class _Hole:
    """So many lost, and the gaps that may tell of them: from ``left`` up to and without ``right``."""

    left: int
    right: int
    size: int


class _Pieces:
    """Ranges of places that have arrived, each in one epoch, sorted."""

    def __init__(self) -> None:
        self.size = self.duplicated = self.reordered = 0
        self._starts = array("q")
        self._ends = array("q")
        self._epochs = array("q")

    def add(self, start: int, end: int, epoch: int) -> None:
        """These arrive now, one after the other."""
        self.duplicated += end - start
        for low, high in list(self._missing(start, end)):
            self.duplicated -= high - low
            self.size += high - low
            self.reordered += max(0, min(high, self._ends[-1] if self._ends else 0) - low)
            at = bisect_right(self._starts, low)
            if at and self._ends[at - 1] == low and self._epochs[at - 1] == epoch:
                self._ends[at - 1] = high
            else:
                self._starts.insert(at, low)
                self._ends.insert(at, high)
                self._epochs.insert(at, epoch)

    def _missing(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Those parts of a range that have not arrived before."""
        at = max(0, bisect_right(self._starts, start) - 1)
        while start < end:
            if at == len(self._starts) or end <= self._starts[at]:
                yield start, end
                return
            if start < self._starts[at]:
                yield start, self._starts[at]
            start = max(start, self._ends[at])
            at += 1

    def holes(self, size: int, gaps: int) -> Iterable[_Hole]:
        """What is missing of so many places, where so many gaps came in all."""
        place = left = 0
        for start, end, epoch in zip(self._starts, self._ends, self._epochs, strict=True):
            if place < start:
                yield _Hole(left, epoch, start - place)
            place, left = end, epoch
        if place < size:
            yield _Hole(left, gaps, size - place)


def _untold(holes: list[_Hole], gaps: list[int | None]) -> int:
    """How many of the lost no gap can have told. Each gap tells first of the holes that no later one can tell of."""
    holes.sort(key=lambda hole: hole.left)
    untold = at = 0
    open_holes: list[tuple[int, int]] = []  # the right end, and how many are untold
    for number, at_most in enumerate(gaps):
        while at < len(holes) and holes[at].left <= number:
            heapq.heappush(open_holes, (holes[at].right, holes[at].size))
            at += 1
        while open_holes and open_holes[0][0] <= number:
            untold += heapq.heappop(open_holes)[1]
        rest = at_most
        while open_holes and (rest is None or rest > 0):
            right, size = heapq.heappop(open_holes)
            told = size if rest is None else min(size, rest)
            if told < size:
                heapq.heappush(open_holes, (right, size - told))
            if rest is not None:
                rest -= told
    return untold + sum(size for _, size in open_holes) + sum(hole.size for hole in holes[at:])
