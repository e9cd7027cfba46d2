"""A stranger on the bus: what he puts arrives on the voter's channel, and changes nothing.

Forged frames go as raw text through the family's own queue, the strongest place a stranger could reach.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import orjson
import pytest

from shellbot.envelope import Envelope, Seal

LUNCH = 'poll "Lunch?" Pizza, Sushi in 10m'
WRONG_KEY = Seal(b"not the key of this instance....")


@asynccontextmanager
async def overheard(people, name):
    """A plain subscriber on one direct channel, and a way to put raw text there."""
    channel = people.direct(name)
    with people.engine.desk.bus.subscribe(channel) as subscriber:
        await subscriber.aio.wait_ready(5)

        async def put_and_see(message):
            people.engine.publisher.fan.put(f"{channel} {orjson.dumps(message).decode()}")
            async with asyncio.timeout(5):
                async for frame in subscriber.aio.frames():
                    if frame.message == message:
                        return

        yield subscriber, put_and_see


async def voting(people):
    """A poll is open and everybody has the ballot; gives the open round as the group knows it."""
    await people.say("Person A", LUNCH)
    await people.ballot("Person A")
    await people.ballot("Person B")
    group = people.engine.agent("group")
    return group.desk.commands["poll"].chair(group).find(None)[0]


def forged(round, channel, at):
    body = {"op": "ballot", "poll": round.id, "choice": "Sushi", "n": 2**52, "at": at}
    envelope = Envelope(group="group", side="direct", id="x", re=f"{round.id}/open", n=2**52, do="poll", body=body)
    return orjson.loads(WRONG_KEY.close(channel, envelope))


async def recorded_ballot(subscriber, choice):
    async with asyncio.timeout(5):
        async for frame in subscriber.aio.frames():
            if frame.message["body"].get("choice") == choice:
                return frame.message
    raise AssertionError("the bus was closed")


async def test_d10_a_forged_ballot_arrives_and_is_not_counted(party, clock):
    async with party("Person A", "Person B") as people:
        round = await voting(people)
        async with overheard(people, "Person B") as (_, put_and_see):
            await put_and_see(forged(round, people.direct("Person B"), clock.utcnow().timestamp()))
        await people.press("Person A", "Pizza")
        await people.hears("Your vote is counted: Pizza", "Person A")
        clock.advance(600)
        result = await people.hears("Result")
        assert "Sushi 0" in result
        assert "1 of 2 voted" in result
        assert people.engine.desk.switchboard.strangers >= 1


async def test_d10_without_the_check_the_same_ballot_changes_the_result(party, clock, monkeypatch):
    async with party("Person A", "Person B") as people:
        round = await voting(people)
        monkeypatch.setattr(people.engine.desk.switchboard.seal, "is_genuine", lambda channel, message: True)
        async with overheard(people, "Person B") as (_, put_and_see):
            await put_and_see(forged(round, people.direct("Person B"), clock.utcnow().timestamp()))
        await people.press("Person A", "Pizza")
        assert "Sushi 1" in await people.hears("Result")


async def test_d10_a_recorded_ballot_played_again_after_a_change_of_vote_has_no_effect(party, clock):
    async with party("Person A", "Person B") as people:
        await voting(people)
        async with overheard(people, "Person B") as (subscriber, put_and_see):
            await people.press("Person B", "Sushi")
            recording = await recorded_ballot(subscriber, "Sushi")
            await people.hears("Your vote is counted: Sushi", "Person B")
            await people.press("Person B", "Pizza")
            await people.hears("Your vote is counted: Pizza", "Person B")
            await put_and_see(recording)
        clock.advance(600)
        result = await people.hears("Result")
        assert "Pizza 1" in result
        assert "Sushi 0" in result


async def test_d10_a_recorded_ballot_moved_to_another_channel_has_no_effect(party, clock):
    async with party("Person A", "Person B") as people:
        await voting(people)
        async with overheard(people, "Person B") as (subscriber, _):
            await people.press("Person B", "Sushi")
            recording = await recorded_ballot(subscriber, "Sushi")
        async with overheard(people, "Person A") as (_, put_and_see):
            await put_and_see(recording)
        clock.advance(600)
        assert "1 of 2 voted" in await people.hears("Result")


@pytest.mark.parametrize("side", ["group", "direct"])
async def test_d10_a_frame_reflected_to_the_side_it_came_from_has_no_effect(party, clock, side):
    """As it is, it is heard by the side it was for, once more; with the side changed the seal is broken."""
    async with party("Person A", "Person B") as people:
        await voting(people)
        async with overheard(people, "Person B") as (subscriber, put_and_see):
            await people.press("Person B", "Sushi")
            recording = await recorded_ballot(subscriber, "Sushi")
            before = people.engine.desk.switchboard.strangers
            await put_and_see({**recording, "side": side})
        assert len([reply for reply in people.space.heard(people.direct("Person B")) if reply.card]) == 1
        clock.advance(600)
        result = await people.hears("Result")
        assert "Sushi 1" in result
        assert "1 of 2 voted" in result
        assert people.engine.desk.switchboard.strangers - before == (1 if side == "group" else 0)


async def test_d10_a_stranger_cannot_open_a_vote(party):
    async with party("Person A", "Person B") as people:
        body = {"do": "poll", "op": "open", "poll": "p", "number": 1, "question": "Password?", "choices": ["a", "b"]}
        channel = people.direct("Person B")
        opening = Envelope(group="group", side="group", id="p/open", do="poll", body={**body, "closes_at": None})
        async with overheard(people, "Person B") as (_, put_and_see):
            await put_and_see(orjson.loads(WRONG_KEY.close(channel, opening)))
        await people.say("Person A", LUNCH)
        await people.ballot("Person B")
        assert [reply.card.title for reply in people.space.heard(channel) if reply.card] == ["Lunch?"]


@pytest.mark.parametrize(
    "ballot",
    [
        {"choice": "Caviar", "n": 5, "at": 1.0},
        {"choice": "Sushi", "n": "5", "at": 1.0},
        {"choice": "Sushi", "n": 5, "at": "now"},
        {"choice": ["Sushi"], "n": 5, "at": 1.0},
        {},
    ],
)
async def test_d10_a_sealed_ballot_that_makes_no_sense_is_not_counted(party, clock, ballot):
    async with party("Person A", "Person B") as people:
        round = await voting(people)
        body = {"op": "ballot", "poll": round.id, **ballot}
        envelope = Envelope(group="group", side="direct", id="x", n=5, do="poll", body=body)
        channel = people.direct("Person B")
        async with overheard(people, "Person B") as (_, put_and_see):
            await put_and_see(orjson.loads(people.engine.desk.switchboard.seal.close(channel, envelope)))
        clock.advance(600)
        assert "Nobody voted" in await people.hears("Result")
