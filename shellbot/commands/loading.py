"""Commands from a Python file that somebody wrote."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterable
from logging import getLogger
from pathlib import Path
from types import ModuleType

from shellbot.commands.base import Command
from shellbot.errors import ConfigError, ShellbotError

logger = getLogger(__name__)


def load_commands(path: str) -> list[Command]:
    """The commands of a Python file: its list ``commands``, or an instance of each Command class it defines.

    Raises:
        ConfigError: It cannot be run, or holds no command.
    """
    module = _load(Path(path))
    listed = getattr(module, "commands", None)
    if isinstance(listed, list | tuple) and all(isinstance(item, Command) for item in listed):
        return list(listed)
    found = [
        item
        for item in vars(module).values()
        if inspect.isclass(item) and issubclass(item, Command) and item.__module__ == module.__name__ and item.keyword
    ]
    _warn_of_mute(path, module, found)
    if not found:
        raise ConfigError(f"{path} defines no command: write a class of shellbot.Command with a keyword")
    try:
        return [item() for item in found]
    except TypeError as error:
        raise ConfigError(f"{path}: {error}; put ready-made commands into a list named 'commands'") from error


def warn_of_doubles(commands: Iterable[Command]) -> None:
    """Tell the log where two commands that somebody gave have one keyword: the later one is taken.

    That one takes the place of a built-in is meant so, and is not told.
    """
    taken: dict[str, Command] = {}
    for command in commands:
        keyword = command.keyword.casefold()
        if (before := taken.get(keyword)) is not None:
            logger.warning(
                "two commands have the keyword %r: %s is left out, and %s is taken; give one of them another keyword",
                command.keyword,
                type(before).__name__,
                type(command).__name__,
            )
        taken[keyword] = command


def _warn_of_mute(path: str, module: ModuleType, found: list[type[Command]]) -> None:
    """Tell the log of each command class that has no keyword, and of which no other one is made."""
    own = [item for item in vars(module).values() if inspect.isclass(item) and issubclass(item, Command)]
    for item in own:
        is_base = any(other is not item and issubclass(other, item) for other in own)
        if found and item.__module__ == module.__name__ and not item.keyword and not is_base:
            logger.warning(
                "%s: the command class %s has no keyword and is left out; write keyword = '...' in it",
                path,
                item.__name__,
            )


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is no Python file; its name must end with .py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.absolute()))  # as python itself does for a script
    try:
        spec.loader.exec_module(module)
    except ShellbotError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{_place(path, error)} cannot be run: {_reason(error)}") from error
    return module


def _place(path: Path, error: BaseException) -> str:
    """File and line of the mistake: in this file, or in one beside it that it imports."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    folder = str(path.parent.absolute())
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).absolute().is_relative_to(folder) and "site-packages" not in frame.filename
    ]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else str(path)


def _reason(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return " ".join(f"{type(error).__name__}: {text}".split())
