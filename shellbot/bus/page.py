"""The page of memory that all ends of one queue share: who reads it, how far it is, and whether it ends."""

from __future__ import annotations

import mmap
import os
import tempfile

from shellbot.bus.lifeline import ProcessWatch
from shellbot.cells import process_tag

_READER, _PROGRESS, _KEEPER, _SENT, _CLOSING, _ENDED, _TAKEN, _GIVEN_UP, _UNFINISHED = range(9)
_NOBODY_EVER = -1


class Page:
    """Words of 8 bytes, each written by one process at a time and by one machine instruction.

    Args:
        descriptor: Of a page that another process made; it is taken over. Without it a new one is made.

    Attributes:
        descriptor: To hand to other processes; closed with the page.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = _memory() if descriptor is None else descriptor
        self._words = memoryview(mmap.mmap(self.descriptor, mmap.PAGESIZE)).cast("q")

    def close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    __del__ = close

    # -- the reader -------------------------------------------------------------------------------------------------

    @property
    def reader(self) -> int:
        """Tag of the process that reads, or hands the queue to the hub; 0 when none has begun."""
        return self._words[_READER]

    @property
    def is_over(self) -> bool:
        """Whether nobody will ever read again."""
        return self._words[_READER] == _NOBODY_EVER

    def begin_reading(self) -> None:
        """This process reads from now on: writers watch it."""
        self._words[_READER] = process_tag()

    def end_reading(self, is_final: bool) -> None:
        """This process reads no more. Finally: whoever puts is told so."""
        self._words[_READER] = _NOBODY_EVER if is_final else 0

    @property
    def keeper(self) -> int:
        """Tag of the process that starts the reader again when it dies; 0 for none."""
        return self._words[_KEEPER]

    def keep(self) -> None:
        """This process starts the reader again."""
        self._words[_KEEPER] = process_tag()

    # -- how far it is ------------------------------------------------------------------------------------------------

    @property
    def progress(self) -> int:
        """How often the reader has said that it goes on."""
        return self._words[_PROGRESS]

    @property
    def sent(self) -> int:
        """How many texts of this queue were sent, by whatever process."""
        return self._words[_SENT]

    def go_on(self) -> None:
        """The reader has handed something on."""
        self._words[_PROGRESS] += 1

    def add_sent(self, count: int) -> None:
        self._words[_SENT] += count
        self._words[_PROGRESS] += 1

    @property
    def taken(self) -> int:
        """How many texts were sent, or are in the hands of the hub."""
        return max(self._words[_TAKEN], self._words[_SENT])

    @property
    def held(self) -> int:
        """How many texts were read and are not sent yet."""
        return self.taken - self._words[_SENT]

    def hold(self, count: int) -> None:
        """So many texts were read and are sent next; add_sent() then says that they are."""
        self._words[_TAKEN] = self._words[_SENT] + count

    @property
    def given_up(self) -> int:
        """How many texts were read and will not be sent: no subscriber took them before a stop."""
        return self._words[_GIVEN_UP]

    def give_up_held(self) -> None:
        self._words[_GIVEN_UP] += self.held
        self.hold(0)

    @property
    def unfinished(self) -> int:
        """How many texts their writers left unfinished, of all queues, while the reader of this one was the hub."""
        return self._words[_UNFINISHED]

    def add_unfinished(self, count: int) -> None:
        self._words[_UNFINISHED] += count

    @property
    def is_closing(self) -> bool:
        """Whether the reader ends once the queue is empty. The end is also a record in the queue, but who has read
        that may be killed before it could act."""
        return bool(self._words[_CLOSING])

    @is_closing.setter
    def is_closing(self, value: bool) -> None:
        self._words[_CLOSING] = value

    @property
    def has_ended(self) -> bool:
        """Whether the end of the queue was read."""
        return bool(self._words[_ENDED])

    @has_ended.setter
    def has_ended(self, value: bool) -> None:
        self._words[_ENDED] = value


class ReaderWatch:
    """Tells a writer whether somebody reads, or will again."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._reader = _Followed()
        self._keeper = _Followed()

    def look(self) -> bool:
        """False when nobody will take what is put."""
        return not self._page.is_over and (self.is_read() or self._keeper.lives(self._page.keeper))

    def is_read(self) -> bool:
        """Whether the reader lives, or has not begun."""
        tag = self._page.reader
        return tag == 0 or (tag > 0 and self._reader.lives(tag))

    def fileno(self) -> int:
        """Readable when the reader has died; -1 where nothing tells."""
        return self._reader.fileno()


class _Followed:
    """One process, looked at again and again."""

    def __init__(self) -> None:
        self._tag = 0
        self._watch: ProcessWatch | None = None

    def lives(self, tag: int) -> bool:
        if tag != self._tag:
            self._tag = tag
            self._watch = ProcessWatch(tag & 0xFFFFFFFF, tag) if tag > 0 else None
        return self._watch is not None and not self._watch.has_ended()

    def fileno(self) -> int:
        return -1 if self._watch is None else self._watch.fileno()


def _memory() -> int:
    """A descriptor of memory that processes share."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("shellbot-queue")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, mmap.PAGESIZE)
    return descriptor
