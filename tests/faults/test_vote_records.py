"""Somebody edits what a server keeps of its votes: row D11 of docs/faults.md."""

from __future__ import annotations

import shutil
import sqlite3

import pytest
from click.testing import CliRunner

from shellbot.cli import cli

LUNCH = 'poll "Lunch?" Pizza, Sushi'
EDITS = {
    "UPDATE poll_ballots SET choice = 'Pizza' WHERE direct = 'direct-person-b'": "the ballot of direct-person-b was "
    "changed: it was Sushi, and is Pizza",
    "DELETE FROM poll_ballots WHERE direct = 'direct-person-c'": "the ballot of direct-person-c is gone: it was Sushi",
    "INSERT INTO poll_ballots VALUES ((SELECT id FROM polls), 'direct-nobody', 1, 'Pizza', 0, 1)": "the ballot of "
    "direct-nobody was put in",
    "UPDATE polls SET result = replace(CAST(result AS TEXT), '\"Sushi\":2', '\"Sushi\":1')": "its result was changed",
    "UPDATE polls SET question = 'Dinner?'": "its question was changed: Lunch? was asked",
    'UPDATE polls SET choices = \'["Pizza", "Fish"]\'': "its choices were changed: ['Pizza', 'Sushi'] was asked",
    "UPDATE polls SET choices = 'no JSON'": "its choices were changed",
    'UPDATE polls SET rules = \'{"quorum": "3"}\'': "its rules were changed",
    "UPDATE polls SET state = 'open'": "it is said to be open, and was closed",
    "DELETE FROM poll_roll WHERE person_id = 'person-c'": "person-c was on the roll (direct-person-c), and is not",
    "INSERT INTO poll_roll (poll, person_id, name, direct) VALUES ((SELECT id FROM polls), 'x', 'X', 'direct-x')": (
        "x was put on the roll (direct-x)"
    ),
    "UPDATE poll_log SET entry = replace(CAST(entry AS TEXT), 'Sushi', 'Pizza') WHERE seq = 3": "entry 3 of its log "
    "was changed",
    "UPDATE poll_log SET mac = (SELECT mac FROM poll_log WHERE seq = 1) WHERE seq = 3": "entry 3 of its log",
    "DELETE FROM poll_log WHERE seq = 2": "entry 2 of its log is gone",
    "DELETE FROM poll_log WHERE seq = 5": "it is said to be closed, and the close is not in its log",
    "DELETE FROM poll_log": "it has no log",
}


def recount(folder, name="1"):
    return CliRunner().invoke(cli, ["poll", "recount", name, "--instance", str(folder)])


def edit(folder, *statements) -> None:
    with sqlite3.connect(folder / "store.db") as db:
        for statement in statements:
            assert db.execute(statement).rowcount, statement
    db.close()


async def vote(people) -> None:
    for name, choice in {"Person A": "Pizza", "Person B": "Sushi", "Person C": "Sushi"}.items():
        await people.ballot(name)
        await people.press(name, choice)
    assert "Sushi 2" in await people.hears("Result of vote #1")


async def test_d11_each_edit_is_found_and_named(party, tmp_path):
    folder = tmp_path / "instance"
    async with party("Person A", "Person B", "Person C") as people:
        await people.say("Person A", LUNCH)
        await vote(people)
        while_it_runs = recount(folder)
    assert while_it_runs.exit_code == 0, while_it_runs.output
    for statement, told in EDITS.items():
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
        assert recount(copy).exit_code == 0
        edit(copy, statement)
        found = recount(copy)
        assert (found.exit_code, told in found.output) == (1, True), (statement, found.output)
        assert "vote #1: " in found.output
        shutil.rmtree(copy)


async def test_d11_a_ballot_edited_in_a_vote_that_is_open_is_announced_and_the_recount_says_so(party, tmp_path):
    """The harm: the server counts what its store says."""
    folder = tmp_path / "instance"
    async with party("Person A", "Person B", "Person C") as people:
        await people.say("Person A", LUNCH)
        for name in ("Person B", "Person C"):
            await people.ballot(name)
            await people.press(name, "Sushi")
            await people.hears("Your vote is counted: Sushi", name)
    edit(folder, "UPDATE poll_ballots SET choice = 'Pizza'")
    async with party() as people:
        await people.join("Person A")
        await people.say("Person A", "poll close")
        assert "Pizza 2" in await people.hears("Result of vote #1")
    found = recount(folder)
    assert found.exit_code == 1
    assert "its log comes to Pizza 0, Sushi 2, and something else was announced" in found.output
    assert "the ballot of direct-person-b was changed: it was Sushi, and is Pizza" in found.output


async def test_d11_what_was_changed_taken_back_and_reopened_is_counted_the_same_again(party, tmp_path):
    folder = tmp_path / "instance"
    async with party("Person A", "Person B") as people:
        await people.say("Person A", 'poll multiple "Toppings?" Ham, Corn, Egg')
        for press in ("Ham", "Corn", "Ham", "Egg", " done"):
            await people.ballot("Person A", "Toppings?")
            await people.press("Person A", press)
        await people.ballot("Person B", "Toppings?")
        await people.press("Person B", "Corn")
        await people.press("Person B", "Corn")
        await people.say("Person A", "poll close")
        await people.hears("Result of vote #1")
        await people.say("Person A", "poll reopen #1")
        await people.hears("is open again", "Person B")
        assert recount(folder).exit_code == 0
        await people.press("Person B", "Ham")
        await people.hears("Your vote is counted: Ham", "Person B")
        await people.say("Person A", "poll close")
        await people.hears("2 of 2 voted")
    found = recount(folder)
    assert found.exit_code == 0, found.output
    assert "2 of 2 voted" in found.output


@pytest.mark.parametrize(
    ("name", "told"), [("2", "there is no vote 2 here; the last one is #1"), ("x'--", "there is no vote x'--")]
)
async def test_d11_what_is_no_vote_is_told_in_one_line(party, tmp_path, name, told):
    async with party("Person A") as people:
        await people.say("Person A", LUNCH)
        await people.hears("Vote #1")
    found = recount(tmp_path / "instance", name)
    assert (found.exit_code, told in str(found.exception)) == (1, True)
    found = recount(tmp_path / "nowhere")
    assert "there is no key" in str(found.exception)


async def test_of_an_anonymous_vote_the_bare_choices_are_counted_again(party, tmp_path):
    folder = tmp_path / "instance"
    async with party("Person A", "Person B", "Person C") as people:
        await people.say("Person A", 'poll anonymous "Lunch?" Pizza, Sushi')
        await people.ballot("Person A")
        await people.press("Person A", "Pizza")
        await people.hears("Your vote is counted", "Person A")
        assert recount(folder).exit_code == 0
        await vote(people)
    again = recount(folder)
    assert (again.exit_code, "Sushi 2" in again.output) == (0, True), again.output
    edit(folder, "UPDATE poll_choices SET choice = 'Pizza'")
    found = recount(folder)
    assert (found.exit_code, "its bare choices were changed: there are Pizza 3" in found.output) == (1, True)
