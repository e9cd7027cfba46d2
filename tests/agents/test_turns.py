"""Turns: one at a time and in order, given back while waiting, limited while running, answered in any case."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import threading
import weakref
from typing import Any

import pytest
from homes import Told, told, until

from shellbot.agents import Agent
from shellbot.errors import AgentError, AgentStopped, CallTimeout


class Busy(Exception):
    """Raised by handlers of these tests."""


async def fail() -> None:
    raise Busy("as asked")


def fail_plainly() -> None:
    raise Busy("as asked")


async def begun(home: Told, agent: Agent, handler: Any, *args: Any, **limit: float) -> asyncio.Future[Any]:
    """Post, and return when the turn has begun."""
    start = asyncio.Event()

    async def run() -> Any:
        start.set()
        return await handler(*args)

    turn = agent.post(run, **limit)
    await start.wait()
    return turn


async def test_turns_come_one_at_a_time_in_order_of_posting() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        log: list[str] = []

        async def slow(name: str) -> str:
            log.append(f"{name} begins")
            await asyncio.sleep(0)
            log.append(f"{name} ends")
            return name

        def plain(name: str) -> str:
            log.append(name)
            return name

        turns = [agent.post(slow, "1"), agent.post(plain, "2"), agent.post(slow, "3")]
        assert log == []  # never within post
        assert [await turn for turn in turns] == ["1", "2", "3"]
        assert log == ["1 begins", "1 ends", "2", "3 begins", "3 ends"]


async def test_an_idle_agent_has_no_task_and_no_thread() -> None:
    async with told() as home:
        tasks, threads = len(asyncio.all_tasks()), threading.active_count()
        agents = [await home.spawn(Agent, name=str(number)) for number in range(1000)]
        await agents[500].post(asyncio.sleep, 0)
        assert (len(asyncio.all_tasks()), threading.active_count()) == (tasks, threads)


async def test_a_plain_handler_runs_in_a_thread_and_sees_the_context_of_who_posted() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")

        def look() -> tuple[str, bool]:
            seen = name.get()
            name.set("changed in the thread")
            return seen, threading.current_thread() is threading.main_thread()

        async def look_async() -> str:
            return name.get()

        name.set("poster")
        assert await agent.post(look) == ("poster", False)
        assert await agent.post(look_async) == "poster"


async def test_whatever_gives_a_coroutine_is_awaited_on_the_loop() -> None:
    class Callable:
        async def __call__(self, x: int) -> tuple[int, bool]:
            return x, threading.current_thread() is threading.main_thread()

    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        handler = Callable()
        for posted in (handler, functools.partial(handler), handler.__call__, lambda x: handler(x)):
            assert await agent.post(posted, 1) == (1, True)


async def test_an_error_goes_to_who_awaits_and_the_agent_goes_on() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        for handler in (fail, fail_plainly):
            with pytest.raises(Busy):
                await agent.post(handler)
        assert await agent.post(lambda: "on") == "on"
        assert agent.state == "running"
    assert home.errors == []


@pytest.mark.parametrize("handler", [fail, fail_plainly])
async def test_an_error_that_nobody_takes_is_reported_once(handler: Any) -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        agent.post(handler)
        await home.heard.wait()
        await agent.post(asyncio.sleep, 0)
    [(name, error, what)] = home.errors
    assert (name, type(error), what) == ("a", Busy, handler.__name__)


async def test_an_error_kept_and_taken_later_is_not_reported() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        kept = agent.post(fail)
        await agent.post(asyncio.sleep, 0)
        assert kept.done()
        with pytest.raises(Busy):
            await kept
        del kept
        gc.collect()
    assert home.errors == []


async def test_an_error_kept_and_dropped_later_is_reported() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        kept = agent.post(fail)
        await agent.post(asyncio.sleep, 0)
        assert not home.heard.is_set()
        del kept
        await home.heard.wait()
    assert len(home.errors) == 1


async def test_who_stops_waiting_gives_up_the_answer_not_the_turn() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        gate, done = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            await gate.wait()
            done.set()
            raise Busy

        running, queued = agent.post(work), agent.post(work)
        for turn in (running, queued):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(turn, 0.001)
            assert turn.cancelled()
        # the one that ran and the one in line are both done, and their errors told
        gate.set()
        await agent.post(asyncio.sleep, 0)
        assert done.is_set()
    assert [type(error) for _, error, _ in home.errors] == [Busy, Busy]


async def test_the_turn_is_given_back_while_it_waits_and_taken_again_in_line() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        log: list[str] = []
        answer = asyncio.Event()

        async def ask() -> None:
            log.append("ask")
            await agent.wait(answer.wait())
            log.append("answered")

        async def other(name: str) -> None:
            log.append(name)
            await asyncio.sleep(0)
            log.append(f"{name} ends")

        async def reply() -> None:
            answer.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            log.append("reply")

        asked = agent.post(ask)
        await agent.post(other, "b")
        # the answer comes when two turns stand in line: the asker goes on behind the first, as "c" was there before
        agent.post(reply)
        agent.post(other, "c")
        await asked
        assert log == ["ask", "b", "b ends", "reply", "c", "c ends", "answered"]


async def test_waiting_outside_of_a_turn_is_plain() -> None:
    async with told() as home:
        agent, other = await home.spawn(Agent, name="a"), await home.spawn(Agent, name="b")
        assert await agent.wait(asyncio.sleep(0, "plain")) == "plain"
        # in another's turn, too: that one is not given back
        log: list[str] = []

        async def ask_other() -> None:
            await agent.wait(asyncio.sleep(0))
            log.append("first")

        turn = other.post(ask_other)
        await other.post(log.append, "second")
        await turn
        assert log == ["first", "second"]


async def test_two_agents_may_call_each_other_when_they_give_their_turns_back() -> None:
    async with told() as home:
        one, two = await home.spawn(Agent, name="1"), await home.spawn(Agent, name="2")

        async def deepest() -> str:
            return "deep"

        async def middle() -> str:
            return str(await two.wait(one.post(deepest)))

        async def top() -> str:
            return str(await one.wait(two.post(middle)))

        assert await one.post(top) == "deep"


@pytest.mark.parametrize("way", ["wait_for", "gather", "task"])
async def test_a_task_that_the_handler_awaits_waits_on_its_behalf(way: str) -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        answers = {name: asyncio.Event() for name in "xy"}
        inside = 0

        async def ask(name: str) -> str:
            nonlocal inside
            await agent.wait(answers[name].wait())
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            inside -= 1
            return name

        async def handler() -> Any:
            match way:
                case "wait_for":
                    return [await asyncio.wait_for(ask("x"), 60), await asyncio.wait_for(ask("y"), 60)]
                case "gather":
                    return await asyncio.gather(ask("x"), ask("y"))
                case _:
                    tasks = [asyncio.create_task(ask(name)) for name in "xy"]
                    return [await task for task in tasks]

        async def answer(name: str) -> None:
            nonlocal inside
            inside += 1
            assert inside == 1
            answers[name].set()
            await asyncio.sleep(0)
            inside -= 1

        asked = agent.post(handler)
        # the answers come in turns of the same agent, which would stand still were the turn not given back
        await agent.post(answer, "x")
        await agent.post(answer, "y")
        assert await asked == ["x", "y"]


async def test_a_wait_that_runs_out_takes_the_turn_again_before_the_handler_goes_on() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        log: list[str] = []
        gate = asyncio.Event()
        holds = asyncio.Event()

        async def ask() -> None:
            try:
                async with asyncio.timeout(0.001):
                    await agent.wait(asyncio.Event().wait())
            except TimeoutError:
                log.append("ran out")

        async def hold() -> None:
            holds.set()
            await gate.wait()
            log.append("held")

        asked, held = agent.post(ask), agent.post(hold)
        await holds.wait()
        await asyncio.sleep(0.01)  # more than the wait: the time is over while another has the turn
        gate.set()
        await asyncio.gather(asked, held)
        assert log == ["held", "ran out"]


async def test_cancelling_again_and_again_does_not_let_a_handler_go_on_without_its_turn() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        tasks: list[asyncio.Task[Any]] = []
        log: list[str] = []
        gate = asyncio.Event()

        async def ask() -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.append(task)
            try:
                await agent.wait(asyncio.Event().wait())
            except asyncio.CancelledError:
                log.append("cancelled")

        async def hold() -> None:
            await gate.wait()
            log.append("held")

        asked = agent.post(ask)
        held = await begun(home, agent, hold)
        for _ in range(5):
            tasks[0].cancel()
            await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(asked, held)
        assert log == ["held", "cancelled"]


async def test_a_handler_takes_no_step_while_its_other_task_waits_and_somebody_else_has_the_turn() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        log: list[str] = []
        first, never, gate = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def ask(answer: asyncio.Event) -> None:
            await agent.wait(answer.wait())

        async def handler() -> None:
            waiter = asyncio.create_task(ask(never))
            await first.wait()  # not by agent.wait: the turn is given back, for a task waits
            log.append("goes on")
            never.set()
            await waiter

        async def hold() -> None:
            first.set()
            await gate.wait()
            log.append("held")

        asked = agent.post(handler)
        held = await begun(home, agent, hold)
        gate.set()
        await asyncio.gather(asked, held)
        assert log == ["held", "goes on"]


async def test_a_task_that_came_back_keeps_the_turn_when_another_begins_to_wait() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        log: list[str] = []
        first, second, back, begins = (asyncio.Event() for _ in range(4))

        async def one() -> None:
            await agent.wait(first.wait())
            back.set()
            await begins.wait()
            for _ in range(5):
                await asyncio.sleep(0)
            log.append("one is done")

        async def two() -> None:
            await back.wait()
            begins.set()
            await agent.wait(second.wait())

        async def handler() -> None:
            await asyncio.gather(one(), two())

        async def answer() -> None:
            first.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)  # now one() stands in line
            turns.append(agent.post(another))

        async def another() -> None:
            log.append("another")
            second.set()

        turns: list[asyncio.Future[Any]] = []
        asked = agent.post(handler)
        await agent.post(answer)
        await asked
        await turns[0]
        assert log == ["one is done", "another"]


async def test_a_task_that_outlives_its_turn_neither_hangs_nor_takes_a_turn() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        gate = asyncio.Event()
        tasks: list[asyncio.Task[str]] = []

        async def later() -> str:
            await agent.wait(gate.wait())
            return "later"

        async def handler() -> None:
            tasks.append(asyncio.create_task(later()))
            await asyncio.sleep(0)

        await agent.post(handler)
        gate.set()
        assert await tasks[0] == "later"
        assert await agent.post(lambda: "free") == "free"


async def test_a_plain_handler_may_wait_through_the_loop() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        loop, answer = asyncio.get_running_loop(), asyncio.Event()

        def ask() -> str:
            asyncio.run_coroutine_threadsafe(agent.wait(answer.wait()), loop).result(10)
            return "answered"

        async def reply() -> None:
            answer.set()

        asked = agent.post(ask)
        await agent.post(reply)
        assert await asked == "answered"


async def test_the_limit_counts_running_not_waiting_and_not_standing_in_line() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        answer, go = asyncio.Event(), asyncio.Event()
        running = asyncio.Event()

        async def hold() -> None:
            await go.wait()

        async def ask() -> str:
            await agent.wait(answer.wait())
            running.set()
            await go.wait()
            return "in time"

        held = await begun(home, agent, hold)
        asked = agent.post(ask, limit=10)
        home.seconds.advance(100)  # in line
        go.set()
        await held
        await agent.post(asyncio.sleep, 0)
        home.seconds.advance(100)  # waiting
        go.clear()
        answer.set()
        await running.wait()
        home.seconds.advance(9)  # running
        go.set()
        assert await asked == "in time"


async def test_past_its_limit_a_turn_is_cancelled_and_the_next_begins_when_it_has_cleaned_up() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        log: list[str] = []
        cleaned = asyncio.Event()

        async def slow() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await cleaned.wait()
                log.append("cleaned up")

        late = await begun(home, agent, slow, limit=2)
        following = agent.post(log.append, "next")
        home.seconds.advance(1)
        assert not late.done()
        home.seconds.advance(1)
        with pytest.raises(CallTimeout, match="longer than 2 s"):
            await late
        assert log == []
        cleaned.set()
        await following
        assert log == ["cleaned up", "next"]
    assert home.errors == []


async def test_of_many_turns_with_one_limit_each_ends_at_its_own_time_and_who_has_ended_is_let_be() -> None:
    async with told() as home:
        agents = [await home.spawn(Agent, name=str(number)) for number in range(4)]
        ends = [asyncio.Event() for _ in agents]
        turns = []
        for agent, end in zip(agents, ends, strict=True):
            turns.append(await begun(home, agent, end.wait, limit=10))
            home.seconds.advance(1)
        ends[0].set()
        await turns[0]
        home.seconds.advance(6.5)  # 10.5 since the first began, 9.5 since the second
        assert not any(turn.done() for turn in turns[1:])
        for turn in turns[1:3]:
            home.seconds.advance(1)
            with pytest.raises(CallTimeout, match="longer than 10 s"):
                await turn
            assert not turns[3].done()
        ends[3].set()
        assert await turns[3] is True
        home.seconds.advance(100)
        assert home.seconds.next_due is None  # nothing is left that could fall due
    assert home.errors == []


async def test_running_time_is_added_up_over_the_waits_of_a_turn() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        reached = [asyncio.Event(), asyncio.Event()]

        async def handler() -> None:
            for part in reached:
                part.set()
                await asyncio.sleep(0)
                home.seconds.advance(3)
                await agent.wait(asyncio.sleep(0))
            await asyncio.Event().wait()

        turn = agent.post(handler, limit=7)
        await reached[1].wait()
        await agent.post(asyncio.sleep, 0)
        home.seconds.advance(1)
        with pytest.raises(CallTimeout):
            await turn


async def test_a_plain_function_past_its_limit_is_left_behind_and_its_result_dropped() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        starts, ends = threading.Event(), threading.Event()

        def stuck() -> str:
            starts.set()
            ends.wait(10)
            return "nobody hears this"

        turn = agent.post(stuck, limit=2)
        await asyncio.to_thread(starts.wait, 10)
        home.seconds.advance(2)
        with pytest.raises(CallTimeout):
            await turn
        assert await agent.post(lambda: "the agent is free") == "the agent is free"
        ends.set()


async def test_a_handler_that_keeps_going_when_cancelled_answers_its_caller_all_the_same() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        finish = asyncio.Event()

        async def stubborn() -> str:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await finish.wait()
            return "too late"

        late = await begun(home, agent, stubborn, limit=1)
        home.seconds.advance(1)
        with pytest.raises(CallTimeout):
            await late
        finish.set()
        assert await agent.post(lambda: "next") == "next"


async def test_a_full_mailbox_refuses_and_begun_turns_do_not_count() -> None:
    class Small(Agent):
        mailbox_size = 2

    async with told() as home:
        agent = await home.spawn(Small, name="a")
        gate = asyncio.Event()
        holder = await begun(home, agent, gate.wait)
        turns = [agent.post(asyncio.sleep, 0) for _ in range(2)]
        with pytest.raises(asyncio.QueueFull):
            agent.post(asyncio.sleep, 0)
        refused = await asyncio.to_thread(agent.post_threadsafe, asyncio.sleep, 0)
        with pytest.raises(asyncio.QueueFull):
            await asyncio.wrap_future(refused)
        gate.set()
        await asyncio.gather(holder, *turns)
        await agent.post(asyncio.sleep, 0)


async def test_posting_from_another_thread() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")

        def elsewhere() -> Any:
            with pytest.raises(RuntimeError, match="post_threadsafe"):
                agent.post(asyncio.sleep, 0)
            agent.post_threadsafe(fail)  # nobody takes this one
            with pytest.raises(Busy):
                agent.post_threadsafe(fail).result(10)
            return agent.post_threadsafe(asyncio.sleep, 0, "slept").result(10)

        assert await asyncio.to_thread(elsewhere) == "slept"
        await home.heard.wait()
    assert len(home.errors) == 1


async def test_a_turn_cancelled_from_within_is_an_error_not_a_cancelled_waiter() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")

        async def await_something_cancelled() -> None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        def plainly() -> None:
            raise asyncio.CancelledError

        with pytest.raises(AgentError, match="cancelled from within"):
            await agent.post(await_something_cancelled)
        with pytest.raises(RuntimeError, match="CancelledError"):
            await agent.post(plainly)


async def test_waiting_twice_inside_each_other_gives_the_turn_back_and_takes_it_once() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")

        async def nested() -> str:
            async with agent.waiting():
                await agent.wait(asyncio.sleep(0))
            return "on"

        assert await agent.post(nested) == "on"
        assert await agent.post(nested) == "on"


async def test_stop_answers_everybody() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")

        async def ask() -> None:
            await agent.wait(asyncio.Event().wait())

        asking = agent.post(ask)
        running = await begun(home, agent, asyncio.Event().wait)
        queued = agent.post(asyncio.sleep, 0)
        stopping = asyncio.ensure_future(agent.stop(5))
        with pytest.raises(AgentStopped):
            await queued  # at once
        with pytest.raises(AgentStopped):
            agent.post(asyncio.sleep, 0)
        # who waits was cancelled, and takes its turn to clean up after the one that runs, which has its five seconds
        await until(lambda: home.seconds.next_due is not None)
        assert not running.done()
        home.seconds.advance(5)
        await stopping
        for turn in (asking, running):
            with pytest.raises(AgentStopped):
                await turn
    assert home.errors == []


async def test_a_turn_that_is_not_ended_by_cancelling_is_left_behind_at_stop(caplog: pytest.LogCaptureFixture) -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        finish = asyncio.Event()

        async def stubborn() -> None:
            while not finish.is_set():
                try:
                    await finish.wait()
                except asyncio.CancelledError:
                    continue

        turn = await begun(home, agent, stubborn)
        stopping = asyncio.ensure_future(agent.stop(5))
        for _ in range(2):
            await until(lambda: home.seconds.next_due is not None)
            home.seconds.advance(5)
        await stopping
        assert agent.state == "stopped"
        assert "left behind" in caplog.text
        with pytest.raises(AgentStopped):
            await turn
        finish.set()


async def test_a_turn_that_is_over_leaves_nothing_to_the_garbage_collector() -> None:
    # a ring for each message makes the collector take as long as all the rest, where there are thousands
    async with told() as home:
        agent = await home.spawn(Agent, name="a")

        async def wait(what: Busy) -> None:
            async with agent.waiting():
                await asyncio.sleep(0)

        gc.disable()
        try:
            things = [Busy() for _ in range(3)]
            gone = [weakref.ref(thing) for thing in things]
            turns = [agent.post(handler, thing) for handler, thing in zip((wait, repr, str), things, strict=True)]
            del things
            while turns:
                await turns.pop()
            async with asyncio.timeout(5):
                await until(lambda: not any(reference() for reference in gone))
        finally:
            gc.enable()
