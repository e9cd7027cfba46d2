"""A bot with one command of its own: say `hello Ann` in the group or in a direct channel.

shellbot run examples/hello_bot.py        or        python examples/hello_bot.py
"""

from typing import Any

from shellbot import Command, Engine, ShellBot


class Hello(Command):
    keyword = "hello"
    information_message = "Say hello to somebody"
    usage_message = "hello NAME"

    def execute(self, bot: ShellBot, arguments: str = "", **kwargs: Any) -> None:
        bot.say(f"Hello, {arguments or 'world'}!")


def main(space: str = "web") -> None:
    Engine(type=space, commands=[Hello()]).run()


if __name__ == "__main__":
    main()
