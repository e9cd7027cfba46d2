"""A dialog that asks step by step: say `order` in the group or in a direct channel, and answer; `cancel` ends it.

It goes on over a restart, a kill included, and everybody has one of their own.

    shellbot run examples/order_dialog.py
"""

from typing import Any

from shellbot import Dialog, Engine, ShellBot
from shellbot.machines import Input, Machine, Menu, Sequence


class Order(Dialog):
    keyword = "order"
    information_message = "Order a meal, step by step"
    usage_message = "order"

    def get_machine(self, bot: ShellBot, arguments: str = "", **options: Any) -> Machine:
        waits: dict[str, Any] = {"retry_delay": 120, "cancel_delay": 600, "on_cancel": "No order, then."}
        return Sequence(
            [
                Menu(question="Which dish?", options=["Pizza", "Sushi", "Salad"], key="dish", **waits),
                Input(question="How many?", mask="9", on_retry="One digit, please.", key="count", **waits),
                Input(question="Anything to add?", key="remark", **waits),
            ]
        )

    def on_answers(self, bot: ShellBot, answers: dict[str, Any], person: Any) -> None:
        bot.say(f"{person.name} ordered {answers['count']} {answers['dish']}. Remark: {answers['remark']}")


def main(space: str = "web") -> None:
    Engine(type=space, commands=[Order()]).run()


if __name__ == "__main__":
    main()
