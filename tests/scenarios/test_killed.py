"""The server killed with -9 in the middle of a vote: one ballot each, none lost, one result, receipts that agree."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from shellbot.testing.clock import Clock
from shellbot.testing.people import ScriptedPerson, new_key, own_address
from shellbot.testing.servers import Server

CHOICES = ["Pizza", "Sushi", "Salad"]
POLL = 'poll "Lunch?" Pizza, Sushi, Salad in 10m'


@asynccontextmanager
async def crowd(server: Server, count: int):
    """So many people in the room, each with an address of its own on this machine."""
    people = [
        ScriptedPerson(server.url, f"Person {number}", address=own_address(number), patience=60)
        for number in range(1, count + 1)
    ]
    async with AsyncExitStack() as stack:
        for person in people:
            stack.push_async_callback(person.close)
        await asyncio.gather(*(person.join() for person in people))
        yield people


def ballots(server: Server) -> list[tuple[str, str]]:
    """Direct channel and choice of each ballot that is counted, read from the store when the server has ended."""
    db = sqlite3.connect(server.folder / "store.db")
    try:
        return db.execute("SELECT direct, choice FROM poll_ballots").fetchall()
    finally:
        db.close()


def events_of(server: Server, kind: str) -> list[str]:
    db = sqlite3.connect(server.folder / "store.db")
    try:
        return [row[0] for row in db.execute("SELECT id FROM inbox WHERE kind = ?", (kind,))]
    finally:
        db.close()


def troubles(server: Server) -> list[str]:
    """What it complained of; people who talk on while time is moved keep it from coming to rest, which is none."""
    return [line for line in server.stderr.splitlines() if "something still goes on" not in line]


async def counted(person: ScriptedPerson, choice: str, clock: Clock, title: str = "") -> None:
    """See the receipt. What was answered is counted, but where the kill fell it may have to be put once more."""
    for _ in range(5):
        await person.catch_up()
        if f"Your vote is counted: {choice}." in (await person.ballot(title)).note:
            return
        await clock.advance(1)
    raise AssertionError(f"{person.name} got no receipt for {choice}: {await person.ballot(title)}")


async def vote_with_kills(tmp_path, seed: int, count: int, kills: int) -> None:
    """People vote, change their votes and are cut off; each knows what was the last it said."""
    rng = random.Random(seed)
    print(f"seed {seed}")
    clock = Clock()
    async with Server(tmp_path / "instance", clock=clock) as server, crowd(server, count) as people:
        await people[0].say(POLL)
        last: dict[str, str] = {}
        pressed = 0
        moved = asyncio.Condition()
        plans = {person: [rng.choice(CHOICES) for _ in range(rng.randint(1, 4))] for person in people[1:]}
        presses = sum(map(len, plans.values()))

        async def vote(person: ScriptedPerson) -> None:
            nonlocal pressed
            for choice in plans[person]:
                async with moved:
                    pressed += 1
                    moved.notify_all()
                await person.press(choice)
                last[person.name] = choice

        async def kill() -> None:
            for number in range(1, kills + 1):
                async with moved:
                    while pressed < presses * number // (kills + 1):
                        await moved.wait()
                await server.restart(kill=True)

        await asyncio.gather(kill(), *map(vote, people[1:]))
        for person in people[1:]:
            await counted(person, last[person.name], clock)
        assert sum(person.retries for person in people) >= kills, "the kills fell between requests"
        await clock.advance(600)

        expected = Counter(last.values())
        result = await people[0].heard("Result of vote #1")
        assert f"{count - 1} of {count} voted" in result
        for choice in CHOICES:
            assert f"{choice} {expected[choice]} " in result
        for person in people:
            await person.catch_up()
            assert sum("Result of vote" in post.text for post in person.posts("group")) == 1
            assert [post.text.count("Vote #1") for post in person.posts("direct") if post.ballot] == [1]
            mine = last.get(person.name)
            note = f"Closed. Your vote: {mine}" if mine else "Closed. No vote of yours was counted."
            assert (await person.ballot("Lunch?")).note == note
        assert await server.stop() == 0
        stored = ballots(server)
        assert len({direct for direct, _ in stored}) == len(stored) == count - 1
        assert Counter(choice for _, choice in stored) == expected
        assert len(events_of(server, "action")) == presses, "each press came in once, however often it was sent"
        assert troubles(server) == []


async def test_killed_once_in_a_vote_of_twelve(tmp_path):
    await vote_with_kills(tmp_path, seed=1, count=12, kills=1)


async def test_d02_killed_three_times_in_a_vote_of_fifty(tmp_path):
    await vote_with_kills(tmp_path, seed=2, count=50, kills=3)


@pytest.mark.long
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(3, 13))
async def test_killed_three_times_in_a_vote_of_fifty_again_and_again(tmp_path, seed):
    await vote_with_kills(tmp_path, seed=seed, count=50, kills=3)


async def test_d01_a_vote_whose_answer_was_lost_with_the_server_counts_once_when_it_is_sent_again(tmp_path):
    clock = Clock()
    async with Server(tmp_path / "instance", clock=clock) as server, crowd(server, 2) as (first, second):
        await first.say(POLL)
        for delay_ms in (0, 1, 2, 4, 8):  # before it is read, in the inbox, at the bus, at the receipt: wherever it is
            choice = CHOICES[delay_ms % 3]
            key = new_key()
            await second.ballot()
            sending = asyncio.ensure_future(second.press(choice, key=key))
            await asyncio.sleep(delay_ms / 1000)  # not to wait for something: to kill it somewhere else each time
            await server.restart(kill=True)
            await sending
            await second.press(choice, key=key)  # and once more, though it has been answered
            await counted(second, choice, clock)
        await clock.advance(600)
        assert "1 of 2 voted" in await first.heard("Result")
        assert await server.stop() == 0
        assert len(ballots(server)) == 1
        assert len(events_of(server, "action")) == 5


async def test_d02_killed_while_the_vote_opens_and_while_it_closes(tmp_path):
    clock = Clock()
    async with Server(tmp_path / "instance", clock=clock) as server, crowd(server, 8) as people:
        await people[0].say(POLL)
        await server.restart(kill=True)
        for person in people:
            while not person.posts("direct"):
                await clock.advance(1)
                await person.catch_up()
            await person.press("Sushi")
            if person is not people[-1]:
                await person.heard_direct("Your vote is counted")
        await server.restart(kill=True)  # with the last vote, all have voted: it closes
        await clock.advance(60)
        assert "Sushi 8" in await people[0].heard("Result of vote #1")
        for person in people:
            await person.catch_up()
            assert sum("Result of vote" in post.text for post in person.posts("group")) == 1
            assert sum("Vote #1" in post.text for post in person.posts("direct")) == 1


class Canteen:
    """Three votes at once among a few people who press and type, while the server is killed or stopped at random.

    The model is one dictionary: the last that each said to each vote.
    """

    def __init__(self, server: Server, clock: Clock, people: list[ScriptedPerson], seed: int) -> None:
        self.server = server
        self.clock = clock
        self.people = people
        self.seed = seed
        self.last: dict[tuple[str, int], str] = {}

    async def open(self) -> None:
        for number in (1, 2, 3):  # of each vote other choices, so that one button belongs to one vote
            choices = ", ".join(f"{choice} {number}" for choice in CHOICES)
            await self.people[0].say(f'poll "Meal {number}?" {choices}')

    async def vote(self, person: ScriptedPerson) -> None:
        rng = random.Random(f"{self.seed} {person.name}")
        for _ in range(rng.randint(2, 8)):
            number = rng.randint(1, 3)
            choice = f"{rng.choice(CHOICES)} {number}"
            await person.ballot(f"Meal {number}?")
            if rng.random() < 0.5:
                await person.press(choice)
            else:
                await person.say_direct(f"#{number} {choice}")
            self.last[person.name, number] = choice

    async def trouble(self) -> None:
        rng = random.Random(self.seed)
        for _ in range(3):
            await asyncio.sleep(rng.uniform(0.0, 0.2))  # any moment will do
            await self.server.restart(kill=rng.random() < 0.7)

    async def receipts(self) -> None:
        for person in self.people:
            for number in (1, 2, 3):
                if choice := self.last.get((person.name, number)):
                    await counted(person, choice, self.clock, f"Meal {number}?")

    async def close(self) -> None:
        for number in (1, 2, 3):
            await self.people[0].say(f"poll close #{number}")
        for number in (1, 2, 3):
            result = await self.people[0].heard(f"Result of vote #{number}: Meal {number}?")
            expected = Counter(choice for (_, of), choice in self.last.items() if of == number)
            for choice in CHOICES:
                assert f"{choice} {number} {expected[f'{choice} {number}']} " in result
            assert "Did not confirm" not in result
        for person in self.people:
            await person.catch_up()
            texts = [post.text for post in person.posts("group")]
            assert sum(text.startswith("Vote #") for text in texts) == 3
            assert sum(text.startswith("Result of") for text in texts) == 3
            assert sum(post.ballot is not None for post in person.posts("direct")) == 3


async def dine(tmp_path, seed: int) -> None:
    clock = Clock()
    async with Server(tmp_path / "instance", clock=clock) as server, crowd(server, 6) as people:
        canteen = Canteen(server, clock, people, seed)
        moving = asyncio.create_task(keep_moving(server, clock))
        await asyncio.gather(canteen.open(), canteen.trouble(), *map(canteen.vote, people[1:]))
        moving.cancel()
        await asyncio.gather(moving, return_exceptions=True)
        await canteen.receipts()
        await canteen.close()
        assert troubles(server) == []


async def keep_moving(server: Server, clock: Clock) -> None:
    """Time goes on, so that what was lost on the bus is put again."""
    while True:
        try:
            await clock.advance(0.5)
        except OSError:
            pass  # the server is down
        await asyncio.sleep(0.05)


async def test_d05_three_votes_at_once_pressed_and_typed_while_the_server_comes_and_goes(tmp_path):
    await dine(tmp_path, seed=1)


@pytest.mark.long
@pytest.mark.timeout(60)
@pytest.mark.parametrize("seed", range(2, 22))
async def test_three_votes_at_once_again_and_again(tmp_path, seed):
    await dine(tmp_path, seed)
