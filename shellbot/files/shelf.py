"""The folder of files, each under a name of our own, and the table that says which message it goes with.

A file is whole on disk before the row is stored that names it, and the row comes in the transaction of its message: so
no message lacks its file, and what a kill left without a row is swept away at the next start.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import sqlite3
import stat
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from logging import getLogger
from pathlib import Path

from shellbot.errors import FileRefused, StoreError
from shellbot.events import File
from shellbot.files.names import HEAD_BYTES, clean_name, size_text, type_of

logger = getLogger(__name__)

SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    id TEXT PRIMARY KEY, channel TEXT NOT NULL, author TEXT NOT NULL, key TEXT NOT NULL, number INTEGER NOT NULL,
    name TEXT NOT NULL, type TEXT NOT NULL, size INTEGER NOT NULL, UNIQUE (channel, author, key, number)
);
"""
Sendable = str | os.PathLike[str] | File
PIECE_BYTES = 1 << 18
_ID = re.compile(r"[0-9a-f]{32}")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept: of one file, in one message, and in all."""

    max_bytes: int = 10_000_000
    max_count: int = 10
    total_bytes: int = 1_000_000_000


NO_FILES = Limits(max_count=0)


@dataclass(slots=True)
class Source:
    """A plain file that a bot sends, open for reading: what happens to its name afterwards does not matter."""

    name: str
    descriptor: int

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


class Shelf:
    """The files of one instance. What writes and reads may be called from any thread; it blocks for the disk.

    Args:
        folder: Made by :meth:`open`, for this user only.
    """

    def __init__(self, folder: str | Path, limits: Limits | None = None) -> None:
        self.folder = Path(folder)
        self.limits = limits or Limits()
        self._used = 0
        self._counting = threading.Lock()

    def open(self, known: Mapping[str, int]) -> None:
        """Make the folder, and sweep out what no message has.

        Args:
            known: Sizes of the files that messages have, by id; see :func:`all_sizes`.

        Raises:
            StoreError: The folder cannot be used; the text says why.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            there = {entry.name for entry in os.scandir(self.folder)}
            for orphan in there - known.keys():
                if _ID.fullmatch(orphan):
                    (self.folder / orphan).unlink()
        except OSError as error:
            raise StoreError(
                f"cannot keep files in {self.folder}: {error.strerror}; make it a writable folder"
            ) from error
        for lost in known.keys() - there:
            logger.error("a file of a message is missing from the folder id=%s", lost)
        self._used = sum(known.values())

    def new(self, name: str, declared: str = "") -> Draft:
        """Begin a file that comes in pieces.

        Raises:
            FileRefused: There is no room; the text is for who sends it.
        """
        return Draft(self, clean_name(name), declared)

    def path(self, file_id: str) -> str:
        """Where a file lies."""
        return str(self.folder / file_id)

    def placed(self, file: File) -> File:
        """The file with its path."""
        return replace(file, path=self.path(file.id))

    def discard(self, files: Iterable[File]) -> None:
        """Remove files that came to no message."""
        for file in files:
            try:
                os.unlink(self.path(file.id))
            except FileNotFoundError:
                continue
            except OSError as error:
                logger.warning("a file without a message is left until the next start id=%s: %s", file.id, error)
            self.release(file.size_bytes)

    def sources(self, paths: Iterable[Sendable]) -> list[Source]:
        """Open what a bot wants to send.

        Raises:
            FileRefused: One of them is missing, no plain file, a link, too large, or there are too many.
        """
        found = [self._source(path) for path in paths]
        if len(found) > self.limits.max_count:
            raise FileRefused(f"{len(found)} files are too many for one message: {self.limits.max_count} are the most.")
        return found

    def copy(self, sources: Sequence[Source]) -> tuple[File, ...]:
        """Copy what was opened into the folder, all or nothing. Blocks.

        Raises:
            FileRefused: One cannot be read, has grown too large, or there is no room.
        """
        files: list[File] = []
        try:
            for source in sources:
                draft = self.new(source.name)
                try:
                    while piece := os.read(source.descriptor, PIECE_BYTES):
                        draft.write(piece)
                    files.append(draft.finish())
                except OSError as error:
                    raise FileRefused(f"{source.name} cannot be read: {error.strerror}.") from error
                finally:
                    draft.close()
        except BaseException:
            self.discard(files)
            raise
        return tuple(files)

    def take(self, size_bytes: int) -> None:
        """Count bytes in. Raises FileRefused when that is more than are kept in all."""
        with self._counting:
            if self._used + size_bytes > self.limits.total_bytes:
                raise FileRefused("No more files can be kept here: the room for them is used up.")
            self._used += size_bytes

    def release(self, size_bytes: int) -> None:
        """Count bytes out."""
        with self._counting:
            self._used -= size_bytes

    def _source(self, path: Sendable) -> Source:
        source, size = open_plain(path.path if isinstance(path, File) else path)
        if isinstance(path, File):
            source.name = path.name
        if size > self.limits.max_bytes:
            raise FileRefused(too_large(source.name, self.limits.max_bytes), path=str(path))
        return source


class Draft:
    """A file that is being written. :meth:`close` removes it again unless it was finished."""

    def __init__(self, shelf: Shelf, name: str, declared: str) -> None:
        self.name = name
        self._shelf = shelf
        self._declared = declared
        self._id = secrets.token_hex(16)
        self._head = b""
        self._size = 0
        self._is_kept = False
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            self._descriptor = os.open(shelf.path(self._id), flags, 0o600)
        except OSError as error:
            raise self._refused(error) from error

    def write(self, data: bytes | bytearray) -> None:
        """Add a piece.

        Raises:
            FileRefused: The file is too large, or there is no room.
        """
        if self._size + len(data) > self._shelf.limits.max_bytes:
            raise FileRefused(too_large(self.name, self._shelf.limits.max_bytes))
        self._shelf.take(len(data))
        self._size += len(data)
        if len(self._head) < HEAD_BYTES:
            self._head += bytes(data[:HEAD_BYTES])
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            raise self._refused(error) from error

    def finish(self) -> File:
        """Have it on disk for certain; it stays until a sweep finds that no message has it."""
        try:
            os.fsync(self._descriptor)
            folder = os.open(self._shelf.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._refused(error) from error
        self._is_kept = True
        self.close()
        kind = type_of(self._head, self._declared, self.name)
        return File(self._id, self.name, self._size, kind, self._shelf.path(self._id))

    def close(self) -> None:
        """Let go of it. May be called again."""
        if self._descriptor < 0:
            return
        os.close(self._descriptor)
        self._descriptor = -1
        if not self._is_kept:
            self._shelf.discard([File(self._id, self.name, self._size)])

    def _refused(self, error: OSError) -> FileRefused:
        if error.errno in _FULL:
            return FileRefused(f"{self.name} cannot be kept: no space is left on the server's disk.")
        logger.error("a file cannot be written: %s", error)
        return FileRefused(f"{self.name} cannot be kept: the server's disk refuses it.")


def keep(db: sqlite3.Connection, channel: str, author: str, key: str, files: Sequence[File]) -> tuple[File, ...]:
    """Note in the running transaction that these go with a message; gives those that do, which are the first given."""
    if known := of(db, channel, author, key):
        return known
    db.executemany(
        "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (file.id, channel, author, key, number, file.name, file.type, file.size_bytes)
            for number, file in enumerate(files)
        ],
    )
    return tuple(files)


def of(db: sqlite3.Connection, channel: str, author: str, key: str) -> tuple[File, ...]:
    """The files of a message, without their paths."""
    rows = db.execute(
        "SELECT id, name, size, type FROM files WHERE channel = ? AND author = ? AND key = ? ORDER BY number",
        (channel, author, key),
    )
    return tuple(File(*row) for row in rows)


def find(db: sqlite3.Connection, file_id: str) -> tuple[str, File] | None:
    """The channel of a file, and the file without its path."""
    row = db.execute("SELECT channel, id, name, size, type FROM files WHERE id = ?", (file_id,)).fetchone()
    return (row[0], File(*row[1:])) if row else None


def all_sizes(db: sqlite3.Connection) -> dict[str, int]:
    """The sizes of all files that messages have, by id."""
    return dict(db.execute("SELECT id, size FROM files"))


def open_plain(path: str | os.PathLike[str]) -> tuple[Source, int]:
    """Open a plain file, and nothing else; with its size.

    Raises:
        FileRefused: It is missing, a link, folder, device or address; the text does not hold the path.
    """
    text = os.fspath(path)
    name = clean_name(text)
    if _ADDRESS.match(text) and not os.path.lexists(text):
        raise FileRefused(
            f"{name} is no file on this machine: addresses are not fetched; say the link as text.", path=text
        )
    try:
        # looked at before it is opened: opening a device may already do something
        if (reason := _no_file(os.lstat(text).st_mode)) is not None:
            raise FileRefused(f"{name} {reason}", path=text)
        descriptor = os.open(text, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        source = Source(name, descriptor)
        found = os.fstat(descriptor)
    except FileRefused:
        raise
    except OSError as error:
        raise FileRefused(f"{name} {_trouble(error)}", path=text) from error
    except ValueError as error:  # a zero byte, half a character
        raise FileRefused(f"{name} is no name of a file.", path=text) from error
    if (reason := _no_file(found.st_mode)) is not None:
        raise FileRefused(f"{name} {reason}", path=text)
    return source, found.st_size


def in_place(path: str | os.PathLike[str]) -> File:
    """Describe a plain file that is not copied. Raises FileRefused as :func:`open_plain`."""
    source, size = open_plain(path)
    kind = type_of(os.pread(source.descriptor, HEAD_BYTES, 0), "", source.name)
    return File(secrets.token_hex(16), source.name, size, kind, os.fspath(path))


def too_large(name: str, limit_bytes: int) -> str:
    """What is said of a file that is too large."""
    return f"{name} is too large: {size_text(limit_bytes)} are the most."


def _no_file(mode: int) -> str | None:
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISDIR(mode):
        return "is a folder; name a file in it."
    if stat.S_ISLNK(mode):
        return "is a link to something else; name the file itself."
    return "is no plain file, but a device, pipe or socket."


def _trouble(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return "is not there."
        case errno.EACCES | errno.EPERM:
            return "may not be read by this program."
        case errno.ENAMETOOLONG:
            return "is not there: its name is too long."
        case errno.ELOOP:
            return "is a link to something else; name the file itself."
    return f"cannot be read: {error.strerror}."
