"""What the hub reads, kept in the ring before it is sent; so that a hub that is killed takes nothing with it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from shellbot.bus.hub.intake import Intake
from shellbot.bus.hub.tally import ExactTally
from shellbot.bus.records import Assembler, writer_pid
from shellbot.bus.ring import SEGMENTS, Ring
from shellbot.cells import process_tag

# A process that was killed with its hub is started again sooner, and one that is stopped perhaps goes on.
_PATIENCE = 60.0
_NO_ROOM = memoryview(b"")

logger = logging.getLogger(__name__)


class Source(Protocol):
    """How the hub comes by texts.

    Attributes:
        room: Where what is read next goes; empty where there is no place for it yet.
    """

    assembler: Assembler
    room: memoryview

    def prepare(self, intake: Intake) -> None:
        """Make room for what is read next."""

    def read(self, intake: Intake) -> list[bytes]:
        """One read of a queue, after prepare(): the texts that are whole with it."""

    def accept(self, texts: list[bytes]) -> None:
        """Texts that come another way than out of a pipe."""

    def recover(self) -> list[bytes]:
        """What the hub before us has read last, and perhaps not sent."""

    @property
    def segment(self) -> int:
        """Number of the segment of the ring in which the next record will begin; it grows."""

    def forget_dead(self, is_all_read: Callable[[], bool]) -> None:
        """Forget what processes have left unfinished that are gone, when nothing is left of it in a queue."""


class Passage:
    """At ``fast`` nothing is kept."""

    segment = 0

    def __init__(self) -> None:
        self.assembler = Assembler()
        # Kept: to allocate as much for each read took longer than all else of it.
        self.room = _NO_ROOM

    def prepare(self, intake: Intake) -> None:
        if len(self.room) < intake.room:
            self.room = memoryview(bytearray(intake.room))

    def read(self, intake: Intake) -> list[bytes]:
        size = intake.read_into(self.room)
        return intake.understand(bytes(self.room[:size])) if size else []

    def accept(self, texts: list[bytes]) -> None:
        """Nothing to do."""

    def recover(self) -> list[bytes]:
        return []

    def forget_dead(self, is_all_read: Callable[[], bool]) -> None:
        _forget_dead(self.assembler, is_all_read)


class Journal:
    """At ``replay`` all goes through the ring."""

    def __init__(self, ring: Ring, tally: ExactTally | None) -> None:
        self.assembler = Assembler()
        self._ring = ring
        self._tally = tally
        self._segment_bytes = ring.size // SEGMENTS
        self.room = _NO_ROOM
        # Writers of texts that another hub began to read, and until when their ends are waited for.
        self._inherited: frozenset[bytes] = frozenset()
        self._waiting_until = 0.0

    @property
    def segment(self) -> int:
        return self._ring.offset // self._segment_bytes

    def prepare(self, intake: Intake) -> None:
        if self.assembler.open_bytes:
            self._renew_open(self._ring)
        self.room = self._ring.reserve(intake.room)

    def read(self, intake: Intake) -> list[bytes]:
        """Straight from the pipe into the ring, and committed there."""
        size = intake.read_into(self.room)
        return self._keep(bytes(self.room[:size]), intake) if size else []

    def _keep(self, data: bytes, intake: Intake | None) -> list[bytes]:
        """Commit what was read to the place reserved for it; the texts that are whole with it."""
        assembler, ring = self.assembler, self._ring
        since = assembler.oldest_mark
        assembler.mark = ring.offset
        texts = assembler.feed_through(data) if intake is None else intake.understand(data)
        ring.commit(len(data), len(texts), since)
        self.room = _NO_ROOM
        if self._tally is not None:
            self._tally.count(texts)
        return texts

    def _renew_open(self, ring: Ring) -> None:
        """Keep the beginning of a text in the ring, however long its writer is held up in the middle of it."""
        since = self.assembler.oldest_mark
        if since is None or since > ring.offset - ring.size // 2:
            return
        for piece in self.assembler.renewed(ring.offset):
            ring.append(piece, 0, since)

    def accept(self, texts: list[bytes]) -> None:
        self.room = _NO_ROOM
        for text in texts:
            self._ring.append(text + b"\n", 1)
        if self._tally is not None:
            self._tally.count(texts)

    def recover(self) -> list[bytes]:
        """What a hub has left that was killed: texts whose beginning it read, and what it read and did not commit."""
        ring = self._ring
        if ring.last is not None:
            last = next(ring.records_from(ring.last))
            for record in ring.records_from(last.since if ring.holds(last.since) else last.offset):
                self.assembler.mark = record.offset
                self.assembler.feed_through(bytes(record.body))
        # Their ends may be in queues that are not handed to us yet.
        self._inherited = self.assembler.open_writers
        self._waiting_until = monotonic() + _PATIENCE
        left = ring.leftover()
        if left is None:
            return []
        texts = self._keep(bytes(left), None)
        logger.info("went on with %d messages that the process before had read", len(texts))
        return texts

    def forget_dead(self, is_all_read: Callable[[], bool]) -> None:
        if self._inherited and monotonic() > self._waiting_until:
            self._inherited = frozenset()
        _forget_dead(self.assembler, is_all_read, self._inherited)


def _forget_dead(assembler: Assembler, is_all_read: Callable[[], bool], spared: frozenset[bytes] = frozenset()) -> None:
    dead = [writer for writer in assembler.open_writers - spared if not process_tag(writer_pid(writer))]
    # Asked in this order: one that ends after its last write may have written since the last read.
    if dead and is_all_read():
        assembler.drop(dead)
