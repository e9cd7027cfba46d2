"""Both patterns inside a bot: `ask What is new?` in the group asks everybody in the direct channels.

The group broadcasts and observes; in each direct channel the question appears when the frame arrives.

    shellbot run examples/ask_everyone.py
"""

from typing import Any

from shellbot import Command, Engine, ShellBot


class Ask(Command):
    keyword = "ask"
    information_message = "Ask everybody in the direct channel"
    usage_message = "ask QUESTION"
    in_direct = False

    async def execute(self, bot: ShellBot, arguments: str = "", **kwargs: Any) -> None:
        async with bot.observe() as answers:  # subscribed and in force before we ask
            bot.broadcast({"do": "ask", "question": arguments})
            async for answer in answers.within(60, count=len(bot.direct_channels)):
                bot.say(f"{answer.person.name}: {answer.message['text']}")
        bot.say("That was everybody.")

    async def on_instruction(self, bot: ShellBot, message: dict[str, Any]) -> None:
        text = await bot.ask(message["question"], timeout=60)  # the next thing this person says
        if text:
            bot.report({"text": text})


def main(space: str = "web") -> None:
    Engine(type=space, commands=[Ask()]).run()


if __name__ == "__main__":
    main()
