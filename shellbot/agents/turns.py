"""The mailbox of an agent and its turns: one at a time, in order of posting.

Nothing runs while a mailbox is empty. A turn is one task; it holds the mailbox from its grant until it ends or gives
the turn back. Who comes back from waiting stands in the same line as who was posted, so neither starves the other.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Protocol

from shellbot.agents.answers import Answer, Report
from shellbot.agents.limits import Limits
from shellbot.agents.workers import Workers
from shellbot.clocks import BaseClock
from shellbot.errors import AgentError, AgentStopped, CallTimeout

logger = logging.getLogger(__name__)
LAST_GRACE = 1.0  # seconds that a cancelled turn has for its cleaning up before it is left behind

Handler = Callable[..., Any]

current_turn: contextvars.ContextVar[Turn | None] = contextvars.ContextVar("shellbot_turn", default=None)


class Home(Protocol):
    """What a mailbox needs of the container."""

    loop: asyncio.AbstractEventLoop
    workers: Workers
    stopwatch: BaseClock
    limits: Limits


class Mailbox:
    """Turns of one agent. Belongs to the event loop of ``home``.

    Args:
        report: Called with an error that nobody took, and in which handler it was raised; from any thread.
        on_error: Called on the loop with every error of a turn, taken or not.
    """

    def __init__(
        self, home: Home, name: str, size: int, report: Report, on_error: Callable[[BaseException], None]
    ) -> None:
        self.home = home
        self.name = name
        self.report = report
        self.on_error = on_error
        self._size = size
        # Posted turns, and those that come back from waiting. There while somebody stands in it: an empty deque has
        # 600 bytes, and most of very many mailboxes are empty.
        self._line: deque[Turn] | None = None
        self._posted = 0  # of these, the posted ones
        self._begun: dict[Turn, None] = {}  # an empty set has four times the size
        self._holder: Turn | None = None
        self._is_open = False
        self.is_closed = False
        self._over: asyncio.Event | None = None

    def post(self, handler: Handler, args: tuple[Any, ...], limit: float | None) -> Answer:
        if self.is_closed:
            raise AgentStopped(f"{self.name} has stopped and takes nothing more")
        if self._posted >= self._size:
            raise asyncio.QueueFull(f"{self.name} has {self._posted} turns waiting already")
        turn = Turn(self, handler, args, limit)
        answer = turn.answer = Answer(self.home.loop, self.report, turn.what)
        self._stand(turn)
        self._posted += 1
        self.grant_next()
        return answer

    def open(self) -> None:
        """Begin with the turns; what was posted before has waited in the line."""
        self._is_open = True
        self.grant_next()

    def waiting(self) -> Waiting:
        return Waiting(self)

    def close(self, error: AgentError) -> None:
        """Take nothing more. Whoever was posted and not begun is answered with ``error``; who waits is cancelled."""
        if self.is_closed:
            return
        self.is_closed = True
        line = self._line or ()
        posted = [turn for turn in line if turn.task is None]
        self._line = deque(turn for turn in line if turn.task is not None)
        self._posted = 0
        for turn in posted:
            turn.finish(error)
        for turn in list(self._begun):
            if not turn.is_held and not turn.comers:
                turn.cancel()

    async def wait_ended(self, timeout: float) -> None:
        """Wait until the turns that have begun are over. Who is not in time is cancelled, then left behind."""
        for patience in (timeout, LAST_GRACE):
            if self._begun and patience > 0:
                self._over = asyncio.Event()
                timer = self.home.stopwatch.call_in(patience, self._over.set)
                try:
                    await self._over.wait()
                finally:
                    timer.cancel()
            for turn in list(self._begun):
                turn.cancel()
        for turn in list(self._begun):
            logger.error("%s was cancelled, does not end and is left behind agent=%s", turn.what, self.name)
            turn.finish(AgentStopped(f"{self.name} has stopped; {turn.what} did not end when it was cancelled"))

    def grant_next(self) -> None:
        """Give the turn to who is first in the line, if it is free."""
        while self._is_open and self._holder is None and self._line:
            turn = self._line.popleft()
            if not self._line:
                self._line = None
            if turn.is_over:
                continue
            if turn.task is None:
                self._posted -= 1
                self._begun[turn] = None
            self._holder = turn
            turn.granted()

    def give_back(self, turn: Turn) -> None:
        if self._holder is turn:
            self._holder = None
            self.grant_next()

    def _stand(self, turn: Turn) -> None:
        if self._line is None:
            self._line = deque()
        self._line.append(turn)

    def come_back(self, turn: Turn) -> None:
        self._stand(turn)
        self.grant_next()

    def forget(self, turn: Turn) -> None:
        self._begun.pop(turn, None)
        self.give_back(turn)
        if self._over is not None and not self._begun:
            self._over.set()


class Turn:
    """One call of a handler, from posting to its answer.

    The handler takes a step only while the turn is held. Tasks that it starts (as ``asyncio.wait_for`` and ``gather``
    do) may wait on its behalf, so ``waits`` counts who of the turn waits now. The turn is held while nobody of it
    waits; else while the handler takes a step, while a task that came back from waiting (``active``) goes on, and
    while one that was granted the turn is about to (``coming``).
    """

    __slots__ = (
        "active", "answer", "args", "comers", "coming", "context", "handler", "is_held", "is_late", "is_over",
        "is_plain", "left", "limit", "mailbox", "own_waits", "since", "strands", "task", "waits", "what",
    )  # fmt: skip

    def __init__(self, mailbox: Mailbox, handler: Handler, args: tuple[Any, ...], limit: float | None) -> None:
        self.mailbox = mailbox
        self.handler = handler
        self.args = args
        self.limit = limit
        self.what = getattr(handler, "__qualname__", None) or repr(handler)
        self.is_plain = not is_async(handler)
        self.answer: Answer | None = None
        self.task: asyncio.Task[Any] | None = None
        self.context: contextvars.Context | None = contextvars.copy_context()  # of who posted
        self.is_held = False
        self.is_late = False
        self.is_over = False
        self.waits = 0
        self.own_waits = 0  # of these, the handler's own
        self.active: set[asyncio.Task[Any]] = set()
        self.strands: set[asyncio.Task[Any]] = set()
        self.comers: list[asyncio.Future[None]] = []
        self.coming = 0
        self.left = limit
        self.since: float | None = None

    def granted(self) -> None:
        self.is_held = True
        if self.task is None:
            self.task = self.mailbox.home.loop.create_task(self._run(), context=self.context)
            self.task.add_done_callback(self._ended)
            return
        self.watch()
        comers, self.comers = self.comers, []
        self.coming += len(comers)
        for comer in comers:
            comer.set_result(None)

    async def _run(self) -> Any:
        current_turn.set(self)
        result = await self._guarded(self._handle())
        # The usual end, here and not in a step of the loop of its own: the next turn begins one step sooner.
        task = self.task
        assert task is not None
        task.remove_done_callback(self._ended)
        self.finish(None, result)
        self.task = self.context = None

    @types.coroutine
    def _guarded(self, handler: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Run ``handler`` step by step, each when the turn is held."""
        assert self.task is not None
        error: BaseException | None = None
        while True:
            if not self.own_waits:
                self.active.add(self.task)
            try:
                step = handler.send(None) if error is None else handler.throw(error)
            except StopIteration as end:
                return end.value
            finally:
                error = None
            self.active.discard(self.task)
            self._give_back_if_all_wait()
            try:
                yield step
            except GeneratorExit:
                handler.close()
                raise
            except BaseException as raised:
                error = raised
            if not self.is_held and not self.own_waits:  # a task of it waits: others may have the turn
                error = (yield from self._acquire().__await__()) or error

    async def _handle(self) -> Any:
        if not self.is_plain:
            self.watch()
            return await self.handler(*self.args)
        result = await self.mailbox.home.workers.run(self.handler, *self.args, on_start=self.watch)
        if inspect.isawaitable(result):  # e.g. a lambda that calls an async function
            result = await result
        return result

    def watch(self) -> None:
        """The turn runs: its time counts from here."""
        if self.left is not None and self.since is None and not self.is_late:
            home = self.mailbox.home
            self.since = home.stopwatch.time()
            home.limits.begin(self, self.left, self.since)

    def _unwatch(self) -> None:
        if self.left is not None and self.since is not None:
            home = self.mailbox.home
            home.limits.end(self, self.left)
            self.left -= home.stopwatch.time() - self.since
        self.since = None

    def overrun(self) -> None:
        """The turn has run for as long as it may."""
        self.is_late = True
        self._reply(None, CallTimeout(f"{self.what} of {self.mailbox.name} ran longer than {self.limit:g} s"))
        self.cancel()

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def leave(self, task: asyncio.Task[Any] | None) -> None:
        """``task`` begins to wait."""
        self.waits += 1
        if task is self.task:
            self.own_waits += 1
        if task is not None:
            self.active.discard(task)
        self._give_back_if_all_wait()
        if self.mailbox.is_closed:
            self.cancel()  # nothing new will come that it could wait for

    async def come_back(self, task: asyncio.Task[Any] | None) -> None:
        """``task`` waited long enough and goes on when it has the turn, also when it is cancelled meanwhile."""
        cancelled = await self._acquire()
        self.waits -= 1
        if task is self.task:
            self.own_waits -= 1
        if task is not None and not self.is_over:
            self.active.add(task)
            if task is not self.task and task not in self.strands:
                self.strands.add(task)
                task.add_done_callback(self._strand_ended)
        if cancelled is not None:
            raise cancelled

    async def _acquire(self) -> asyncio.CancelledError | None:
        """Stand in line until the turn is held. Returns the cancelling that came meanwhile, to be raised then."""
        cancelled: asyncio.CancelledError | None = None
        if not self.is_held and not self.is_over:
            comer: asyncio.Future[None] = self.mailbox.home.loop.create_future()
            self.comers.append(comer)
            if len(self.comers) == 1:
                self.mailbox.come_back(self)
            while not comer.done():
                try:
                    await asyncio.wait((comer,))
                except asyncio.CancelledError as error:
                    cancelled = error
            self.coming -= 1
        return cancelled

    def _strand_ended(self, task: asyncio.Task[Any]) -> None:
        self.strands.discard(task)
        self.active.discard(task)
        self._give_back_if_all_wait()

    def _give_back_if_all_wait(self) -> None:
        if self.is_held and self.waits and not self.active and not self.coming:
            self.is_held = False
            self._unwatch()
            self.mailbox.give_back(self)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            if self.mailbox.is_closed:
                self.finish(AgentStopped(f"{self.mailbox.name} stopped before {self.what} had ended"))
            elif self.is_late:
                self.finish(None)
            else:
                self.finish(AgentError(f"{self.what} of {self.mailbox.name} was cancelled from within"))
        elif (error := task.exception()) is not None:
            self.finish(error)
        else:
            self.finish(None, task.result())
        # Either leads back to the turn: such a ring, for each message, would be left to the garbage collector.
        self.task = self.context = None

    def finish(self, error: BaseException | None, result: Any = None) -> None:
        """The turn is over: answer, and let the next one begin."""
        if self.is_over:
            return
        self.is_over = True
        self.is_held = False
        self._unwatch()
        if self.answer is not None:
            self._reply(result, error)
        elif error is not None and not isinstance(error, AgentStopped):
            self.mailbox.report(error, self.what)  # its answer was given before: that it was late
        comers, self.comers = self.comers, []
        for comer in comers:  # tasks it started and did not wait for: they go on as outside of a turn
            if not comer.done():
                comer.set_result(None)
        self.active.clear()
        self.mailbox.forget(self)

    def _reply(self, result: Any, error: BaseException | None) -> None:
        answer, self.answer = self.answer, None  # let go of, so that an error nobody takes is noticed at once
        if error is not None:
            self.mailbox.on_error(error)
        if answer is None:
            return
        if not answer.done():
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)
        elif error is not None:  # who waited has gone away
            self.mailbox.report(error, self.what)


class Waiting:
    """Inside of ``async with``, the turn is given back; outside of a turn of this agent it does nothing."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._turn: Turn | None = None
        self._task: asyncio.Task[Any] | None = None

    async def __aenter__(self) -> None:
        turn = current_turn.get()
        if turn is not None and turn.mailbox is self._mailbox and not turn.is_over:
            self._turn, self._task = turn, asyncio.current_task()
            turn.leave(self._task)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            await turn.come_back(self._task)


def is_async(handler: Handler) -> bool:
    """Whether calling ``handler`` gives a coroutine."""
    code = getattr(handler, "__code__", None)
    if code is not None and code.co_flags & inspect.CO_COROUTINE:  # what is asked below after several other questions
        return True
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004
