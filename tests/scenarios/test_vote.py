"""A vote from the group's word to the group's result; every step between is a frame on the bus."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

from shellbot.bus import Bus
from shellbot.context import Context
from shellbot.testing import stopped

LUNCH = 'poll "Lunch?" Pizza, Sushi, Salad in 10m'


async def test_a_vote_said_in_the_group_is_sent_to_the_direct_channel_and_not_repeated(party):
    async with party("Person A", "Person B") as people:
        for talk in ("2", "Blue", "#1 2"):  # nothing to vote on yet
            await people.say("Person B", talk)
        await people.say("Person A", 'poll "Colour?" Blue, Red, Deep green in 10m')
        await people.hears("have a ballot")
        votes = ["#1 2", "#1 blue", "#1 9", "2", "Blue", "deep green"]
        talk = ["#7 2", "7", "Blue is nice", "#1 is unfair", "2 of us are late", "2026", "green", "I like 2", "yes", ""]
        for line in [*talk, *votes]:
            await people.say("Person B", line)
        await people.say("Person B", "echo that was all")
        await people.hears("that was all")
        told = [text for text in people.told() if "in your direct channel" in text]
        assert len(told) == len(votes)
        assert len(people.told()) == len(votes) + 2
        assert all("\n" not in text and "Blue" not in text and "2" not in text for text in told)
        await people.say("Person A", "poll show")
        await people.hears("0 of 2 voted")


async def test_a_vote_goes_out_to_all_and_its_result_comes_back(party):
    async with party("Person A", "Person B", "Person C") as people:
        await people.say("Person A", LUNCH)
        opened = await people.hears("Vote #1: Lunch?")
        assert "Its choices: Pizza, Sushi, Salad." in opened  # so that a slip is seen at once
        assert "3 people have a ballot" in opened
        assert "Person A can end it before that with `poll close #1`" in opened
        for name in people.people:
            card = await people.ballot(name)
            assert [button.label for button in card.buttons] == ["Pizza", "Sushi", "Salad"]

        await people.press("Person A", "Sushi")
        await people.whisper("Person B", "2")
        await people.whisper("Person C", "pizza")

        result = await people.hears("Result of vote #1: Lunch?")
        assert "Sushi 2" in result
        assert "Pizza 1" in result
        assert "67 %    67 %" in result
        assert "3 of 3 voted" in result


async def test_all_that_was_said_is_noted_as_dealt_with_and_a_vote_only_in_its_own_transaction(party):
    async with party("Person A", "Person B", "Person C") as people:
        desk = people.engine.desk
        before = await desk.store.read(lambda db: db.execute("SELECT count(*) FROM inbox").fetchone()[0])
        noted, done = [], desk.inbox.done
        desk.inbox.done = lambda event: noted.append(event.id) or done(event)
        await people.say("Person A", LUNCH)
        await people.press("Person A", "Sushi")
        for name, text in (("Person B", "2"), ("Person C", "nonsense"), ("Person C", "pizza")):
            await people.ballot(name)
            await people.whisper(name, text)
        await people.hears("3 of 3 voted")
        rows = await desk.store.read(lambda db: db.execute("SELECT done FROM inbox").fetchall())
        assert [row[0] for row in rows] == [1] * (before + 5)
        assert len(noted) == 2  # what was no vote


async def test_d01_a_vote_may_be_changed_until_the_close_and_the_last_one_counts(party, clock):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", LUNCH)
        await people.ballot("Person A")
        await people.press("Person A", "Sushi")
        await people.hears("Your vote is counted: Sushi", "Person A")
        await people.press("Person A", "Salad")
        await people.hears("Your vote is counted: Salad", "Person A")
        clock.advance(600)
        result = await people.hears("Result")
        assert "Salad 1" in result
        assert "Sushi 0" in result
        assert "1 of 2 voted" in result
        assert "100 %    50 %" in result


async def test_d08_the_close_refuses_later_votes_and_says_so(party, clock):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", LUNCH)
        await people.ballot("Person B")
        await people.press("Person A", "Pizza")
        clock.advance(600)
        await people.hears("Result")
        await people.whisper("Person B", "sushi")
        await people.hears("Vote #1 is closed: Lunch? You did not vote.", "Person B")
        await people.press("Person B", "Sushi")
        await people.engine.stop()
        assert sum("Vote #1 is closed" in text for text in people.told("Person B")) == 2
        assert sum("Result" in text for text in people.told()) == 1


async def test_d03_a_vote_at_the_last_moment_counts_and_one_at_the_deadline_does_not(party, clock):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", LUNCH)
        await people.ballot("Person A")
        await people.ballot("Person B")
        clock.advance(599.9)
        await people.press("Person A", "Pizza")
        await people.hears("Your vote is counted", "Person A")
        clock.advance(0.1)
        await people.press("Person B", "Sushi")
        result = await people.hears("Result")
        assert "Pizza 1" in result
        assert "Sushi 0" in result


async def test_only_who_opened_a_vote_may_close_it(party):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", LUNCH)
        await people.ballot("Person B")
        await people.say("Person B", "poll close")
        await people.hears("Only Person A, who opened it, can close vote #1")
        await people.say("Person A", "poll close #1")
        assert "Nobody voted" in await people.hears("Result of vote #1")


async def test_d07_people_who_cannot_be_reached_are_named(party, clock):
    async with party("Person A") as people:
        people.space.unreachable.add("person-b")
        await people.join("Person B")
        await people.say("Person A", LUNCH)
        assert "Could not be reached: Person B." in await people.hears("One person has a ballot in the direct channel.")
        await people.ballot("Person A")
        await people.press("Person A", "Pizza")
        result = await people.hears("Result")
        assert "Could not be reached: Person B" in result
        assert "1 of 2 voted" in result


async def test_two_open_votes_are_told_apart_by_number(party):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", LUNCH)
        await people.say("Person A", 'poll "Drink?" Tea, Coffee')
        await people.ballot("Person B")
        await people.ballot("Person B", "Drink?")
        await people.whisper("Person B", "2")
        await people.hears("Which vote do you mean?", "Person B")
        await people.whisper("Person B", "#2 2")
        await people.hears("Your vote is counted: **Coffee**", "Person B")
        await people.whisper("Person B", "#1 2")
        await people.hears("Your vote is counted: **Sushi**", "Person B")


async def test_a_choice_that_only_one_of_two_open_votes_has_is_taken_for_that_one(party):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", 'poll "Lunch?" Pizza, Sushi, Both')
        await people.say("Person A", 'poll "Drink?" Tea, Both')
        await people.say("Person A", 'poll yesno "Merge?"')
        for title in ("Lunch?", "Drink?", "Merge?"):
            await people.ballot("Person B", title)
        await people.whisper("Person B", "sushi!")
        await people.hears("Your vote is counted: **Sushi**", "Person B")
        await people.whisper("Person B", "yes")
        await people.hears("Your vote is counted: **Yes**", "Person B")
        for times, said in enumerate(("both", "3", "soup"), 1):  # of several, a number, of none
            await people.whisper("Person B", said)
            await people.space.wait_for(
                people.direct("Person B"),
                lambda _, times=times: sum("Which vote" in told for told in people.told("Person B")) == times,
            )


async def test_d06_who_joins_later_is_not_on_the_roll(party):
    async with party("Person A") as people:
        await people.say("Person A", LUNCH)
        await people.ballot("Person A")
        await people.join("Person B")
        await people.press("Person A", "Pizza")
        result = await people.hears("Result")
        assert "1 of 1 voted" in result
        assert people.told("Person B") == []


async def test_d05_a_restart_in_the_middle_loses_nothing_and_says_nothing_twice(party, clock):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", LUNCH)
        await people.ballot("Person A")
        await people.press("Person A", "Pizza")
        await people.hears("Your vote is counted", "Person A")
    async with party() as people:
        await people.join("Person A", "Person B")
        clock.advance(600)
        result = await people.hears("Result")
        assert "Pizza 1" in result
        assert "1 of 2 voted" in result


async def test_what_is_due_at_the_start_is_said_when_the_answers_are_heard(party, clock, tmp_path):
    """The close was put before the direct channels were listened to, and a pause later once more."""
    async with party("Person A", "Person B") as people:
        await people.say("Person A", LUNCH)
        await people.ballot("Person A")
        await people.press("Person A", "Pizza")
        await people.hears("Your vote is counted", "Person A")
    context = Context({"bus": {"address": f"ipc://{tmp_path}/bus"}})
    with Bus(context).publish() as publisher, ExitStack() as stack:
        stack.enter_context(stopped(publisher))
        async with party(context=context, publisher=publisher) as people:
            await people.join("Person A", "Person B")
            clock.advance(600)
            store = people.engine.desk.store
            async with asyncio.timeout(10):
                states: list[str] = []
                while states[-1:] != ["closing"]:
                    states += await store.read(lambda db: [row[0] for row in db.execute("SELECT state FROM polls")])
            stack.close()
            assert "1 of 2 voted" in await people.hears("Result")


async def test_d05_a_vote_whose_deadline_passed_while_nobody_served_closes_at_the_start(party, clock):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", LUNCH)
        await people.ballot("Person A")
        await people.press("Person A", "Pizza")
        await people.hears("Your vote is counted", "Person A")
    clock.advance(3600)
    async with party() as people:
        assert "Pizza 1" in await people.hears("Result")


async def test_a_number_that_is_none_closes_nothing(party):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", LUNCH)
        await people.ballot("Person B")
        for typed in ("poll close #1e3", "poll close #1x", "poll close #", "poll close #-1"):
            await people.say("Person A", typed)
        await people.say("Person A", "poll list")
        await people.hears("#1 Lunch?: 0 of 2 voted; closes when all have voted, at the latest at")
        assert sum("Write the number of the vote" in text for text in people.told()) == 4


async def test_d08_a_counted_vote_whose_receipt_was_lost_is_not_called_late_after_the_close(party, clock):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", LUNCH)
        await people.ballot("Person A")
        board = people.engine.desk.switchboard
        put = board.put
        board.put = lambda channel, envelope: None if envelope.body.get("op") == "receipt" else put(channel, envelope)
        await people.press("Person A", "Pizza")
        clock.advance(600)
        assert "Pizza 1" in await people.hears("Result")
        board.put = put
        clock.advance(60)  # the vote is put again
        await people.hears("Closed. Your vote: Pizza", "Person A")
        assert not any("not counted" in text for text in people.told("Person A"))


async def test_d06_who_has_left_is_not_waited_for_and_a_vote_cast_before_stays(party):
    async with party("Person A", "Person B", "Person C") as people:
        await people.say("Person A", LUNCH)
        for name in people.people:
            await people.ballot(name)
        await people.press("Person B", "Sushi")
        await people.hears("Your vote is counted", "Person B")
        await (await people.space.leave("group", people.people["Person B"]))
        await people.press("Person A", "Pizza")
        await people.hears("Your vote is counted", "Person A")
        await (await people.space.leave("group", people.people["Person C"]))
        result = await people.hears("Result")
        assert "Sushi 1" in result
        assert "2 of 3 voted" in result
