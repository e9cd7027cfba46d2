"""Texts as records of at most 4096 bytes, and back: what makes one pipe safe for many writers. Pure.

The kernel takes a write of up to 4096 bytes whole, so lines of many threads and processes never mix, and a process
that is killed leaves a whole record or none::

    text LF                               up to 4095 bytes
    01 writer(12) flag piece LF           a piece of a larger text; flag '<' first, '+' in between, '>' last
    01 writer(12) '.' LF                  the end of the queue

A writer has one text in work; '<' where another is open drops the old part.
"""

from __future__ import annotations

from collections.abc import Collection

RECORD_BYTES = 4096
HEAD_BYTES = 14
PIECE_BYTES = RECORD_BYTES - HEAD_BYTES - 1
MAX_OPEN_BYTES = 64 * 1024 * 1024
_LONG_BYTES = 400
_MARK = 1
_FIRST, _LAST, _END = b"<>."


def writer_id(pid: int, number: int) -> bytes:
    """Twelve characters that name one thread of one process."""
    return b"%06x%06x" % (pid & 0xFFFFFF, number & 0xFFFFFF)


def writer_pid(writer: bytes) -> int:
    return int(writer[:6], 16)


class Cutter:
    """Makes the records of one writer."""

    def __init__(self, writer: bytes) -> None:
        self._first, self._next, self._last = (b"\x01%b%b" % (writer, flag) for flag in (b"<", b"+", b">"))
        self.end = b"\x01%b.\n" % writer

    def cut(self, head: bytes, body: bytes | memoryview) -> tuple[bytes, bytes]:
        """The pieces of a text, given in two parts, too large for one record: full ones in a row, and the last."""
        view = memoryview(body)
        stop = PIECE_BYTES - len(head)
        parts: list[bytes | memoryview] = [self._first, head, view[:stop], b"\n"]
        last = len(body) - PIECE_BYTES
        while stop < last:
            parts += self._next, view[stop : stop + PIECE_BYTES], b"\n"
            stop += PIECE_BYTES
        return b"".join(parts), b"".join((self._last, view[stop:], b"\n"))


class Assembler:
    """Makes texts of what is read from the pipe.

    Attributes:
        mark: Where what is fed next comes from, in the reckoning of whoever feeds; see ``oldest_mark``.
        dropped: Texts whose writer never finished them.
    """

    def __init__(self) -> None:
        self.has_ended = False
        self.dropped = 0
        self.mark = 0
        self._marks: dict[bytes, int] = {}
        self._rest = b""
        self._open: dict[bytes, list[bytes | memoryview]] = {}
        self._open_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The texts that are whole now, in order, up to the end of the queue; then resume() is called first."""
        if self._rest:
            data = self._rest + data
        # One fast look per read, so that small texts pay nothing for the large ones. JSON does not hold this byte.
        if data.find(b"\x01") >= 0:
            return self._joined(data)
        # split() looks at every byte, find() at 32 at once: for long texts that pays.
        lines = data.split(b"\n") if data.find(b"\n", 0, _LONG_BYTES) >= 0 else _split_long(data)
        self._rest = lines.pop()
        return lines

    def _joined(self, data: bytes) -> list[bytes]:
        """Texts out of data that holds pieces."""
        found: list[bytes] = []
        parts_of = self._open
        view, find, start = memoryview(data), data.find, 0
        while (stop := find(b"\n", start)) >= 0:
            begin, start = start, stop + 1
            if data[begin] != _MARK:
                found.append(data[begin:stop])
                continue
            writer, flag, piece = data[begin + 1 : begin + 13], data[begin + 13], view[begin + HEAD_BYTES : stop]
            if flag == _FIRST:
                # Its writer has begun another: it was told that the one before did not get through.
                self._forget(writer)
                parts_of[writer] = [piece]
                self._marks[writer] = self.mark
                self._open_bytes += len(piece)
            elif flag == _END:
                self.has_ended = True
                break
            elif writer in parts_of:
                parts_of[writer].append(piece)
                self._open_bytes += len(piece)
                if flag == _LAST:
                    text = b"".join(parts_of.pop(writer))
                    del self._marks[writer]
                    self._open_bytes -= len(text)
                    found.append(text)
            while self._open_bytes > MAX_OPEN_BYTES:
                self._forget(next(iter(parts_of)))
                self.dropped += 1
        self._rest = data[start:]
        for writer, parts in parts_of.items():
            # Not to keep all of data for the sake of a piece.
            parts_of[writer] = [b"".join(parts)]
        return found

    def feed_through(self, data: bytes) -> list[bytes]:
        """As feed(), and on behind an end."""
        return self.feed(data) + self.resume_all()

    def resume_all(self) -> list[bytes]:
        """Go on after an end, and after those that come behind it."""
        texts: list[bytes] = []
        while self.has_ended:
            texts += self.resume()
        return texts

    def resume(self) -> list[bytes]:
        """Go on after an end: the texts that were read with it."""
        self.has_ended = False
        data, self._rest = self._rest, b""
        return self.feed(data) if data else []

    def drop(self, writers: Collection[bytes]) -> None:
        """Forget what these left unfinished: they are gone, and nothing of theirs is in a pipe."""
        for writer in writers:
            self._forget(writer)
        self.dropped += len(writers)

    @property
    def oldest_mark(self) -> int | None:
        """The mark under which the oldest text began whose end has not come yet."""
        return min(self._marks.values()) if self._marks else None

    def renewed(self, mark: int) -> list[bytes]:
        """The pieces of all texts whose end has not come yet, as if they came now, under this mark."""
        found: list[bytes] = []
        for writer, parts in self._open.items():
            self._marks[writer] = mark
            data = b"".join(parts)
            for start in range(0, len(data), PIECE_BYTES) or (0,):
                sign = b"+" if start else b"<"
                found.append(b"\x01%b%b%b\n" % (writer, sign, data[start : start + PIECE_BYTES]))
        return found

    @property
    def open_writers(self) -> frozenset[bytes]:
        """Who has begun a text whose end has not come yet."""
        return frozenset(self._open)

    @property
    def open_bytes(self) -> int:
        """Bytes of texts whose end has not come yet."""
        return self._open_bytes

    def _forget(self, writer: bytes) -> None:
        parts = self._open.pop(writer, None)
        if parts is not None:
            del self._marks[writer]
            self._open_bytes -= sum(map(len, parts))


def _split_long(data: bytes) -> list[bytes]:
    lines: list[bytes] = []
    find, start = data.find, 0
    while (stop := find(b"\n", start)) >= 0:
        lines.append(data[start:stop])
        start = stop + 1
    lines.append(data[start:])
    return lines
