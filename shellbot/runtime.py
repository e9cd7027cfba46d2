"""The runtime folder: short, of this user only; for sockets, locks and shared cells."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from shellbot.errors import ConfigError

_MEMORY = "/dev/shm"


def runtime_folder() -> Path:
    """``$SHELLBOT_RUNTIME``, else ``$XDG_RUNTIME_DIR/shellbot``, else ``shellbot-UID`` among temporary files.

    Those in memory are preferred, unless the environment names a temporary folder: what a bus keeps of the past is
    written all the time, and needs to survive no more than the end of a process. It is made where it is not there.

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
        is_named = any(os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
        in_memory = not is_named and os.access(_MEMORY, os.W_OK | os.X_OK)
        folder = Path(_MEMORY if in_memory else tempfile.gettempdir(), f"shellbot-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        text = f"cannot make the runtime folder: {error}; name another in SHELLBOT_RUNTIME"
        raise ConfigError(text) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ConfigError(f"{folder} must be a folder of your own with mode 0700; or name another in SHELLBOT_RUNTIME")
    return folder
