"""``shellbot poll forget``: nothing of a vote that is over lies in the store any more, and the server goes on."""

from __future__ import annotations

import asyncio
import re
import sqlite3

import pytest
from click.testing import CliRunner

from shellbot.cli import cli
from tests.scenarios.traces import files_in

DATED = re.compile(r"forgotten, \d\d [A-Z][a-z]{2} 20\d\d\.")
SECRET = 'poll "Shall Zanzibar go?" Quetzal, Xylophone in 10m'
WORDS = ("Zanzibar", "Quetzal", "Xylophone")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "instance"


@pytest.fixture
def shellbot(folder):
    def run(*arguments, code=0, typed=""):
        done = CliRunner().invoke(cli, ["poll", *arguments, "--instance", str(folder)], input=typed)
        assert done.exit_code == code, done.output or done.exception
        return done.output if done.exception is None else f"{done.output}{done.exception}"

    return run


def traces(folder):
    """Words of the vote that stand anywhere in the folder, by file."""
    found = {path.name: [word for word in WORDS if word.encode() in data] for path, data in files_in(folder).items()}
    return {name: words for name, words in found.items() if words}


async def held(people, clock, line=SECRET):
    await people.say("Person A", line)
    for name in ("Person A", "Person B"):
        await people.ballot(name, "Shall Zanzibar go?")
        await people.press(name, "Quetzal")
    await people.hears("Result of vote #1")
    for name in ("Person A", "Person B"):
        await people.hears("Closed. Your vote", name)


async def is_quiet(people):
    """Return when the server has done all it had to do: what it wrote last is written."""
    await people.engine.desk.store.read(lambda db: None)


@pytest.mark.parametrize("line", [SECRET, f"{SECRET} anonymous"], ids=["named", "anonymous"])
async def test_nothing_of_it_is_left_beside_a_server_that_runs(party, clock, folder, shellbot, line):
    async with party("Person A", "Person B") as people:
        await held(people, clock, line)
        await is_quiet(people)
        assert traces(folder)
        assert shellbot("forget", "1", "--yes") == "Vote #1 is forgotten.\n"
        assert traces(folder) == {}
        await people.press("Person B", "Xylophone")  # its card is still to be seen on the platform
        await people.hears("These buttons belong to nothing I still know of.", "Person B")
        await people.whisper("Person B", "Xylophone")
        await people.say("Person A", "poll show #1")
        assert DATED.search(await people.hears("Vote #1 was forgotten, "))
        await people.whisper("Person A", "poll reopen #1")
        assert DATED.search(await people.hears("Vote #1 was forgotten, ", "Person A"))
        await people.say("Person A", "poll history")
        await people.hears("No vote has closed here yet.")
        assert "#1    forgotten  20" in shellbot("list")
        assert "vote #1 was forgotten, 20" in shellbot("show", "1", code=1)
        assert "vote #1 was forgotten, 20" in shellbot("forget", "1", "--yes", code=1)
        await people.say("Person A", 'poll "Lunch?" Pizza, Sushi in 10m')
        await people.hears("**Vote #2: Lunch?**")  # its number is not given again
        await people.ballot("Person B")
        await people.press("Person B", "Sushi")
        await people.hears("Your vote is counted: Sushi", "Person B")
        clock.advance(600)
        assert "Sushi 1" in await people.hears("Result of vote #2")
    async with party() as people:
        await people.join("Person A", "Person B")
        await people.say("Person A", "poll history")
        await people.hears("#2 Lunch?")
    assert "The log is whole" in shellbot("recount", "2")
    assert traces(folder) == {}


async def test_nothing_of_it_is_left_when_no_server_runs(party, clock, folder, shellbot):
    async with party("Person A", "Person B") as people:
        await held(people, clock)
    assert "Shall Zanzibar go? (closed), with 2 ballots. Forget it for good?" in shellbot(
        "forget", "#1", typed="n\n", code=1
    )
    assert traces(folder)
    shellbot("forget", "#1", typed="y\n")
    assert traces(folder) == {}
    assert {path.suffix for path in folder.iterdir()} & {".db-wal"} == set()


async def test_other_votes_stay_as_they_are(party, clock, folder, shellbot):
    async with party("Person A", "Person B") as people:
        await held(people, clock)
        await people.say("Person A", 'poll "Lunch?" Pizza, Sushi in 10m')
        await people.ballot("Person B")
        await people.press("Person B", "Sushi")
        await people.hears("Your vote is counted: Sushi", "Person B")
        await is_quiet(people)
        shellbot("forget", "1", "--yes")
        clock.advance(600)
        assert "Sushi 1" in await people.hears("Result of vote #2")
    assert "The log is whole" in shellbot("recount", "2")


async def test_votes_that_come_meanwhile_are_all_counted(party, clock, folder, shellbot):
    names = [f"Person {letter}" for letter in "ABCDEFGHIJ"]
    async with party(*names) as people:
        for number in range(1, 4):
            await people.say("Person A", f"{SECRET} results live")
            await people.ballot("Person J", "Shall Zanzibar go?")
            await people.say("Person A", f"poll cancel #{number}")
            for name in names:
                await people.hears("Cancelled. There is no result.", name)
            people.space._heard.clear()
        await people.say("Person A", 'poll "Lunch?" Pizza, Sushi')
        for name in names:
            await people.ballot(name)
        await is_quiet(people)

        async def forget():
            for number in "123":
                await asyncio.to_thread(shellbot, "forget", number, "--yes")

        await asyncio.gather(forget(), *(people.press(name, "Sushi") for name in names))
        assert "Sushi 10" in await people.hears("Result of vote #4")
    assert traces(folder) == {}
    assert "The log is whole" in shellbot("recount", "4")


async def test_while_it_is_open_it_is_not_forgotten(party, clock, folder, shellbot):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", SECRET)
        await people.ballot("Person B", "Shall Zanzibar go?")
        assert "vote #1 is open; say `poll close #1` or `poll cancel #1`" in shellbot("forget", "1", "--yes", code=1)
    assert "vote #1 is open" in shellbot("forget", "1", "--yes", code=1)
    assert "there is no vote 7 here; the last one is #1" in shellbot("forget", "7", "--yes", code=1)


async def test_what_the_server_is_busy_with_is_not_taken_from_under_it(party, clock, folder, shellbot):
    async with party("Person A", "Person B") as people:
        await held(people, clock)
        await is_quiet(people)
        db = sqlite3.connect(folder / "store.db")
        with db:
            db.execute("UPDATE poll_roll SET closed = 0 WHERE person_id = 'person-b'")
        assert "the server is still busy with vote #1" in shellbot("forget", "1", "--yes", code=1)
        db.close()
    assert "is forgotten" in shellbot("forget", "1", "--yes")


async def test_a_cancelled_vote_is_forgotten_too(party, folder, shellbot):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", SECRET)
        for name in ("Person A", "Person B"):
            await people.ballot(name, "Shall Zanzibar go?")
        await people.whisper("Person A", "poll cancel #1")
        for name in ("Person A", "Person B"):
            await people.hears("Cancelled. There is no result.", name)
    shellbot("forget", "1", "--yes")
    assert traces(folder) == {}


async def test_what_the_chat_page_showed_of_it_is_blanked_and_the_page_goes_on(dialogue, shellbot, folder):
    group = await dialogue.group("Person A", "Person B")
    await group.say("Person A", SECRET)
    for name in ("Person A", "Person B"):
        await dialogue.direct(name).press("Quetzal")
    await group.heard("Result of vote #1")
    done = CliRunner().invoke(cli, ["poll", "forget", "1", "--yes", "--instance", str(dialogue.server.folder)])
    assert done.exit_code == 0, (done.output, done.exception)
    kept = traces(dialogue.server.folder)
    assert kept in ({}, {"store.db": list(WORDS)})  # the line that Person A typed stays in the history
    db = sqlite3.connect(dialogue.server.folder / "store.db")
    with_words = db.execute("SELECT author FROM web_posts WHERE text LIKE '%Zanzibar%' OR card LIKE '%Zanzibar%'")
    assert {bool(author) for (author,) in with_words} == {True}
    assert db.execute("SELECT count(*) FROM web_posts WHERE text = '(forgotten)'").fetchone()[0] >= 4
    db.close()
    assert "Hello" in await group.say("Person B", "echo Hello")
    await dialogue.restart(kill=True)
    assert "again" in await group.say("Person B", "echo again")


async def test_somebody_who_could_not_be_reached_hinders_nothing(party, clock, folder, shellbot):
    async with party("Person A", "Person B", "Person C") as people:
        people.space.unreachable.add(people.people["Person C"].id)
        await people.say("Person A", SECRET)
        for name in ("Person A", "Person B"):
            await people.ballot(name, "Shall Zanzibar go?")
            await people.press(name, "Quetzal")
        await people.say("Person A", "poll close #1")
        await people.hears("Result of vote #1")
        for name in ("Person A", "Person B"):
            await people.hears("Closed. Your vote", name)
        await is_quiet(people)
        assert shellbot("forget", "1", "--yes") == "Vote #1 is forgotten.\n"
    assert traces(folder) == {}
