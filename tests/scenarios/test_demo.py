"""``--demo``: one real person alone sees a whole vote, among scripted people who come in by the same door."""

from __future__ import annotations

import signal

import pytest

from shellbot.errors import SpaceError
from shellbot.testing.browser import Browser
from shellbot.testing.clock import Clock
from shellbot.testing.pages import read
from shellbot.testing.people import ScriptedPerson
from shellbot.testing.script import CAST
from shellbot.testing.servers import PRODUCT, Server


async def play_until(clock: Clock, person: ScriptedPerson, text: str) -> str:
    """Let time pass, though no faster than a page can be read, until the person has heard this.

    How long the play takes is the matter of the script's own tests; the cast reads over HTTP, which no clock moves.
    """
    for _ in range(400):
        await person.catch_up()
        if any(text in post.text for post in person.posts("group")):
            break
        await clock.advance(0.5)
    return await person.heard(text, timeout=0)


async def test_one_person_alone_sees_a_whole_vote(tmp_path):
    clock = Clock()
    async with Server(tmp_path / "instance", "--demo", clock=clock) as server:
        async with ScriptedPerson(server.url, "Person A") as person:
            await person.until(lambda: set(CAST) <= set(person.names) or None, "the cast")
            await play_until(clock, person, "Vote #1")
            await person.press("Sushi bar")
            await play_until(clock, person, "I have voted.")
            await play_until(clock, person, "of 6 voted; closes when all have voted")  # how far it is, while they vote
            assert "6 of 6 voted" in await play_until(clock, person, "Result of vote #1")
            await play_until(clock, person, "Fine with me.")
            assert sum("Welcome, Person A" in post.text for post in person.posts("group")) == 1

            spoken = len(person.shown)
            for _ in range(10):
                await clock.advance(600)
                await person.catch_up()
            assert len(person.shown) == spoken, "they fell silent"
    assert server.stderr == ""


async def test_the_cast_votes_in_a_vote_of_the_real_person(tmp_path):
    clock = Clock()
    async with Server(tmp_path / "instance", "--demo", clock=clock) as server:
        async with ScriptedPerson(server.url, "Person A") as person:
            await person.until(lambda: set(CAST) <= set(person.names) or None, "the cast")
            await person.say('poll "Tea or coffee?" Tea, Coffee in 1h')
            await person.press("Tea")
            assert "6 of 6 voted" in await play_until(clock, person, "Result of vote #1")
            assert not any(post.text.startswith("poll ") for post in person.posts("group") if post.who == CAST[0])


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_product_ends_at_once_in_the_middle_of_the_play(tmp_path, number):
    async with Server(tmp_path / "instance", "--demo", program=PRODUCT) as server:
        async with ScriptedPerson(server.url, "Person A") as person:
            await person.until(lambda: set(CAST) <= set(person.names) or None, "the cast")
            await person.heard("Good day, everybody.")
            said = person.posts("group")
            assert said[0].who == CAST[0]  # who may have greeted by now, and others answered
            assert not any("Vote #1" in post.text for post in said)
            await server.signal(number)
            assert await server.wait(3) == 0
    assert server.stderr == ""


async def test_nobody_takes_the_name_of_one_of_the_cast(tmp_path):
    async with Server(tmp_path / "instance", "--demo", program=PRODUCT) as server:
        async with ScriptedPerson(server.url, "Person A") as person:
            await person.until(lambda: set(CAST) <= set(person.names) or None, "the cast")
            namesake = ScriptedPerson(server.url, CAST[2])
            with pytest.raises(SpaceError, match="already taken"):
                await namesake.join()
        assert server.stderr == ""


async def test_without_the_demo_nobody_comes_in_by_a_demo_link(tmp_path):
    async with Server(tmp_path / "instance", program=PRODUCT) as server:
        page = read((await Browser(server.url).get("/?as=Robin")).text)
        assert not page.cursor
        async with ScriptedPerson(server.url, "Robin", is_demo=True) as person:  # a form of one's own making
            await person.say("am I marked?")
            await person.catch_up()
            assert "demo" not in (await Browser(server.url).get("/")).text


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
