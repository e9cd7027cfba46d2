"""Freed memory is kept for the next burst of messages; the C library would give it back to the system each time."""

from __future__ import annotations

from functools import cache

_BLOCK_BYTES = 4 * 1024 * 1024


@cache
def keep_freed_memory() -> None:
    """Let this process hold on to some MiB it has freed; once is enough. Elsewhere than on glibc nothing changes.

    To map them anew took a tenth of the time that messages of 1 KiB spend in a process. When glibc sees a large block
    freed it raises its marks, here to 8 MiB at the end of the heap (mallopt(3), M_MMAP_THRESHOLD).
    """
    bytes(_BLOCK_BYTES)
