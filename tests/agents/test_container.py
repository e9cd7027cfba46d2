"""Containers: agents are made, found, stopped in order, and their errors told."""

from __future__ import annotations

import asyncio
import logging
import threading
import tracemalloc
from typing import Any

import pytest
from homes import told, until

from shellbot.agents import Agent, Container
from shellbot.errors import AgentError, AgentStopped, CallTimeout, UnknownAgent


class Noted(Agent):
    """Writes down what happens to it."""

    def __init__(self, home: Container, name: str, log: list[str], **settings: Any) -> None:
        super().__init__(home, name, **settings)
        self.log = log

    async def setup(self) -> None:
        self.log.append(f"{self.name} {self.state}")

    async def teardown(self) -> None:
        self.log.append(f"{self.name} {self.state}")


async def test_an_agent_is_made_set_up_found_and_stopped_last_come_first() -> None:
    log: list[str] = []
    async with told() as home:
        one = await home.spawn(Noted, log, name="one", pace=3)
        two = await home.spawn(Noted, log, name="two")
        assert (one.name, one.state, one.settings, one.home, one.clock) == (
            "one",
            "running",
            {"pace": 3},
            home,
            home.clock,
        )
        assert home.agents == [one, two]
        assert home.agent("two") is two
    assert log == ["one starting", "two starting", "two stopping", "one stopping"]
    assert (one.state, home.agents, home.state) == ("stopped", [], "stopped")


async def test_a_name_is_unique_while_its_agent_lives_and_free_afterwards() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        with pytest.raises(AgentError, match="lives here already"):
            await home.spawn(Agent, name="a")
        await home.remove(agent)
        with pytest.raises(UnknownAgent):
            home.agent("a")
        await home.spawn(Agent, name="a")


async def test_what_is_posted_in_setup_runs_after_it() -> None:
    log: list[str] = []

    class Eager(Agent):
        async def setup(self) -> None:
            self.first = self.post(log.append, "turn")
            await asyncio.sleep(0)
            log.append("set up")

    async with told() as home:
        agent = await home.spawn(Eager, name="a")
        await agent.first
    assert log == ["set up", "turn"]


async def test_a_failing_setup_is_raised_to_who_spawned_and_leaves_nothing() -> None:
    log: list[str] = []

    class Broken(Noted):
        async def setup(self) -> None:
            self.posted = self.post(log.append, "never")
            self.after(1, log.append, "never")
            raise LookupError("no such thing")

    made: list[Broken] = []

    def factory(home: Container, name: str, *args: Any, **settings: Any) -> Broken:
        made.append(Broken(home, name, *args, **settings))
        return made[0]

    async with told() as home:
        with pytest.raises(LookupError):
            await home.spawn(factory, log, name="a")
        assert made[0].state == "failed"
        assert home.agents == []
        assert home.timers.next_due is None
        with pytest.raises(AgentStopped):
            await made[0].posted
        await home.spawn(Noted, log, name="a")
    assert log == ["a starting", "a stopping"]  # of the second one; what was not set up is not torn down
    assert home.errors == []


async def test_an_agent_is_stopped_while_it_starts() -> None:
    class Slow(Agent):
        async def setup(self) -> None:
            await asyncio.Event().wait()

    async with told() as home:
        spawning = asyncio.ensure_future(home.spawn(Slow, name="slow"))
        await until(lambda: home.agents)
        await home.agent("slow").stop()
        with pytest.raises(AgentStopped):
            await spawning
        # and who gives up spawning leaves none behind
        spawning = asyncio.ensure_future(home.spawn(Slow, name="slow"))
        await until(lambda: home.agents)
        spawning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await spawning
        assert home.agents == []


async def test_an_agent_may_stop_itself_and_its_container() -> None:
    log: list[str] = []
    async with told() as home:
        await home.spawn(Noted, log, name="other")
        agent = await home.spawn(Noted, log, name="a")

        async def quit_all() -> str:
            await home.stop()
            log.append("said goodbye")
            return "done"

        assert await agent.post(quit_all) == "done"
        await home.stop()
    assert log == ["other starting", "a starting", "said goodbye", "a stopping", "other stopping"]


async def test_an_agent_that_stops_itself_ends_its_turn_first() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")

        async def leave() -> str:
            await agent.stop()
            await asyncio.sleep(0)
            return agent.state

        assert await agent.post(leave) == "stopping"
        await agent.stop()
        assert agent.state == "stopped"


async def test_stopping_again_and_giving_up_a_stop_change_nothing() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        gate = asyncio.Event()
        turn = agent.post(gate.wait)
        await asyncio.sleep(0)
        stops = [asyncio.ensure_future(agent.stop()) for _ in range(3)]
        await asyncio.sleep(0)
        stops[0].cancel()
        await asyncio.sleep(0)
        assert not stops[1].done()
        gate.set()
        assert await turn is True  # it had time to end
        await asyncio.gather(*stops[1:])
        await agent.stop()
        assert agent.state == "stopped"


async def test_agents_stop_within_one_time_together() -> None:
    async with told() as home:
        turns = []
        for number in range(20):
            agent = await home.spawn(Agent, name=str(number))
            turns.append(agent.post(asyncio.Event().wait))
        await asyncio.sleep(0)
        stopping = asyncio.ensure_future(home.stop(5))
        await until(lambda: home.seconds.next_due is not None)
        home.seconds.advance(5)
        await stopping
        for turn in turns:
            with pytest.raises(AgentStopped):
                await turn
        assert home.seconds.time() == 5


async def test_a_failing_or_stuck_teardown_is_told_and_does_not_hold_the_others() -> None:
    class Bad(Agent):
        async def teardown(self) -> None:
            if self.name == "fails":
                raise LookupError
            await asyncio.Event().wait()

    async with told() as home:
        await home.spawn(Bad, name="fails")
        await home.spawn(Bad, name="hangs")
        await home.agent("hangs").stop(0.01)
        await home.agent("fails").stop()
        await until(lambda: len(home.errors) == 2)
    assert [(name, type(error), what) for name, error, what in home.errors] == [
        ("hangs", CallTimeout, "teardown"),
        ("fails", LookupError, "teardown"),
    ]


async def test_with_policy_stop_an_agent_ends_at_its_first_error() -> None:
    log: list[str] = []
    async with told(error_policy="stop") as home:
        agent = await home.spawn(Noted, log, name="a")

        def fail() -> None:
            raise LookupError

        failing, following = agent.post(fail), agent.post(asyncio.sleep, 0)
        with pytest.raises(LookupError):
            await failing
        with pytest.raises(AgentStopped):
            await following
        await agent.stop()
        assert agent.state == "failed"
        assert home.agents == []
    assert log == ["a starting", "a stopping"]


async def test_by_default_an_error_is_logged_once_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise LookupError("the reason")

    async with Container() as home:
        agent = await home.spawn(Agent, name="meter")
        agent.post(fail)
        await until(lambda: caplog.records)
    [record] = caplog.records
    assert (record.name, record.levelno) == ("shellbot.agents.container", logging.ERROR)
    assert "agent=meter" in record.getMessage()
    assert "the reason" in caplog.text


async def test_an_error_of_the_hook_itself_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Worse(Container):
        def on_error(self, agent: Agent, error: BaseException, what: str) -> None:
            raise LookupError("while telling")

    async with Worse() as home:
        agent = await home.spawn(Agent, name="a")
        agent.post(lambda: 1 / 0)
        await until(lambda: caplog.records)
    assert "while telling" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_nothing_is_spawned_or_posted_where_nothing_runs() -> None:
    home = Container()
    with pytest.raises(AgentStopped):
        await home.spawn(Agent, name="early")
    async with home:
        agent = await home.spawn(Agent, name="a")
        with pytest.raises(AgentError, match="starts once"):
            await home.start()
    with pytest.raises(AgentStopped):
        await home.spawn(Agent, name="late")
    with pytest.raises(AgentStopped):
        agent.post(print)
    with pytest.raises(AgentStopped):
        agent.each(1, print)

    def elsewhere() -> None:
        with pytest.raises(AgentStopped):
            agent.post_threadsafe(print)

    await asyncio.to_thread(elsewhere)


async def test_threads_that_post_while_the_container_stops_are_all_answered() -> None:
    answered: list[str] = []
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        begun = threading.Barrier(4)

        def pester() -> None:
            begun.wait(10)
            while True:
                try:
                    answered.append(agent.post_threadsafe(asyncio.sleep, 0, "slept").result(10))
                except AgentStopped:
                    return

        threads = [asyncio.ensure_future(asyncio.to_thread(pester)) for _ in range(3)]
        await asyncio.to_thread(begun.wait, 10)
        await until(lambda: len(answered) > 20)
    await asyncio.gather(*threads)


@pytest.mark.parametrize("count", [10_000])
async def test_ten_thousand_idle_agents_cost_next_to_nothing(count: int) -> None:
    async with told() as home:
        tracemalloc.start()
        for number in range(count):
            await home.spawn(Agent, name=str(number))
        size_bytes, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(asyncio.all_tasks()) == 1
        assert size_bytes / count < 5000
        assert await asyncio.gather(*(agent.post(asyncio.sleep, 0, agent.name) for agent in home.agents)) == [
            str(number) for number in range(count)
        ]
