"""``--demo``: one real person alone sees a whole vote, among scripted people who come in by the same door."""

from __future__ import annotations

import pytest

from shellbot.testing.clock import Clock
from shellbot.testing.people import ScriptedPerson
from shellbot.testing.script import CAST
from shellbot.testing.servers import PRODUCT, Server


async def test_one_person_alone_sees_a_whole_vote_in_a_minute(tmp_path):
    clock = Clock()
    async with Server(tmp_path / "instance", "--demo", clock=clock) as server:
        async with ScriptedPerson(server.url, "Person A") as person:
            for _ in range(60):
                await clock.advance(1)
                if any(shown.text.startswith("Result of vote") for shown in person.shown):
                    break
                if any(shown.ballot for shown in person.posts("direct")) and not (await person.ballot()).chosen:
                    await person.press("Sushi bar")
            result = await person.heard("Result of vote #1", timeout=0)
            assert f"{len(CAST) + 1} of {len(CAST) + 1} voted" in result
            for _ in range(10):
                await clock.advance(1)
            await person.heard("Fine with me.")
            said = [post for post in person.posts("group") if "Welcome, Person A" in post.text]
            assert len(said) == 1
            assert server.stderr == ""

            spoken = len(person.shown)
            await clock.advance(3600)
            await person.catch_up()
            assert len(person.shown) == spoken, "they fell silent"


async def test_the_cast_votes_in_a_vote_of_the_real_person(tmp_path):
    clock = Clock()
    async with Server(tmp_path / "instance", "--demo", clock=clock) as server:
        async with ScriptedPerson(server.url, "Person A") as person:
            await person.until(lambda: set(CAST) <= set(person.names) or None, "the cast")
            await person.say('poll "Tea or coffee?" Tea, Coffee in 10m')
            await person.press("Tea")
            for _ in range(60):
                await clock.advance(1)
                if any(shown.text.startswith("Result of vote") for shown in person.shown):
                    break
            assert "6 of 6 voted" in await person.heard("Result of vote #1", timeout=0)
            assert not any(post.text.startswith("poll ") for post in person.posts("group") if post.who == CAST[0])


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_the_product_shows_a_whole_vote_in_real_time(tmp_path):
    async with Server(tmp_path / "instance", "--demo", program=PRODUCT) as server:
        async with ScriptedPerson(server.url, "Person A") as person:
            await person.ballot("lunch", timeout=40)
            await person.press("The park")
            assert "6 of 6 voted" in await person.heard("Result of vote #1", timeout=50)
            assert await server.stop() == 0
            assert server.stderr == ""
