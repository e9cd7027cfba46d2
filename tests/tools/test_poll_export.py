"""``shellbot poll list``, ``show`` and ``export``, beside a server that runs and after it."""

from __future__ import annotations

import asyncio
import csv
import io
import json

import pytest
from click.testing import CliRunner

from shellbot.cli import cli
from shellbot.events import Person

LUNCH = 'poll "Lunch?" Pizza, =Sushi in 10m'


@pytest.fixture
def shellbot(tmp_path):
    def run(*arguments, code=0):
        done = CliRunner().invoke(cli, ["poll", *arguments, "--instance", str(tmp_path / "instance")])
        assert done.exit_code == code, done.output or done.exception
        return done.output if done.exception is None else f"{done.output}{done.exception}"

    return run


def sheet(text):
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))


async def voted(people, **choices):
    await people.ballot("Person B")
    for name, choice in choices.items():
        await people.press(f"Person {name.upper()}", choice)
        await people.hears("Your vote is counted", f"Person {name.upper()}")
    await people.all_asked()
    await people.engine.desk.store.read(lambda db: None)  # what is known of them is in the store, too


async def test_a_vote_with_names_is_listed_shown_and_exported(party, clock, shellbot, tmp_path):
    async with party("Person A", "Person B") as people:
        people.space.unreachable.add("person-c")
        people.people["+Person C"] = Person("person-c", "+Person C")
        await (await people.space.join("group", people.people["+Person C"]))
        assert shellbot("list") == "No vote was held here yet.\n"
        await people.say("Person A", LUNCH)
        await voted(people, b="=Sushi")
        assert "#1    open" in shellbot("list")
        assert "2 of 3 have a ballot; 1 voted\nNot reached (1):\n  +Person C\n" in shellbot("show", "1")
        open_one = sheet(shellbot("export", "1"))
        assert open_one[0] == ["name", "id", "reached", "voted", "choice", "at"]
        assert ["Person B", "person-b", "yes", "yes", "", ""] in open_one
        assert "there are no counts to be seen of vote #1; it is open" in shellbot("export", "1", "--counts", code=1)
        clock.advance(600)
        await people.hears("Result")
        running = [shellbot(*words) for words in (("list",), ("show", "#1"), ("export", "1"))]
    assert [shellbot(*words) for words in (("list",), ("show", "#1"), ("export", "1"))] == running
    listed, shown, exported = running
    assert "#1    closed     2026-11-20 12:00  1 of 3 voted" in listed
    assert "=Sushi has the most votes." in shown
    assert "=Sushi 1" in shown
    assert "Pizza 0" in shown
    assert sheet(exported)[1:] == [
        ["Person A", "person-a", "yes", "no", "", ""],
        ["Person B", "person-b", "yes", "yes", "'=Sushi", "2026-11-20T12:00:00+00:00"],
        ["'+Person C", "person-c", "no", "no", "", ""],
    ]
    assert sheet(shellbot("export", "1", "--counts")) == [
        ["choice", "votes", "voted", "asked", "verdict"],
        ["Pizza", "0", "1", "3", "'=Sushi has the most votes."],
        ["'=Sushi", "1", "1", "3", "'=Sushi has the most votes."],
    ]
    file = tmp_path / "vote.json"
    assert shellbot("export", "1", "--format", "json", "--output", str(file)) == f"Written: {file}\n"
    facts = json.loads(file.read_text())
    assert (facts["question"], facts["answered"], facts["asked"], facts["winner"]) == ("Lunch?", 1, 3, "=Sushi")
    assert facts["unreachable"] == ["+Person C"]
    assert [person["choices"] for person in facts["people"]] == [[], ["=Sushi"], []]
    assert file.stat().st_mode & 0o777 == 0o600
    shellbot("export", "1", "--output", str(tmp_path / "vote.csv"))
    assert sheet((tmp_path / "vote.csv").read_text()) == sheet(exported)
    assert "there is no vote 7 here; the last one is #1" in shellbot("show", "7", code=1)
    assert "name another file with --output" in shellbot("export", "1", "--output", "/proc/none", code=1)


async def test_of_an_anonymous_vote_only_the_counts_are_exported(party, clock, shellbot):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", 'poll anonymous "Lunch?" Pizza, Sushi in 10m')
        await voted(people, b="Sushi")
        assert "it is open" in shellbot("export", "1", code=1)
        assert "1 voted" in shellbot("show", "1")
        assert json.loads(shellbot("export", "1", "--format", "json"))["counts"] is None
        clock.advance(600)
        await people.hears("Result")
        assert sheet(shellbot("export", "1"))[1:] == [
            ["Pizza", "0", "1", "2", "Sushi has the most votes."],
            ["Sushi", "1", "1", "2", "Sushi has the most votes."],
        ]
        facts = shellbot("export", "1", "--format", "json")
        assert "person-b" not in facts
        assert "Person B" not in facts
        assert json.loads(facts)["answered"] == 1


async def test_the_choices_of_several_stand_in_one_cell(party, clock, shellbot):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", 'poll multiple 2 "Lunch?" Pizza, Sushi, "Fish, chips" in 10m')
        await people.ballot("Person B")
        await people.whisper("Person B", "1, 3")
        await people.hears("Your vote is counted", "Person B")
        clock.advance(600)
        await people.hears("Result")
        assert sheet(shellbot("export", "1"))[2][4] == "Pizza; Fish, chips"
        assert 'Choices: Pizza, Sushi, "Fish, chips"\n' in shellbot("show", "1")


async def test_the_list_goes_by_numbers_and_names_the_room_where_there_are_several(party, shellbot):
    async with party("Person A") as people:
        for number in (1, 2):
            await people.say("Person A", LUNCH)
            await people.hears(f"Vote #{number}: Lunch?")
            await people.say("Person A", f"poll cancel #{number}")
            await people.hears(f"Vote #{number} is cancelled")
        await people.engine.desk.store.read(lambda db: None)
        assert [line.split("  ")[-1] for line in shellbot("list").splitlines()] == ["Lunch?"] * 2
        person = people.people["Person A"]
        await (await people.space.join("Wine cellar", person))
        await (await people.space.say("Wine cellar", person, 'poll "Which?" Red, White in 10m'))
        await people.ballot("Person A", "Which?")
        await people.engine.desk.store.read(lambda db: None)
    shellbot("forget", "2", "--yes")
    first, second, third = shellbot("list").splitlines()
    assert first.startswith("#1    cancelled  ")
    assert first.endswith("  group        Lunch?")
    assert second.startswith("#2    forgotten  ")
    assert third.startswith("#3    open       ")
    assert third.endswith("  Wine cellar  Which?")


async def test_a_live_count_is_shown_before_the_close(party, shellbot):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", f"{LUNCH} results live")
        await voted(people, b="Pizza")
        shown = shellbot("show", "1")
        assert "Pizza 1" in shown
        assert shown.endswith("\nPizza has the most votes.\n")  # of a close that was not, nobody is said to be silent
        assert sheet(shellbot("export", "1"))[2][4] == "Pizza"


async def test_d07_many_who_were_not_reached_are_named_to_who_opened_it(party, clock, shellbot):
    async with party("Person A", "Person B") as people:
        gone = [Person(f"gone-{number}", f"Gone {number:02}") for number in range(25)]
        people.space.unreachable |= {person.id for person in gone}
        await asyncio.gather(*[await people.space.join("group", person) for person in gone])
        await people.say("Person A", LUNCH)
        opened = await people.hears("2 people have a ballot in the direct channel.")
        assert (
            "Could not be reached: 25 people; `poll show #1` tells Person A their names, in the direct channel."
            in opened
        )
        assert "Gone 00" not in opened
        await people.all_asked()
        await people.whisper("Person A", "poll show")
        told = await people.hears("No ballot shown so far", "Person A")
        assert all(person.name in told for person in gone)
        await people.say("Person A", "poll show")
        assert "Gone 19 and 5 more" in await people.hears("No ballot shown so far")
        clock.advance(600)
        result = await people.hears("Result")
        assert "Could not be reached: 25 people. Person A, who opened it, has their names." in result
        assert "Gone 00" not in result
        told = await people.hears("Could not be reached (25): ", "Person A")
        assert all(person.name in told for person in gone)
        assert sum("Could not be reached" in text for text in people.told("Person A")) == 1
        assert not any("Could not be reached" in text for text in people.told("Person B"))
        shown = shellbot("show", "1")
        assert all(f"  {person.name}\n" in shown for person in gone)
        exported = sheet(shellbot("export", "1"))
        assert sum(row[2] == "no" for row in exported) == 25


async def test_d07_twenty_are_all_named_in_the_group(party, clock):
    async with party("Person A", "Person B") as people:
        gone = [Person(f"gone-{number}", f"Gone {number:02}") for number in range(20)]
        people.space.unreachable |= {person.id for person in gone}
        await asyncio.gather(*[await people.space.join("group", person) for person in gone])
        await people.say("Person A", LUNCH)
        opened = await people.hears("2 people have a ballot")
        assert all(person.name in opened for person in gone)
        await people.ballot("Person B")
        clock.advance(600)
        result = await people.hears("Result")
        assert all(person.name in result for person in gone)


def test_where_no_server_ever_was_it_says_so(shellbot):
    assert "there is no store" in shellbot("list", code=1)
