"""What a command begins when its channel starts goes on in each run, and is heard in each."""

from __future__ import annotations

import asyncio

from shellbot.commands.base import Command


class Watch(Command):
    """Says each minute how often it has looked, as long as the program runs."""

    keyword = "watch"

    def __init__(self):
        self.looks = 0
        self.begun = asyncio.Queue()

    async def on_start(self, bot):
        if not bot.is_direct:
            bot.each(60, self.look, bot)
            bot.after(90, self.remind, bot)
            bot.post(self.greet, bot)
            bot.say("I watch.")
            self.begun.put_nowait(bot)

    async def look(self, bot):
        self.looks += 1
        bot.say(f"Look {self.looks}.")

    async def remind(self, bot):
        bot.say("I go on watching.")

    async def greet(self, bot):
        bot.say("Good morning.")


async def test_what_timers_and_turns_of_the_start_say_is_said_after_a_restart_too(party, clock):
    watch = Watch()
    for run in range(1, 4):
        async with party("Person A", commands=[watch]) as people:
            await asyncio.wait_for(watch.begun.get(), 10)
            for look in (2 * run - 1, 2 * run):
                clock.advance(60)
                await people.hears(f"Look {look}.")
            said = people.told()
            assert [said.count(text) for text in ("I watch.", "Good morning.", "I go on watching.")] == [run] * 3
            assert [text for text in said if text.startswith("Look")] == [f"Look {n}." for n in range(1, 2 * run + 1)]
