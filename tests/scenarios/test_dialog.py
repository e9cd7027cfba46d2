"""Dialogs over the real engine: in a direct channel, with several in a group, over time-outs, kills and changes."""

from __future__ import annotations

from shellbot.commands.dialog import Dialog
from shellbot.machines import Input, Menu, Sequence


class Order(Dialog):
    keyword = "order"

    def get_machine(self, bot, arguments="", **options):
        return Sequence(
            [
                Menu(question="Which dish?", options=["Pizza", "Sushi"], key="dish"),
                Input(question="How many?", mask="9", key="count"),
            ]
        )

    def on_answers(self, bot, answers, person):
        bot.say(f"{person.name} gets {answers['count']} {answers['dish']}.")


async def test_it_asks_one_thing_after_another_and_the_command_gets_the_answers(party):
    async with party("Person A", commands=[Order()]) as people:
        await people.whisper("Person A", "order")
        await people.ballot("Person A", "Which dish?")
        await people.whisper("Person A", "sushi")
        await people.hears("How many?", "Person A")
        await people.whisper("Person A", "a lot")
        await people.hears("does not fit", "Person A")
        await people.whisper("Person A", "3 please")
        await people.hears("Person A gets 3 Sushi.", "Person A")
        await people.whisper("Person A", "3")
        await people.hears("I do not know that", "Person A")
