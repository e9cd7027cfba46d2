"""With ``retention.days``, what is older is forgotten once a day, and all goes on."""

from __future__ import annotations

import asyncio
import re
import sqlite3

from shellbot.files import shelf
from tests.scenarios.later import hears_later
from tests.scenarios.traces import files_in

DAY = 86_400
SECRET = 'poll "Shall Zanzibar go?" Quetzal, Xylophone in 10m'


def traces(folder):
    return [path.name for path, data in files_in(folder).items() if b"Zanzibar" in data]


async def looked(people):
    """Let the store do what stands in its line."""
    await people.engine.desk.store.read(lambda db: None)


async def gone(people, folder, clock):
    """Let days pass until nothing is left."""
    async with asyncio.timeout(10):
        while traces(folder):
            clock.advance(DAY)
            await looked(people)


async def held(people, clock):
    await people.say("Person A", SECRET)
    for name in ("Person A", "Person B"):
        await people.ballot(name, "Shall Zanzibar go?")
        await people.press(name, "Quetzal")
    await people.hears("Result of vote #1")
    for name in ("Person A", "Person B"):
        await people.hears("Closed. Your vote", name)


async def test_a_vote_that_is_over_is_forgotten_and_one_that_is_open_is_not(party, clock, tmp_path):
    folder = tmp_path / "instance"
    async with party("Person A", "Person B", settings={"retention.days": 30}) as people:
        await held(people, clock)
        await people.say("Person A", 'poll "Lunch?" Pizza, Sushi')
        await people.ballot("Person B")
        await people.press("Person B", "Sushi")
        await people.hears("Your vote is counted: Sushi", "Person B")
        for _ in range(29):
            clock.advance(DAY)
            await looked(people)
        assert traces(folder)
        await gone(people, folder, clock)
        await people.say("Person A", "poll show #1")
        assert re.search(r"forgotten, \d\d [A-Z][a-z]{2} 20\d\d\.", await people.hears("Vote #1 was forgotten, "))
        await people.press("Person A", "Pizza")
        assert "Sushi 1" in await hears_later(people, clock, "Result of vote #2")


async def test_what_became_old_while_nobody_served_is_forgotten_at_the_start(party, clock, tmp_path):
    async with party("Person A", "Person B") as people:
        await held(people, clock)
    clock.advance(31 * DAY)
    async with party(settings={"retention.days": 30}) as people:
        await gone(people, tmp_path / "instance", clock)
        await people.join("Person A")
        await people.say("Person A", "poll history")
        await people.hears("No vote has closed here yet.")


async def test_without_the_setting_all_is_kept(party, clock, tmp_path):
    async with party("Person A", "Person B") as people:
        await held(people, clock)
    clock.advance(4000 * DAY)
    async with party() as people:
        await people.join("Person A")
        await people.say("Person A", "poll history")
        await people.hears("Shall Zanzibar go?")


async def test_the_history_of_the_web_chat_goes_with_its_files(dialogue, monkeypatch):
    monkeypatch.setenv("SHELLBOT_RETENTION_DAYS", "30")
    group = await dialogue.group("Person A", "Person B")
    folder = dialogue.server.folder
    await group.say("Person A", "echo Zanzibar", files=[("zanzibar.txt", b"Zanzibar")])
    assert traces(folder)
    await dialogue.clock.advance(20 * DAY)
    await group.say("Person A", "echo young")
    await dialogue.clock.advance(10 * DAY)
    async with asyncio.timeout(10):
        while traces(folder) or list((folder / "files").iterdir()):
            await dialogue.clock.advance(DAY / 4)
    db = sqlite3.connect(folder / "store.db")
    texts = [text for (text,) in db.execute("SELECT text FROM web_posts")]
    assert texts == ["echo young", "young"]
    assert shelf.all_sizes(db) == {}
    db.close()
    await dialogue.clock.advance(40 * DAY)
    assert "later" in await group.say("Person B", "echo later")
    await dialogue.restart(kill=True)
    assert "again" in await group.say("Person B", "echo again")
