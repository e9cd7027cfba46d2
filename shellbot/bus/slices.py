"""Slices: let threads that mostly sleep run as soon as they are woken, also beside one that computes.

Linux lets a thread that computes go on to the end of its slice, some 3 ms, before one that was woken has its turn.
Since 6.12 a thread may ask for shorter slices, and then comes sooner; it gets no more of the processor for that, and
needs no privilege. Older kernels take no notice, other systems are not asked.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

SLICE_NS = 100_000  # the shortest that Linux gives
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")
_RUNTIME = 5
# of the system calls sched_setattr and sched_getattr
_NUMBERS = {"x86_64": (314, 315), "aarch64": (274, 275)}


@contextmanager
def short_slices() -> Iterator[None]:
    """Threads that this thread starts meanwhile have short slices; it has its own again afterwards."""
    before = attributes()
    is_changed = before is not None and _set((*before[:_RUNTIME], SLICE_NS, *before[_RUNTIME + 1 :]))
    try:
        yield
    finally:
        if is_changed and before is not None:
            _set(before)


def shorten_slices() -> None:
    """This thread, and those it starts, have short slices from now on."""
    before = attributes()
    if before is not None:
        _set((*before[:_RUNTIME], SLICE_NS, *before[_RUNTIME + 1 :]))


def attributes(thread: int = 0) -> tuple[int, ...] | None:
    """What Linux knows of how a thread is scheduled, the slice in nanoseconds as the sixth number; None where it is
    not an ordinary one, whose owner has other wishes, or the system cannot tell."""
    library = _library()
    if library is None:
        return None
    found = ctypes.create_string_buffer(_ATTRIBUTES.size)
    if library.syscall(_NUMBERS[os.uname().machine][1], thread, found, len(found), 0):
        return None
    values = _ATTRIBUTES.unpack(found.raw)
    return values if values[1] == os.SCHED_OTHER else None


def _set(values: tuple[int, ...]) -> bool:
    library = _library()
    packed = ctypes.create_string_buffer(_ATTRIBUTES.pack(*values))
    return library is not None and not library.syscall(_NUMBERS[os.uname().machine][0], 0, packed, 0)


@cache
def _library() -> ctypes.CDLL | None:
    if sys.platform != "linux" or os.uname().machine not in _NUMBERS:
        return None
    return ctypes.CDLL(None)
