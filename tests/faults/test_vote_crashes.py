"""A whole vote on a server that ends at any of its steps, and is started again: row D2 of docs/faults.md."""

from __future__ import annotations

import asyncio
import re

import pytest

from shellbot.testing.clock import Clock
from shellbot.testing.servers import PRODUCT, Server, ServerEnded
from tests.scenarios.test_killed import ballots, crowd

POLL = 'poll "Lunch?" Pizza, Sushi in 10m'
KILLED = -9
Shown = dict[str, list[tuple[str, str]]]


class Trial:
    """One vote of three people; each life of the server may end at a step, and another one begins."""

    def __init__(self, folder, crashes) -> None:
        self.clock = Clock()
        self.server = Server(folder, clock=self.clock)
        self.crashes = iter(crashes)
        self.lives = 0

    async def play(self) -> Shown:
        """The whole vote; gives what people see in the end."""
        async with self.server, crowd(self.server, 3) as people:
            await self.clock.settle()
            await self.server.stop()
            async with asyncio.TaskGroup() as tasks:
                await self.begin()
                keeping = tasks.create_task(self.keep_up())
                await people[0].say(POLL)
                moving = tasks.create_task(self.move())
                await self.vote(people)
                moving.cancel()
                await self.go_on(60)
                for person in people:
                    await person.catch_up()
                keeping.cancel()
            await self.server.close()
            assert [choice for _, choice in ballots(self.server)] == ["Sushi", "Sushi"]
            return {person.name: seen(person) for person in people}

    async def vote(self, people) -> None:
        """One presses and changes it, one types, one does nothing; then it is closed by the time."""
        _, second, third = people
        await second.press("Pizza")
        await third.ballot()
        await third.say_direct("2")
        await second.press("Sushi")
        for person in (second, third):
            await person.until(lambda person=person: noted(person, "counted: Sushi"), "the receipt")
        await self.go_on(600)
        for person in people:
            await person.heard("Result of vote #1")
            await person.until(lambda person=person: noted(person, "Closed."), "the close")

    async def begin(self) -> None:
        """A life that ends at the next step of the list, and when it ended at once, another."""
        while True:
            self.lives += 1
            try:
                return await self.server.start(crash_at=next(self.crashes, 0))
            except ServerEnded:
                pass

    async def keep_up(self) -> None:
        """Whenever it has ended, begin again."""
        while await self.server.wait(timeout=100) == KILLED:
            await self.begin()

    async def go_on(self, seconds: float) -> None:
        """Let time pass; what a crash cut off has not passed."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            try:
                await self.clock.advance(until - self.clock.now)
            except OSError:
                pass
            await asyncio.sleep(0.02)  # the next life needs some time of the machine

    async def move(self) -> None:
        """Time goes on, so that what was lost with the server is said again."""
        while True:
            await self.go_on(0.5)


def noted(person, text: str) -> bool | None:
    """Whether the ballot says so."""
    return any(post.ballot is not None and text in post.ballot.note for post in person.posts("direct")) or None


def seen(person) -> list[tuple[str, str]]:
    """What stands there in the end, whatever order two channels came in."""
    return [
        (post.side, f"{post.text} | {post.ballot.note if post.ballot else ''}")
        for side in ("group", "direct")
        for post in person.posts(side)
        if post.is_bot
    ]


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> Shown:
    """What people see of a vote that nothing disturbs."""
    return asyncio.run(Trial(tmp_path_factory.mktemp("whole") / "instance", []).play())


async def test_d02_the_product_ends_at_the_step_it_was_told_and_refuses_what_is_none(tmp_path, monkeypatch):
    server = Server(tmp_path / "instance", program=PRODUCT)
    with pytest.raises(ServerEnded, match="ends at step 1, before a commit"):
        await server.start(crash_at=1)
    monkeypatch.setenv("SHELLBOT_CRASH_AT", "soon")
    with pytest.raises(ServerEnded, match="is the number of a step, 1 or more, not 'soon'"):
        await server.start()


@pytest.mark.timeout(60)  # several lives of a server: 4 s on a machine that has nothing else to do
async def test_d02_a_vote_in_which_each_life_ends_some_steps_later_has_the_same_result(expected, tmp_path):
    trial = Trial(tmp_path / "instance", [20, *range(110, 1000, 40)])
    assert await trial.play() == expected
    ends = trial.server.stderr.splitlines()
    assert len(ends) == trial.lives - 1 > 2
    assert all(re.fullmatch(r"shellbot: ends at step \d+, \w+ .* \(SHELLBOT_CRASH_AT\)", line) for line in ends)


@pytest.mark.long
@pytest.mark.timeout(120)
@pytest.mark.parametrize("first", range(1, 301, 6))
async def test_d02_a_vote_cut_off_at_any_step_has_the_same_result(expected, tmp_path, first):
    for crash_at in range(first, first + 6):  # the whole vote has some 260 steps
        trial = Trial(tmp_path / f"at-{crash_at}", [crash_at])
        assert await trial.play() == expected, f"SHELLBOT_CRASH_AT={crash_at}"
