"""From a direct channel to the group: who says `ticket` is asked step by step in private, and then the group has it.

The answers go over the bus; the group numbers the ticket, and its number comes back to the direct channel.

    shellbot run examples/hand_over.py
"""

from typing import Any

from shellbot import Command, Dialog, Engine, ShellBot
from shellbot.events import Person
from shellbot.machines import Input, Machine, Menu, Sequence
from shellbot.markup import plain
from shellbot.observation import Report


class Ticket(Dialog):
    keyword = "ticket"
    information_message = "Open a ticket; I ask for the rest in your direct channel"
    usage_message = "ticket"
    in_direct = False

    async def execute(self, bot: ShellBot, arguments: str = "", **kwargs: Any) -> None:  # in the group
        bot.broadcast({"do": self.keyword}, people=[kwargs["person"]])

    def get_machine(self, bot: ShellBot, **options: Any) -> Machine:  # in the direct channel, when the frame arrives
        waits: dict[str, Any] = {"retry_delay": 300, "cancel_delay": 3600, "on_cancel": "No ticket, then."}
        return Sequence(
            [
                Input(question="What does not work?", key="what", **waits),
                Menu(question="How bad is it?", options=["I can wait", "Today", "Now"], key="when", **waits),
            ]
        )

    def on_answers(self, bot: ShellBot, answers: dict[str, Any], person: Person | None) -> None:
        bot.report(answers)

    async def on_report(self, bot: ShellBot, report: Report) -> None:  # in the group again
        tickets: dict[str, Any] = bot.recall("tickets", {})
        if report.re not in tickets:  # after a crash the same may be reported twice
            tickets = bot.update("tickets", report.re, {**report.message, "by": report.person.name})
            bot.say(f"Ticket {len(tickets)}: {shown(tickets[report.re])}")
        bot.receipt(report, {"number": list(tickets).index(report.re) + 1})

    async def on_receipt(self, bot: ShellBot, message: dict[str, Any]) -> None:  # in the direct channel
        bot.say(f"This is ticket {message['number']}. Thank you!")


class Tickets(Command):
    keyword = "tickets"
    information_message = "Show all tickets"
    in_direct = False

    async def execute(self, bot: ShellBot) -> None:
        lines = [f"{n}. {shown(ticket)}" for n, ticket in enumerate(bot.recall("tickets", {}).values(), 1)]
        bot.say("\n".join(lines) or "There are no tickets.")


def shown(ticket: dict[str, str]) -> str:
    return f"{plain(ticket['what'])} ({ticket['when']}, {plain(ticket['by'])})"


def main(space: str = "web") -> None:
    Engine(type=space, commands=[Ticket(), Tickets()]).run()


if __name__ == "__main__":
    main()
