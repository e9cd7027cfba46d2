"""A container: the place where agents live; it starts, finds and stops them, and hears of their errors."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeVar

from shellbot.agents.agent import Agent
from shellbot.agents.limits import Limits
from shellbot.agents.turns import current_turn
from shellbot.agents.workers import Workers
from shellbot.clocks import AsyncioClock, BaseClock
from shellbot.errors import AgentError, AgentStopped, UnknownAgent

logger = logging.getLogger(__name__)
A = TypeVar("A", bound=Agent)
A_co = TypeVar("A_co", bound=Agent, covariant=True)
ErrorPolicy = Literal["report", "stop"]


class Factory(Protocol[A_co]):
    """What ``spawn`` calls; most often a class of agents."""

    def __call__(self, home: Any, name: str, /, *args: Any, **settings: Any) -> A_co: ...


class Container:
    """Home of agents on one event loop.

    Args:
        clock: What the agents' timers go by; real time by default.
        error_policy: ``report`` lets an agent go on after a turn raised; ``stop`` stops it as ``failed``.
        stopwatch: What limits of turns and the patience of stopping go by; real time by default, so that moving
            ``clock`` does not end turns that run.
    """

    loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        *,
        clock: BaseClock | None = None,
        error_policy: ErrorPolicy = "report",
        stopwatch: BaseClock | None = None,
    ) -> None:
        if error_policy not in ("report", "stop"):
            raise ValueError(f"error_policy is 'report' or 'stop', not {error_policy!r}")
        self.clock: BaseClock = clock or AsyncioClock()
        self.stopwatch: BaseClock = stopwatch or AsyncioClock()
        self.error_policy = error_policy
        self.workers = Workers()
        self.limits = Limits(self)
        self.state = "new"
        self._agents: dict[str, Agent] = {}
        self._thread = 0
        self._stopping: asyncio.Task[None] | None = None
        self._closing = threading.Lock()  # held while a thread puts something on the loop, so that none comes too late
        self._is_closed = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Begin on the running loop. A container starts once."""
        if self.state != "new":
            raise AgentError(f"a container starts once; this one is {self.state}")
        self.loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self.state = "running"

    async def stop(self, timeout: float = 5) -> None:
        """Stop all agents, who came last first, then the worker threads. May be called again.

        They have ``timeout`` seconds together; who is not in time is cancelled. Called by a turn of one of its
        agents it returns at once, and stops when that turn has ended.
        """
        if self.state == "new":
            self.state = "stopped"
            return
        if self._stopping is None:
            self.state = "stopping"
            self._stopping = asyncio.create_task(self._stop(timeout))
        turn = current_turn.get()
        if turn is None or turn.mailbox.home is not self or turn.is_over:
            await asyncio.shield(self._stopping)

    async def _stop(self, timeout: float) -> None:
        current_turn.set(None)  # whoever asked for it
        until = self.stopwatch.time() + timeout
        while self._agents and (left := until - self.stopwatch.time()) > 0:
            await self._agents[next(reversed(self._agents))].stop(left)
        await asyncio.gather(*(agent.stop(0) for agent in self._agents.values()))
        with self._closing:
            self._is_closed = True
        await asyncio.sleep(0)  # what other threads had put on the loop before is answered
        self.workers.close()
        self.state = "stopped"

    async def spawn(self, factory: Factory[A], *args: Any, name: str, **settings: Any) -> A:
        """Make an agent by ``factory(home, name, *args, **settings)`` and start it. Returns when its ``setup`` has.

        Raises:
            AgentError: Another agent here has this name.
            AgentStopped: The container does not run, or the agent was stopped while it started.
        """
        if self.state != "running":
            raise AgentStopped(f"agents are spawned while the container runs; it is {self.state}")
        if name in self._agents:
            raise AgentError(f"an agent named {name!r} lives here already")
        agent = factory(self, name, *args, **settings)
        self._agents[name] = agent
        try:
            await agent.start()
        except BaseException:
            if agent.state == "failed":  # else it is being stopped, which forgets it at its end
                self.forget(agent)
            raise
        return agent

    def agent(self, name: str) -> Agent:
        """The agent of this name.

        Raises:
            UnknownAgent: None of this name lives here, or it has stopped.
        """
        try:
            return self._agents[name]
        except KeyError:
            raise UnknownAgent(f"no agent named {name!r} lives here") from None

    @property
    def agents(self) -> list[Agent]:
        """All that live here, in the order they came."""
        return list(self._agents.values())

    async def remove(self, agent: Agent, timeout: float = 5) -> None:
        """Stop the agent; its name is free then."""
        await agent.stop(timeout)

    def forget(self, agent: Agent) -> None:
        """The agent has ended. Called by the agent."""
        if self._agents.get(agent.name) is agent:
            del self._agents[agent.name]

    def run_blocking(self, f: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        """Call a function that blocks, in a worker thread: 32 at once, others wait in order. Await what it gives.

        Who stops waiting leaves it behind: it goes on in its thread, and its result is dropped. The threads are
        daemons, so a function that never ends does not hang the exit.
        """
        return self.workers.run(f, *args)

    def on_error(self, agent: Agent, error: BaseException, what: str) -> None:
        """A turn of ``agent`` raised and nobody took the error, or its teardown did. Hook; runs on the loop.

        Args:
            what: The handler, by name.
        """
        logger.error("%s failed agent=%s", what, agent.name, exc_info=error)

    def report(self, agent: Agent, error: BaseException, what: str) -> None:
        """Have ``on_error`` called, once, soon. May be called from any thread, also while objects are collected."""
        try:
            self.loop.call_soon_threadsafe(self._report, agent, error, what)
        except RuntimeError:  # the loop is closed
            self._report(agent, error, what)

    def _report(self, agent: Agent, error: BaseException, what: str) -> None:
        try:
            self.on_error(agent, error, what)
        except Exception:
            logger.exception("on_error itself failed agent=%s; it was to report %r", agent.name, error)

    def on_loop(self, f: Callable[[], object]) -> None:
        """Call ``f`` on the loop: now when this is its thread, else as soon as it can.

        Raises:
            AgentStopped: The container has stopped.
        """
        if threading.get_ident() == self._thread:
            f()
            return
        with self._closing:
            if self._is_closed:
                raise AgentStopped("the container has stopped")
            self.loop.call_soon_threadsafe(f)

    def check_thread(self, name: str, instead: str) -> None:
        """Refuse a call from another thread than the loop's."""
        if threading.get_ident() != self._thread:
            raise RuntimeError(f"{name}() belongs to the thread of the event loop; use {instead}() in others")
