"""The lock that stands for an address."""

from __future__ import annotations

import fcntl
import hashlib
import os

from shellbot.errors import AddressInUse
from shellbot.runtime import runtime_folder


class AddressLock:
    """Held by the one process that publishes on an address; the kernel takes it back from a process that dies.

    Raises:
        AddressInUse: Another process holds it.
    """

    def __init__(self, address: str) -> None:
        name = hashlib.sha256(address.encode()).hexdigest()[:16]
        path = runtime_folder() / f"{name}.lock"
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                holder = os.read(descriptor, 20).decode(errors="replace").strip() or "unknown"
                os.close(descriptor)
                text = f"process {holder} publishes on {address} already; stop it, or set another bus.address"
                raise AddressInUse(text, address=address) from error
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

    def release(self) -> None:
        """Also for a child that was forked meanwhile and has the descriptor too."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)
