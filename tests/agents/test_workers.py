"""Worker threads: a bound, an order, threads used again, and none that hangs the exit."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest
from homes import told, until

from shellbot.agents.workers import Workers
from shellbot.errors import AgentStopped


class Tasks:
    """Functions that run until they are let go."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.go = threading.Event()

    def __call__(self, number: int) -> int:
        self.begun.append(number)
        self.go.wait(10)
        return number


async def test_at_most_so_many_at_once_and_others_wait_in_order() -> None:
    workers, tasks = Workers(most=2), Tasks()
    answers = [asyncio.ensure_future(workers.run(tasks, number)) for number in range(6)]
    await until(lambda: len(tasks.begun) == 2)
    tasks.go.set()
    assert await asyncio.gather(*answers) == list(range(6))
    assert sorted(tasks.begun[:2]) == [0, 1]
    assert sum(thread.name == "shellbot-worker" for thread in threading.enumerate()) == 2
    workers.close()


async def test_threads_are_used_again() -> None:
    workers = Workers()
    names = {await workers.run(threading.get_ident) for _ in range(20)}
    assert len(names) == 1
    workers.close()


async def test_a_function_left_behind_gives_its_place_to_the_next() -> None:
    workers, stuck = Workers(most=1), Tasks()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(workers.run(stuck, 1), 0.01)
    assert await workers.run(lambda: "next") == "next"
    stuck.go.set()
    await until(lambda: workers._left_behind == 0)
    assert await workers.run(lambda: "on") == "on"
    workers.close()


async def test_a_cancelled_waiter_neither_loses_nor_doubles_a_place() -> None:
    workers, tasks = Workers(most=1), Tasks()
    first = asyncio.ensure_future(workers.run(tasks, 1))
    await until(lambda: tasks.begun)
    waiters = [asyncio.ensure_future(workers.run(tasks, number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    waiters[0].cancel()  # in line
    tasks.go.set()
    await first
    waiters[1].cancel()  # it may have the place, or a thread, at this very moment
    assert await waiters[2] == 4
    await asyncio.gather(*waiters, return_exceptions=True)
    assert 2 not in tasks.begun
    await until(lambda: workers._taken == 0)
    workers.close()


async def test_closing_answers_who_waits_and_who_runs() -> None:
    workers, tasks = Workers(most=1), Tasks()
    answers = [asyncio.ensure_future(workers.run(tasks, number)) for number in (1, 2)]
    await until(lambda: tasks.begun)
    workers.close()
    for answer in [*answers, workers.run(tasks, 3)]:
        with pytest.raises(AgentStopped):
            await answer
    tasks.go.set()


async def test_run_blocking_gives_the_result_or_the_error() -> None:
    async with told() as home:
        assert await home.run_blocking(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await home.run_blocking(divmod, 7, 0)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await home.run_blocking(next, iter(()))
        with pytest.raises(SystemExit):
            await home.run_blocking(sys.exit, 1)
        assert await home.run_blocking(divmod, 7, 2) == (3, 1)


def test_a_function_that_never_ends_does_not_hang_the_exit() -> None:
    program = """
import asyncio, threading
from shellbot.agents import Agent, Container

async def main():
    async with Container() as home:
        agent = await home.spawn(Agent, name="a")
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()
        def stuck():
            loop.call_soon_threadsafe(begun.set)
            threading.Event().wait()
        agent.post(stuck)
        await begun.wait()
        await home.stop(0)
    print("out")

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=15, check=False)
    assert (done.returncode, done.stdout) == (0, "out\n"), done.stderr
