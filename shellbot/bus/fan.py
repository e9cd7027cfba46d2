"""Fan: the queue between those who publish and the publisher process; one pipe, no thread, no lock.

``put()`` is one write of the calling thread, so a text is out of the program when put() returns, and a busy thread
beside it delays nothing. A process killed with -9 while it puts leaves the queue as it was: multiprocessing.Queue
keeps its lock then, and stands still for all.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import itertools
import os
import queue
import select
import sys
import termios
import threading
from collections import deque
from collections.abc import Sequence
from multiprocessing import context, reduction
from time import monotonic
from typing import Any

from shellbot.bus.page import Page, ReaderWatch
from shellbot.bus.records import RECORD_BYTES, Assembler, Cutter, writer_id
from shellbot.errors import BusClosed, InvalidMessage, NotRunning, QueueFull

# A reader empties the pipe with one read, and the smallest ring has room for eight of them.
PIPE_BYTES = 1024 * 1024
# Memory for a larger read is mapped anew each time, which takes 10 us.
READ_BYTES = 64 * 1024

# How old the knowledge may be that the reader lives, in seconds; a look costs a system call.
_TRUST = 0.25

_PAGES_ARE_RECORDS = sys.platform == "linux"


class _Parcel:
    """A long text on its way into the queue."""

    def __init__(self, cutter: Cutter, head: bytes, body: bytes) -> None:
        self.head = head
        self.body = body
        self.pieces, self.last = cutter.cut(head, body)
        self.start = 0


class _Writer(threading.local):
    """The id of the thread that writes; another one after a fork. And what of a long text had no room yet."""

    numbers = itertools.count()

    def __init__(self) -> None:
        self.pid = 0
        self.cutter = Cutter(b"")
        self.parcel: _Parcel | None = None

    def renew(self) -> Cutter:
        pid = os.getpid()
        if self.pid != pid:
            self.pid = pid
            self.parcel = None
            self.cutter = Cutter(writer_id(pid, next(self.numbers)))
        return self.cutter


class Fan:
    """A queue of texts with the face of multiprocessing.Queue, for many writers and one reader at a time.

    Pass it to processes as you would a multiprocessing.Queue: it is inherited under fork, and an argument of Process
    under all start methods. ``get()`` gives str, also for what was put as bytes.

    Args:
        patience: Seconds that ``put()`` without a time-out waits on a full queue.

    Runs in: any thread and process; get() in one process at a time, which takes all that is queued into it.
    """

    def __init__(self, patience: float = 5.0) -> None:
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except (AttributeError, OSError):
            # The user has many large pipes already, or the system has none: it works with what is given.
            pass
        self._begin(reading, writing, Page(), patience)

    def _begin(self, reading: int, writing: int, page: Page, patience: float) -> None:
        self._reading = reading
        self.writing = writing
        self.page = page
        self.patience = patience
        self.capacity = capacity_of(writing)
        self._is_closed = False
        self._writer = _Writer()
        self._watch = ReaderWatch(page)
        self.next_look = 0.0
        self.assembler = Assembler()
        self._texts: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._lock_pid = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        context.assert_spawning(self)
        descriptors = [reduction.DupFd(number) for number in (self._reading, self.writing, self.page.descriptor)]
        return {"descriptors": descriptors, "patience": self.patience}

    def __setstate__(self, state: dict[str, Any]) -> None:
        numbers = [descriptor.detach() for descriptor in state["descriptors"]]
        for number in numbers:
            os.set_inheritable(number, False)
        reading, writing, page = numbers
        self._begin(reading, writing, Page(page), state["patience"])

    def __del__(self) -> None:
        for name in ("_reading", "writing"):
            number = self.__dict__.pop(name, -1)
            if number >= 0:
                os.close(number)

    # -- writing ----------------------------------------------------------------------------------------------------

    def put(self, item: str | bytes | None, block: bool = True, timeout: float | None = None) -> None:
        """Queue one text; None ends the reader after what was queued before.

        Args:
            timeout: Seconds to wait on a full queue; None is the fan's own patience.

        Raises:
            QueueFull: A queue.Full; nobody took anything in that time.
            NotRunning: The reader has ended.
            InvalidMessage: Not one line of text; encode values with JSON first.
            BusClosed: This queue was closed here.
        """
        if item is None:
            self.write(self._writer.renew().end, timeout if block else 0.0)
            return
        if isinstance(item, str):
            try:
                text = item.encode()
            except UnicodeEncodeError as error:
                raise InvalidMessage(f"this is no valid Unicode text: {error}") from error
        else:
            text = _bytes(item)
        if b"\n" in text or text[:1] in (b"\x01", b"\xff"):
            raise InvalidMessage("a text in this queue has no line break, nor 0x01 or 0xFF at its beginning")
        self.put_text(b"", text, timeout if block else 0.0)

    def put_nowait(self, item: str | bytes | None) -> None:
        """As put(); QueueFull at once."""
        self.put(item, False)

    def put_text(self, head: bytes, body: bytes | memoryview, timeout: float | None = None) -> None:
        """Queue a text, in two parts, that is known to hold no line break and not to begin with 0x01.

        A long one that does not fit is gone on with when the same thread puts the same again, so that also one longer
        than the queue gets through without waiting.
        """
        if len(head) + len(body) < RECORD_BYTES:
            self.write(b"".join((head, body, b"\n")), timeout)
            return
        writer = self._writer
        cutter, parcel = writer.renew(), writer.parcel
        if parcel is None or parcel.head != head or parcel.body != body:
            parcel = writer.parcel = _Parcel(cutter, head, bytes(body))
        until = monotonic() + (self.patience if timeout is None else timeout)
        # One write fills pages of 4096 bytes on Linux, so it ends with a whole piece also where it ends early.
        step = len(parcel.pieces) if _PAGES_ARE_RECORDS else RECORD_BYTES
        while parcel.start < len(parcel.pieces):
            records = parcel.pieces[parcel.start : parcel.start + step]
            parcel.start += self.write(records, max(0.0, until - monotonic()))
        self.write(parcel.last, max(0.0, until - monotonic()))
        writer.parcel = None

    def put_texts(self, texts: Sequence[bytes]) -> int:
        """Queue texts like those of put_text() without waiting, in order; short ones share a write.

        Returns:
            How many were taken, from the first on.

        Raises:
            QueueFull, NotRunning, BusClosed: None was taken.
        """
        start = 0
        while start < len(texts):
            end, size = start, 0
            while end < len(texts) and (size := size + len(texts[end]) + 1) <= RECORD_BYTES:
                end += 1
            try:
                if end > start:
                    self.write(b"\n".join((*texts[start:end], b"")), 0.0)
                else:
                    self.put_text(b"", texts[start], 0.0)
                    end = start + 1
            except (QueueFull, NotRunning):
                if not start:
                    raise
                break
            start = end
        return start

    def write(self, records: bytes, timeout: float | None = None) -> int:
        """Queue whole records, together at most 4096 bytes, or full ones in a row.

        Returns:
            How many bytes were taken: all, or some of the full ones.
        """
        if monotonic() > self.next_look:
            self._look()
        try:
            return os.write(self.writing, records)
        except BlockingIOError:
            return self._write_patiently(records, self.patience if timeout is None else timeout)
        except BrokenPipeError as error:
            raise NotRunning(_GONE) from error

    def _write_patiently(self, records: bytes, timeout: float) -> int:
        deadline = monotonic() + timeout
        poller = select.poll()
        poller.register(self.writing, select.POLLOUT)
        while True:
            self._look()
            is_read = self._watch.is_read()
            if is_read and self._watch.fileno() >= 0:
                poller.register(self._watch.fileno(), select.POLLIN)
            try:
                return os.write(self.writing, records)
            except BlockingIOError:
                pass
            except BrokenPipeError as error:
                raise NotRunning(_GONE) from error
            left = deadline - monotonic()
            if left <= 0 and not is_read:
                raise NotRunning(_DEAD)
            if left <= 0:
                text = (
                    f"the publisher took nothing for {timeout:.3g} s; it was not started, or a subscriber does not read"
                )
                raise QueueFull(text)
            # Looked at again now and then: nothing tells that one who was dead has come back.
            ready = dict(poller.poll(min(left, _TRUST) * 1000))
            if is_read and self._watch.fileno() in ready:
                poller.unregister(self._watch.fileno())

    def _look(self) -> None:
        """Make sure that the reader lives, and that this queue is open."""
        # If not, the next put looks again.
        self.next_look = 0.0
        if self._is_closed:
            raise BusClosed("this queue was closed here; nothing more can be put")
        if not self._watch.look():
            raise NotRunning(_GONE)
        self.next_look = monotonic() + _TRUST

    def look_now(self) -> None:
        """Let the next put() make sure that the reader lives."""
        self.next_look = 0.0

    def fileno(self) -> int:
        """The writing end: writable when a record fits, for ``loop.add_writer()``."""
        return self.writing

    # -- reading ----------------------------------------------------------------------------------------------------

    def get(self, block: bool = True, timeout: float | None = None) -> str | None:
        """The next text, or None where the queue ends.

        Raises:
            queue.Empty: Nothing in time.
        """
        deadline = None if timeout is None else monotonic() + timeout
        if self._lock_pid != os.getpid():
            # Another thread may have held it when this process was forked.
            self._lock, self._lock_pid = threading.Lock(), os.getpid()
        poller = select.poll()
        poller.register(self._reading, select.POLLIN)
        while True:
            with self._lock:
                if not self._texts and not self.assembler.has_ended:
                    self._texts.extend(self.take())
                if self._texts:
                    return self._texts.popleft().decode(errors="surrogateescape")
                if self.assembler.has_ended:
                    self._texts.extend(self.assembler.resume())
                    return None
            left = None if deadline is None else deadline - monotonic()
            if not block or (left is not None and left <= 0):
                raise queue.Empty
            poller.poll(None if left is None else left * 1000)

    def get_nowait(self) -> str | None:
        """As get(); queue.Empty at once."""
        return self.get(False)

    def take(self) -> list[bytes]:
        """Texts that are whole now; see ``has_ended`` for whether more may come. For the one reader."""
        if self._texts:
            texts = list(self._texts)
            self._texts.clear()
            return texts
        try:
            # All of it: whoever reads next begins with a whole record.
            data = os.read(self._reading, self.capacity)
        except BlockingIOError:
            return []
        return self.assembler.feed(data) if data else []

    @property
    def has_ended(self) -> bool:
        """Whether the reader has come to the end that ``put(None)`` set."""
        return self.assembler.has_ended

    @property
    def reading(self) -> int:
        """The descriptor of the reading end, to poll."""
        return self._reading

    @property
    def queued_bytes(self) -> int:
        """Bytes in the pipe now."""
        return bytes_in(self._reading)

    def taken_early(self) -> list[bytes]:
        """Texts that get() has taken into this process and not given yet."""
        texts = [*self._texts, *self.assembler.resume()]
        self._texts.clear()
        return texts

    def only_read(self) -> None:
        """Nothing is put from this process: the end of all others who put is then the end of the pipe."""
        writing, self.writing = self.writing, -1
        os.close(writing)

    # -- the rest of the face -----------------------------------------------------------------------------------------

    def empty(self) -> bool:
        return not self._texts and not self.assembler.has_ended and not bytes_in(self._reading)

    def full(self) -> bool:
        poller = select.poll()
        poller.register(self.writing, select.POLLOUT)
        return not poller.poll(0)

    def qsize(self) -> int:
        """Texts that are queued now; those of 4 KiB and more count once they are whole. Costs a copy of the pipe.

        Raises:
            NotImplementedError: The system cannot look into a pipe (as multiprocessing.Queue on some).
        """
        lines = _peek(self._reading, self.capacity).split(b"\n")[:-1]
        whole = sum(1 for line in lines if line[:1] != b"\x01" or line[13:14] in (b">", b"."))
        return len(self._texts) + whole + self.assembler.has_ended

    def close(self) -> None:
        """No more is put from here. What is queued stays queued."""
        self._is_closed = True
        self.next_look = 0.0

    def join_thread(self) -> None:
        """Nothing to wait for: put() has written when it returns."""

    def cancel_join_thread(self) -> None:
        """Nothing to cancel; see join_thread()."""


_DEAD = "the publisher process has died and could not be started again yet; what was put before is kept"
_GONE = "the publisher process has ended, nothing more can be put; make a new one with bus.publish()"


def _bytes(item: object) -> bytes:
    if not isinstance(item, bytes):
        raise InvalidMessage(f"this queue takes texts, not {type(item).__name__}; encode it with JSON first")
    return item


def capacity_of(descriptor: int) -> int:
    """Bytes that this pipe holds at most."""
    try:
        return max(PIPE_BYTES, fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ))
    except (AttributeError, OSError):
        return PIPE_BYTES


def bytes_in(descriptor: int) -> int:
    """Bytes in a pipe now."""
    found = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, found)
    return found[0]


def _peek(descriptor: int, size: int) -> bytes:
    """What is in a pipe, left in it."""
    if sys.platform != "linux":
        raise NotImplementedError
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        try:
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, size)
        except OSError:
            # It holds less then, and the count is what fits.
            pass
        ctypes.CDLL(None).tee(descriptor, writing, ctypes.c_size_t(size), 2)
        found = b""
        while data := os.read(reading, size):
            found += data
        return found
    except BlockingIOError:
        return found
    finally:
        os.close(reading)
        os.close(writing)
