"""``start``: the machine that goes with each channel."""

from __future__ import annotations

from typing import Any

from shellbot.bot import ShellBot
from shellbot.commands.dialog import Dialog
from shellbot.errors import MachineError
from shellbot.machines.base import Machine
from shellbot.machines.factory import MachineFactory
from shellbot.turns import Topic, current_topic

BEGUN = "start.begun"  # what a channel remembers


class Start(Dialog):
    """Runs the machines of a factory: each begins when its channel is first met, and with everybody in it.

    When one is over, ``start`` begins it anew, in a direct channel as in 2017.
    """

    keyword = "start"
    information_message = "Begin anew"
    usage_message = "start"
    in_group = False

    def __init__(self, factory: MachineFactory) -> None:
        self._factory = factory

    def get_machine(self, bot: ShellBot, **options: Any) -> Machine:
        machine = self._factory.get_machine(bot)
        if machine is None:
            raise MachineError(f"the factory has no machine for {bot.id}")
        return machine

    async def execute(self, bot: ShellBot, arguments: str = "", **kwargs: Any) -> None:
        if self._factory.get_machine(bot) is None:
            bot.say("There is nothing to start here.")
        else:
            bot.open_dialog(self.keyword)

    async def on_start(self, bot: ShellBot) -> None:
        if not bot.recall(BEGUN) and self._factory.get_machine(bot) is not None:
            # begun again after a crash it is the same dialog
            same = current_topic.set(Topic(f"{self.keyword}@{bot.id}"))
            bot.open_dialog(self.keyword)
            current_topic.reset(same)
            bot.remember(BEGUN, True)
