"""What the hub answers to those who ask what they missed: out of the ring, in slices between which it serves others.

A reply may take many turns of the hub. All that is sent meanwhile is in the ring too, so the reply goes on until it has
caught up, and its end says where it stands; the subscriber drops what came beside it. Where the ring overtakes a reply
that its subscriber does not read, another gap is told in the middle.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator

from shellbot.bus.frames import ALL, MANY, MISSED_BYTES, NAMED, Ask, reply_begin, reply_end, reply_missed
from shellbot.bus.hub.tally import ExactTally
from shellbot.bus.records import Assembler
from shellbot.bus.ring import Ring

MAX_HEADS = 10_000

logger = logging.getLogger(__name__)

# At least so many bytes of the ring are gone through in one turn, and always more than came in since the last one.
SLICE_BYTES = 256 * 1024


class Heads:
    """The positions at which subscribers were told how far the bus is, by this hub."""

    def __init__(self, position: int) -> None:
        # Whoever asks has its connection to this hub, and what it has from before is from before this hub began.
        self._positions = deque([position], maxlen=MAX_HEADS)

    def add(self, position: int) -> None:
        if position > self._positions[-1]:
            self._positions.append(position)

    def behind(self, position: int, default: int) -> int:
        """The first of them after this position; the default where it is not known."""
        positions = self._positions
        if position < positions[0] and len(positions) == MAX_HEADS:
            return default
        at = bisect_right(positions, position)
        return positions[at] if at < len(positions) else default


class Answer:
    """One reply.

    Args:
        now: How many messages were sent when the question was dealt with.

    Attributes:
        begun: When, by the monotonic clock.
        bytes_sent: Of the missed messages.
        gaps: How many were told in it.
        is_blocked: Whether its reader had no room when it last went on.
    """

    def __init__(
        self,
        question: Ask,
        ring: Ring,
        now: int,
        begun: float,
        heads: Heads,
        tally: ExactTally | None = None,
    ) -> None:
        self.question = question
        self.begun = begun
        self.bytes_sent = 0
        self.gaps = 0
        self._texts_sent = 0
        self.is_blocked = False
        self._ring = ring
        self._heads = heads
        self._tally = tally
        self._wanted = frozenset(question.names) if question.scope == NAMED else None
        self._skip = 0 if question.scope == MANY else question.received
        self._ready: deque[bytes] = deque()
        self._at = now
        self._seen = ring.offset
        self._begin(now)

    def _begin(self, now: int) -> None:
        question, ring = self.question, self._ring
        if question.epoch == 0:
            self._say_begin(b"-")
            if question.last:
                self._ready.extend(self._missed(self._latest(question.last, now)))
        elif question.epoch != ring.epoch:
            self._say_begin(b"? ?")
            # All of a ring that began anew is new to it.
            self._at, self._skip = ring.first, 0
        elif question.position > now:
            # This ring has lost its end, as in a machine that fell, and nobody knows what it had.
            self._say_begin(b"? ?")
        else:
            self._at = question.position
            if not self._tell_gap(now):
                self._say_begin(b"-")

    def _say_begin(self, gap: bytes) -> None:
        self.gaps += gap != b"-"
        self._ready.append(reply_begin(self.question, self._ring.epoch, gap))

    def _tell_gap(self, now: int) -> bool:
        """Whether the ring no longer holds what comes next; then go on where it begins, or behind what was received.

        What the subscriber has of the positions since its anchor are the first so many of its scope, but nobody knows
        any more which those are. Nothing it has may lie behind the gap, or it would get that twice.
        """
        first = self._ring.first
        if self._at >= first:
            return False
        question, begin = self.question, self._at
        received, gone = self._skip, b""
        if self._tally is not None and self._tally.covers(question):
            had = question.had + self._texts_sent
            lost = self._tally.gone(question)
            received, gone = max(0, had - lost), b" %d" % max(0, lost - had)
        elif question.scope == ALL:
            first, received = max(first, begin + received), 0
        elif question.scope == MANY:
            received = question.received
        # It has heard no head since its anchor, so it has nothing of what came behind the next.
        latest = max(first, min(now, self._heads.behind(question.position, now)))
        self._at = min(latest, self._behind(first, received, now))
        self._skip = 0
        self._say_begin(b"%d %d%b" % (begin + 1, self._at, gone))
        return True

    def _behind(self, position: int, count: int, now: int) -> int:
        """The position of the last of so many messages of the scope, from a position on."""
        if not count:
            return position
        if self.question.scope == MANY:
            return now
        for first, texts, _ in whole_records(self._ring, position):
            for number, text in enumerate(texts, first + 1):
                if number > position and self._of_scope([text]):
                    count -= 1
                    if not count:
                        return min(number, now)
        return now

    def go_on(self, send_now: Callable[[bytes], bool], now: int) -> bool:
        """Send the next slice; whether the reply is complete. ``now`` messages were sent to all so far."""
        if not self._send(send_now):
            return False
        if self._at < now:
            came, self._seen = self._ring.offset - self._seen, self._ring.offset
            self._tell_gap(now)
            self._go_through(now, max(SLICE_BYTES, 2 * came))
        if not self._send(send_now) or self._at < now:
            return False
        # Made now, for it says where it stands: had it to wait, others would have gone before it.
        self.is_blocked = not send_now(self._end(now))
        return not self.is_blocked

    def _go_through(self, now: int, budget: int) -> None:
        """Make the next slice ready."""
        before = self._at
        if before < now:
            self._ready.extend(self._missed(self._slice(now, budget)))
            if self._at == before:
                logger.error("the ring is damaged, and a reader is told that messages are gone position=%d", before)
                self._say_begin(b"? ?")
                self._at = now

    def _send(self, send_now: Callable[[bytes], bool]) -> bool:
        while self._ready:
            if not send_now(self._ready[0]):
                self.is_blocked = True
                return False
            self.bytes_sent += len(self._ready.popleft())
        self.is_blocked = False
        return True

    def _end(self, now: int) -> bytes:
        tally = self._tally
        if tally is None:
            return reply_end(self.question, self._ring.epoch, now)
        return reply_end(self.question, self._ring.epoch, now, tally.table, tally.had(self.question))

    def _slice(self, until: int, budget: int) -> Iterator[bytes]:
        """Texts for this subscriber, from where we stand, up to a position or for so many bytes."""
        begin = self._at
        for first, texts, size in whole_records(self._ring, begin):
            behind = self._at - first
            stop = until - first
            for text in self._of_scope(texts[behind:stop] if behind or stop < len(texts) else texts):
                if self._skip:
                    self._skip -= 1
                else:
                    self._texts_sent += 1
                    yield text
            self._at = min(until, first + len(texts))
            budget -= size
            # Of a long text there may be many records before the one with its end.
            if (budget <= 0 and self._at > begin) or self._at >= until:
                return

    def _of_scope(self, texts: list[bytes]) -> list[bytes]:
        wanted = self._wanted
        return texts if wanted is None else [text for text in texts if text[: text.find(b" ")] in wanted]

    def _latest(self, count: int, until: int) -> list[bytes]:
        """The last so many texts of the scope. Looks back segment by segment, so a few are found soon."""
        found: list[bytes] = []
        end = until
        for start in self._ring.marks():
            part: list[bytes] = []
            for first, texts, _ in whole_records(self._ring, start):
                if first >= end:
                    break
                part += self._of_scope(texts[max(0, start - first) : end - first])
            found = part + found
            end = start
            if len(found) >= count:
                break
        return found[-count:]

    def _missed(self, texts: Iterator[bytes] | list[bytes]) -> Iterator[bytes]:
        """Frames of about 256 KiB."""
        held: list[bytes] = []
        size = 0
        for text in texts:
            held.append(text)
            size += len(text) + 1
            if size >= MISSED_BYTES:
                yield reply_missed(self.question, b"\n".join(held))
                held, size = [], 0
        if held:
            yield reply_missed(self.question, b"\n".join(held))


def whole_records(ring: Ring, position: int) -> Iterator[tuple[int, list[bytes], int]]:
    """The records from a position on, understood: messages before each, its texts, its size in bytes.

    It ends where the ring does, or is damaged.
    """
    assembler = Assembler()
    is_first = True
    for record in ring.records(position):
        if is_first:
            is_first = False
            for earlier in ring.records_from(record.since):
                if earlier.offset >= record.offset:
                    break
                assembler.feed_through(bytes(earlier.body))
        texts = assembler.feed_through(bytes(record.body))
        if len(texts) != record.count:
            return
        yield record.first, texts, len(record.body)
