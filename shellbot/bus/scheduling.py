"""How the threads that only hand messages on are scheduled, and that depends on who else computes. Linux only.

- While processors are idle they are *polite*, of SCHED_BATCH: who woke one of them is not interrupted for it, and what
  has just written to a socket first gets to its own sleep. So one message after the other takes a quarter less time.
- While somebody fills a processor they are *prompt*, with the shortest slices: a polite thread that was woken on that
  processor would wait for the next tick of the system, up to 4 ms.

Neither needs a privilege, nor takes processor time from anybody. Other systems, and places where this is not allowed,
schedule as they like; so does who has set something else for the thread that starts them.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

PERIOD = 0.25  # seconds between two looks at the machine, where there is traffic
STALE = 1.0  # seconds after which the look before says nothing about now
BUSY = 0.6  # share of all processors that is idle: with less, somebody computes
QUIET = 0.7  # with more, nobody does any more
FLOOD = 0.3  # of a processor: who hands on that much never sleeps long enough to be woken late
SLICE_NS = 100_000  # the shortest that Linux gives, since 6.12; older ones take no notice

_ATTRIBUTES = struct.Struct("=IIQiIQQQ")  # struct sched_attr: size, policy, flags, nice, priority, slice, ...
_NUMBERS = {"x86_64": (314, 315), "aarch64": (274, 275)}  # of the system calls sched_setattr, sched_getattr


class _Look(NamedTuple):
    at: float
    idle: int
    total: int
    own: float


class Handing:
    """Threads of one process that hand on. Used by one thread, or by several of which none minds the other.

    Attributes:
        is_prompt: Whether they are prompt now.
    """

    def __init__(self) -> None:
        self.is_prompt = False
        self._threads: list[int] = []
        self._callers: list[int] = []
        self._due = 0.0
        self._last: _Look | None = None

    @contextmanager
    def starting(self, *, with_caller: bool = False) -> Iterator[None]:
        """The threads that this thread starts meanwhile hand on; this one is as before afterwards. Counts once.

        Args:
            with_caller: This one hands on, too, and is prompt when they are, though never polite.
        """
        if self._threads:
            yield
            return
        before = _threads()
        is_changed = False
        if hasattr(os, "SCHED_BATCH"):
            with suppress(OSError):
                if os.sched_getscheduler(0) == os.SCHED_OTHER:
                    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
                    is_changed = True
        try:
            yield
        finally:
            if is_changed:
                os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
                # What others start meanwhile is none of ours, and has not their way.
                self._threads += [one for one in sorted(_threads() - before) if _is_polite(one)]
                if with_caller:
                    self._callers.append(threading.get_native_id())

    def adapt(self, now: float) -> None:
        """Choose, now and then; to be called before each sleep, with the time of ``monotonic()``."""
        if now < self._due:
            return
        self._due = now + PERIOD
        if not self._threads:
            return
        try:
            this = _Look(now, *_processors(), sum(map(_seconds, self._threads + self._callers)))
        except (OSError, ValueError):
            # One of them has ended, or this system does not tell.
            self._threads.clear()
            return
        last, self._last = self._last, this
        if last is None or now - last.at > STALE or this.total == last.total:
            return
        idle = (this.idle - last.idle) / (this.total - last.total)
        own = (this.own - last.own) / (now - last.at)
        is_prompt = own < FLOOD and idle < (QUIET if self.is_prompt else BUSY)
        if is_prompt != self.is_prompt:
            self.is_prompt = is_prompt
            self._apply()

    def rest(self) -> None:
        """The thread that made this does something else from now on."""
        for thread in self._callers:
            _set(thread, os.SCHED_OTHER, 0)
        self._threads.clear()
        self._callers.clear()

    def _apply(self) -> None:
        for thread in self._threads:
            _set(thread, *((os.SCHED_OTHER, SLICE_NS) if self.is_prompt else (os.SCHED_BATCH, 0)))
        for thread in self._callers:
            _set(thread, os.SCHED_OTHER, SLICE_NS if self.is_prompt else 0)


def slice_of(thread: int) -> int:
    """Nanoseconds that it may go on when another waits; 0 where nothing tells."""
    values = _get(thread)
    return values[5] if values else 0


def _threads() -> set[int]:
    with suppress(OSError):
        return {int(name) for name in os.listdir("/proc/self/task")}
    return set()


def _is_polite(thread: int) -> bool:
    with suppress(OSError):
        return os.sched_getscheduler(thread) == os.SCHED_BATCH
    return False


def _seconds(thread: int) -> float:
    """What a thread has computed so far."""
    return int(Path(f"/proc/self/task/{thread}/schedstat").read_bytes().split()[0]) / 1e9


def _processors() -> tuple[int, int]:
    """How long all of them have been idle, and how long they have been there, in ticks."""
    with open("/proc/stat", "rb") as file:
        values = [int(value) for value in file.readline().split()[1:9]]
    return values[3] + values[4], sum(values)


def _get(thread: int) -> tuple[int, ...] | None:
    library = _library()
    if library is None:
        return None
    found = ctypes.create_string_buffer(_ATTRIBUTES.size)
    if library.syscall(_NUMBERS[os.uname().machine][1], thread, found, len(found), 0):
        return None
    return _ATTRIBUTES.unpack(found.raw)


def _set(thread: int, policy: int, slice_ns: int) -> None:
    """Change it where it is still as we have left it; 0 is the system's own slice."""
    library, values = _library(), _get(thread)
    if library is None or values is None or values[1] not in (os.SCHED_OTHER, os.SCHED_BATCH):
        return
    packed = _ATTRIBUTES.pack(values[0], policy, *values[2:5], slice_ns, *values[6:])
    library.syscall(_NUMBERS[os.uname().machine][0], thread, ctypes.create_string_buffer(packed), 0)


@cache
def _library() -> ctypes.CDLL | None:
    if sys.platform != "linux" or os.uname().machine not in _NUMBERS:
        return None
    return ctypes.CDLL(None)
