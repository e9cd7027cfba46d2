"""To know when another process has ended, and to wake one that sleeps in poll()."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from shellbot.cells import is_alive, process_tag
from shellbot.errors import BusError

_IN_ATTRIB = 4


def out_of_descriptors(error: Exception) -> BusError:
    """What to tell people when the system gives no descriptor."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    text = f"nothing more can be opened: {error}. This process may have {limit} open files; raise that with ulimit -n"
    return BusError(text)


class ProcessWatch:
    """Tells when another process has ended, whoever its parent is, and however it died.

    Args:
        pid: The process; it may have ended already.
        tag: Pid and start time in one word (:func:`shellbot.cells.process_tag`), where known from before.

    A closed pipe end does not tell: a forked process has copies of the ends of all others.
    """

    def __init__(self, pid: int, tag: int | None = None) -> None:
        self.pid = pid
        self._descriptor = -1
        try:
            self._descriptor = os.pidfd_open(pid)
        except (AttributeError, OSError):
            # An old kernel, a sandbox, or no such process: ended() looks it up instead.
            pass
        self._tag = process_tag(pid) if tag is None else tag
        if tag is not None and self._descriptor >= 0 and process_tag(pid) != tag:
            # The pid was given away again meanwhile.
            self.close()
            self._tag = 0

    def fileno(self) -> int:
        """A descriptor that is readable once the process has ended; -1 where the system has none."""
        return self._descriptor

    def has_ended(self) -> bool:
        if self._descriptor >= 0:
            poller = select.poll()
            poller.register(self._descriptor, select.POLLIN)
            return bool(poller.poll(0))
        return not is_alive(self._tag)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


class Waker:
    """A descriptor that another thread, or a signal, makes readable."""

    def __init__(self) -> None:
        self._reading = self._writing = -1
        try:
            self._reading, self._writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise out_of_descriptors(error) from error

    def fileno(self) -> int:
        return self._reading

    @property
    def writing(self) -> int:
        """For signal.set_wakeup_fd()."""
        return self._writing

    def set(self) -> None:
        """Make it readable. From any thread."""
        try:
            os.write(self._writing, b"\0")
        except BlockingIOError:
            # It is readable already.
            pass

    def clear(self) -> None:
        try:
            os.read(self._reading, 4096)
        except BlockingIOError:
            pass

    def __del__(self) -> None:
        if self._reading >= 0:
            os.close(self._reading)
            os.close(self._writing)


class FileWatch:
    """A descriptor that is readable when somebody touches a file; -1 where the system has no such thing."""

    def __init__(self, path: str) -> None:
        self._descriptor = -1
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except (AttributeError, OSError):
            return
        if descriptor >= 0 and libc.inotify_add_watch(descriptor, os.fsencode(path), _IN_ATTRIB) < 0:
            os.close(descriptor)
            descriptor = -1
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def clear(self) -> None:
        try:
            os.read(self._descriptor, 65536)
        except BlockingIOError:
            pass

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Ctrl-C waits, here and in the child, until the child has said that it ignores it."""
    if multiprocessing.get_start_method() == "forkserver":
        from multiprocessing import forkserver

        # The server itself must not inherit that, nor hand it to other children.
        forkserver.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
