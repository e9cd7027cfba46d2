"""``shellbot run BOT --reload``: serve, and start anew when a file of the bot changes.

The program replaces itself, in the same process: nothing is left over, Ctrl-C ends all there is, and the page in the
browser goes on where it was.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import click

from shellbot.engine import Engine
from shellbot.errors import ShellbotError

EVERY = 0.25  # seconds between two looks
STILL = 0.05  # seconds without another change: an editor may write a file in several steps

Beside = Callable[[Engine], Awaitable[None]]
Stamp = tuple[int, int, int] | None


class Watch:
    """Whether a file of the bot has changed since this was made.

    These are the Python files in the bot's folder and in those in it, whatever else the bot has loaded from there, and
    ``others``.
    """

    def __init__(self, bot: Path, *others: Path) -> None:
        self._bot = bot
        self._folder = bot.parent.absolute()
        self._others = others
        self._seen = {path: _stamp(path) for path in self._files()}

    def changed(self) -> Path | None:
        """A file that is new, gone or another than before."""
        files = set(self._files())
        for path in [*self._seen, *files]:
            if (stamp := _stamp(path)) != self._seen.get(path):
                self._seen[path] = stamp
                return path
        for path in self._loaded():
            self._seen.setdefault(path, _stamp(path))
        return None

    def settle(self) -> None:
        """Return when nothing changes any more, for a moment, and the bot is there."""
        while self.changed() is not None or not self._bot.exists():
            time.sleep(STILL)

    def _files(self) -> Iterator[Path]:
        yield self._bot.absolute()
        yield from (path.absolute() for path in self._others)
        for pattern in ("*.py", "*/*.py"):
            yield from (path for path in self._folder.glob(pattern) if not path.parent.name.startswith("."))

    def _loaded(self) -> Iterator[Path]:
        for module in list(sys.modules.values()):
            file = getattr(module, "__file__", None)
            if file and file.startswith(f"{self._folder}{os.sep}") and "site-packages" not in file:
                yield Path(file)


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def serve_anew(serve: Callable[[Beside], None], bot: Path, *others: Path) -> None:
    """Call ``serve``; start the program anew when a file changes. What fails is told in one line, and waited over.

    Args:
        serve: Serves until it is ended, with what it is given beside the engine.
    """
    sys.dont_write_bytecode = True  # it is told apart by whole seconds, and a file changes faster
    _reap()
    watch = Watch(bot, *others)
    changed: list[Path] = []
    port: list[int] = []

    async def beside(engine: Engine) -> None:
        if engine.server is not None:
            port.append(urlsplit(engine.server.url).port or 0)
        while (path := watch.changed()) is None:  # noqa: ASYNC110 - other programs write the files
            await asyncio.sleep(EVERY)
        changed.append(path)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, changed.clear)  # who ends it while it stops wants no new one
        engine.ended.set()

    try:
        try:
            serve(beside)
        except click.UsageError:
            raise  # no file mends the command line
        except (Exception, SystemExit) as error:
            if not isinstance(error, ShellbotError | SystemExit):
                traceback.print_exc()
            text = str(error.code if isinstance(error, SystemExit) else f"shellbot: {error}")
            click.echo(f"{text}\nshellbot: waiting for a change of {bot} or what it loads", err=True)
            while (path := watch.changed()) is None:
                time.sleep(EVERY)
            changed.append(path)
        if changed:
            click.echo(f"shellbot: {_shown(changed[0])} has changed; starting anew", err=True)
            watch.settle()
            _replace(again(sys.orig_argv, port[-1] if port else None))
    except KeyboardInterrupt:
        sys.exit(130)


def again(command: Sequence[str], port: int | None) -> list[str]:
    """The command line to start with the next time: on the same port, and without opening another page."""
    arguments = [argument for argument in command[1:] if argument != "--open"]
    if port is not None:
        while "--port" in arguments:
            at = arguments.index("--port")
            del arguments[at : at + 2]
        arguments = [argument for argument in arguments if not argument.startswith("--port=")]
        arguments += ["--port", str(port)]
    return [sys.executable, *arguments]


def _replace(command: list[str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)


def _reap() -> None:
    """Helpers of multiprocessing that ended with the program before this one were its children, and are ours now."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
