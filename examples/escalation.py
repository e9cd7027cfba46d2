"""An escalation: `alarm The site is down` asks for one after the other, until somebody says `solved`.

`step` goes on at once; after ten minutes that happens by itself, also if the server was started anew meanwhile.

    shellbot run examples/escalation.py
"""

from typing import Any

from shellbot import Command, Dialog, Engine, ShellBot
from shellbot.commands.step import Step as GoOn
from shellbot.errors import UsageError
from shellbot.events import Person
from shellbot.machines import Machine, Step, Steps
from shellbot.markup import plain

PATIENCE = 600.0  # seconds in each step


class Alarm(Dialog):
    keyword = "alarm"
    information_message = "Ask for help, step by step"
    usage_message = "alarm WHAT"
    in_direct = False

    async def execute(self, bot: ShellBot, arguments: str = "", **kwargs: Any) -> None:
        if not arguments:
            raise UsageError(f"What has happened? Write: `{self.usage_message}`")
        if alarm := bot.recall("alarm"):
            raise UsageError(f"There is an alarm already: {alarm}. Is it `solved`?")
        bot.remember("alarm", plain(arguments))
        bot.open_dialog(self.keyword, alarm=plain(arguments))  # for no one person: all in the group share its machine

    def get_machine(self, bot: ShellBot, alarm: str = "", **options: Any) -> Machine:
        return Steps(
            [
                Step(label="Level 1", message=alarm, participants="Ann, who is on call", after=PATIENCE),
                Step(label="Level 2", message=f"still {alarm}", participants=["Bob", "Cid"], after=PATIENCE),
                Step(label="Level 3", message=f"still {alarm}", participants="the head of the house", after=PATIENCE),
                Step(message="Nobody is left to be asked."),
            ]
        )

    def on_answers(self, bot: ShellBot, answers: dict[str, Any], person: Person | None) -> None:
        bot.forget("alarm")


class Solved(Command):
    keyword = "solved"
    information_message = "End the alarm"
    in_direct = False

    async def execute(self, bot: ShellBot, *, person: Person) -> None:
        if not bot.recall("alarm"):
            raise UsageError("There is no alarm.")
        bot.step("cancel")
        bot.say(f"Solved, says {plain(person.name)}: {bot.recall('alarm')}")
        bot.forget("alarm")


commands = [Alarm(), GoOn(), Solved()]


def main(space: str = "web") -> None:
    Engine(type=space, commands=commands).run()


if __name__ == "__main__":
    main()
