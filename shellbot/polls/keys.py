"""The keys of anonymous polls: a file each, of this user only, which is destroyed when its poll is over."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

from shellbot.errors import ConfigError
from shellbot.instance import read_key


class Keys:
    """The keys in one folder. Its methods touch the disk and may block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, poll: str) -> bytes:
        """The key of a new poll; made again it is the same. ConfigError: it cannot be kept."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return read_key(self._path(poll))

    def read(self, poll: str) -> bytes:
        """The key of a poll. ConfigError: it is gone, or others could read it."""
        path = self._path(poll)
        if not path.exists():
            raise ConfigError(f"the key {path} is gone")
        return read_key(path)

    def has_any(self) -> bool:
        """Whether there are keys at all."""
        return any(self._folder.glob("poll-*"))

    def has(self, poll: str) -> bool:
        """Whether there is one still."""
        return self._path(poll).exists()

    def destroy(self, poll: str) -> None:
        """Overwrite the key and take its file away; what is gone already is well.

        Raises:
            OSError: The disk refuses.
        """
        path = self._path(poll)
        for file in (path, *self._folder.glob(f".{path.name}.*")):  # a kill while it was made may leave the second
            with contextlib.suppress(FileNotFoundError):
                _overwrite(file)
                file.unlink()
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _path(self, poll: str) -> Path:
        # an id may hold anything
        return self._folder / f"poll-{hashlib.sha256(poll.encode()).hexdigest()[:16]}"


def _overwrite(path: Path) -> None:
    with path.open("r+b", buffering=0) as file:
        file.write(secrets.token_bytes(path.stat().st_size))
        os.fsync(file.fileno())
