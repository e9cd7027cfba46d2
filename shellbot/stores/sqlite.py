"""A store in one SQLite file that survives the kill of the process, and of the machine."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import time
import weakref
from collections.abc import Callable
from pathlib import Path

from shellbot.errors import StoreError
from shellbot.stores.base import Store

logger = logging.getLogger(__name__)
ORPHAN_PATIENCE = 3.0  # seconds in which what a killed process left running lets go of the file


class SqliteStore(Store):
    """One file, one process.

    Beside ``path`` lies ``path.lock``: the process that holds it has its number in it. A second one is refused.

    Args:
        path: The database; its folder must be there.
        on_error: See :class:`Store`.
    """

    def __init__(self, path: str | Path, *, on_error: Callable[[BaseException], None] | None = None) -> None:
        super().__init__(on_error=on_error)
        self.path = Path(path)
        self.name = str(self.path)
        self._lock: _Lock | None = None

    def _connect(self) -> sqlite3.Connection:
        self._lock = _Lock(self.path)
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=5)
        try:
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            if mode != "wal":
                logger.warning("no write-ahead log here, so the store is slower mode=%s path=%s", mode, self.path)
            connection.execute("PRAGMA synchronous=FULL")
            # Under load the log is copied into the database each 16 MB, not 4: what changes often is copied less often.
            connection.execute("PRAGMA wal_autocheckpoint=4000")
            connection.execute("BEGIN IMMEDIATE")  # what forbids writing is told now, not at the first message
            connection.execute("ROLLBACK")
        except BaseException:
            connection.close()
            raise
        return connection

    def _release(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()


class _Lock:
    """The right to use the file, held by one process until it releases it or dies."""

    def __init__(self, path: Path) -> None:
        self._path = Path(f"{path}.lock")
        if path.is_dir():
            raise StoreError(f"{path} is a folder; name a file in it")
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError as error:
            raise StoreError(f"the folder {path.parent} is not there; make it, or name another") from error
        except OSError as error:
            raise StoreError(
                f"cannot write in {path.parent} ({error.strerror}); make it writable, or name another folder"
            ) from error
        self._descriptor: int | None = descriptor
        try:
            self._take(descriptor, path)
        except BaseException:
            self.release()
            raise
        # a forked child has the descriptor too and would keep the lock after the kill of this process
        os.register_at_fork(after_in_child=_releaser(weakref.ref(self)))

    def _take(self, descriptor: int, path: Path) -> None:
        until = time.monotonic() + ORPHAN_PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
                if not _is_alive(holder) and time.monotonic() < until:
                    time.sleep(0.02)  # a program that the killed holder was just starting; there is nothing to wait on
                    continue
                raise StoreError(
                    f"{path} is in use by process {holder or 'unknown'}; stop that one, or name another folder"
                ) from error
            break
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _releaser(lock: weakref.ref[_Lock]) -> Callable[[], None]:
    def release() -> None:
        held = lock()
        if held is not None:
            held.release()

    return release


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError, OverflowError):
        return True
    return True
