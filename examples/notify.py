"""News from outside: another program puts them on the bus, and the bot says them in the group. `news off` stops that.

Come into the group first; it hears news from then on.

    shellbot run examples/notify.py
    shellbot pub news '{"text": "The build is green"}'

From Python: `with bus.publish() as publisher: publisher.put("news", {"text": "The build is green"})`, as in
bus_publish.py. What comes from outside carries no seal, so no bot takes it for a vote or an instruction: it is read
from a channel of its own, and here stands what becomes of it.
"""

from typing import Any

from shellbot import Command, Engine, ShellBot
from shellbot.markup import plain

CHANNEL = "news"
LONGEST = 500  # characters


class News(Command):
    keyword = "news"
    information_message = "Have news said here, or not"
    in_direct = False

    async def execute(self, bot: ShellBot, is_on: bool = True) -> None:
        bot.remember("news", is_on)
        bot.say("I tell you the news." if is_on else "I keep the news to myself.")

    async def on_start(self, bot: ShellBot) -> None:
        if not bot.is_direct:
            bot.post(self.read, bot)  # a turn that waits, beside all others, until the bot stops

    async def read(self, bot: ShellBot) -> None:
        with bot.bus.subscribe(CHANNEL) as subscriber:
            while True:
                message = await bot.wait(subscriber.aio.get())
                if bot.recall("news", True) and (text := text_of(message)):
                    bot.say(f"News: {plain(text[:LONGEST])}")


def text_of(message: Any) -> str:
    """What somebody outside wants to be said; they may put anything."""
    text = message.get("text") if isinstance(message, dict) else None
    return text if isinstance(text, str) else ""


def main(space: str = "web") -> None:
    Engine(type=space, commands=[News()]).run()


if __name__ == "__main__":
    main()
