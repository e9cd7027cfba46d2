"""A room that holds on to its people: who leaves is asked back in the direct channel, who comes again is greeted.

Say `sticky on` in the group, leave it, and come in again under the same name. What the room knows is kept in the store.

    shellbot run examples/sticky_room.py
"""

from typing import Any

from shellbot import Command, Engine, ShellBot
from shellbot.events import Person
from shellbot.markup import plain


class Sticky(Command):
    keyword = "sticky"
    information_message = "Hold on to people, or let them go"
    in_direct = False

    async def execute(self, bot: ShellBot, is_sticky: bool = True) -> None:
        bot.remember("sticky", is_sticky)
        bot.say("You can leave, but I will ask you back." if is_sticky else "Who leaves may go.")

    async def on_leave(self, bot: ShellBot, person: Person) -> None:  # in the group
        if bot.recall("sticky"):
            name = plain(person.name)
            bot.update("gone", person.id, name)
            bot.say(f"{name} has left. I ask for a return.")
            bot.broadcast({"do": "sticky", "say": f"We miss you, {name}! Please come back."}, people=[person])

    async def on_join(self, bot: ShellBot, person: Person) -> None:  # in the group
        gone = dict(bot.recall("gone", {}))
        if name := gone.pop(person.id, None):
            bot.remember("gone", gone)
            bot.say(f"Welcome back, {name}!")
            bot.broadcast({"do": "sticky", "say": "It is good to see you again."}, people=[person])

    async def on_instruction(self, bot: ShellBot, message: dict[str, Any]) -> None:  # in the direct channel
        bot.say(message["say"])


def main(space: str = "web") -> None:
    Engine(type=space, commands=[Sticky()]).run()


if __name__ == "__main__":
    main()
