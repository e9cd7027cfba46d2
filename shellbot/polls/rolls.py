"""The named rolls of one server: a file each in the folder of the instance, which one may also look at or copy."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from shellbot.errors import PollError
from shellbot.polls.roll import Roll, read, write

NAME = re.compile(r"\w[\w.-]{0,39}")


@dataclass(frozen=True, slots=True)
class Kept:
    """A roll that is kept: how many lines it has, and when it was put there."""

    name: str
    count: int
    at: datetime


class Rolls:
    """The rolls in one folder. All of it touches the disk, and may be used by the server and by others at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "rolls"

    def names(self) -> list[str]:
        """Those that are there."""
        return sorted(path.stem for path in self._folder.glob("[!.]*.csv"))

    def all(self) -> list[Kept]:
        """Those that are there, with what one wants to know of each."""
        found = []
        for name in self.names():
            with contextlib.suppress(PollError, OSError):  # taken away just now
                at = datetime.fromtimestamp(self._path(name).stat().st_mtime, UTC)
                found.append(Kept(name, len(self.read(name).entries), at))
        return found

    def read(self, name: str) -> Roll:
        """The roll of this name.

        Raises:
            PollError: There is none; it says which there are.
        """
        try:
            return read(self._path(name).read_bytes())
        except FileNotFoundError as error:
            raise PollError(self._missing(name)) from error
        except OSError as error:
            raise PollError(f"the roll {name} cannot be read: {error.strerror}") from error

    def put(self, name: str, roll: Roll) -> None:
        """Keep a roll, in place of one of this name that is there.

        Raises:
            PollError: That is no name, or the disk refuses.
        """
        path = self._path(name)
        new = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.write(write(roll.entries))
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except OSError as error:
            raise PollError(f"the roll {name} cannot be kept in {self._folder}: {error.strerror}") from error

    def remove(self, name: str) -> None:
        """Take a roll away. PollError: there is none of this name."""
        try:
            self._path(name).unlink()
        except FileNotFoundError as error:
            raise PollError(self._missing(name)) from error

    def _path(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise PollError(f"{name[:40]!r} is no name for a roll; take a word of letters, digits, '-' and '.'")
        return self._folder / f"{name.casefold()}.csv"

    def _missing(self, name: str) -> str:
        here = ", ".join(self.names())
        there = f"there are: {here}" if here else "there is none yet"
        return f"there is no roll {name}; {there}. Put one there with: shellbot poll roll import {name} FILE.csv"
