"""The runtime folder: short, of this user only, for sockets and locks; and the lock that stands for an address."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
from pathlib import Path

from shellbot.errors import AddressInUse, ConfigError


def runtime_folder() -> Path:
    """``$SHELLBOT_RUNTIME``, else ``$XDG_RUNTIME_DIR/shellbot``, else ``shellbot-UID`` in the temporary folder.

    It is made where it is not there.

    Raises:
        ConfigError: It belongs to somebody else, or others could write into it.
    """
    own = os.environ.get("SHELLBOT_RUNTIME")
    session = os.environ.get("XDG_RUNTIME_DIR")
    if own:
        folder = Path(own)
    elif session and os.access(session, os.W_OK | os.X_OK):
        folder = Path(session, "shellbot")
    else:
        folder = Path(tempfile.gettempdir(), f"shellbot-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        text = f"cannot make the runtime folder: {error}; name another in SHELLBOT_RUNTIME"
        raise ConfigError(text) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ConfigError(f"{folder} must be a folder of your own with mode 0700; or name another in SHELLBOT_RUNTIME")
    return folder


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
