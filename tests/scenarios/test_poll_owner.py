"""Who opened a vote holds the reins: in the group and from the direct channel, over the bus, each order once."""

from __future__ import annotations

import asyncio

import pytest

from shellbot.commands.base import Command
from shellbot.errors import PollError, StoreError
from shellbot.polls import Poll, closing, records
from tests.scenarios.later import hears_later

LUNCH = 'poll "Lunch?" Pizza, Sushi in 10m'


async def opened(people, typed=LUNCH, question="Lunch?"):
    await people.say("Person A", typed)
    for name in people.people:
        await people.ballot(name, question)
    await people.hears("have a ballot")
    await people.all_asked()


async def say(people, where, text):
    """Said by who opened it, in the group or in the direct channel."""
    await (people.whisper if where == "direct" else people.say)("Person A", text)


async def vote(people, name, choice):
    await people.press(name, choice)
    await people.hears(f"Your vote is counted: {choice}", name)


both = pytest.mark.parametrize("where", ["group", "direct"])


@both
async def test_extended_it_closes_later_and_everybody_is_told(party, clock, where):
    async with party("Person A", "Person B") as people:
        await opened(people)
        await say(people, where, "poll extend #1 10m")
        await people.hears(
            "Vote #1 is extended by Person A: Lunch?** It closes when all have voted, at the latest at 12:20 UTC"
        )
        await people.hears("closes when all have voted, at the latest at 12:20 UTC", "Person B")
        clock.advance(900)
        await vote(people, "Person B", "Sushi")
        assert not any("Result" in text for text in people.told())
        clock.advance(300)
        assert "Sushi 1" in await people.hears("Result")


@both
async def test_closed_by_a_word(party, where):
    async with party("Person A", "Person B") as people:
        await opened(people)
        await vote(people, "Person B", "Sushi")
        await say(people, where, "poll close")
        assert "Sushi 1" in await people.hears("Result")


@both
async def test_cancelled_it_has_no_result_and_takes_no_votes(party, clock, where):
    async with party("Person A", "Person B") as people:
        await opened(people)
        await vote(people, "Person B", "Sushi")
        await say(people, where, "poll cancel #1")
        await people.hears("Vote #1 is cancelled by Person A: Lunch?** There is no result.")
        await people.hears("Cancelled. There is no result.", "Person B")
        await people.press("Person B", "Pizza")
        await people.hears("Vote #1 was cancelled: Lunch?", "Person B")
        clock.advance(3600)
        await people.say("Person A", "poll history")
        await people.hears("#1 Lunch? (20 Nov 2026): cancelled")
        await people.say("Person A", "poll reopen #1")
        await people.hears("Vote #1 is cancelled.")
        assert not any("Result" in text for text in people.told())


async def test_texts_about_a_vote_read_well_where_its_question_has_no_mark_and_it_has_no_time(party):
    async with party("Person A", "Person B") as people:
        await opened(people, 'poll "Soon" Pizza, Sushi', "Soon")
        ballot = await people.hears("Vote #1", "Person B")
        assert ballot.strip() == "**Vote #1** · closes when all have voted, or when its opener ends it"
        await people.press("Person B", "Sushi")
        await people.hears("Your vote is counted: Sushi. You may change it until it closes.", "Person B")
        await people.say("Person A", "poll cancel #1")
        await people.hears("is cancelled by Person A: Soon.** There is no result.")


async def test_open_again_the_last_vote_does_not_close_it_and_no_ballot_says_so(party):
    async with party("Person A", "Person B") as people:
        await opened(people)
        await people.say("Person A", "poll close #1")
        await people.hears("Result")
        await people.say("Person A", "poll reopen #1")
        await people.hears("open again", "Person B")
        ballots = [reply.text for reply in people.space.heard(people.direct("Person B")) if reply.card]
        assert "closes when its opener ends it" in ballots[-1]
        assert "all have voted" not in ballots[-1]
        await people.say("Person A", "poll extend #1 in 2h")
        assert "all have voted" not in await people.hears("is extended by")


@both
async def test_reopened_it_goes_on_with_the_votes_cast_and_has_a_second_result(party, clock, where):
    async with party("Person A", "Person B") as people:
        await opened(people)
        await vote(people, "Person B", "Sushi")
        await vote(people, "Person A", "Pizza")
        assert "A tie" in await people.hears("Result of vote #1")
        await people.hears("Closed. Your vote: Sushi", "Person B")
        await say(people, where, "poll reopen #1 in 5m")
        await people.hears("Vote #1 is open again, by Person A: Lunch?** It closes at 12:05 UTC")
        await people.hears("Vote #1 is open again. It closes at 12:05 UTC", "Person B")
        await vote(people, "Person B", "Pizza")
        clock.advance(300)
        await people.hears("**Pizza** has the most votes. 2 of 2 voted.")
        await people.hears("Closed. Your vote: Pizza", "Person B")
        assert sum("Result of vote #1" in text for text in people.told()) == 2


@both
async def test_who_has_not_voted_is_reminded_and_nobody_else(party, where):
    async with party("Person A", "Person B", "Person C") as people:
        await opened(people)
        await vote(people, "Person B", "Sushi")
        await say(people, where, "poll remind")
        await people.hears("Vote #1: reminded 2 who have not voted.", "Person A" if where == "direct" else "")
        await people.hears(
            "You have not voted yet. Vote #1 closes when all have voted, at the latest at 12:10 UTC: Lunch?", "Person A"
        )
        await people.hears("You have not voted yet.", "Person C")
        assert not any("not voted" in text for text in people.told("Person B"))


@both
async def test_list_show_and_history_answer_where_they_were_asked(party, where):
    async with party("Person A", "Person B") as people:
        name = "Person A" if where == "direct" else ""
        await opened(people)
        await say(people, where, "poll list")
        await people.hears("- #1 Lunch?: 0 of 2 voted; closes when all have voted, at the latest at 12:10 UTC", name)
        await say(people, where, "poll show")
        shown = await people.hears("Choices: Pizza, Sushi.", name)
        assert "Opened by Person A." in shown
        await say(people, where, "poll history")
        await people.hears("No vote has closed here yet.", name)
        await people.press("Person A", "Pizza")
        await people.press("Person B", "Pizza")
        await people.hears("Result")
        await say(people, where, "poll history")
        await people.hears("#1 Lunch? (20 Nov 2026): **Pizza** has the most votes. 2 of 2 voted.", name)
        await say(people, where, "poll show #1")
        assert "Pizza 2" in await people.hears("Opened by Person A.\n\n**Pizza** has the most votes.", name)


async def test_a_count_that_is_hidden_is_not_shown_before_the_close(party):
    async with party("Person A", "Person B") as people:
        await opened(people)
        await vote(people, "Person B", "Sushi")
        await people.say("Person A", "poll show #1")
        assert "Sushi 1" not in await people.hears("1 of 2 voted; closes")
        assert not any("most votes" in text for text in people.told())


@pytest.mark.parametrize("order", ["close", "cancel", "extend #1 10m", "remind #1"])
@both
async def test_nobody_else_can(party, order, where):
    async with party("Person A", "Person B") as people:
        await opened(people)
        await (people.whisper if where == "direct" else people.say)("Person B", f"poll {order}")
        told = f"Only Person A, who opened it, can {order.split()[0]} vote #1."
        await people.hears(told, "Person B" if where == "direct" else "")
        await people.say("Person A", "poll list")
        await people.hears("#1 Lunch?: 0 of 2 voted; closes when all have voted, at the latest at 12:10 UTC")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("poll extend", "By how long, or until when?"),
        ("poll extend #1 yesterday", "no time that I can read"),
        ("poll extend #1 until 12:05", "It closes at 12:10 UTC already"),
        ("poll extend #1 400d", "between one second and a year"),
        ("poll extend #9 10m", "There is no vote #9 here."),
        ("poll close #x", "Write the number of the vote"),
        ("poll cancel everything", "Write `poll cancel`"),
        ("poll reopen #1", "Vote #1 is open."),
        ("poll show #7", "There is no vote #7 here."),
    ],
)
@both
async def test_what_cannot_be_done_gets_one_helpful_line(party, typed, told, where):
    async with party("Person A", "Person B") as people:
        await opened(people)
        before = len(people.told(name := "Person A" if where == "direct" else ""))
        await say(people, where, typed)
        line = await people.hears(told, name)
        assert "\n" not in line.strip()
        assert len(people.told(name)) == before + 1


@both
async def test_only_the_votes_one_may_close_are_offered_and_a_bare_number_names_one(party, where):
    async with party("Person A", "Person B", "Person C") as people:
        asked = {"Lunch?": "Person A", "Tea?": "Person B", "Where?": "Person B"}
        for question, name in asked.items():
            await people.say(name, f'poll "{question}" a, b in 10m')
            await people.ballot("Person C", question)

        async def says(name, text, told):
            await (people.whisper if where == "direct" else people.say)(name, text)
            return await people.hears(told, name if where == "direct" else "")

        line = await says("Person C", "poll close", "only who opened one can close it")
        assert "#1 is Person A's, #2 is Person B's, #3 is Person B's" in line
        assert "Which one" not in line
        line = await says("Person B", "poll close", "Which one?")
        assert "`poll close #2`, `poll close #3`" in line
        assert "#1" not in line
        await says("Person B", "poll extend 3 10m", "")
        await people.hears("Vote #3 is extended by Person B")
        await says("Person B", "poll close 3", "")
        await people.hears("Result of vote #3")
        await says("Person B", "poll cancel 1", "Only Person A, who opened it, can cancel vote #1.")
        await says("Person A", "poll close", "")
        await people.hears("Result of vote #1")


async def test_an_order_from_a_direct_channel_no_group_has_spoken_to_says_so(party):
    async with party("Person A") as people:
        await people.whisper("Person A", "poll list")
        await people.hears("No group has asked you anything yet", "Person A")
        await people.whisper("Person A", 'poll "Lunch?" a, b')
        await people.hears("Say it in the group: votes open there.", "Person A")


async def test_a_question_that_begins_like_an_order_is_a_question(party):
    async with party("Person A") as people:
        await people.say("Person A", "poll Close the window? yes, no")
        assert [button.label for button in (await people.ballot("Person A", "Close the window?")).buttons] == [
            "yes",
            "no",
        ]


async def test_an_order_whose_frames_are_lost_is_said_again_and_done_once(party, clock):
    """Every frame of one kind is lost for a while, in turn: the order, its answer, the extension, the report on it."""
    async with party("Person A", "Person B") as people:
        await opened(people)
        board = people.engine.desk.switchboard
        put, lost = board.put, []

        def put_unless_lost(channel, envelope):
            op = envelope.body.get("op")
            if lost.count(op) < 2 and op in ("order", "answer", "extend", "extended"):
                lost.append(op)
            else:
                put(channel, envelope)

        board.put = put_unless_lost
        await people.whisper("Person A", "poll extend 10m")
        for _ in range(60):
            clock.advance(1)
            await people.say("Person B", "echo still here")
        board.put = put
        clock.advance(30)
        await people.hears("closes when all have voted, at the latest at 12:20 UTC", "Person B")
        await people.hears("Vote #1 is extended by Person A", "Person A")
        assert {"order", "answer", "extend", "extended"} <= set(lost)
        assert sum("is extended" in text for text in people.told()) == 1
        assert sum("is extended" in text for text in people.told("Person A")) == 1
        group = people.engine.agent("group")
        (round,) = group.desk.commands["poll"].chair(group).find(None)
        assert (round.version, round.untold) == (1, set())


ORDERS = {
    "extend 10m": "extended by Person A: Lunch?** It closes when all have voted, at the latest at 12:20",
    "remind": "reminded 2 who have not voted",
    "close": "Result of vote #1",
    "reopen #1 in 10m": "open again, by Person A",
    "extend until 13:00": "extended by Person A: Lunch?** It closes at 13:00",
    "cancel": "cancelled by Person A",
}


async def test_a_restart_right_after_each_order_loses_none_and_does_none_twice(party, clock):
    async with party("Person A", "Person B") as people:
        await opened(people)
    for order, effect in ORDERS.items():
        async with party() as people:
            await people.join("Person A", "Person B")
            await people.whisper("Person A", f"poll {order}")  # and the server ends, wherever the order is now
        async with party() as people:
            await people.join("Person A", "Person B")
            await hears_later(people, clock, effect, "Person A" if order == "remind" else "")
            if order == "remind":  # the next order is the close, after which nobody is reminded any more
                await hears_later(people, clock, "You have not voted yet", "Person B")
    async with party() as people:
        await people.join("Person A", "Person B")
        await hears_later(people, clock, "Cancelled. There is no result.", "Person B")
        await hears_later(people, clock, "cancelled by Person A", "Person A")
        clock.advance(60)
        await people.say("Person A", "echo the end")
        told = "\n".join(people.told() + people.told("Person A"))
        for order, effect in ORDERS.items():
            assert told.count(effect) == (1 if order in ("remind", "close") else 2), effect
        assert sum("You have not voted yet" in text for text in people.told("Person B")) == 1


async def test_a_cancelled_vote_ends_the_wait_of_a_program(party):
    class Ask(Command):
        keyword = "ask"

        async def execute(self, bot, arguments="", **kwargs):
            poll = Poll("Lunch?", ["Pizza", "Sushi"])
            await poll.open(bot)
            try:
                await poll.result()
            except PollError as error:
                bot.say(str(error))

    async with party("Person A", commands=[Ask()]) as people:
        asking = asyncio.create_task(people.say("Person A", "ask"))
        await people.ballot("Person A")
        await people.say("Person A", "poll cancel")
        await people.hears("Vote #1 was cancelled; it has no result.")
        await asking


async def test_a_result_that_could_not_be_made_is_tried_again(party, clock, monkeypatch):
    """The vote was closed, and its result never announced before a restart."""
    worded, mended_at, failures = closing.group_result, clock.time() + 3, []

    def fail_for_3_s(*args):
        if clock.time() < mended_at:
            failures.append(args)
            raise RuntimeError("on purpose")
        return worded(*args)

    monkeypatch.setattr(closing, "group_result", fail_for_3_s)
    async with party("Person A", "Person B") as people:
        await opened(people)
        await people.press("Person B", "Pizza")
        await people.hears("Your vote is counted", "Person B")
        await people.say("Person A", "poll close")
        assert "Pizza 1" in await hears_later(people, clock, "Result of vote #1")
        assert failures
        assert sum("Result of vote #1" in text for text in people.told()) == 1


@pytest.mark.parametrize("order", ["extend 10m", "cancel", "close", "remind"])
async def test_an_order_that_could_not_be_stored_has_changed_nothing_and_is_done_when_it_can(
    party, clock, order, monkeypatch
):
    async with party("Person A", "Person B") as people:
        await opened(people)
        group = people.engine.agent("group")
        (round,) = group.desk.commands["poll"].chair(group).find(None)
        save, refused, loop = records.save, asyncio.Event(), asyncio.get_running_loop()

        def full(db, round):
            loop.call_soon_threadsafe(refused.set)
            raise StoreError("no space left")

        before = (round.state, round.closes_at, round.version, round.reminders)
        monkeypatch.setattr(records, "save", full)
        await people.whisper("Person A", f"poll {order}")
        await refused.wait()
        await people.say("Person B", "echo still here")
        assert (round.state, round.closes_at, round.version, round.reminders) == before
        monkeypatch.setattr(records, "save", save)
        effect = {"extend 10m": "is extended", "cancel": "is cancelled", "close": "Result"}.get(order, "")
        await (hears_later(people, clock, effect) if effect else hears_later(people, clock, "reminded 2", "Person A"))
