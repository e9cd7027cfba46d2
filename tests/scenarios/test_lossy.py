"""A bus that loses, doubles and disorders frames still gives one ballot each, and the right one.

The bus below does none of this within a connection; but connections break, and publishers die. What the two sides of a
poll do about it is tried here at random, against a model of three lines: the last vote of each counts.
"""

from __future__ import annotations

import asyncio
import random

import pytest

NAMES = ["Person A", "Person B", "Person C", "Person D"]
CHOICES = ["Pizza", "Sushi", "Salad"]


def unreliable(switchboard, rng, loss):
    """Make ``switchboard.put`` lose, double and delay."""
    put, late = switchboard.put, []

    def maybe(channel, envelope):
        if rng.random() < loss:
            return
        if rng.random() < loss:
            late.append((channel, envelope))
            return
        put(channel, envelope)
        if rng.random() < loss:
            put(channel, envelope)
        if late and rng.random() < 0.5:
            put(*late.pop(rng.randrange(len(late))))

    switchboard.put = maybe


async def passing(clock, condition, seconds=1800):
    """Let time pass, a second at a time, each with a moment for the bus, until the condition holds."""
    for _ in range(seconds):
        for _ in range(20):
            if condition():
                return
            await asyncio.sleep(0.001)
        clock.advance(1)
    raise AssertionError("it did not come to that")


async def vote_at_random(party, clock, seed, loss):
    rng = random.Random(seed)
    model = {}
    async with party(*NAMES) as people:
        unreliable(people.engine.desk.switchboard, rng, loss)

        def card(name):
            cards = [reply.card for reply in people.space.heard(people.direct(name)) if reply.card is not None]
            return cards[-1] if cards else None

        await people.say("Person A", f'poll "Lunch?" {", ".join(CHOICES)} in 2h')
        await passing(clock, lambda: all(card(name) for name in NAMES))
        voters = rng.sample(NAMES, 3)  # one never votes, so that the poll does not close by itself
        for _ in range(rng.randrange(3, 9)):
            name, choice = rng.choice(voters), rng.choice(CHOICES)
            await people.press(name, choice)
            model[name] = choice
            if rng.random() < 0.5:
                clock.advance(rng.random() * 3)
        receipts = {name: f"Your vote is counted: {choice}." for name, choice in model.items()}
        await passing(clock, lambda: all(card(name).note.startswith(text) for name, text in receipts.items()))
        await people.say("Person A", "poll close")
        await passing(clock, lambda: any("Result" in text for text in people.told()))
        result = await people.hears("Result")
        for choice in CHOICES:
            assert f"{choice} {list(model.values()).count(choice)} " in result
        await passing(clock, lambda: not any(card(name).is_open for name in NAMES))  # all hear of the close in the end
        assert sum("Result" in text for text in people.told()) == 1


@pytest.mark.parametrize("seed", range(6))
async def test_the_last_vote_of_each_counts_whatever_the_bus_does(party, clock, seed):
    await vote_at_random(party, clock, seed, loss=0.3)


@pytest.mark.long
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(100, 108))
async def test_the_same_many_times_over_and_worse(party, clock, seed):
    await vote_at_random(party, clock, seed, loss=0.45)
