"""The ring of past messages: records in a mapped file, with which the next process goes on wherever this one is killed.

::

    byte   0  magic and version, written last: without it there is no ring
           8  crc32 of the bytes 16 to 296
          16  size of the ring area        24  epoch        32  size of a segment
          40  the address as text, up to 255 bytes; for people
        1016  the offset up to which everything behind the last record was made zero
        1024  64 entries: offset + 1 of the first record that begins in the segment (0: none), and its ``first``
        4096  the ring area: 64 equal segments

    record    commit word: magic and length of the body; ``first``; ``count``; ``since``; the body, padded to 8 bytes

Offsets count all bytes ever and grow without end; the place is the offset modulo the size. A record does not cross the
end of a lap: a wrap mark stands where the rest of the lap is too short.

A process may be killed between any two stores, so each that matters is one aligned word, and their order is the
guarantee. The commit word is the last of a record: with it the record is there, before it is not. The entry of a
segment is cleared before the segment is used again, and set after its first record is committed. Ahead of the writer
all is zero, so the place behind the last record says that this is the end, and bytes found after it were read from a
pipe and not committed.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import secrets
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

from shellbot.errors import StorageCorrupt, StorageFull

SEGMENTS = 64
HEADER_BYTES = 32

_PAGE = 4096
_MAGIC = int.from_bytes(b"sb-ring\x01", "little")
# The byte FF is in no UTF-8 text, so no text looks like a record.
_RECORD = 0xFF524543
_WRAP = 0xFF575241 << 32
_LENGTH = 0xFFFFFFFF
_ZEROED, _ENTRIES = 1016 // 8, 1024 // 8
_FACTS = struct.Struct("QQQ256s")
_FACTS_AT = 16
_REST = struct.Struct("QQQ")


@dataclass(frozen=True, slots=True)
class Record:
    """What was committed at once: messages ``first + 1`` to ``first + count``, and pieces of others.

    Attributes:
        since: Offset of the oldest record whose bytes are needed to understand this one.
        body: A view into the ring: good until the ring comes round, so copy what you keep.
    """

    offset: int
    first: int
    count: int
    since: int
    body: memoryview


class Ring:
    """One ring, open in one process and thread at a time; whoever opens the file holds the lock of its address.

    A file with a sound ring of this size is gone on with; anything else is replaced by an empty ring of a new epoch.

    Args:
        path: The file; None is memory of this process.
        size: Bytes of the ring area, rounded up to a multiple of 256 KiB.
        address: For people who look into the file.

    Attributes:
        epoch: Random, 63 bits, never 0: which ring this is.
        position: How many messages it has ever taken.
        offset: Where the next record will be. After reserve() it is exact; reserve() may move it to the next lap.
        last: Offset of the last record, None when there never was one.
        reason: Why the ring is a new one, for a log line; '' when it goes on.
        on_evict: Called with each record just before it is given up; it must not write to the ring.

    Raises:
        StorageFull: No room for the file; nothing is left of it.
        OSError: The file cannot be opened for another reason.
    """

    def __init__(self, path: Path | None, size: int, address: str = "") -> None:
        self._segment = max(1, -(-size // (SEGMENTS * _PAGE))) * _PAGE
        self.size = SEGMENTS * self._segment
        self.on_evict: Callable[[Record], object] | None = None
        self._zeros = memoryview(bytes(self._segment))
        self._most = self.size // 8
        if path is None:
            self.reason = "in memory"
            self._attach(mmap.mmap(-1, _PAGE + self.size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
            self._make(address)
            return
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            self.reason = self._refusal(descriptor)
            if not self.reason:
                # Its last user may have given back what was not written.
                _reserve(descriptor, path, _PAGE + self.size)
                self._attach(self._mapped(descriptor))
                try:
                    self._recover()
                except StorageCorrupt as error:
                    self.reason = str(error)
                    self.close()
            if self.reason:
                _allocate(descriptor, path, _PAGE + self.size)
                self._attach(self._mapped(descriptor))
                self._make(address)
        finally:
            os.close(descriptor)

    def _attach(self, mapped: mmap.mmap) -> None:
        self._map = mapped
        self._bytes = memoryview(mapped)
        self._view = self._bytes.toreadonly()
        self._words = self._bytes.cast("Q")
        self.position = 0
        self.offset = 0
        self.last: int | None = None
        # Of each segment that has an entry, oldest first: offset and first of the record that begins in it.
        self._held: deque[tuple[int, int]] = deque()
        self._enter_at = 0
        self._zeroed = 0
        self._room = -1
        self._left = 0
        self._readable = 0

    @property
    def is_new(self) -> bool:
        return bool(self.reason)

    # -- writing

    def reserve(self, room: int) -> memoryview:
        """The place for the body of the next record: ``room`` bytes in a row, all zero. Gives up old records for it.

        Write there only what you commit. Called again without a commit it gives the same place, or one in the next lap.

        Raises:
            ValueError: ``room`` is more than an eighth of the ring.
        """
        need = HEADER_BYTES + room
        place = self.offset % self.size
        if room > self._most or place + need > self.size or self.offset + 2 * need > self._zeroed:
            place = self._prepare(room)
        self._room = room
        start = _PAGE + HEADER_BYTES + place
        return self._bytes[start : start + room]

    def commit(self, size: int, count: int, since: int | None = None) -> None:
        """Make a record of the ``size`` bytes written to the reserved place; 0 bytes: nothing happened.

        Args:
            count: How many messages end in it, at most ``size``.
            since: Offset of the oldest record needed to understand this one; None: it needs no other.

        Raises:
            ValueError: Nothing was reserved, or less than that; or the numbers cannot be.
        """
        if not size:
            return
        offset = self.offset
        if since is None:
            since = offset
        if not (0 <= count <= size and 0 <= since <= offset):
            raise ValueError(f"no record of {size} bytes at {offset} has {count} messages and begins at {since}")
        if size > self._room:
            self._claim_leftover(size)
        at = _PAGE + offset % self.size
        _REST.pack_into(self._bytes, at + 8, self.position, count, since)
        self._words[at >> 3] = _commit_word(size)
        self._room = -1
        self.last = offset
        if offset >= self._enter_at:
            self._enter(offset, self.position)
        self.position += count
        self.offset = offset + HEADER_BYTES + (size + 7 & ~7)

    def append(self, body: bytes | memoryview, count: int, since: int | None = None) -> None:
        """Copy ``body`` into the ring as one record."""
        self.reserve(len(body))[:] = body
        self.commit(len(body), count, since)

    def leftover(self) -> memoryview | None:
        """Right after opening: lines that a killed process read into the ring and did not commit, else None.

        They have left the pipe, so they are nowhere else. Look at them, count the messages, and commit them where they
        are, without a reserve()::

            if (lines := ring.leftover()) is not None:
                ring.commit(len(lines), count_of(lines), since)

        The first reserve() drops them otherwise.
        """
        start = _PAGE + HEADER_BYTES + self.offset % self.size
        return self._view[start : start + self._left] if self._left else None

    def _prepare(self, room: int) -> int:
        """Make place for a body of ``room`` bytes, in the next lap if need be; gives the place of its header."""
        if room > self._most:
            raise ValueError(f"{room} bytes are more than an eighth of the ring of {self.size} bytes")
        if self._left:
            # It goes at once: killed amid the zeroing, half of it would be found.
            self._words[_ZEROED] = self._left = 0
        need = HEADER_BYTES + room
        lap_end = self._lap_end(self.offset)
        offset = self.offset if self.offset + need <= lap_end else lap_end
        # Zero first: behind the mark, and behind the record to come, the end must be seen.
        self._zero_to(offset + 2 * need)
        if offset != self.offset:
            self._words[self._word(self.offset)] = _WRAP
            self.offset = offset
        return offset % self.size

    def _zero_to(self, target: int) -> None:
        """Make all zero from the writer to the end of the segment of ``target``."""
        at = max(self._zeroed, self.offset)
        while at < target:
            segment = at // self._segment
            self._evict(segment - SEGMENTS)
            stop = (segment + 1) * self._segment
            start = _PAGE + at % self.size
            self._bytes[start : start + stop - at] = self._zeros[: stop - at]
            at = stop
        self._words[_ZEROED] = self._zeroed = at

    def _evict(self, segment: int) -> None:
        """Give up the records that begin in this segment, counted since the first lap, or before it."""
        while self._held and self._held[0][0] // self._segment <= segment:
            offset = self._held[0][0]
            if self.on_evict is not None:
                for record in self._walk(offset, self._held[1][0] if len(self._held) > 1 else None):
                    self.on_evict(record)
            self._words[self._entry(offset)] = 0
            self._held.popleft()

    def _enter(self, offset: int, first: int) -> None:
        """Note the first record that begins in its segment."""
        entry = self._entry(offset)
        self._words[entry + 1] = first
        self._words[entry] = offset + 1
        self._held.append((offset, first))
        self._enter_at = (offset // self._segment + 1) * self._segment

    def _claim_leftover(self, size: int) -> None:
        if self._room >= 0 or size != self._left:
            raise ValueError(f"cannot commit {size} bytes: reserve() the place for them first")
        # What follows the last line is part of a read that was cut; the end of the ring comes here.
        start = _PAGE + self.offset % self.size + HEADER_BYTES + size
        stop = start + self._unused(self.offset) - size
        self._bytes[start:stop] = bytes(stop - start)
        self._left = 0

    # -- reading

    @property
    def first(self) -> int:
        """Messages ``first + 1`` to ``position`` can be read again."""
        oldest = self._oldest
        for record in self._walk(max(self._readable, oldest)):
            if record.since >= oldest:
                # Those before it can only become less readable.
                self._readable = record.offset
                return record.first
        self._readable = self.offset
        return self.position

    def holds(self, offset: int) -> bool:
        """Whether the record at this offset is still there."""
        return self._oldest <= offset < self.offset

    def records(self, position: int) -> Iterator[Record]:
        """From the record with message ``position + 1`` on, in order, to the end as it is when the iterator gets there.

        The iterator ends early where the next record was given up meanwhile, or the file was damaged: then what it gave
        does not reach ``position`` of the ring.

        Raises:
            ValueError: ``position`` is before ``first``, or was not reached yet.
        """
        if not self.first <= position <= self.position:
            raise ValueError(f"position {position} is not in the ring, which holds {self.first} to {self.position}")
        start = next((offset for offset, first in reversed(self._held) if first <= position), self.offset)
        return dropwhile(lambda record: record.first + record.count <= position, self._walk(start))

    def records_from(self, offset: int) -> Iterator[Record]:
        """The same from the record at this offset on, such as ``since`` of another.

        Raises:
            ValueError: The record at this offset was given up, or is not there yet.
        """
        if not self._oldest <= offset <= self.offset:
            raise ValueError(f"offset {offset} is not in the ring, which holds {self._oldest} to {self.offset}")
        return self._walk(offset)

    def marks(self) -> list[int]:
        """Positions to read from, newest first, about a segment apart, down to ``first``: to look back for a few."""
        least = self.first
        return [*sorted({first for _, first in self._held if first > least}, reverse=True), least]

    def trim(self) -> None:
        """Give back the memory, or disk, of what is not written yet. For a ring that is not used for a while."""
        start = -(-(self.offset % self.size) // _PAGE) * _PAGE
        stop = self.size if self.offset < self.size else min(self.size, start + (self._zeroed - self.offset))
        stop = stop // _PAGE * _PAGE
        if stop > start and hasattr(mmap, "MADV_REMOVE"):
            with contextlib.suppress(OSError):
                self._map.madvise(mmap.MADV_REMOVE, _PAGE + start, stop - start)

    def close(self) -> None:
        """The file stays. Views given before stay good as long as somebody has them."""
        self._words.release()
        self._bytes.release()
        self._view.release()
        try:
            self._map.close()
        except BufferError:
            # A body is still looked at; the map goes with it.
            pass

    @property
    def _oldest(self) -> int:
        return self._held[0][0] if self._held else self.offset

    def _walk(self, offset: int, stop: int | None = None) -> Iterator[Record]:
        position = None
        while self._oldest <= offset < self.offset:
            offset = self._past_wrap(offset)
            header = self._header(offset)
            if header is None or position not in (None, header[1]) or offset == stop:
                return
            length, first, count, since = header
            start = _PAGE + HEADER_BYTES + offset % self.size
            yield Record(offset, first, count, since, self._view[start : start + length])
            position = first + count
            offset += HEADER_BYTES + (length + 7 & ~7)

    def _header(self, offset: int) -> tuple[int, int, int, int] | None:
        """Length, first, count and since of the record there; None if there is none that could be."""
        place = offset % self.size
        word = self._words[_PAGE + place >> 3]
        length = word & _LENGTH
        if word != _commit_word(length) or place + HEADER_BYTES + length > self.size:
            return None
        first, count, since = _REST.unpack_from(self._bytes, _PAGE + place + 8)
        return (length, first, count, since) if count <= length and since <= offset else None

    def _past_wrap(self, offset: int) -> int:
        return self._lap_end(offset) if self._words[self._word(offset)] == _WRAP else offset

    def _lap_end(self, offset: int) -> int:
        return (offset // self.size + 1) * self.size

    def _word(self, offset: int) -> int:
        return _PAGE + offset % self.size >> 3

    def _entry(self, offset: int) -> int:
        return _ENTRIES + offset // self._segment % SEGMENTS * 2

    def _unused(self, offset: int) -> int:
        """How many bytes a body at this offset could have without leaving the lap or what was made zero."""
        return max(0, min(self._words[_ZEROED], self._lap_end(offset)) - offset - HEADER_BYTES)

    # -- opening

    def _refusal(self, descriptor: int) -> str:
        """Why the file holds no ring of this size; '' if it seems to hold one."""
        found = os.fstat(descriptor).st_size
        if not found:
            return "no file"
        head = os.pread(descriptor, _FACTS_AT + _FACTS.size, 0)
        magic, check = struct.unpack_from("QQ", head.ljust(_FACTS_AT, b"\0"))
        if len(head) < _FACTS_AT + _FACTS.size or magic != _MAGIC or check != zlib.crc32(head[_FACTS_AT:]):
            return "the file holds no ring"
        size, self.epoch, segment, _ = _FACTS.unpack_from(head, _FACTS_AT)
        if (size, segment, found) != (self.size, self._segment, _PAGE + self.size):
            return f"the ring had {size} bytes"
        return ""

    def _mapped(self, descriptor: int) -> mmap.mmap:
        # With all pages there: a page fault while the kernel copies from a pipe could be cut short by a kill, and the
        # same bytes would be in the ring and in the pipe.
        flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
        return mmap.mmap(descriptor, _PAGE + self.size, flags=flags)

    def _make(self, address: str) -> None:
        self.epoch = secrets.randbelow(2**63 - 1) + 1
        _FACTS.pack_into(self._bytes, _FACTS_AT, self.size, self.epoch, self._segment, address.encode()[:255])
        self._words[1] = zlib.crc32(self._bytes[_FACTS_AT : _FACTS_AT + _FACTS.size])
        self._words[0] = _MAGIC

    def _recover(self) -> None:
        """Find the end, from the newest entry on.

        Raises:
            StorageCorrupt: Something does not fit.
        """
        self._held.extend(self._entries())
        start = offset = 0
        if self._held:
            start, self.position = offset, _ = self._held[-1]
            self._enter_at = (start // self._segment + 1) * self._segment
        while (header := self._header(offset := self._past_wrap(offset))) is not None:
            length, first, count, _ = header
            if first != self.position or offset - start > self.size:
                raise StorageCorrupt("the ring is damaged: its positions do not continue")
            self.last = offset
            if offset >= self._enter_at:
                # Killed after the commit, before the entry.
                self._enter(offset, first)
            self.position += count
            offset += HEADER_BYTES + (length + 7 & ~7)
        self.offset = self._zeroed = offset
        zeroed = self._words[_ZEROED]
        if self._words[self._word(offset)]:
            raise StorageCorrupt("the ring is damaged: its end is not to be found")
        behind = self._oldest // self._segment + SEGMENTS
        if zeroed and (zeroed % self._segment or not offset <= zeroed <= behind * self._segment):
            raise StorageCorrupt("the ring is damaged: records are held where all is zero")
        body = _PAGE + HEADER_BYTES + offset % self.size
        self._left = max(0, self._map.rfind(b"\n", body, body + self._unused(offset)) + 1 - body)

    def _entries(self) -> list[tuple[int, int]]:
        """Offset and first of the first record in each segment that has one, oldest first."""
        words = self._words[_ENTRIES : _ENTRIES + 2 * SEGMENTS].tolist()
        held = sorted((words[i] - 1, words[i + 1]) for i in range(0, 2 * SEGMENTS, 2) if words[i])
        for offset, first in held:
            header = self._header(offset) if offset % 8 == 0 and (offset | first) < 2**62 else None
            if header is None or header[1] != first or words[self._entry(offset) - _ENTRIES] != offset + 1:
                raise StorageCorrupt("the ring is damaged: an entry is not that of a record")
        return held


def _commit_word(length: int) -> int:
    """The length twice, so that a wrong one is not believed."""
    return (_RECORD ^ length) << 32 | length


def _allocate(descriptor: int, path: Path, size: int) -> None:
    """Empty the file and give it ``size`` bytes of disk; on a full one it fails here, and not by a signal later."""
    os.ftruncate(descriptor, 0)
    try:
        _reserve(descriptor, path, size)
    except OSError:
        os.unlink(path)
        raise


def _reserve(descriptor: int, path: Path, size: int) -> None:
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        text = f"{path.parent} is full, the bus needs {size} bytes there; name another folder in SHELLBOT_RUNTIME"
        raise StorageFull(text) from error
