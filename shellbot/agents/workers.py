"""Worker threads for plain functions, so that a function that blocks never holds the event loop.

The threads are daemons: a function that never ends does not hang the exit of the program.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from shellbot.errors import AgentStopped

logger = logging.getLogger(__name__)
MOST_LEFT_BEHIND = 256  # so many stuck functions take no place; those beyond do, so that threads do not grow for ever


class Workers:
    """At most ``most`` functions at once, others wait in order. Everything here belongs to the event loop.

    A function that nobody waits for any more cannot be ended: it is left behind, its place goes to the next in line
    and its result is dropped.
    """

    def __init__(self, most: int = 32) -> None:
        self._most = most
        self._idle: list[_Worker] = []
        self._jobs: set[_Job] = set()  # whose function has begun and not ended
        self._line: deque[asyncio.Future[None]] = deque()
        self._taken = 0
        self._left_behind = 0
        self._is_closed = False

    async def run(self, f: Callable[..., Any], *args: Any, on_start: Callable[[], None] | None = None) -> Any:
        """Call ``f(*args)`` in a thread, with a copy of the caller's context variables.

        Args:
            on_start: Called on the loop when a place is free and the function begins.

        Raises:
            AgentStopped: The workers were closed before the function ended.
        """
        await self._take_place()
        if on_start is not None:
            on_start()
        job = _Job(contextvars.copy_context(), f, args)
        self._jobs.add(job)
        job.worker = self._idle.pop() if self._idle else _Worker(self._ended)
        job.worker.jobs.put(job)
        try:
            return await job.answer
        finally:
            if job in self._jobs and not self._is_closed:
                self._leave_behind(job)

    def close(self) -> None:
        """End the threads; who waits gets AgentStopped. A function that still runs is left behind with its thread."""
        self._is_closed = True
        for waiting in self._line:
            if not waiting.done():
                waiting.set_exception(AgentStopped("the container has stopped"))
        self._line.clear()
        for job in self._jobs:
            if job.worker is not None:
                job.worker.jobs.put(None)  # it ends when the function does
            if not job.answer.done():
                job.answer.set_exception(AgentStopped("the container stopped while the function ran"))
        for worker in self._idle:
            worker.jobs.put(None)
        for worker in self._idle:
            worker.join()  # it has nothing to do but to end
        self._idle.clear()

    async def _take_place(self) -> None:
        if self._is_closed:
            raise AgentStopped("the container has stopped")
        if self._taken < self._most:
            self._taken += 1
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                self._free_place()  # it came at the same moment
            raise

    def _free_place(self) -> None:
        while self._line:
            waiting = self._line.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return
        self._taken -= 1

    def _leave_behind(self, job: _Job) -> None:
        logger.warning("a function still runs though nobody waits for it any more: %r", job.f)
        if self._left_behind < MOST_LEFT_BEHIND:
            self._left_behind += 1
            job.is_left_behind = True
            self._free_place()

    def _ended(self, worker: _Worker, job: _Job, result: Any, error: BaseException | None) -> None:
        self._jobs.discard(job)
        if job.is_left_behind:
            self._left_behind -= 1
        else:
            self._free_place()
        if not self._is_closed:
            if len(self._idle) < self._most:
                self._idle.append(worker)
            else:
                worker.jobs.put(None)
        if job.answer.done():
            return
        if error is None:
            job.answer.set_result(result)
        else:
            job.answer.set_exception(error)


class _Job:
    __slots__ = ("answer", "args", "context", "f", "is_left_behind", "worker")

    def __init__(self, context: contextvars.Context, f: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.context = context
        self.f = f
        self.args = args
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.is_left_behind = False
        self.worker: _Worker | None = None


class _Worker(threading.Thread):
    """One thread: takes a job, tells the loop how it ended, takes the next; None ends it."""

    def __init__(self, ended: Callable[[_Worker, _Job, Any, BaseException | None], None]) -> None:
        super().__init__(name="shellbot-worker", daemon=True)
        self.jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self.start()

    def run(self) -> None:
        while (job := self.jobs.get()) is not None:
            result: Any = None
            error: BaseException | None = None
            try:
                result = job.context.run(job.f, *job.args)
            except (StopIteration, asyncio.CancelledError) as raised:
                # neither can be handed to who awaits: the one ends iterators, the other would look like his own end
                error = RuntimeError(f"{job.f!r} raised {type(raised).__name__}")
                error.__cause__ = raised
            except BaseException as raised:
                error = raised
            try:
                self._loop.call_soon_threadsafe(self._ended, self, job, result, error)
            except RuntimeError:
                return  # the loop is closed: nobody is there to tell
            del job, result, error  # an idle thread keeps nothing alive
