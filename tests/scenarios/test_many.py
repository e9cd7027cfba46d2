"""A vote of hundreds: what is said, stored and subscribed to grows with the people, and with nothing else."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections import Counter

import pytest

from shellbot.polls import counting, crier
from shellbot.polls.handing import EACH, Queues

LUNCH = 'poll "Lunch?" Pizza, Sushi in 1h'


def noted(people, keep=lambda op, channel: False):
    """Count what is put on the bus by what it is; what ``keep`` holds true for is kept back, in the list given too."""
    board, counts, kept = people.engine.desk.switchboard, Counter(), []
    put = board.put

    def count(channel, envelope):
        op = envelope.body.get("op")
        counts[op] += 1
        if keep(op, channel):
            kept.append(lambda: put(channel, envelope))
        else:
            put(channel, envelope)

    board.put = count
    return counts, kept


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)


async def test_each_frame_of_a_vote_of_hundreds_is_put_once(party, monkeypatch):
    monkeypatch.setattr(crier, "WINDOW", 40)
    monkeypatch.setattr("shellbot.bot.LOOP_LIMIT", 0)  # what makes room for others is not answered
    names = [f"Person {number}" for number in range(200)]
    async with party(*names) as people:
        counts, _ = noted(people)
        await people.say(names[0], LUNCH)
        for name in names:
            await people.ballot(name)
        await asyncio.gather(*(people.press(name, "Pizza") for name in names))
        assert "200 of 200 voted" in await people.hears("Result")
        assert counts == Counter({op: len(names) for op in ("open", "shown", "ballot", "receipt", "close", "closed")})


async def test_no_more_channels_are_told_at_once_than_can_be_heard(party, monkeypatch):
    monkeypatch.setattr(crier, "WINDOW", 10)
    names = [f"Person {number}" for number in range(30)]
    async with party(*names) as people:
        counts, kept = noted(people, lambda op, channel: op == "shown")
        await people.say(names[0], LUNCH)
        await until(lambda: counts["shown"] == 10)
        assert counts["open"] == 10
        for report in kept[:5]:
            report()
        await until(lambda: counts["shown"] == 15)
        assert counts["open"] == 15


async def test_those_who_report_nothing_do_not_keep_the_ballot_from_others(party, clock, monkeypatch):
    monkeypatch.setattr(crier, "WINDOW", 10)
    names = [f"Person {number}" for number in range(25)]
    async with party(*names) as people:
        silent = {people.direct(name) for name in names[:20]}
        counts, _ = noted(people, lambda op, channel: op == "shown" and channel in silent)
        await people.say(names[0], LUNCH)
        for told in (10, 20, 25):
            await until(lambda told=told: counts["shown"] >= told)
            clock.advance(4)
        await people.ballot(names[-1])


async def test_nothing_is_said_again_while_reports_come(party, clock):
    names = ["Person A", "Person B", "Person C"]
    async with party(*names) as people:
        counts, kept = noted(people, lambda op, channel: op == "shown" and counts["open"] == 3)
        await people.say("Person A", LUNCH)
        await until(lambda: len(kept) == 3)
        clock.advance(0.75)
        kept[0]()
        chair = people.engine.shell.commands["poll"].chair(await people.engine.get_bot("group"))
        await until(lambda: len(chair.find(1)[0].unseen) == 2)
        clock.advance(0.25)  # a second since it was said, a quarter of one since a report
        await people.say("Person B", "help")  # a turn behind that of the timer
        assert counts["open"] == 3
        clock.advance(0.5)
        await until(lambda: counts["open"] == 5)


async def test_ballots_that_come_while_the_disk_is_busy_are_counted_in_one_transaction(party, monkeypatch):
    batches = []
    count = counting._Batch.count

    def noting(batch, db):
        batches.append(len(batch.ballots))
        return count(batch, db)

    monkeypatch.setattr(counting._Batch, "count", noting)
    names = [f"Person {number}" for number in range(20)]
    async with party(*names) as people:
        _, kept = noted(people, lambda op, channel: op == "ballot")
        await people.say(names[0], LUNCH)
        for name in names:
            await people.ballot(name)
            await people.press(name, "Sushi")
        chair = people.engine.shell.commands["poll"].chair(await people.engine.get_bot("group"))
        seats = chair.find(1)[0].seats.values()
        go = threading.Event()
        people.engine.desk.store.post(lambda db: go.wait(10))
        for ballot in kept:
            ballot()
        await until(lambda: all(seat.counting for seat in seats))
        go.set()
        assert "20 of 20 voted" in await people.hears("Result")
        assert batches == [20]


async def test_a_vote_that_comes_behind_a_later_one_stands_for_nothing(party):
    async with party("Person A", "Person B") as people:
        _, kept = noted(people, lambda op, channel: op == "ballot")
        await people.say("Person A", 'poll multiple 2 "Toppings?" Ham, Corn, Egg in 1h')
        await people.ballot("Person A", "Toppings?")
        for number, words in enumerate(("Ham", "None"), 1):
            await people.whisper("Person A", words)
            await until(lambda number=number: len(kept) == number)
        chair = people.engine.shell.commands["poll"].chair(await people.engine.get_bot("group"))
        seat = chair.find(1)[0].seats[people.direct("Person A")]
        go = threading.Event()
        people.engine.desk.store.post(lambda db: go.wait(10))
        first, last = kept
        last()
        await until(lambda: seat.counting)
        later = seat.counting
        first()
        await people.say("Person B", "help")  # a turn behind that of the first
        go.set()
        await until(lambda: not seat.counting and seat.n)
        assert (seat.n, seat.has_voted) == (later, False)


async def test_a_ballot_handed_over_at_the_close_counts_though_another_turn_writes_it(party, clock):
    async with party("Person A", "Person B") as people:
        _, kept = noted(people, lambda op, channel: op == "ballot")
        await people.say("Person A", LUNCH)
        for name in people.people:
            await people.ballot(name)
            await people.press(name, "Sushi")
        chair = people.engine.shell.commands["poll"].chair(await people.engine.get_bot("group"))
        seats = chair.find(1)[0].seats
        go = threading.Event()
        people.engine.desk.store.post(lambda db: go.wait(10))
        for ballot in kept:
            ballot()
        await until(lambda: all(seat.counting for seat in seats.values()))
        clock.advance(3600)
        go.set()
        result = await people.hears("Result")
        assert "Sushi 2" in result
        assert "2 of 2 voted" in result


async def test_a_ballot_is_put_again_when_one_put_later_is_confirmed(party, clock):
    async with party("Person A", "Person B") as people:
        counts, _ = noted(people, lambda op, channel: op == "ballot" and not counts["receipt"])
        await people.say("Person A", LUNCH)
        for name in ("Person A", "Person B"):
            await people.ballot(name)
        await people.press("Person A", "Pizza")
        clock.advance(1.5)
        counts["receipt"] = 1  # from now on nothing is lost
        await people.press("Person B", "Sushi")
        await people.hears("Your vote is counted: Sushi", "Person B")
        assert counts["ballot"] == 2
        clock.advance(0.5)
        await people.hears("Result")
        assert counts["ballot"] == 3


@pytest.mark.parametrize(
    ("place", "since", "is_moving"),
    [
        (8, 9.0, True),  # the seventh was confirmed at 10: the eighth is on its way
        (8, 10.0, False),  # nothing has come since
        (6, 9.0, False),  # the seventh was put behind it, so it is lost
    ],
)
def test_a_vote_on_its_way_is_told_from_a_lost_one(place, since, is_moving):
    queues = Queues()
    queues.confirm("group", 7, 9.5)
    queues.confirm("group", 5, 10.0)
    assert queues.is_moving("group", place, since) is is_moving
    assert not queues.is_moving("another", place, since)


def test_a_vote_gives_the_group_time_for_those_before_it():
    queues = Queues()
    assert [queues.enter("group")[1] for _ in range(3)] == [0, EACH, 2 * EACH]
    assert queues.enter("another")[1] == 0
    for _ in range(3):
        queues.leave("group")
    assert queues.enter("group")[1] == 0


async def test_votes_that_are_confirmed_leave_no_time_behind(party, clock):
    async with party("Person A", "Person B") as people:
        queues = people.engine.shell.commands["poll"]._queues
        await people.say("Person A", LUNCH)
        for name in ("Person A", "Person B"):
            await people.ballot(name)
            await people.press(name, "Pizza")
        await people.hears("Result")
        assert queues.enter("group")[1] == 0


async def test_an_engine_leaves_the_interpreter_as_it_was(party):
    before = gc.get_threshold(), sys.getswitchinterval()
    async with party("Person A"):
        assert gc.get_threshold() > before[0]
        assert sys.getswitchinterval() < before[1]
    assert (gc.get_threshold(), sys.getswitchinterval()) == before
