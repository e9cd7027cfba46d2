"""Texts as records of at most 4096 bytes, and back: what makes one pipe safe for many writers. Pure.

The kernel takes a write of up to 4096 bytes whole, so lines of many threads and processes never mix, and a process
that is killed leaves a whole record or none::

    text LF                               up to 4095 bytes
    01 writer(12) flag piece LF           a piece of a larger text; flag '<' first, '+' in between, '>' last
    01 writer(12) '.' LF                  the end of the queue

A writer has one text in work; '<' where another is open drops the old part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

RECORD_BYTES = 4096
HEAD_BYTES = 14
PIECE_BYTES = RECORD_BYTES - HEAD_BYTES - 1
MAX_OPEN_BYTES = 64 * 1024 * 1024
_LONG_BYTES = 400
_MARK = 1


def writer_id(pid: int, number: int) -> bytes:
    """Twelve characters that name one thread of one process."""
    return b"%06x%06x" % (pid & 0xFFFFFF, number & 0xFFFFFF)


def writer_pid(writer: bytes) -> int:
    return int(writer[:6], 16)


def end(writer: bytes) -> bytes:
    """The record that ends the queue."""
    return b"\x01%b.\n" % writer


def cut(text: bytes, writer: bytes) -> Iterator[bytes]:
    """The pieces of a text that is too large for one record."""
    last = len(text) - PIECE_BYTES
    for start in range(0, len(text), PIECE_BYTES):
        flag = b"<" if start == 0 else b">" if start >= last else b"+"
        yield b"\x01%b%b%b\n" % (writer, flag, text[start : start + PIECE_BYTES])


def cut_whole(text: bytes, writer: bytes) -> tuple[bytes, bytes]:
    """The same pieces: all full ones in a row, and the last one."""
    pieces = list(cut(text, writer))
    last = pieces.pop()
    return b"".join(pieces), last


class Assembler:
    """Makes texts of what is read from the pipe."""

    def __init__(self) -> None:
        self.has_ended = False
        self.dropped = 0
        self._rest = b""
        self._open: dict[bytes, list[bytes]] = {}
        self._open_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The texts that are whole now, in order, up to the end of the queue; then resume() is called first."""
        if self._rest:
            data = self._rest + data
        # split() looks at every byte, find() at 32 at once: for long texts that pays.
        lines = data.split(b"\n") if data.find(b"\n", 0, _LONG_BYTES) >= 0 else _split_long(data)
        self._rest = lines.pop()
        # One fast look per read, so that small texts pay nothing for the large ones. JSON does not hold this byte.
        if b"\x01" in data:
            return list(self._joined(lines))
        return lines

    def _joined(self, lines: list[bytes]) -> Iterator[bytes]:
        parts_of = self._open
        for number, line in enumerate(lines):
            if not line or line[0] != _MARK:
                yield line
                continue
            writer, flag, piece = line[1:13], line[13:14], line[14:]
            if flag == b"<":
                self._drop(writer)
                parts_of[writer] = [piece]
                self._open_bytes += len(piece)
            elif flag == b".":
                self.has_ended = True
                self._rest = b"\n".join([*lines[number + 1 :], self._rest])
                return
            elif writer in parts_of:
                parts_of[writer].append(piece)
                self._open_bytes += len(piece)
                if flag == b">":
                    text = b"".join(parts_of.pop(writer))
                    self._open_bytes -= len(text)
                    yield text
            while self._open_bytes > MAX_OPEN_BYTES:
                self._drop(next(iter(parts_of)))

    def resume(self) -> list[bytes]:
        """Go on after an end: the texts that were read with it."""
        self.has_ended = False
        data, self._rest = self._rest, b""
        return self.feed(data) if data else []

    def drop_dead(self, is_alive: Callable[[int], bool]) -> None:
        """Forget what processes left unfinished that are gone."""
        for writer in [writer for writer in self._open if not is_alive(writer_pid(writer))]:
            self._drop(writer)

    @property
    def open_bytes(self) -> int:
        """Bytes of texts whose end has not come yet."""
        return self._open_bytes

    def _drop(self, writer: bytes) -> None:
        parts = self._open.pop(writer, None)
        if parts is not None:
            self._open_bytes -= sum(map(len, parts))
            self.dropped += 1


def _split_long(data: bytes) -> list[bytes]:
    lines: list[bytes] = []
    find, start = data.find, 0
    while (stop := find(b"\n", start)) >= 0:
        lines.append(data[start:stop])
        start = stop + 1
    lines.append(data[start:])
    return lines
