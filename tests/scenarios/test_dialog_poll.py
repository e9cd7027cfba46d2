"""A dialog that asks for the words of a poll one at a time, made of the poll command and a machine."""

from __future__ import annotations

import hashlib

from shellbot.machines import Input, Menu, Sequence
from shellbot.polls.commands import PollCommand
from shellbot.polls.grammar import parse
from shellbot.turns import new_id

ENDS = {"in 10 minutes": " in 10m", "in 1 hour": " in 1h", "when I close it": ""}


class Choices(Input):
    """At least two, separated by commas."""

    def filter(self, text):
        choices = [choice.strip() for choice in text.split(",")]
        return text if len(choices) > 1 and all(choices) else None


class AskingPoll(PollCommand):
    """``poll new`` asks for all of it, ``poll new Lunch?`` for what is missing."""

    def get_machine(self, bot, question="", **options):
        waits = {"retry_delay": 120, "cancel_delay": 600, "on_cancel": "No vote, then."}
        missing = [] if question else [Input(question="What do you want to ask?", key="question", **waits)]
        machine = Sequence(
            [
                *missing,
                Choices(
                    question="Which choices?", on_retry="At least two, separated by commas.", key="choices", **waits
                ),
                Menu(question="When does it close?", options=ENDS, key="ends", **waits),
            ]
        )
        if question:
            machine.answer("question", question)
        return machine

    async def execute(self, bot, arguments="", **kwargs):
        word, _, question = arguments.partition(" ")
        if word.casefold() == "new" and not bot.is_direct:
            bot.open_dialog(self.keyword, kwargs["message"].person, question=question.strip())
        else:
            await super().execute(bot, arguments, **kwargs)

    async def on_answers(self, bot, answers, person):
        now = bot.clock.utcnow()
        line = f'"{answers["question"]}" {answers["choices"]}{ENDS[answers["ends"]]}'
        asked = parse(line, now, self.zone(bot))
        poll = hashlib.sha256(f"{bot.id} {new_id()}".encode()).hexdigest()[:16]  # the same when it is called again
        await self.chair(bot).open(poll, asked.spec, person, now, asked.closes_at, asked.opens_at)


async def asked_when(people):
    title = "Person A: When does it close?"
    await people.space.wait_for("group", lambda reply: reply.card is not None and reply.card.title == title)


async def test_the_words_of_a_poll_are_asked_for_and_it_opens(party, clock):
    async with party("Person A", "Person B", commands=[AskingPoll()]) as people:
        for text in ("poll new", "Lunch?", "Pizza"):
            await people.say("Person A", text)
        await people.hears("At least two, separated by commas.")
    async with party(commands=[AskingPoll()]) as people:
        await people.join("Person A", "Person B")
        await people.say("Person A", "Pizza, Sushi")
        await asked_when(people)
        await people.say("Person B", "poll list")  # goes on beside it
        await people.say("Person A", "1")
        await people.ballot("Person B")
        await people.press("Person B", "Sushi")
        await people.hears("Your vote is counted: Sushi", "Person B")
        clock.advance(600)
        assert "Sushi 1" in await people.hears("Result of vote #1")


async def test_only_what_is_missing_is_asked_for(party):
    async with party("Person A", commands=[AskingPoll()]) as people:
        await people.say("Person A", "poll new Tea or coffee?")
        await people.hears("Which choices?")
        await people.say("Person A", "Tea, Coffee")
        await asked_when(people)
        await people.say("Person A", "when I close it")
        await people.ballot("Person A", "Tea or coffee?")
        assert not any("What do you want to ask?" in text for text in people.told())
