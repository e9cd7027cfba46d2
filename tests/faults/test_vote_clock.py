"""Clocks that are set and machines that sleep while people vote: row D3 of docs/faults.md."""

from __future__ import annotations

import pytest

from shellbot.clocks import ExternalClock
from tests.scenarios.conftest import NOON

DAY = 86_400.0
LUNCH = 'poll "Lunch?" Pizza, Sushi in 10m'


@pytest.mark.parametrize("step", [DAY, -DAY])
async def test_d03_a_clock_set_by_a_day_and_back_in_a_vote_loses_and_doubles_nothing(dialogue, step):
    group = await dialogue.group("Person A", "Person B")
    await group.say("Person A", 'poll "Lunch?" Pizza, Sushi in 2d results live')
    for seconds, choice in ((step, "Pizza"), (0, "Sushi"), (-step, "Pizza"), (0, "Sushi")):
        await dialogue.clock.step(seconds)
        await dialogue.direct("Person B").press(choice)
        await dialogue.direct("Person B").heard(f"Your vote is counted: {choice}")
        await dialogue.clock.advance(3)
        assert "Vote #1" in await group.heard(f"{choice} 1"), "the live count is the latest"
    await dialogue.restart(kill=True)
    await dialogue.clock.advance(2 * DAY)
    result = await group.heard("Result of vote #1")
    assert "1 of 2 voted" in result
    assert "Sushi 1" in result
    person = dialogue.person("Person A")
    assert sum("Result of vote" in post.text for post in person.posts("group")) == 1


async def test_d03_a_clock_set_a_day_ahead_closes_the_vote_and_what_comes_then_is_refused(party, clock):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", LUNCH)
        await people.ballot("Person B")
        clock.step(DAY)
        await people.press("Person B", "Sushi")
        await people.hears("Vote #1 is closed", "Person B")
        clock.advance(0)
        result = await people.hears("Result of vote #1")
        assert "Nobody voted" in result
        assert "closes 23 hours late" in result


async def test_d03_a_clock_set_a_day_back_moves_the_close_with_it(party, clock):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", LUNCH)
        await people.ballot("Person B")
        clock.advance(300)
        clock.step(-DAY)
        await people.press("Person B", "Sushi")
        await people.hears("Your vote is counted: Sushi", "Person B")
        clock.advance(DAY)
        assert not any("Result" in text for text in people.told())
        clock.advance(300)
        assert "late" not in await people.hears("Result of vote #1")


@pytest.mark.parametrize(("asleep", "told"), [(90.0, "1 minute"), (3 * 3600.0, "3 hours"), (5 * DAY, "5 days")])
@pytest.mark.parametrize("results", ["", " results owner"])
async def test_d03_a_machine_asleep_over_the_deadline_says_that_it_closes_late(party, clock, asleep, told, results):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", LUNCH + results)
        for name in ("Person A", "Person B"):
            await people.ballot(name)
        await people.press("Person A", "Pizza")
        await people.hears("Your vote is counted: Pizza", "Person A")
        clock.advance(599)
        clock.step(asleep + 1)
        await people.press("Person B", "Sushi")  # in the moment in which it wakes
        clock.advance(0)
        text = await people.hears(f"It closes {told} late")
        assert "1 of 2 voted" in text
        if results:
            assert f"{told} late" in await people.hears("Pizza 1", "Person A")


async def test_d03_dates_follow_the_wall_and_durations_do_not():
    clock = ExternalClock(NOON)
    fired = []
    clock.call_in(60, fired.append, "in a minute")
    clock.call_at(NOON.replace(hour=13), fired.append, "at one")
    clock.step(3600)
    clock.advance(0)
    assert fired == ["at one"]
    assert (clock.time(), clock.utcnow().hour) == (0, 13)
    clock.step(-DAY)
    clock.advance(60)
    assert fired == ["at one", "in a minute"]
