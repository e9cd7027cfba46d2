"""A lock that the kernel takes back from a process that dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class AddressLock:
    """Tries once to take the lock of an address.

    Attributes:
        is_held: Whether this process has it.
        holder: Pid of the process that has it, as text, where this one has not; ``unknown`` where it did not say.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = -1
        self.holder = ""
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self.holder = os.read(descriptor, 20).decode(errors="replace").strip() or "unknown"
                os.close(descriptor)
                return
            try:
                if os.fstat(descriptor).st_ino == path.stat().st_ino:
                    break
            except FileNotFoundError:
                pass
            # Somebody cleaned the folder: what we hold is not what the next one would look at.
            os.close(descriptor)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d" % os.getpid())
        self._descriptor = descriptor

    @property
    def is_held(self) -> bool:
        return self._descriptor >= 0

    def release(self) -> None:
        """Also for a child that was forked meanwhile and has the descriptor too."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)
