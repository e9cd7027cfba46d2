"""The bot of test_everywhere.py: it greets, asks step by step, sends a file and counts what it is sent."""

from __future__ import annotations

from pathlib import Path

from shellbot import Command, Dialog
from shellbot.machines import Input, Menu, Sequence
from shellbot.markup import plain

PLAN = Path(__file__)  # what it sends: a file that is surely there


class Greet(Command):
    keyword = "greet"
    is_hidden = True

    async def on_join(self, bot, person):
        if bot.recall(f"greeted {person.id}") is None:  # a console says it anew in each run
            bot.remember(f"greeted {person.id}", True)
            bot.say(f"Welcome, {plain(person.name)}!")

    async def on_leave(self, bot, person):
        bot.say(f"{plain(person.name)} has left.")

    def execute(self, bot, arguments="", **kwargs):
        bot.say("Hello!")


class Order(Dialog):
    keyword = "order"

    def get_machine(self, bot, arguments="", **options):
        return Sequence(
            [
                Menu(question="Which dish?", options=["Pizza", "Sushi"], key="dish"),
                Input(question="How many?", mask="9", key="count"),
                Input(question="Anything to add?", key="remark"),
            ]
        )

    async def on_answers(self, bot, answers, person):
        bot.say(f"Ordered: {answers['count']} {answers['dish']}, {plain(answers['remark'])}.")


class Plan(Command):
    keyword = "plan"

    def execute(self, bot, arguments="", **kwargs):
        bot.say("Here is the plan.", file=PLAN)


class Count(Command):
    keyword = "count"

    async def execute(self, bot, arguments="", *, files, **kwargs):
        for file in files:
            content = await bot.home.run_blocking(file.read)
            bot.say(f"Counted {plain(file.name)}: {len(content)} bytes.")
        if not files:
            bot.say("Nothing to count: no file came with this line.")
