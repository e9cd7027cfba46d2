"""A change of a vote reaches the group after the close: the earlier one counts, and its voter hears so."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager

from tests.scenarios.later import hears_later

LUNCH = "Pizza, Sushi in 10m"


@contextmanager
def held_back(people, is_held):
    """What ``is_held(channel, envelope)`` is true of passes the bus at the end; gives an event, set by the first."""
    board, held, has_come = people.engine.desk.switchboard, [], asyncio.Event()
    put = board.put

    def hold(channel, envelope):
        if not is_held(channel, envelope):
            put(channel, envelope)
            return
        held.append((channel, envelope))
        has_come.set()

    board.put = hold
    yield has_come
    board.put = put
    for channel, envelope in held:
        put(channel, envelope)


def by(people, name):
    """All that the direct channel of somebody says to the group."""
    return lambda channel, envelope: channel == people.direct(name) and envelope.side == "direct"


async def voted(people, typed, choice):
    """Open a vote, and have Person B vote in it."""
    await people.say("Person A", typed)
    await people.ballot("Person A")
    await people.ballot("Person B")
    await people.press("Person B", choice)
    await people.hears("Your vote is counted", "Person B")


async def closed(people, clock):
    """Let the time of the vote come, and the 5 s in which it could be handed over pass."""
    clock.advance(600)
    await people.hears("Closed.", "Person B")
    return await hears_later(people, clock, "Result of vote #1")


def on_card(people, name):
    return [reply.card for reply in people.space.heard(people.direct(name)) if reply.card][-1]


async def test_the_earlier_vote_is_named_as_the_one_that_counts(party, clock):
    async with party("Person A", "Person B") as people:
        await voted(people, f'poll "Lunch?" {LUNCH}', "Pizza")
        with held_back(people, by(people, "Person B")):
            await people.press("Person B", "Sushi")
            assert "Pizza 1" in await closed(people, clock)
            await people.hears("Closed. It is not known yet whether your last vote came in time.", "Person B")
            await people.press("Person B", "Sushi")
            await people.hears("It is not known yet whether your last vote, for Sushi, came in time.", "Person B")
        await people.hears(
            "Your change to **Sushi** came after the close and is not counted; your earlier vote for **Pizza** counts. "
            "(Lunch?)",
            "Person B",
        )
        await people.hears("Closed. Your vote: Pizza", "Person B")
        assert on_card(people, "Person B").chosen == "Pizza"
        await people.press("Person B", "Sushi")
        await people.hears("Vote #1 is closed: Lunch? Your vote for Pizza stands.", "Person B")
    async with party() as people:
        await people.join("Person A", "Person B")
        await people.whisper("Person B", "2")
        await people.engine.stop()
        assert sum("Your vote for Pizza stands." in text for text in people.told("Person B")) == 2


async def test_the_earlier_vote_counts_also_where_its_receipt_was_lost(party, clock):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", f'poll "Lunch?" {LUNCH}')
        await people.ballot("Person B")
        with held_back(people, lambda channel, envelope: envelope.body.get("op") == "receipt"):
            await people.press("Person B", "Pizza")
            store = people.engine.desk.store
            async with asyncio.timeout(10):
                while not await store.read(lambda db: db.execute("SELECT 1 FROM poll_ballots").fetchone()):
                    pass
            with held_back(people, by(people, "Person B")):
                await people.press("Person B", "Sushi")
                await closed(people, clock)
        await people.hears("your earlier vote for **Pizza** counts", "Person B")


async def test_of_an_anonymous_vote_it_is_said_that_the_earlier_one_counts_and_not_which(party, clock):
    async with party("Person A", "Person B") as people:
        await voted(people, f'poll anonymous "Lunch?" {LUNCH}', "Pizza")
        with held_back(people, by(people, "Person B")):
            await people.press("Person B", "Sushi")
            await closed(people, clock)
        await people.hears(
            "Your change came after the close and is not counted; your earlier vote counts. (Lunch?)", "Person B"
        )
        await people.hears("Closed. Your vote was counted.", "Person B")
        await people.press("Person B", "Sushi")
        await people.hears("Vote #1 is closed: Lunch? Your vote stands.", "Person B")


async def test_an_anonymous_vote_that_came_late_and_was_the_first_is_none(party, clock):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", f'poll anonymous "Lunch?" {LUNCH}')
        await people.ballot("Person B")
        with held_back(people, by(people, "Person B")):
            await people.press("Person B", "Sushi")
            await closed(people, clock)
        await people.hears("Your vote came after the close and is not counted. (Lunch?)", "Person B")
        await people.hears("Closed. No vote of yours was counted.", "Person B")


async def test_open_again_a_choice_of_several_is_added_to_what_counts(party, clock):
    async with party("Person A", "Person B") as people:
        await voted(people, 'poll multiple 3 "Lunch?" Ham, Corn, Egg in 10m', "Ham")
        with held_back(people, by(people, "Person B")):
            await people.press("Person B", "Corn")
            await closed(people, clock)
        await people.hears("Your change to **Ham, Corn** came after the close", "Person B")
        await people.hears("Closed. Your vote: Ham", "Person B")
        await people.say("Person A", "poll reopen #1 in 5m")
        await people.hears("Vote #1 is open again", "Person B")
        await people.press("Person B", "Egg")
        await people.hears("Your vote is counted: Ham, Egg", "Person B")
        clock.advance(300)
        result = await people.hears("Egg 1")
        assert "Ham 1" in result
        assert "Corn 0" in result


async def test_what_came_late_once_does_not_close_a_ballot_that_is_open_again(party, clock):
    async with party("Person A", "Person B") as people:
        await voted(people, f'poll "Lunch?" {LUNCH}', "Pizza")
        with held_back(people, lambda channel, envelope: envelope.body.get("op") == "receipt") as is_refused:
            with held_back(people, by(people, "Person B")):
                await people.press("Person B", "Sushi")
                await closed(people, clock)
            async with asyncio.timeout(10):
                await is_refused.wait()
            await people.say("Person A", "poll reopen #1 in 5m")
            await people.hears("Vote #1 is open again", "Person B")
        await people.hears("your earlier vote for **Pizza** counts", "Person B")
        await people.press("Person B", "Sushi")
        await people.hears("Your vote is counted: Sushi", "Person B")
        clock.advance(300)
        await people.hears("Closed. Your vote: Sushi", "Person B")


async def test_what_came_late_is_not_counted_by_its_repeat_when_the_vote_is_open_again(party, clock):
    async with party("Person A", "Person B") as people:
        await voted(people, f'poll "Lunch?" {LUNCH}', "Pizza")
        late, answers = [], asyncio.Queue()

        def is_of_b(channel, envelope):
            if by(people, "Person B")(channel, envelope) and envelope.body.get("op") == "ballot":
                late.append((channel, envelope))
            return by(people, "Person B")(channel, envelope)

        with held_back(people, is_of_b):
            await people.press("Person B", "Sushi")
            await closed(people, clock)
        await people.hears("your earlier vote for **Pizza** counts", "Person B")
        await people.say("Person A", "poll reopen #1 in 5m")
        await people.hears("Vote #1 is open again", "Person B")
        board = people.engine.desk.switchboard
        put = board.put
        board.put = lambda channel, envelope: (put(channel, envelope), answers.put_nowait(envelope.body))
        board.put(*late[0])  # as it is said again until it is confirmed
        async with asyncio.timeout(10):
            while (receipt := await answers.get()).get("op") != "receipt":
                pass
        assert receipt["is_counted"] is False
        clock.advance(300)
        result = await people.space.wait_for("group", lambda reply: reply.id.endswith("/result/1"), 10)
        assert "Pizza 1" in result.fixed
        assert "Sushi 0" in result.fixed
