"""Clocks: one rule for what is due, order while time is moved, cancelling, dates."""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot import clocks
from shellbot.clocks import AsyncioClock, BaseClock, ExternalClock

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture(params=["asyncio", "external"])
def clock(request: pytest.FixtureRequest) -> BaseClock:
    return AsyncioClock() if request.param == "asyncio" else ExternalClock(START)


@pytest.mark.parametrize("delay", [0, -1, -1e9])
async def test_what_is_due_fires_on_the_next_turn_of_the_loop(clock: BaseClock, delay: float) -> None:
    fired: list[str] = []
    clock.call_in(delay, fired.append, "in")
    clock.call_at(clock.time() + delay, fired.append, "at")
    clock.call_at(clock.utcnow() + timedelta(seconds=delay), fired.append, "date")
    assert fired == []  # never within the call
    await asyncio.sleep(0)
    assert fired == ["in", "at", "date"]


async def test_sleeping_no_time_lets_others_run_and_gives_the_result(clock: BaseClock) -> None:
    others: list[int] = []
    asyncio.get_running_loop().call_soon(others.append, 1)
    assert await clock.sleep(0, "result") == "result"
    assert await clock.sleep_until(clock.utcnow() - timedelta(days=1), 7) == 7
    assert others == [1]


async def test_cancelling_twice_or_after_firing_is_nothing(clock: BaseClock) -> None:
    fired: list[int] = []
    never = clock.call_in(0, fired.append, 1)
    never.cancel()
    never.cancel()
    once = clock.call_in(0, fired.append, 2)
    await asyncio.sleep(0)
    once.cancel()
    await asyncio.sleep(0)
    assert fired == [2]
    assert never.is_cancelled
    assert not once.is_cancelled


@pytest.mark.parametrize("bad", [math.nan, math.inf, datetime(2026, 1, 1)])
async def test_a_time_that_is_none_is_refused(clock: BaseClock, bad: float) -> None:
    with pytest.raises(ValueError):
        clock.call_at(bad, print)


async def test_a_timer_keeps_the_context_of_who_set_it(clock: BaseClock) -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")
    seen: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    name.set("setter")
    clock.call_in(0, lambda: seen.set_result(name.get()))
    name.set("another")
    assert await seen == "setter"


async def test_a_failing_timer_is_told_and_others_still_fire(clock: BaseClock) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    fired: list[int] = []
    clock.call_in(0, lambda: 1 / 0)
    clock.call_in(0, fired.append, 1)
    await asyncio.sleep(0)
    assert fired == [1]
    assert isinstance(told[0]["exception"], ZeroDivisionError)


async def test_real_time_wakes_sleepers_in_order() -> None:
    clock = AsyncioClock()
    begun = clock.time()
    woken = [await done for done in asyncio.as_completed([clock.sleep(0.02, "late"), clock.sleep(0.01, "early")])]
    assert woken == ["early", "late"]
    assert clock.time() - begun >= 0.02
    assert clock.utcnow().tzinfo is UTC


async def test_a_date_is_looked_at_again_because_the_wall_clock_may_step(monkeypatch: pytest.MonkeyPatch) -> None:
    # given a deadline an hour from now
    class Wall(AsyncioClock):
        now = START

        def utcnow(self) -> datetime:
            return self.now

    monkeypatch.setattr(clocks, "LOOK_AGAIN", 0.001)
    clock = Wall()
    sleeper = asyncio.ensure_future(clock.sleep_until(START + timedelta(hours=1), "woken"))
    await asyncio.sleep(0)
    # when the machine wakes from an hour of sleep
    clock.now += timedelta(hours=1)
    # then it is noticed at the next look
    assert await sleeper == "woken"


async def test_a_cancelled_sleeper_leaves_no_timer() -> None:
    clock = ExternalClock(START)
    sleeper = asyncio.ensure_future(clock.sleep(10))
    await asyncio.sleep(0)
    assert clock.next_due == 10
    sleeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeper
    assert clock.next_due is None


async def test_moved_time_fires_in_due_order_each_at_its_own_time() -> None:
    clock = ExternalClock(START, init_time=100)
    fired: list[tuple[str, float, datetime]] = []

    def note(name: str) -> None:
        fired.append((name, clock.time(), clock.utcnow()))

    clock.call_in(3, note, "c")
    clock.call_in(1, note, "a")
    clock.call_at(START + timedelta(seconds=1), note, "b")  # as early as "a", made later
    clock.call_at(111, note, "not yet")
    clock.advance(10)
    at = {1: START + timedelta(seconds=1), 3: START + timedelta(seconds=3)}
    assert fired == [("a", 101, at[1]), ("b", 101, at[1]), ("c", 103, at[3])]
    assert clock.time() == 110
    assert clock.next_due == 111


async def test_what_a_fired_timer_sets_within_the_step_fires_too() -> None:
    clock = ExternalClock(START)
    marks: list[float] = []

    def mark() -> None:
        marks.append(clock.time())
        clock.call_in(2, mark)

    clock.call_in(2, mark)
    clock.call_in(5, lambda: marks.append(-clock.time()))
    clock.advance(7)
    assert marks == [2, 4, -5, 6]


async def test_a_timer_that_asks_for_now_again_and_again_does_not_hold_the_loop() -> None:
    clock = ExternalClock(START)
    count = 0

    def again() -> None:
        nonlocal count
        count += 1
        clock.call_in(0, again)

    clock.call_in(1, again)
    clock.advance(1)
    assert count == 1
    await asyncio.sleep(0)
    assert count == 2


async def test_time_does_not_go_back_and_timers_do_not_move_it() -> None:
    clock = ExternalClock(START, init_time=5)
    clock.set_time(5)
    for move in (lambda: clock.set_time(4.9), lambda: clock.advance(-1), lambda: clock.advance(math.nan)):
        with pytest.raises(ValueError):
            move()
    raised: list[BaseException] = []

    def move_within() -> None:
        try:
            clock.advance(1)
        except RuntimeError as error:
            raised.append(error)

    clock.call_in(1, move_within)
    clock.advance(2)
    assert len(raised) == 1
    assert clock.time() == 7


async def test_cancelling_another_within_the_step_holds() -> None:
    clock = ExternalClock(START)
    fired: list[str] = []
    second = clock.call_in(2, fired.append, "second")
    clock.call_in(1, second.cancel)
    clock.advance(5)
    assert fired == []


async def test_cancelled_timers_do_not_pile_up() -> None:
    clock = ExternalClock(START)
    kept = clock.call_in(2000, print)
    for delay in range(1, 1001):
        clock.call_in(delay, print).cancel()
    assert len(clock._due) < 200
    assert clock.next_due == 2000
    kept.cancel()


async def test_a_date_of_another_zone_is_the_same_moment() -> None:
    clock = ExternalClock(START)
    clock.call_at(datetime(2026, 11, 20, 14, 0, 1, tzinfo=timezone(timedelta(hours=2))), print)
    assert clock.next_due == 1


def test_a_start_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        ExternalClock(START.replace(tzinfo=None))


@given(
    st.lists(st.integers(1, 50), max_size=30),
    st.lists(st.integers(1, 20), max_size=10),
    st.sets(st.integers(0, 29)),
)
def test_any_steps_fire_all_in_order_as_a_sorted_list_would(
    delays: list[int], steps: list[int], cancelled: set[int]
) -> None:
    clock = ExternalClock(START)
    fired: list[tuple[float, int]] = []

    def note(number: int) -> Callable[[], None]:
        return lambda: fired.append((clock.time(), number))

    handles = [clock.call_in(delay, note(number)) for number, delay in enumerate(delays)]
    for number in cancelled & set(range(len(handles))):
        handles[number].cancel()
    for step in steps:
        clock.advance(step)
    expected = sorted((due, number) for number, due in enumerate(delays) if number not in cancelled)
    assert fired == [entry for entry in expected if entry[0] <= sum(steps)]
