"""An agent: a name, a mailbox, timers, and the way from its start to its stop."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Awaitable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from shellbot.agents.answers import ThreadAnswer, hand_over
from shellbot.agents.timers import Timer
from shellbot.agents.turns import LAST_GRACE, Handler, Mailbox, Waiting, current_turn
from shellbot.errors import AgentError, AgentStopped, CallTimeout

if TYPE_CHECKING:
    from shellbot.agents.container import Container
    from shellbot.clocks import BaseClock

T = TypeVar("T")


class Agent:
    """Does one thing at a time: what is posted to it runs in turns, in order. Made by :meth:`Container.spawn`.

    An agent costs nothing while it has nothing to do: no task, no thread.

    Attributes:
        name: Under which the container knows it; home: the container; settings: what ``spawn`` was given.
        state: ``new``, ``starting``, ``running``, ``stopping``, ``stopped``, or ``failed``: ``setup`` raised, or
            a turn did in a container that stops agents for it.
        mailbox_size: How many turns may wait to begin.
    """

    mailbox_size = 10_000

    def __init__(self, home: Container, name: str, **settings: Any) -> None:
        self.home = home
        self.name = name
        self.settings = settings
        self.state = "new"
        self._mailbox = Mailbox(home, name, self.mailbox_size, self.report_error, self._on_error)
        self._timers: dict[Timer, None] = {}
        self._is_set_up = False
        self._starting: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None

    @property
    def clock(self) -> BaseClock:
        """The clock of the container."""
        return self.home.clock

    @property
    def is_closed(self) -> bool:
        """Whether it takes nothing more."""
        return self._mailbox.is_closed

    async def setup(self) -> None:
        """Called once before the first turn. Timers may be set and turns posted here; they begin afterwards."""

    async def teardown(self) -> None:
        """Called once after the last turn, when ``setup`` had succeeded."""

    def post(self, handler: Handler, *args: Any, limit: float | None = None) -> asyncio.Future[Any]:
        """Put one turn into the mailbox.

        Args:
            handler: An async function runs on the loop, a plain one on a worker thread; both see the context
                variables of who posts.
            limit: Seconds it may *run*; standing in line and waiting do not count. Past it the turn is cancelled.
                A plain function cannot be: its thread is left behind and its result dropped.

        Returns:
            A future with what the handler returns or raises. Cancelling it gives up the answer, not the turn.
            An error that nobody takes from it is reported once, by ``home.on_error``.

        Raises:
            asyncio.QueueFull: ``mailbox_size`` turns wait already.
            AgentStopped: It takes nothing more. In the future: it stopped before the turn had ended.
            CallTimeout: In the future: ``limit`` is over.

        Runs in: the thread of the event loop.
        """
        self.home.check_thread("post", "post_threadsafe")
        return self._mailbox.post(handler, args, limit)

    def post_threadsafe(
        self, handler: Handler, *args: Any, limit: float | None = None
    ) -> concurrent.futures.Future[Any]:
        """:meth:`post` from another thread. A full mailbox, too, is told in the future."""
        answer = ThreadAnswer(self.report_error, getattr(handler, "__qualname__", repr(handler)))

        def put() -> None:
            try:
                turn = self._mailbox.post(handler, args, limit)
            except Exception as error:
                answer.set_exception(error)
            else:
                turn.add_done_callback(lambda turn: hand_over(turn, answer))

        self.home.on_loop(put)
        return answer

    def waiting(self) -> Waiting:
        """``async with agent.waiting():`` gives the turn back while its body waits, and takes a new one to go on.

        Other turns of this agent run meanwhile. It goes on when it is first in line, behind what was posted before;
        so, too, when it is cancelled. A task that the handler started (by ``gather``, ``wait_for``) waits on its
        behalf, so the handler should then wait for it and do nothing else. Outside of a turn of this agent it
        does nothing. When the agent stops, who waits is cancelled.
        """
        return self._mailbox.waiting()

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """Await with the turn given back; see :meth:`waiting`."""
        async with self.waiting():
            return await awaitable

    def each(self, period: float, f: Handler, *args: Any) -> Timer:
        """Call ``f(*args)`` as a turn every ``period`` seconds, the first time after one period. From any thread."""
        if not period > 0:
            raise ValueError(f"period must be more than 0 seconds, not {period!r}")
        return self._timer(self.clock.time() + period, period, f, args)

    def after(self, delay: float, f: Handler, *args: Any) -> Timer:
        """Call ``f(*args)`` as a turn once, in ``delay`` seconds. From any thread."""
        return self._timer(self.clock.time() + delay, None, f, args)

    def at(self, when: float | datetime, f: Handler, *args: Any) -> Timer:
        """Call ``f(*args)`` as a turn once, at ``when``: seconds on the clock's ``time()``, or an aware datetime."""
        return self._timer(when, None, f, args)

    def _timer(self, when: float | datetime, period: float | None, f: Handler, args: tuple[Any, ...]) -> Timer:
        if self.is_closed:
            raise AgentStopped(f"{self.name} has stopped and sets no more timers")
        return Timer(self, self._timers, when, period, f, args)

    def report_error(self, error: BaseException, what: str) -> None:
        """Tell the container of an error that nobody else will hear of. May be called from any thread."""
        self.home.report(self, error, what)

    async def start(self) -> None:
        """Set it up and begin with its turns. Called by the container."""
        self.state = "starting"
        self._starting = asyncio.ensure_future(self.setup())
        try:
            await self._starting
        except BaseException as error:
            self._starting = None
            self._close(AgentStopped(f"{self.name} did not start"))
            if self._stopping is not None and isinstance(error, asyncio.CancelledError):
                raise AgentStopped(f"{self.name} was stopped while it started") from None
            self.state = "failed"
            raise
        self._starting = None
        self._is_set_up = True
        if self._stopping is not None:
            raise AgentStopped(f"{self.name} was stopped while it started")
        self.state = "running"
        self._mailbox.open()

    async def stop(self, timeout: float = 5) -> None:
        """Take nothing more, end what runs, tear down. Returns when it has stopped; may be called again.

        Who stands in line is answered with AgentStopped, timers are cancelled, who waits inside of a turn is
        cancelled. The turn that runs has ``timeout`` seconds to end, then it is cancelled. ``teardown`` has as long.
        Cancelling the call does not take the stop back.

        Called by a turn of this agent it returns at once: the agent stops when that turn has ended.
        """
        self._begin_stop(timeout, "stopped")
        turn = current_turn.get()
        is_own = turn is not None and turn.mailbox is self._mailbox and not turn.is_over
        if self._stopping is not None and not is_own:
            await asyncio.shield(self._stopping)

    def _begin_stop(self, timeout: float, end_state: str) -> None:
        if self._stopping is None and self.state not in ("stopped", "failed"):
            self.state = "stopping"
            self._close(AgentStopped(f"{self.name} has stopped"))  # now, so that no further turn begins
            self._stopping = asyncio.create_task(self._stop(timeout, end_state))

    async def _stop(self, timeout: float, end_state: str) -> None:
        current_turn.set(None)  # whoever asked for it
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait((self._starting,), timeout=timeout)
        await self._mailbox.wait_ended(timeout)
        if self._is_set_up:
            await self._tear_down(max(timeout, LAST_GRACE))
        self.state = end_state
        self.home.forget(self)

    async def _tear_down(self, timeout: float) -> None:
        task = asyncio.ensure_future(self.teardown())
        for patience in (timeout, LAST_GRACE):
            await asyncio.wait((task,), timeout=patience)
            if task.done():
                break
            task.cancel()
        if not task.done() or task.cancelled():
            self.report_error(CallTimeout(f"teardown of {self.name} took longer than {timeout:g} s"), "teardown")
        elif (error := task.exception()) is not None:
            self.report_error(error, "teardown")

    def _close(self, error: AgentError) -> None:
        self._mailbox.close(error)
        for timer in list(self._timers):
            timer.cancel()

    def _on_error(self, error: BaseException) -> None:
        if self.home.error_policy == "stop" and not isinstance(error, AgentStopped):
            self._begin_stop(5, "failed")
