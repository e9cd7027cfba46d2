"""Timers: they fire as turns, on the container's clock, without drift or overlap, and end with their agent."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from homes import START, told, until

from shellbot.agents import Agent
from shellbot.agents.timers import Timer


async def test_after_at_and_each_fire_as_turns_in_due_order() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        log: list[str] = []
        timers = [
            agent.after(3, log.append, "after"),
            agent.at(2.0, log.append, "at"),
            agent.at(START + timedelta(seconds=1), log.append, "date"),
        ]
        home.timers.advance(3)
        assert log == []  # fired is posted, not called
        await agent.post(asyncio.sleep, 0)
        assert log == ["date", "at", "after"]
        assert not any(timer.is_active for timer in timers)


async def test_each_fires_first_after_one_period_and_keeps_its_marks() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        marks: list[float] = []

        async def mark() -> None:
            marks.append(home.timers.time())

        timer = agent.each(0.1, mark)
        for _ in range(100):
            home.timers.set_time(home.timers.next_due or 0)
            await agent.post(asyncio.sleep, 0)
        timer.cancel()
        assert marks == pytest.approx([number * 0.1 for number in range(1, 101)])
        assert marks[99] == 0.1 + 99 * 0.1  # counted from the start, so that nothing adds up
        home.timers.advance(10)
        await agent.post(asyncio.sleep, 0)
        assert len(marks) == 100


async def test_each_passes_over_the_marks_at_which_its_turn_still_runs() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        gate, begun = asyncio.Event(), []

        async def slow() -> None:
            begun.append(home.timers.time())
            await agent.wait(gate.wait())  # its turn is given back, and still it does not overlap itself

        agent.each(10, slow)
        home.timers.advance(10)
        await until(lambda: begun)
        home.timers.advance(35)
        await agent.post(asyncio.sleep, 0)
        assert begun == [10]
        gate.set()
        await agent.post(asyncio.sleep, 0)
        await agent.post(asyncio.sleep, 0)
        home.timers.advance(5)
        await until(lambda: len(begun) == 2)
        assert begun == [10, 50]  # on the mark, and none made up for


async def test_a_late_clock_skips_to_the_next_mark() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        timer = agent.each(10, asyncio.sleep, 0)
        # given a timer that the loop came to 25 seconds late
        assert timer._handle is not None
        timer._handle.cancel()
        home.timers.advance(35)
        timer._due()
        # then the marks at 20 and 30 are passed over
        assert home.timers.next_due == 40


async def test_a_failing_timer_is_told_each_time_and_goes_on() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")

        def fail() -> None:
            raise LookupError

        agent.each(1, fail)
        for count in (1, 2, 3):
            home.timers.advance(1)
            await until(lambda count=count: len(home.errors) == count)
            await agent.post(asyncio.sleep, 0)
    assert [(type(error), what) for _, error, what in home.errors] == [(LookupError, "fail")] * 3


async def test_a_timer_that_finds_the_mailbox_full_is_told() -> None:
    class Small(Agent):
        mailbox_size = 1

    async with told() as home:
        agent = await home.spawn(Small, name="a")
        gate = asyncio.Event()
        holder = agent.post(gate.wait)
        waiting = agent.post(asyncio.sleep, 0)
        agent.after(1, print)
        home.timers.advance(1)
        await home.heard.wait()
        gate.set()
        await asyncio.gather(holder, waiting)
    assert isinstance(home.errors[0][1], asyncio.QueueFull)


async def test_cancel_is_final_and_may_be_repeated() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        timer = agent.after(1, print)
        timer.cancel()
        timer.cancel()
        assert not timer.is_active
        assert home.timers.next_due is None


async def test_a_timer_may_cancel_itself_in_its_turn() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        fired: list[int] = []

        async def once() -> None:
            fired.append(1)
            timer.cancel()

        timer = agent.each(1, once)
        home.timers.advance(1)
        await until(lambda: fired)
        assert home.timers.next_due is None


async def test_stop_cancels_all_timers() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        timers = [agent.each(1, print), agent.after(1, print), agent.at(START + timedelta(days=1), print)]
        await agent.stop()
        assert home.timers.next_due is None
        assert not any(timer.is_active for timer in timers)
        timers[0].cancel()


async def test_what_is_due_already_fires_at_once() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        fired: list[str] = []
        agent.after(-1, fired.append, "after")
        agent.at(START - timedelta(days=1), fired.append, "at")
        await until(lambda: len(fired) == 2)
        assert fired == ["after", "at"]


async def test_timers_are_set_and_cancelled_from_plain_handlers() -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        fired: list[str] = []

        def plain() -> Timer:
            agent.after(5, fired.append, "once")
            return agent.each(2, fired.append, "again")

        timer = await agent.post(plain)
        home.timers.advance(5)
        await until(lambda: len(fired) == 2)
        await agent.post(timer.cancel)
        await agent.post(asyncio.sleep, 0)
        assert home.timers.next_due is None
        assert sorted(fired) == ["again", "once"]
        timer = await agent.post(plain)
    await asyncio.to_thread(timer.cancel)  # after the stop, too


@pytest.mark.parametrize("period", [0, -1, float("nan")])
async def test_a_period_is_more_than_nothing(period: float) -> None:
    async with told() as home:
        agent = await home.spawn(Agent, name="a")
        with pytest.raises(ValueError):
            agent.each(period, print)
