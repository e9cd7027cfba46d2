"""A poll from Python: `lunch` in the group opens a vote for ten minutes, and books where most want to go.

shellbot run examples/lunch_vote.py
"""

from typing import Any

from shellbot import Command, Engine, ShellBot
from shellbot.polls import Poll


class Lunch(Command):
    keyword = "lunch"
    information_message = "Vote on lunch"
    usage_message = "lunch"
    in_direct = False

    async def execute(self, bot: ShellBot, arguments: str = "", **kwargs: Any) -> None:
        poll = Poll("Lunch?", ["Pizza", "Sushi", "Salad"], closes="in 10m")
        await poll.open(bot)
        reach = await poll.reachable()
        if reach.unreachable:
            bot.say(f"{len(reach.unreachable)} of {reach.asked} could not be reached.")
        result = await poll.result()  # the deadline, or all votes; the turn is given back meanwhile
        bot.say(f"I book {result.winner} for {result.answered}." if result.winner else "No winner: eat what you like.")


def main(space: str = "web") -> None:
    Engine(type=space, commands=[Lunch()]).run()


if __name__ == "__main__":
    main()
