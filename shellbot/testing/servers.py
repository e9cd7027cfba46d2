"""A server for tests: an ordinary process that is started, killed and started again on the same folder and port."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self
from urllib.parse import urlsplit

from shellbot.instance import read_facts
from shellbot.testing import crashing
from shellbot.testing.browser import Browser
from shellbot.testing.clock import Clock

TESTED = ("-m", "shellbot.testing.serve")
PRODUCT = ("-m", "shellbot", "run")
PORTS = range(20_000, 32_000)  # below those that Linux gives to who asks for any: nobody gets ours while it is down
PAUSE = 0.01  # seconds between looks at a file of another process: there is nothing to wait on


class ServerEnded(Exception):
    """A server ended that was to serve; the text is what it said last."""


class Server:
    """One server in a folder of its own, with a process group of its own and no pipe of ours but its clock's.

    ``async with Server(folder) as server`` starts it, and ends whatever is left of it.

    Args:
        folder: Of the instance.
        options: As of ``shellbot run``.
        program: What Python is to run: the server for tests, or the product.
        clock: Moves its time; only for the server for tests. Real time without it.
        port: First port to try; 0 takes any that the system gives to nobody else. A restart must get the same one, as
            cookies hold it in their name.
        output: Folder for the files ``stdout`` and ``stderr``; ``FOLDER.output`` by default.
        environment: Variables besides those of this process.
        python: The Python that runs it; this one by default.
        is_typed_to: Leave its input open; see :meth:`write_line`. Otherwise it has none.
    """

    def __init__(
        self,
        folder: str | Path,
        *options: str,
        program: Sequence[str] = TESTED,
        clock: Clock | None = None,
        port: int = 0,
        output: str | Path | None = None,
        environment: Mapping[str, str] | None = None,
        python: str | Path = sys.executable,
        is_typed_to: bool = False,
    ) -> None:
        self.folder = Path(folder).absolute()
        self.clock = clock
        self.url = ""
        self.facts: dict[str, Any] = {}
        self._options = options
        self._program = program
        self._port = port or secrets.choice(PORTS)
        self._output = Path(output or self.folder.with_name(f"{self.folder.name}.output"))
        self._environment = dict(environment or {})
        self._python = python
        self._is_typed_to = is_typed_to
        self._process: asyncio.subprocess.Process | None = None
        self._publisher: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- what it says

    @property
    def stdout(self) -> str:
        """All that it said, over restarts."""
        return (self._output / "stdout").read_text()

    @property
    def stderr(self) -> str:
        """All that it complained of, its log; nothing where it never ran."""
        log = self._output / "stderr"
        return log.read_text(errors="replace") if log.exists() else ""

    @property
    def pid(self) -> int:
        """Of the process started last."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_up(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.returncode is None

    # --- up and down

    async def start(self, timeout: float = 15.0, *, crash_at: int = 0) -> None:
        """Start it; returns once it answers, or, where it has neither page nor door, once it serves.

        Args:
            crash_at: Have it end at this step, as by -9; see :mod:`shellbot.testing.crashing`. 0: at none.

        Raises:
            ServerEnded: It ended instead.
        """
        await self.launch(crash_at)
        try:
            async with asyncio.timeout(timeout):
                await self._wait_for_facts()
                if self.url:
                    answer = await Browser(self.url).get()
                    assert answer.status == 200, answer
        except (OSError, EOFError) as error:
            await self.close()
            raise ServerEnded(f"it went away while it answered: {self.stderr[-2000:] or error!r}") from error
        except BaseException:
            await self.close()
            raise
        self._follow_publisher()

    async def launch(self, crash_at: int = 0) -> None:
        """Start it without waiting for anything."""
        assert not self.is_up, "it runs already"
        self._output.mkdir(exist_ok=True)
        arguments = [*self._program, *self._options, "--instance", str(self.folder)]
        if "console" not in self._options:
            arguments += ["--port", str(self._port)]
        crashes = {crashing.VARIABLE: str(crash_at)} if crash_at else {}
        theirs = None
        if self.clock is not None:
            theirs = await self.clock.connect()
            arguments += ["--clock-fd", str(theirs.fileno()), "--clock-utc", self.clock.utc.isoformat()]
        try:
            with self._log("stdout") as out, self._log("stderr") as err:
                self._process = await asyncio.create_subprocess_exec(
                    self._python,
                    *arguments,
                    stdin=asyncio.subprocess.PIPE if self._is_typed_to else asyncio.subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    env={**os.environ, **self._environment, **crashes},
                    start_new_session=True,
                    pass_fds=[theirs.fileno()] if theirs is not None else [],
                )
        finally:
            if theirs is not None:
                theirs.close()

    async def wait(self, timeout: float = 10.0) -> int:
        """Wait until it has ended by itself; gives the exit code."""
        assert self._process is not None
        async with asyncio.timeout(timeout):
            code = await self._process.wait()
        await self._disconnect()
        return code

    async def kill(self) -> None:
        """End it with -9; returns when its publisher has gone, too, of itself."""
        self._follow_publisher()
        await self.signal(signal.SIGKILL)
        await self.wait()
        if self._publisher is not None:
            async with asyncio.timeout(5):
                await self._publisher

    async def stop(self) -> int:
        """Ask it to end; gives the exit code."""
        self._follow_publisher()
        await self.signal(signal.SIGTERM)
        code = await self.wait()
        if self._publisher is not None:
            async with asyncio.timeout(1):
                await self._publisher
        return code

    async def restart(self, *, kill: bool = False) -> None:
        """End it, asked or killed, and start it again on the same folder and port."""
        await (self.kill() if kill else self.stop())
        await self.start()

    async def write_line(self, line: str) -> None:
        """Write a line to its input."""
        assert self._process is not None
        assert self._process.stdin is not None, "it is not typed to"
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()

    async def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    @property
    def publisher_pid(self) -> int:
        """Its publisher process now: one that dies is replaced."""
        facts = read_facts(self.folder)
        return int((facts or self.facts)["publisher_pid"])

    def _follow_publisher(self) -> None:
        if self._publisher is not None:
            self._publisher.cancel()
        self._publisher = asyncio.ensure_future(wait_gone(self.publisher_pid))

    async def close(self) -> None:
        """End whatever is left of it."""
        self.end_now()
        if self._process is not None:
            await self._process.wait()
        if self._publisher is not None:
            self._publisher.cancel()
            await asyncio.gather(self._publisher, return_exceptions=True)
        await self._disconnect()

    def end_now(self) -> None:
        """Kill its whole process group, without waiting. For places where nothing can be awaited."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def _log(self, name: str) -> BinaryIO:
        return (self._output / name).open("ab")

    async def _disconnect(self) -> None:
        if self.clock is not None:
            await self.clock.disconnect()

    async def _wait_for_facts(self) -> None:
        while (facts := read_facts(self.folder)) is None or facts["pid"] != self.pid:
            if not self.is_up:
                raise ServerEnded(f"exit code {await self.wait()}: {self.stderr[-2000:] or self.stdout[-2000:]}")
            await asyncio.sleep(PAUSE)
        url = facts["web"] or ""
        if self.url and url != self.url:
            raise ServerEnded(f"it came back at {url}, not at {self.url}: somebody took the port")
        self.facts, self.url = facts, url
        self._port = urlsplit(self.url).port or self._port


async def wait_gone(pid: int) -> None:
    """Return when a process has ended, whoever's child it is."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
