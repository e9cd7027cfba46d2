"""``upload``: put a file into the channel."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from shellbot.bot import ShellBot
from shellbot.commands.base import Command
from shellbot.errors import UsageError
from shellbot.markup import one_line, plain

MOST_NAMED = 20


class Upload(Command):
    """Sends one of the files of a folder. What people type is looked for among their names, and never used as a path.

    Args:
        folder: Where they lie, each for everybody who can talk to the bot. Folders in it, links, and names that begin
            with a dot do not count.
    """

    keyword = "upload"
    information_message = "Send a file into this channel"
    usage_message = "upload [FILE]"

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    def execute(self, bot: ShellBot, name: str = "") -> None:
        there = self._there()
        found = there.get(_folded(name))
        if found is not None:
            bot.say(file=self._folder / found)
            return
        shown = ", ".join(plain(other) for other in sorted(there.values())[:MOST_NAMED])
        more = f" and {len(there) - MOST_NAMED} more" if len(there) > MOST_NAMED else ""
        has = f"I can send: {shown}{more}." if there else "There is nothing that I can send."
        raise UsageError(f"There is no file {_short(name)} here. {has}" if name else has)

    def _there(self) -> dict[str, str]:
        """Names of the files, by what is typed for them."""
        try:
            entries = [entry for entry in self._folder.iterdir() if not entry.name.startswith(".")]
            return {_folded(entry.name): entry.name for entry in entries if entry.is_file() and not entry.is_symlink()}
        except OSError:
            return {}


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _short(name: str) -> str:
    line = one_line(name)
    return plain(line if len(line) <= 60 else f"{line[:60]}…")
