"""Commands with typed arguments in a whole chat: they answer, and help who writes them wrongly."""

from __future__ import annotations

import pytest

BOT = """
from __future__ import annotations

from typing import TYPE_CHECKING

from shellbot import Command

if TYPE_CHECKING:
    from shellbot import ShellBot
    from shellbot.events import Person


class Order(Command):
    keyword = "Order"
    information_message = "Order something"

    async def execute(self, bot: ShellBot, count: int, item: str = "tea", *, person: Person) -> None:
        bot.say(f"{count * 2} of {item} for {person.name}")


class Stop(Command):
    keyword = "stop"

    def execute(self, bot: ShellBot) -> None:
        bot.say("stopped")


class Old(Command):
    keyword = "old"
    usage_message = "old WORDS"

    def execute(self, bot, arguments=None, **kwargs):
        bot.say(f"{arguments!r} {kwargs['message'].text!r}")
"""


@pytest.fixture
def dialogue_options(tmp_path):
    (tmp_path / "order_bot.py").write_text(BOT)
    return [str(tmp_path / "order_bot.py")]


async def test_they_answer_and_help(dialogue):
    group = await dialogue.group("Person A")
    assert await group.say("Person A", "order 3 green tea") == "6 of green tea for Person A"
    assert await group.say("Person A", "order three") == (
        "COUNT is a whole number, such as 3, and not “three”. Write: Order COUNT [ITEM]"
    )
    direct = dialogue.direct("Person A")
    assert await direct.say("order") == "COUNT is missing. Write: Order COUNT [ITEM]"
    assert await direct.say("stop it *now*") == "“it *now*” is too much. Write: stop"
    assert await direct.say("stop") == "stopped"
    assert await direct.say("help order") == "Order COUNT [ITEM]\nOrder something"
    assert "Did you mean Order COUNT [ITEM]?" in await direct.say("ordr 3")


async def test_commands_of_2017_get_the_line(dialogue):
    await dialogue.group("Person A")
    direct = dialogue.direct("Person A")
    assert await direct.say('old  one "two  three" ') == "'one \"two  three\"' 'old  one \"two  three\"'"
    assert await direct.say("old") == "'' 'old'"
