"""The server killed with -9 amid several choices, orders, reminders, planned openings: none lost, none done twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from shellbot.testing.clock import Clock
from shellbot.testing.servers import Server
from tests.scenarios.test_killed import crowd

TOPPINGS = ["Ham", "Corn", "Egg"]


async def hears_later(person, clock, text, side="group"):
    """Wait for it while time goes on: what was lost with the server is said again after some seconds."""
    for _ in range(60):
        await person.catch_up()
        for post in person.posts(side):
            if text in post.text or (post.ballot is not None and text in post.ballot.note):
                return post.text
        await clock.advance(1)
    raise AssertionError(f"{person.name} did not hear {text!r}: {[post.text for post in person.posts(side)]}")


async def choose_with_kills(tmp_path, seed: int, count: int, kills: int) -> None:
    """Each presses buttons that go on and off; the model is a set for each."""
    rng = random.Random(seed)
    clock = Clock()
    async with Server(tmp_path / "instance", clock=clock) as server, crowd(server, count) as people:
        await people[0].say('poll multiple "Toppings?" Ham, Corn, Egg in 10m')
        model = {person: set() for person in people}
        plans = {person: [rng.choice(TOPPINGS) for _ in range(rng.randint(1, 6))] for person in people}

        async def choose(person) -> None:
            for choice in plans[person]:
                await person.press(choice)
                model[person] ^= {choice}

        async def kill() -> None:
            for _ in range(kills):
                await asyncio.sleep(rng.uniform(0.0, 0.2))  # any moment will do
                await server.restart(kill=True)

        await asyncio.gather(kill(), *map(choose, people))
        for person in people:
            if chosen := model[person]:
                listed = ", ".join(choice for choice in TOPPINGS if choice in chosen)
                await hears_later(person, clock, f"Your vote is counted: {listed}.", "direct")
        await clock.advance(20)  # what was taken back has no note to wait for
        await people[0].say_direct("poll close")
        result = await hears_later(people[0], clock, "Result of vote #1")
        expected = Counter(choice for chosen in model.values() for choice in chosen)
        assert f"{sum(map(bool, model.values()))} of {count} voted" in result
        for choice in TOPPINGS:
            assert f"{choice} {expected[choice]} " in result
        await people[0].catch_up()
        assert sum("Result of vote" in post.text for post in people[0].posts("group")) == 1


async def test_buttons_that_go_on_and_off_keep_their_state_over_kills(tmp_path):
    await choose_with_kills(tmp_path, seed=1, count=6, kills=2)


@pytest.mark.long
@pytest.mark.timeout(60)
@pytest.mark.parametrize("seed", range(2, 12))
async def test_buttons_that_go_on_and_off_again_and_again(tmp_path, seed):
    await choose_with_kills(tmp_path, seed=seed, count=12, kills=3)


async def test_killed_right_after_each_order_none_is_lost_and_none_is_done_twice(tmp_path):
    orders = {
        "remind": ("You have not voted yet", "direct"),
        "extend 10m": ("Vote #1 is extended by Person 1", "group"),
        "close": ("Result of vote #1", "group"),
        "reopen #1 in 10m": ("Vote #1 is open again, by Person 1", "group"),
        "cancel": ("Vote #1 is cancelled by Person 1", "group"),
    }
    clock = Clock()
    async with Server(tmp_path / "instance", clock=clock) as server, crowd(server, 3) as people:
        await people[0].say('poll "Lunch?" Pizza, Sushi in 10m')
        for person in people:
            await person.ballot("Lunch?")
        await clock.settle()  # the group knows of all ballots: who has none is not reminded
        for order, (effect, side) in orders.items():
            await people[0].say_direct(f"poll {order}")
            await server.restart(kill=True)
            for person in people if side == "direct" else people[1:2]:
                await hears_later(person, clock, effect, side)
        for person in people:
            await hears_later(person, clock, "Cancelled. There is no result.", "direct")
            for effect, side in orders.values():
                assert sum(effect in post.text for post in person.posts(side) if post.ballot is None) == 1, effect
        assert await server.stop() == 0
        assert server.stderr == ""


async def test_a_planned_vote_opens_once_though_the_server_is_killed_before_and_while_it_opens(tmp_path):
    clock = Clock()
    async with Server(tmp_path / "instance", clock=clock) as server, crowd(server, 3) as people:
        await people[0].say('poll yesno "Lunch?" opens in 1h in 10m results owner')
        await server.restart(kill=True)
        await hears_later(people[0], clock, "Your vote #1 opens at", "direct")
        await clock.advance(3600)
        await server.restart(kill=True)
        for person in people:
            await hears_later(person, clock, "Vote #1 · closes", "direct")
        await people[1].press("Yes")
        await clock.advance(600)
        await server.restart(kill=True)
        assert "Yes 1" in await hears_later(people[0], clock, "Result of vote #1: Lunch?", "direct")
        await hears_later(people[0], clock, "Person 1 has the result.")
        for person in people:
            await person.catch_up()
            texts = [post.text for post in person.posts("group")]
            for once in ("Vote #1 opens at", "have a ballot", "has the result"):
                assert sum(once in text for text in texts) == 1, once
            assert sum(post.ballot is not None for post in person.posts("direct")) == 1
