"""Who sees the count and when; votes that open later; reminders before the close."""

from __future__ import annotations

from tests.scenarios.later import hears_later


async def opened(people, typed, question="Lunch?"):
    await people.say("Person A", typed)
    for name in people.people:
        await people.ballot(name, question)
    await people.hears("have a ballot")
    await people.all_asked()


async def vote(people, name, choice):
    await people.press(name, choice)
    await people.hears(f"Your vote is counted: {choice}", name)


async def test_a_live_count_is_shown_where_the_vote_was_opened(party, clock):
    async with party("Person A", "Person B", "Person C") as people:
        await opened(people, 'poll "Lunch?" Pizza, Sushi in 10m results live')
        assert any("The votes so far are shown." in text for text in people.told())
        await vote(people, "Person B", "Sushi")
        clock.advance(2)
        assert "Vote #1: Lunch?" in await people.hears("Sushi 1")
        await vote(people, "Person C", "Pizza")
        clock.advance(2)
        await people.hears("Pizza 1")
        await people.say("Person C", "poll show #1")
        await people.hears("A tie between Pizza and Sushi.")
        await people.say("Person A", "poll close")
        await people.hears("Result of vote #1")


async def test_a_live_count_says_who_turned_out_to_be_out_of_reach(party, clock):
    async with party("Person A", "Person B", "Person C") as people:
        people.space.unreachable.add("person-c")  # after the direct channel was there
        await people.say("Person A", 'poll "Lunch?" Pizza, Sushi in 10m results live')
        await people.hears("3 people have a ballot in the direct channel. It closes")
        await people.ballot("Person B")
        await people.whisper("Person A", "poll show")
        await vote(people, "Person B", "Sushi")
        clock.advance(2)
        told = await people.hears("2 people have a ballot in the direct channel. Could not be reached: Person C.")
        assert "Sushi 1" in told


async def test_a_live_count_goes_on_after_a_restart(party, clock):
    async with party("Person A", "Person B", "Person C") as people:
        await opened(people, 'poll "Lunch?" Pizza, Sushi in 10m results live')
        await vote(people, "Person B", "Sushi")
        clock.advance(2)
        await people.hears("Sushi 1")
    async with party() as people:
        await people.join("Person A", "Person B", "Person C")
        await people.press("Person C", "Sushi")
        await hears_later(people, clock, "Sushi 2")


async def test_only_who_opened_it_is_told_the_result_and_may_look_before(party, clock):
    async with party("Person A", "Person B") as people:
        await opened(people, 'poll "Lunch?" Pizza, Sushi in 10m results owner')
        assert any("Only who opened it is told the result." in text for text in people.told())
        await vote(people, "Person B", "Sushi")
        for name, where in (("Person A", people.say), ("Person B", people.whisper)):
            await where(name, "poll show #1")
        await people.hears("1 of 2 voted; closes", "Person B")
        await people.whisper("Person A", "poll show #1")
        assert "Sushi 1" in await people.hears("**Sushi** has the most votes.", "Person A")
        clock.advance(600)
        await people.hears("1 of 2 voted. Person A has the result.")
        assert "Sushi 1" in await people.hears("Result of vote #1: Lunch?", "Person A")
        await people.say("Person B", "poll history")
        await people.hears("#1 Lunch? (20 Nov 2026): 1 of 2 voted.")
        seen = [
            reply.text + reply.fixed
            for name in ("", "Person B")
            for reply in people.space.heard(people.direct(name) if name else "group")
            if reply.card is None
        ]
        assert not any("Sushi 1" in text or "has the most" in text for text in seen)


async def test_the_result_for_who_opened_it_survives_a_restart_before_it_arrived(party, clock):
    async with party("Person A", "Person B") as people:
        await opened(people, 'poll "Lunch?" Pizza, Sushi in 10m results owner')
        await vote(people, "Person B", "Sushi")
        board = people.engine.desk.switchboard
        put = board.put
        board.put = lambda channel, envelope: None if envelope.body.get("op") == "note" else put(channel, envelope)
        clock.advance(600)
        await people.hears("Person A has the result.")
        assert not any("Result" in text for text in people.told("Person A"))
    async with party() as people:
        await people.join("Person A", "Person B")
        assert "Sushi 1" in await hears_later(people, clock, "Result of vote #1", "Person A")
        clock.advance(60)
        assert sum("Result of vote #1" in text for text in people.told("Person A")) == 1
        assert sum("has the result" in text for text in people.told()) == 1


async def test_a_result_for_somebody_without_a_direct_channel_is_refused_before_anybody_votes(party):
    async with party("Person A") as people:
        people.space.unreachable.add("person-b")
        await people.join("Person B")
        await people.say("Person B", 'poll "Lunch?" Pizza, Sushi results owner')
        await people.hears("You have no direct channel to be told the result in")
        assert people.told("Person A") == []


async def test_a_reminder_comes_before_the_close_to_those_who_have_not_voted(party, clock):
    async with party("Person A", "Person B") as people:
        await opened(people, 'poll "Lunch?" Pizza, Sushi in 10m remind 2m before')
        await vote(people, "Person A", "Sushi")
        clock.advance(479)
        await people.say("Person A", "echo no reminder so far")
        assert not any("not voted" in text for text in people.told("Person B"))
        clock.advance(1)
        await hears_later(
            people,
            clock,
            "You have not voted yet. Vote #1 closes when all have voted, at the latest at 12:10",
            "Person B",
        )
        assert not any("not voted" in text for text in people.told("Person A"))


async def test_a_reminder_that_was_due_while_nobody_served_comes_at_the_start_and_once(party, clock):
    async with party("Person A", "Person B") as people:
        await opened(people, 'poll "Lunch?" Pizza, Sushi in 10m remind 5m')
        await vote(people, "Person A", "Sushi")
    clock.advance(400)
    for _ in range(2):
        async with party() as people:
            await people.join("Person A", "Person B")
            await hears_later(people, clock, "You have not voted yet.", "Person B")
            assert sum("not voted yet" in text for text in people.told("Person B")) == 1


async def test_an_extended_vote_reminds_again_before_its_new_close(party, clock):
    async with party("Person A", "Person B") as people:
        await opened(people, 'poll "Lunch?" Pizza, Sushi in 10m remind 2m')
        clock.advance(480)
        await hears_later(
            people,
            clock,
            "You have not voted yet. Vote #1 closes when all have voted, at the latest at 12:10",
            "Person B",
        )
        await people.say("Person A", "poll extend 10m")
        await people.hears("closes when all have voted, at the latest at 12:20 UTC", "Person B")
        clock.advance(600)
        await hears_later(
            people,
            clock,
            "You have not voted yet. Vote #1 closes when all have voted, at the latest at 12:20",
            "Person B",
        )


async def test_a_vote_planned_opens_at_its_time_to_those_who_are_there_then(party, clock):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", 'poll "Lunch?" Pizza, Sushi opens tomorrow 9:00 in 1h')
        planned = await people.hears("Vote #1 opens at Sat 21 Nov 09:00 UTC: Lunch?")
        assert "It closes when all have voted, at the latest at Sat 21 Nov 10:00 UTC." in planned
        await hears_later(people, clock, "Your vote #1 opens at Sat 21 Nov 09:00 UTC", "Person A")
        await people.say("Person A", "poll list")
        await people.hears("- #1 Lunch?: opens at Sat 21 Nov 09:00 UTC")
        await people.say("Person A", "poll close")
        await people.hears("Vote #1 has not opened yet; `poll cancel #1` calls it off.")
        await people.join("Person C")
        assert people.told("Person B") == []
    clock.advance(20 * 3600)
    async with party() as people:
        await people.join("Person A", "Person B", "Person C")
        clock.advance(3600)
        assert "3 people have a ballot" in await hears_later(people, clock, "Vote #1: Lunch?")
        for name in people.people:
            await people.ballot(name)
        await vote(people, "Person C", "Sushi")
        clock.advance(3600)
        assert "1 of 3 voted" in await people.hears("Result")


async def test_a_vote_planned_is_called_off_from_the_direct_channel(party, clock):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", 'poll "Lunch?" Pizza, Sushi opens at 14:00')
        await hears_later(people, clock, "Your vote #1 opens at 14:00 UTC", "Person A")
    async with party() as people:
        await people.join("Person A", "Person B")
        await people.whisper("Person A", "poll cancel #1")
        await hears_later(people, clock, "Vote #1 is cancelled by Person A: Lunch?")
        clock.advance(3 * 3600)
        await people.say("Person A", "echo the end")
        assert people.told("Person B") == []


async def test_a_vote_whose_whole_time_passed_while_nobody_served_has_an_empty_result(party, clock):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", 'poll "Lunch?" Pizza, Sushi opens at 13:00 in 1h')
        await people.hears("Vote #1 opens at 13:00 UTC")
    clock.advance(86400)
    async with party() as people:
        await people.join("Person A", "Person B")
        await hears_later(people, clock, "Nobody voted. 0 of 2 voted.")
        assert sum("Result" in text for text in people.told()) == 1
