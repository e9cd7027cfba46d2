"""What a poll lacks is asked for, one word after the other."""

from __future__ import annotations

import pytest

from shellbot.commands.base import Command
from shellbot.machines.input import Input
from shellbot.polls.asking import lacking


async def asked_when(people):
    title = "Person A: When does it close? Pick one, or write a time: in 20m, tomorrow 9:00. Say cancel to end this."
    await people.space.wait_for("group", lambda reply: reply.card is not None and reply.card.title == title)


async def test_the_words_of_a_poll_are_asked_for_and_it_opens(party, clock):
    async with party("Person A", "Person B") as people:
        for text in ("poll new", 'What "is" <b>it</b>?', "Pizza"):
            await people.say("Person A", text)
        await people.hears("with commas between: `Pizza, Sushi`; `cancel` ends this.")
    async with party() as people:
        await people.join("Person A", "Person B")
        await people.say("Person A", "Pizza, Sushi")
        await asked_when(people)
        await people.say("Person B", "poll list")  # goes on beside it
        await people.say("Person A", "1")
        await people.ballot("Person B", 'What "is" <b>it</b>?')
        await people.press("Person B", "Sushi")
        await people.hears("Your vote is counted: Sushi", "Person B")
        clock.advance(600)
        assert "Sushi 1" in await people.hears("Result of vote #1")


async def hears_times(people, text, times):
    await people.space.wait_for("group", lambda _: sum(text in said for said in people.told()) == times)


@pytest.mark.parametrize("line", ["poll Tea or coffee?", 'poll "Tea or coffee?"'])
async def test_only_what_is_missing_is_asked_for(party, line):
    async with party("Person A") as people:
        await people.say("Person A", line)
        await people.hears("Which choices?")
        await people.say("Person A", "Tea, Coffee")
        await asked_when(people)
        await people.say("Person A", "when all have voted, or I close it")
        await people.ballot("Person A", "Tea or coffee?")
        assert not any("What do you want to ask?" in text for text in people.told())


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ("10m", "13:10"),
        ("in 20m", "13:20"),
        ("until 15:30", "15:30"),
        ("tomorrow 9:00", "Sat 21 Nov 09:00"),
        ("in 1 hour", "14:00"),
    ],
)
async def test_when_it_closes_is_picked_or_written(party, said, at):
    async with party("Person A", settings={"polls.timezone": "Europe/Paris"}) as people:
        for text in ("poll Tea or coffee?", "Tea, Coffee"):
            await people.say("Person A", text)
        await asked_when(people)
        await people.say("Person A", said)
        assert f"at the latest at {at} CET (+01:00)" in await people.hears("Vote #1: Tea or coffee?")


async def test_a_time_that_cannot_be_is_told_and_asked_for_again(party):
    async with party("Person A") as people:
        for text in ("poll Tea or coffee?", "Tea, Coffee"):
            await people.say("Person A", text)
        await asked_when(people)
        for said, told in (
            ("tomorrow", "At what time? Write e.g. `tomorrow 9:00`. `cancel` ends this."),
            ("at 11:00", "is past"),
            ("in 5 minuets", "is no duration"),
            ("400d", "too far away"),
            ("some day", "I wait for when the vote closes"),
        ):
            await people.say("Person A", said)
            await people.hears(told)
        await people.say("Person A", "at 12:30")
        await people.hears("at the latest at 12:30 UTC")


async def test_who_does_not_go_on_has_opened_nothing(party, clock):
    async with party("Person A") as people:
        await people.say("Person A", "poll Lunch?")
        await people.hears("Which choices?")
        await people.say("Person A", "cancel")
        await people.say("Person A", "poll list")
        await people.hears("No vote is open.")


async def test_who_goes_on_chatting_is_told_each_time_what_it_is_taken_for_and_how_to_end_it(party):
    async with party("Person A", "Person B") as people:
        await people.say("Person A", "poll new")
        await people.hears("What you write here next is the question; `cancel` ends this.")
        await people.say("Person A", "so hungry today")
        await people.hears("Person A: The question is: so hungry today")
        await people.say("Person A", "poll list")  # a command is no answer
        await people.hears("No vote is open.")
        for times, line in enumerate(("me too", "Soup, soup"), 1):
            await people.say("Person A", line)
            await hears_times(people, "I wait for the choices of a vote", times)
        await people.say("Person A", "Soup, Bread")
        await asked_when(people)
        await people.say("Person A", "who comes along?")
        await people.hears("I wait for when the vote closes: a number from 1 to 4, one of the words, or a time")
        await people.say("Person A", "cancel")
        await people.hears("No vote, then.")
        told = len(people.told())
        await people.say("Person A", "good bye")
        await people.say("Person A", "poll list")
        await hears_times(people, "No vote is open.", 2)
        assert len(people.told()) == told + 1


async def test_a_question_that_cannot_be_is_told_at_once(party):
    async with party("Person A") as people:
        await people.say("Person A", f"poll {'long ' * 100}?")
        await people.hears("300")
        assert len(people.told()) == 1


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        ("new", ""),
        (" New ", ""),
        ("create", ""),
        ('start "Lunch?"', "Lunch?"),
        ("yesno Merge?", None),
        ("Open the window?", "Open the window?"),
        ("Lunch?", "Lunch?"),
        ('"Lunch, today"', "Lunch, today"),
        ("“Lunch”", "Lunch"),
        ("New office? yes, no", None),
        ("Lunch? Pizza, Sushi", None),
        ('"Lunch" Pizza', None),
        ("Pizza, Sushi?", None),
        ("new things", None),
        ("", None),
    ],
)
def test_what_lacks_all_other_words(arguments, question):
    assert lacking(arguments) == question


class Order(Command):
    keyword = "order"

    def get_machine(self, bot, **options):
        return Input(question="What do you order?", key="dish")

    def execute(self, bot, arguments="", **kwargs):
        bot.open_dialog("order", kwargs["person"])


async def test_a_ballot_with_its_number_goes_to_its_vote_though_a_dialog_is_open(party):
    async with party("Person A", "Person B", commands=[Order()]) as people:
        await people.whisper("Person A", "order")
        await people.hears("What do you order?", "Person A")
        await people.say("Person A", 'poll "Lunch?" Pizza, Sushi until tomorrow 12:00')
        await people.ballot("Person A")
        await people.whisper("Person A", "#2 1")  # no vote here has this number: it is the dialog's
        assert people.engine.space.heard(people.direct("Person A"))[-1].text != "There is no vote #2 here."
        await people.whisper("Person A", "order")
        await people.whisper("Person A", "#1 2")
        await people.hears("Your vote is counted: Sushi", "Person A")
        await people.whisper("Person A", "#1 soup")
        await people.hears("Please answer with one of", "Person A")
        await people.whisper("Person A", "order")
        await people.hears("You are in the middle of `order`", "Person A")
