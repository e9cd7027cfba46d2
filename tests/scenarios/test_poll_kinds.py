"""Votes of each kind, from the group's word to its result: pressed and typed, changed, over a restart."""

from __future__ import annotations

import sqlite3

import orjson

from shellbot.polls import papers, records
from tests.scenarios.later import hears_later

BEFORE = {
    "do",
    "op",
    "poll",
    "number",
    "question",
    "choices",
    "closes_at",
}  # what opened a vote, before there were kinds
TOP = 'poll multiple 2 "Toppings?" Ham, Corn, Egg in 10m'


async def opened(people, typed, title):
    await people.say("Person A", typed)
    for name in people.people:
        card = await people.ballot(name, title)
    return card


async def test_yes_no_or_abstain(party):
    async with party("Person A", "Person B", "Person C", "Person D") as people:
        card = await opened(people, 'poll yesno "Merge?" in 10m', "Merge?")
        assert [button.label for button in card.buttons] == ["Yes", "No", "Abstain"]
        await people.press("Person A", "Yes")
        await people.whisper("Person B", "y")
        await people.whisper("Person C", "NO!")
        await people.whisper("Person D", "3")
        result = await people.hears("Result of vote #1: Merge?")
        assert "**Yes** has the most votes. 4 of 4 voted." in result
        assert "Yes 2" in result
        assert "Abstain 1" in result


async def test_a_quorum_and_a_threshold_are_said_before_and_decided_at_the_close(party, clock):
    async with party("Person A", "Person B", "Person C", "Person D") as people:
        await people.say("Person A", 'poll yesno "Merge?" in 10m quorum 75% threshold 2/3')
        assert "It is valid if 75% vote. 2/3 of the votes are needed to win." in await people.hears("Vote #1")
        for name, choice in (("Person B", "Yes"), ("Person C", "No")):
            await people.ballot(name, "Merge?")
            await people.press(name, choice)
            await people.hears("Your vote is counted", name)
        clock.advance(600)
        result = await people.hears("Result")
        missed = (
            "The quorum of 3 is missed, so that nothing is decided. "
            "The threshold of 2/3 is missed, so that nothing is decided."
        )
        assert missed in result
        await people.say("Person A", "poll history")
        await people.hears(f"- #1 Merge? (20 Nov 2026): A tie between Yes and No. 2 of 4 voted. {missed}")
        await people.say("Person A", "poll show #1")
        await people.hears(f"Opened by Person A.\n\nA tie between Yes and No. {missed}")


async def test_a_quorum_that_is_not_reached_yet_is_not_missed_while_the_vote_is_open(party):
    async with party("Person A", "Person B", "Person C") as people:
        await people.say("Person A", 'poll yesno "Merge?" in 10m quorum 2 results live')
        await people.ballot("Person B", "Merge?")
        await people.say("Person A", "poll show #1")
        await people.hears("Nobody has voted yet.")
        for name, told in (("Person A", "not reached yet"), ("Person B", "reached")):
            await people.ballot(name, "Merge?")
            await people.press(name, "Yes")
            await people.hears("Your vote is counted", name)
            await people.say("Person A", "poll show #1")
            await people.hears(f"**Yes** has the most votes. The quorum of 2 is {told}.")


async def test_a_quorum_that_cannot_be_reached_is_told_when_the_vote_opens(party):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", 'poll yesno "Merge?" in 10m quorum 9')
        told = await people.hears("Vote #1")
        assert "**The quorum of 9 cannot be reached**: only 2 can vote. `poll cancel #1` calls it off." in told
        await people.say("Person A", 'poll yesno "Push?" in 10m quorum 2')
        assert "cannot be reached" not in await people.hears("Vote #2")


async def test_a_rating_is_pressed_or_typed_and_comes_to_an_average(party):
    async with party("Person A", "Person B") as people:
        card = await opened(people, 'poll rating "Food?" in 10m', "Food?")
        assert [button.label for button in card.buttons] == ["1", "2", "3", "4", "5"]
        await people.whisper("Person B", "7")
        await people.hears("Please answer with a number from 1 (lowest) to 5 (highest).", "Person B")
        await people.whisper("Person B", "4/5")
        await people.press("Person A", "1")
        assert "**2.5** of 5 on average. 2 of 2 voted." in await people.hears("Result")


async def test_several_choices_are_pressed_one_by_one_and_taken_back(party, clock):
    async with party("Person A", "Person B") as people:
        await opened(people, TOP, "Toppings?")
        await people.press("Person A", "Ham")
        await people.hears("Your vote is counted: Ham.", "Person A")
        await people.press("Person A", "Egg")
        await people.hears("Your vote is counted: Ham, Egg.", "Person A")
        await people.press("Person A", "Corn")
        await people.hears("At most 2 of them", "Person A")
        assert not any("At most" in text for text in people.told("Person A")), "it stands at the ballot"
        await people.hears("then this one. Your vote is counted: Ham, Egg.", "Person A")
        await people.press("Person A", "Ham")
        await people.hears("Your vote is counted: Egg.", "Person A")
        card = await people.ballot("Person A", "Toppings?")
        assert [button.label for button in card.buttons if card.is_pressed(button)] == ["Egg"]
        clock.advance(600)
        result = await people.hears("Result")
        assert "Egg 1" in result
        assert "Ham 0" in result
        assert "1 of 2 voted" in result


async def test_a_vote_of_several_choices_closes_when_all_are_done_and_not_at_their_first_press(party):
    async with party("Person A", "Person B") as people:
        await opened(people, TOP, "Toppings?")
        await people.press("Person A", "Ham")
        await people.hears("Your vote is counted: Ham.", "Person A")
        await people.whisper("Person B", "ham and corn")
        await people.hears("Your vote is counted: **Ham, Corn**", "Person B")
        assert not any("Result" in text for text in people.told())
        await people.press("Person A", " done")
        result = await people.hears("Result")
        assert "Ham 2" in result
        assert "Corn 1" in result
        assert "2 of 2 voted" in result


async def test_who_has_chosen_as_many_as_are_allowed_is_done(party):
    async with party("Person A", "Person B") as people:
        await opened(people, TOP, "Toppings?")
        await people.hears("Choose up to 2, then press Done; with 2 you are done.", "Person A")
        for name in ("Person A", "Person B"):
            await people.press(name, "Ham")
            await people.hears("Your vote is counted: Ham.", name)
            await people.press(name, "Egg")
        assert "2 of 2 voted" in await people.hears("Result")


async def test_done_is_typed_too(party):
    async with party("Person A", "Person B") as people:
        await opened(people, TOP, "Toppings?")
        for name, done in (("Person A", "Done!"), ("Person B", "4")):
            await people.whisper(name, done)
            await people.hears("Choose first, then press Done.", name)
            await people.press(name, "Ham")
            await people.hears("Your vote is counted: Ham.", name)
            await people.whisper(name, done)
        assert "Ham 2" in await people.hears("Result")


async def test_a_vote_taken_back_is_none(party, clock):
    async with party("Person A", "Person B") as people:
        await opened(people, TOP, "Toppings?")
        await people.press("Person A", "Ham")
        await people.hears("Your vote is counted: Ham.", "Person A")
        await people.press("Person A", " done")
        await people.whisper("Person A", "none")
        await people.hears("Your vote is taken back.", "Person A")
        await people.whisper("Person B", "1")
        await people.hears("Your vote is counted: **Ham**", "Person B")
        await people.say("Person A", "poll list")
        await people.hears("1 of 2 voted; closes when all have voted, at the latest at")
        clock.advance(600)
        assert "1 of 2 voted" in await people.hears("Result")


async def test_done_without_a_choice_says_what_to_do(party):
    async with party("Person A", "Person B") as people:
        await opened(people, TOP, "Toppings?")
        await people.press("Person B", " done")
        await people.hears("Choose first, then press Done.", "Person B")


async def test_what_is_half_chosen_goes_on_after_a_restart(party, clock):
    async with party("Person A", "Person B") as people:
        await opened(people, TOP, "Toppings?")
        await people.press("Person A", "Ham")
        await people.whisper("Person B", "1, 2")
        await people.hears("Your vote is counted: Ham.", "Person A")
        await people.hears("Your vote is counted: **Ham, Corn**", "Person B")
    async with party() as people:
        await people.join("Person A", "Person B")
        await people.say("Person A", "poll list")
        await people.hears("2 of 2 voted; closes when all have voted, at the latest at")
        await people.press("Person A", "Egg")
        result = await hears_later(people, clock, "Result")
        assert "Ham 2" in result
        assert "Egg 1" in result
        assert sum("Result" in text for text in people.told()) == 1


async def test_hostile_words_stay_words(party, clock):
    async with party("Person A", "Person B") as people:
        await people.say(
            "Person A", 'poll multiple "**[x](http://evil)** `poll close`?" "[\\"a\\"]", <b>b</b>, " done" in 10m'
        )
        await people.ballot("Person B", "**[x](http://evil)** `poll close`?")
        await people.whisper("Person B", "1, 3")
        await people.hears("Your vote is counted", "Person B")
        clock.advance(600)
        result = await people.hears("Result of vote #1")
        assert r"\*\*\[x\](http://evil)\*\* \`poll close\`?" in result
        assert "1 of 2 voted" in result


async def test_a_store_of_before_there_were_kinds_is_read_and_goes_on(party, clock, tmp_path):
    """A vote opened by the version before: its tables have no rules, its rows no mark of being done."""
    async with party("Person A", "Person B") as people:
        await people.say("Person A", 'poll "Lunch?" Pizza, Sushi in 10m')
        await people.ballot("Person A")
        await people.press("Person A", "Pizza")
        await people.hears("Your vote is counted", "Person A")
    db = sqlite3.connect(tmp_path / "instance" / "store.db")
    for table, columns in {**records.ADDED, **papers.ADDED}.items():
        for column in columns:
            db.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    db.execute("DROP TABLE poll_orders")
    db.execute("DROP TABLE booth_orders")
    db.execute("DROP TABLE booth_groups")
    for (body,) in db.execute("SELECT envelope FROM instructions").fetchall():
        assert set(orjson.loads(body)["body"]) == BEFORE, "the instruction of a plain poll is as it was"
    db.commit()
    db.close()
    async with party() as people:
        await people.join("Person A", "Person B")
        await people.press("Person B", "Sushi")
        result = await hears_later(people, clock, "Result")
        assert "Pizza 1" in result
        assert "Sushi 1" in result
        await people.say("Person A", "poll reopen #1 in 5m")
        await hears_later(people, clock, "Vote #1 is open again", "Person B")
        clock.advance(300)
        await people.hears("Closed. Your vote: Sushi", "Person B")
