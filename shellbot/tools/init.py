"""``shellbot init NAME``: a bot and its test in a new folder, both of which work at once."""

from __future__ import annotations

import re
from pathlib import Path

import click

from shellbot.errors import ConfigError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}\Z")

BOT = '''"""The commands of this bot, each a class. Serve it with: shellbot run {bot}"""

from shellbot import Command


class Hello(Command):
    keyword = "hello"
    information_message = "Say hello to somebody"

    async def execute(self, bot, name: str = "world"):
        bot.say(f"Hello, {{name}}!")
'''

TEST = '''"""pytest gives each test a server with this bot, people who come in, and a clock to move."""

import pytest


@pytest.fixture
def dialogue_options():
    return ["{bot}"]  # what `shellbot run` takes


async def test_it_greets_in_the_group(dialogue):
    group = await dialogue.group("Ann", "Bob")
    assert await group.say("Ann", "hello Bob") == "Hello, Bob!"


async def test_it_greets_in_a_direct_channel(dialogue):
    await dialogue.group("Ann")
    assert await dialogue.direct("Ann").say("hello") == "Hello, world!"
'''


def write_bot(folder: Path) -> tuple[Path, Path]:
    """Write a bot named like the folder, which must be new or empty, and its test; gives the paths of both.

    Raises:
        ConfigError: The name cannot be used, the folder holds something, or cannot be written.
    """
    name = folder.name
    if not _NAME.match(name):
        raise ConfigError(
            f"{name or str(folder)!r} cannot be the name of a bot: take letters, digits, '-' and '_', a letter first"
        )
    stem = name.lower().replace("-", "_").removesuffix("_bot") + "_bot"
    bot, test = folder / f"{stem}.py", folder / f"test_{stem}.py"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError(f"{folder} holds something already, and nothing was written; take another name")
        for path, text in ((bot, BOT), (test, TEST)):
            with path.open("x", encoding="utf-8") as file:
                file.write(text.format(bot=bot.name))
    except OSError as error:
        raise ConfigError(f"cannot write into {folder}: {error.strerror}; take another place") from error
    return bot, test


@click.command()
@click.argument("name", type=click.Path(path_type=Path))
def init(name: Path) -> None:
    """Write a bot and its test into the new folder NAME."""
    bot, test = write_bot(name)
    click.echo(f"{bot}: the bot; serve it with: shellbot run {bot}")
    click.echo(f"{test}: its test; run it with: pytest {name}")
