"""When a vote closes, said as people say it, and understood alike on both sides of the bus."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shellbot.clocks import ExternalClock

PARIS = {"settings": {"polls.timezone": "Europe/Paris"}}  # noon UTC is 13:00 there


async def test_d04_a_deadline_in_words_closes_the_vote_then_and_is_echoed_with_its_offset(party, clock):
    async with party("Person A", "Person B", **PARIS) as people:
        await people.say("Person A", 'poll "Lunch?" Pizza, Sushi tomorrow 9:00')
        assert "It closes when all have voted, at the latest at Sat 21 Nov 09:00 CET (+01:00)" in await people.hears(
            "Vote #1"
        )
        await people.ballot("Person B")
        await people.hears("closes when all have voted, at the latest at Sat 21 Nov 09:00 CET (+01:00)", "Person B")
        await people.press("Person B", "Pizza")
        await people.hears("Your vote is counted", "Person B")
        clock.advance(20 * 3600 - 1)
        await people.say("Person A", "poll list")
        await people.hears("1 of 2 voted; closes when all have voted, at the latest at 09:00:00 CET (+01:00)")
        clock.advance(1)
        assert "Pizza 1" in await people.hears("Result")


async def test_d04_a_restart_in_between_does_not_move_the_deadline(party, clock):
    async with party("Person A", "Person B", **PARIS) as people:
        await people.say("Person A", 'poll "Lunch?" Pizza, Sushi at 14:30')
        await people.ballot("Person B")
    async with party(**PARIS) as people:
        await people.join("Person A", "Person B")
        clock.advance(5399)
        await people.press("Person B", "Pizza")
        assert not any("Result" in text for text in people.told())
        clock.advance(1)
        assert "Pizza 1" in await people.hears("Result")


@pytest.fixture
def clock():
    return ExternalClock(datetime(2026, 11, 20, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("at 11:00", "`at 11:00` is past: it is 13:00:00 CET (+01:00) now. Write `tomorrow 11:00`?"),
        ("2027-03-28 2:30", "there is no 02:30. The next that there is: `2027-03-28T03:00+02:00`"),
        ("2027-10-31 2:30", "Which one: `2027-10-31T02:30+02:00` or `2027-10-31T02:30+01:00`?"),
        ("2029-01-01 9:00", "too far away"),
        ("until yesterdai 9:00", "no time that I can read"),
    ],
)
async def test_d04_what_cannot_be_a_deadline_is_asked_back_and_opens_nothing(party, typed, told):
    async with party("Person A", **PARIS) as people:
        await people.say("Person A", f'poll "Lunch?" Pizza, Sushi {typed}')
        await people.hears(told)
        assert len(people.told()) == 1
        assert people.told("Person A") == []
