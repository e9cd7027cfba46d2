"""Clicks without number, names, late ballots, and who may read them: rows D1, D6, D8 and D12 of docs/faults.md."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from shellbot.events import Person
from tests.scenarios.test_killed import ballots, events_of

LUNCH = 'poll "Lunch?" Pizza, Sushi in 10m'
CLICKS = 1_000


async def test_d01_a_thousand_clicks_at_once_are_one_ballot_and_others_are_served(dialogue):
    group = await dialogue.group("Person A", "Person B", "Person C")
    await group.say("Person A", LUNCH)
    clicker, other = dialogue.person("Person B"), dialogue.person("Person C")
    shown = await clicker.until(
        lambda: next((post for post in clicker.posts("direct") if post.ballot is not None), None), "the ballot"
    )
    await other.ballot()

    async def click(number: int) -> int:
        fields = {"side": "direct", "place": str(shown.place), "key": f"click-{number:04}", "token": clicker._token}
        choice = ("Pizza", "Sushi")[number % 2]
        return (await clicker._browser.post("/press", fields | {"value": shown.ballot.choices[choice]})).status

    storm = asyncio.gather(*map(click, range(CLICKS)))
    await other.press("Pizza")
    await other.until(lambda: "counted: Pizza" in noted(other) or None, "a receipt in the storm", timeout=10)
    answers = Counter(await storm)
    assert set(answers) <= {200, 204, 303, 429}, answers
    assert answers[429] > CLICKS / 2, "most are told to wait"
    await dialogue.clock.settle()
    await clicker.catch_up()
    said = noted(clicker)
    last = "Sushi" if "Pizza" in said else "Pizza"
    await clicker.press(last)
    await clicker.until(lambda: f"counted: {last}" in noted(clicker) or None, "the receipt of the last click")
    await dialogue.clock.advance(600)
    result = await group.heard("Result of vote #1")
    assert "2 of 3 voted" in result
    assert f"{last} {1 + (last == 'Pizza')} " in result
    assert await dialogue.server.stop() == 0
    assert len(ballots(dialogue.server)) == 2
    accepted = CLICKS - answers[429] + 2
    assert len(events_of(dialogue.server, "action")) == accepted > 10, "the harm: counted by clicks it were so many"


def noted(person) -> str:
    return next(post.ballot.note for post in person.posts("direct") if post.ballot is not None)


async def test_d01_of_a_thousand_accepted_clicks_the_last_one_counts_and_the_receipt_says_which(party, clock):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", LUNCH)
        card = await people.ballot("Person B")
        channel, person = people.direct("Person B"), people.people["Person B"]
        choices = [("Pizza", "Sushi")[number % 2] for number in range(CLICKS)]
        turns = await asyncio.gather(
            *(people.space.press(channel, person, card.id, choice) for choice in choices), return_exceptions=True
        )
        await asyncio.gather(*turns)
        await people.hears(f"Your vote is counted: {choices[-1]}", "Person B")
        cards = [reply for reply in people.space.heard(channel) if reply.card is not None]
        assert len(cards) == 1
        clock.advance(600)
        result = await people.hears("Result of vote #1")
        assert "1 of 2 voted" in result
        assert f"{choices[-1]} 1" in result


async def test_d06_who_comes_under_another_name_is_the_same_voter_and_who_takes_a_name_is_not(party):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", 'poll "Lunch?" Pizza, Sushi')
        for name in ("Person A", "Person B"):
            await people.ballot(name)
        await people.press("Person B", "Pizza")
        await people.hears("Your vote is counted: Pizza", "Person B")
        renamed, taker = Person("person-b", "Person X"), Person("person-c", "Person B")
        for person in (renamed, taker):
            await (await people.space.join("group", person))
        await people.press("Person B", "Sushi")
        await people.hears("Your vote is counted: Sushi", "Person B")
        await (await people.space.say("direct-person-c", taker, "1"))
        await people.press("Person A", "Sushi")
        result = await people.hears("Result of vote #1")
        assert "2 of 2 voted" in result
        assert "Sushi 2" in result


@pytest.mark.parametrize("is_closed", [True, False])
async def test_d08_a_ballot_held_back_past_the_close_is_refused_told_and_changes_nothing(party, clock, is_closed):
    """The harm, where the close has not come yet: the same ballot counts."""
    async with party("Person A", "Person B") as people:
        await people.say("Person A", LUNCH)
        await people.ballot("Person A")
        await people.press("Person A", "Pizza")
        await people.ballot("Person B")
        await people.hears("Your vote is counted: Pizza", "Person A")
        board, held = people.engine.desk.switchboard, []
        put = board.put

        def hold(channel, envelope):
            is_late = channel == people.direct("Person B") and envelope.side == "direct"
            held.append((channel, envelope)) if is_late else put(channel, envelope)

        board.put = hold
        await people.press("Person B", "Sushi")
        if is_closed:
            clock.advance(600)
            await people.hears("Closed.", "Person B")
            clock.advance(6)
            before = await people.hears("Result of vote #1")
            assert "Person B" in before.partition("so a last vote of theirs may be missing: ")[2]
        board.put = put
        for channel, envelope in held:
            put(channel, envelope)
        if is_closed:
            clock.advance(60)
            await people.hears("Your vote for **Sushi** came after the close and is not counted", "Person B")
            assert sum("Result of vote #1" in text for text in people.told()) == 1
            assert await people.hears("Result of vote #1") == before
        else:
            assert "Sushi 1" in await people.hears("Result of vote #1")


CANARIES = ("aubergine", "bergamot")


async def test_d12_what_was_voted_is_read_by_nobody_on_another_channel_and_stands_in_no_log(party, clock, caplog):
    caplog.set_level(logging.DEBUG)
    async with party("Person A", "Person A1", "Person B") as people:
        await people.say("Person A", f'poll "Dish?" {CANARIES[0]}, {CANARIES[1]} in 10m')
        for name in ("Person A", "Person A1", "Person B"):
            await people.ballot(name, "Dish?")
        bus = people.engine.desk.bus
        others = [people.direct("Person A"), "group", "direct", people.direct("Person A1")[:-2]]
        with bus.subscribe(others) as stranger, bus.subscribe("") as spy:
            for subscriber in (stranger, spy):
                await subscriber.aio.wait_ready(5)
            caplog.clear()
            await people.press("Person A1", CANARIES[0])
            await people.whisper("Person B", CANARIES[1])
            for name in ("Person A1", "Person B"):
                await people.hears("Your vote is counted", name)
            await people.press("Person A", CANARIES[0])
            spied = await said(spy, until=people.direct("Person A"))
            overheard = await said(stranger, until=people.direct("Person A"))
        logged = "\n".join(record.getMessage() for record in caplog.records)
    assert {channel for channel, text in overheard} == {people.direct("Person A")}
    assert not [text for channel, text in overheard if CANARIES[1] in text]
    assert {channel for channel, text in spied if CANARIES[0] in text or CANARIES[1] in text} >= {
        people.direct("Person A1"),
        people.direct("Person B"),
    }, "the harm, to whom the bus lets in"
    assert not any(canary in logged for canary in CANARIES)


async def said(subscriber, until: str) -> list[tuple[str, str]]:
    """All that came, up to a ballot on the channel ``until``."""
    found = []
    async with asyncio.timeout(10):
        async for frame in subscriber.aio.frames():
            found.append((frame.channel, str(frame.message)))
            if frame.channel == until and frame.message["body"].get("op") == "ballot":
                return found
    raise AssertionError("the bus was closed")


async def test_d12_nobody_else_of_the_machine_reaches_the_bus_or_the_store(party, tmp_path):
    async with party("Person A") as people:
        await people.say("Person A", LUNCH)
        socket = Path(people.engine.context.get("bus.address").removeprefix("ipc://"))
        places = [socket.parent, tmp_path / "instance", tmp_path / "instance" / "keys"]
        for place in places:
            assert stat.S_IMODE(place.stat().st_mode) == 0o700, place
        for key in places[-1].iterdir():
            assert stat.S_IMODE(key.stat().st_mode) == 0o600
        found = [str(path) for path in socket.parent.iterdir() if path.name.startswith(socket.name)]
        assert found
        assert sees(found[0])
        if os.geteuid() == 0:
            assert not sees(found[0], user=65534, group=65534, extra_groups=[])


def sees(path: str, **who) -> bool:
    """Whether a process of the same user, or another, finds something there."""
    return subprocess.run(["/usr/bin/test", "-e", path], check=False, **who).returncode == 0
