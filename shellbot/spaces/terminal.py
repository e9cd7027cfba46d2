"""Lines in and lines out, by threads, so that neither a slow typist nor a stuck reader holds the event loop."""

from __future__ import annotations

import asyncio
import codecs
import concurrent.futures
import os
import queue
import select
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import TextIO

from shellbot.errors import SpaceError

MAX_LINE = 20_000  # characters of a line that are kept; who takes it sees by the length that there was more
CLOSE_PATIENCE = 1.0  # seconds for a stuck output; then its thread, a daemon, is left behind


class LineReader:
    """Gives each line of ``source`` to ``on_line``, the next when that is done; then calls ``on_end``, on the loop."""

    def __init__(self, source: TextIO, on_line: Callable[[str], Awaitable[None]], on_end: Callable[[], None]) -> None:
        self._source = source
        self._on_line = on_line
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._is_closed = False
        self._handed: concurrent.futures.Future[None] | None = None
        try:
            self._descriptor: int | None = source.fileno()
        except (OSError, AttributeError, ValueError):  # not a file, such as StringIO
            self._descriptor = None
        self._wake_read, self._wake_write = os.pipe()
        threading.Thread(target=self._run, name="shellbot-lines-in", daemon=True).start()

    async def close(self) -> None:
        """Read no further. Returns when the thread has ended, or can no longer be reached."""
        if not self._is_closed:
            self._is_closed = True
            os.write(self._wake_write, b".")
            if self._handed is not None:
                self._handed.cancel()
        try:
            async with asyncio.timeout(CLOSE_PATIENCE):
                await self._ended.wait()
        except TimeoutError:
            return
        for end in (self._wake_read, self._wake_write):
            os.close(end)
        self._wake_read = self._wake_write = -1

    def _run(self) -> None:
        lines = self._from_file(self._descriptor) if self._descriptor is not None else self._from_object()
        try:
            for line in lines:
                if self._is_closed:
                    break
                self._handed = asyncio.run_coroutine_threadsafe(_taken(self._on_line, line), self._loop)
                self._handed.result()
        except (concurrent.futures.CancelledError, RuntimeError):
            pass  # closed, or the loop is
        try:
            self._loop.call_soon_threadsafe(self._told)
        except RuntimeError:
            pass

    def _told(self) -> None:
        self._ended.set()
        self._on_end()

    def _from_object(self) -> Iterator[str]:
        while line := self._source.readline():
            yield line.rstrip("\n")

    def _from_file(self, descriptor: int) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        poll = select.poll()  # epoll refuses plain files
        poll.register(descriptor, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        rest = ""
        while True:
            ready = [number for number, _ in poll.poll()]
            if self._wake_read in ready:
                return
            try:
                data = os.read(descriptor, 65536)
            except OSError:  # the terminal is gone
                data = b""
            *lines, rest = (rest + decoder.decode(data, final=not data)).split("\n")
            for line in lines:
                yield line.rstrip("\r")
            rest = rest[: MAX_LINE + 1]
            if not data:
                if rest:
                    yield rest.rstrip("\r")
                return


async def _taken(on_line: Callable[[str], Awaitable[None]], line: str) -> None:
    await on_line(line)


class LineWriter:
    """Writes whole lines to ``output`` in the order of the calls; may be called from any number of tasks."""

    def __init__(self, output: TextIO) -> None:
        self.output = output  # may be another one from the next lines on
        self._loop = asyncio.get_running_loop()
        self._line: queue.SimpleQueue[tuple[str, asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._ended = asyncio.Event()
        self._is_closed = False
        threading.Thread(target=self._run, name="shellbot-lines-out", daemon=True).start()

    async def write(self, lines: list[str]) -> None:
        """Write these lines; none of others come between. Returns when they are written.

        Raises:
            SpaceError: The output is closed, or nobody reads it any more.
        """
        if self._is_closed:
            raise SpaceError("the console is closed")
        written: asyncio.Future[None] = self._loop.create_future()
        self._line.put(("".join(f"{line}\n" for line in lines), written))
        await written

    async def close(self) -> None:
        """End, after what was to be written before."""
        if not self._is_closed:
            self._is_closed = True
            self._line.put(None)
        try:
            async with asyncio.timeout(CLOSE_PATIENCE):
                await self._ended.wait()
        except TimeoutError:
            pass

    def _run(self) -> None:
        while (entry := self._line.get()) is not None:
            text, written = entry
            error: Exception | None = None
            try:
                encoding = getattr(self.output, "encoding", None) or "utf-8"
                self.output.write(text.encode(encoding, "replace").decode(encoding))
                self.output.flush()
            except (OSError, ValueError) as raised:  # nobody reads it, or it was closed
                error = SpaceError(f"the console cannot be written: {raised}")
                error.__cause__ = raised
            self._tell(_settle, written, error)
        self._tell(self._ended.set)

    def _tell(self, f: Callable[..., object], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(f, *args)
        except RuntimeError:
            pass  # the loop is closed: nobody waits


def _settle(written: asyncio.Future[None], error: Exception | None) -> None:
    if written.done():
        return
    if error is None:
        written.set_result(None)
    else:
        written.set_exception(error)
