"""The folder of one running server: its store, its keys, and the file that tells others where it is."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shellbot.errors import ConfigError, InstanceInUse, StoreError

KEY_BYTES = 32


def default_folder(name: str = "default") -> Path:
    """``$XDG_STATE_HOME/shellbot/NAME``, by default below ``~/.local/state``."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "shellbot" / name


# Kinds of space whose people are not those of the web chat: they have a folder of their own.
APART = ("console", "webex")
# Where a server may be, where nothing else is said; the last ones keep nothing.
USUAL = ("default", *APART, "demo", "fake")


def own_folder(kind: str) -> Path:
    """The folder of a server with this kind of space, where nothing else is said."""
    return default_folder(kind if kind in APART else "default")


def usual_folder() -> Path:
    """The folder that is meant where none is named: that of the server that runs, else that of the web chat."""
    folders = [default_folder(name) for name in USUAL]
    return next((folder for folder in folders if read_facts(folder) is not None), folders[0])


class Instance:
    """The folder, held by one process from :meth:`open` to :meth:`close`.

    Raises:
        StoreError: It cannot be made or written, or another server holds it; the text says what to do.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser().absolute()
        self._lock = -1

    @property
    def store_path(self) -> Path:
        """Where the store lies."""
        return self.folder / "store.db"

    @property
    def keys(self) -> Path:
        """Folder of its keys."""
        return self.folder / "keys"

    @property
    def bus_name(self) -> str:
        """A short name that no other folder has, for the socket: an ipc path ends at 107 bytes."""
        return hashlib.sha256(os.fsencode(self.folder.resolve())).hexdigest()[:16]

    def open(self) -> None:
        """Make the folder for this user only, and hold it."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.folder.stat().st_mode & 0o077:
                self.folder.chmod(0o700)
            self.keys.mkdir(mode=0o700, exist_ok=True)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(self._explained(error)) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(lock, 20).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise InstanceInUse(
                f"process {holder} serves {self.folder} already; stop it, name another folder with --instance DIR, "
                "or wait for its end with --standby",
                holder=holder,
            ) from error
        try:
            os.ftruncate(lock, 0)
            os.pwrite(lock, b"%d\n" % os.getpid(), 0)
        except OSError as error:
            os.close(lock)
            raise StoreError(self._explained(error)) from error
        self._lock = lock

    def key(self, name: str) -> bytes:
        """A random key kept in ``keys/NAME`` (0600), made at first use."""
        return read_key(self.keys / name)

    def publish(self, facts: Mapping[str, Any]) -> None:
        """Write ``instance.json`` whole, for ``shellbot pub``, ``sub`` and ``spy``."""
        new = self.folder / f"instance.json.{os.getpid()}"
        try:
            new.write_text(json.dumps({"pid": os.getpid(), **facts}, indent=1) + "\n")
            new.replace(self.folder / "instance.json")
        except OSError as error:
            raise StoreError(self._explained(error)) from error

    def close(self) -> None:
        """Let others have it."""
        if self._lock >= 0:
            (self.folder / "instance.json").unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1

    def _explained(self, error: OSError) -> str:
        remedy = {
            errno.EACCES: "it belongs to somebody else",
            errno.EPERM: "it belongs to somebody else",
            errno.EROFS: "the disk can only be read",
            errno.ENOSPC: "the disk is full; make room",
            errno.EDQUOT: "the quota is used up; make room",
            errno.ENOTDIR: "a file stands in its place",
            errno.EEXIST: "a file stands in its place",
        }.get(error.errno or 0, error.strerror or str(error))
        return f"cannot use the folder {self.folder}: {remedy}; or name another folder with --instance DIR"


def read_key(path: Path) -> bytes:
    """Read a key file, or make it with 32 random bytes.

    Raises:
        ConfigError: Others could read it, or it is too short.
    """
    if not path.exists():
        new = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            new.unlink(missing_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # another process was first: its key is the one
                os.link(new, path)  # whole, or not at all
            new.unlink()
        except OSError as error:
            raise ConfigError(f"cannot make the key {path}: {error.strerror}") from error
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"the key {path} can be read by others; run: chmod 600 {path}")
        key = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the key {path}: {error.strerror}") from error
    if len(key) < KEY_BYTES:
        raise ConfigError(f"the key {path} is cut short; remove it, and a new one is made at the next start")
    return key


def read_facts(folder: str | Path) -> dict[str, Any] | None:
    """What a running server wrote into ``instance.json``; None when none runs there."""
    path = Path(folder).expanduser() / "instance.json"
    try:
        facts = json.loads(path.read_text())
        os.kill(facts["pid"], 0)
    except PermissionError:  # it runs, as somebody else
        pass
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(facts)
