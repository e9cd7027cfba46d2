"""The test kit as the examples of use show it, and what its users may rely on."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shellbot.testing import kill, stopped

# --- as it stands in the examples of use and in the style guide
# fmt: off


async def test_lunch(dialogue):
    group = await dialogue.group("Person A", "Person B")
    await group.say("Person A", 'poll "Lunch?" Pizza, Sushi in 10m')
    await dialogue.direct("Person B").press("Sushi")
    await dialogue.direct("Person A").say("1")
    await dialogue.restart(kill=True)                        # -9 and up again on the same store
    await dialogue.clock.advance(600)
    assert "Pizza 1" in await group.heard("Result")


async def test_late_vote_is_refused(dialogue):
    group = await dialogue.group("Person A", "Person B")
    await group.say("Person A", 'poll "Drink?" Tea, Coffee in 10m')
    await dialogue.direct("Person A").press("Tea")
    await dialogue.clock.advance(600)                 # the poll closes
    assert "closed" in await dialogue.direct("Person B").say("coffee")


# fmt: on
# --- what it promises besides


async def test_a_deed_gives_what_the_bot_answered(dialogue):
    group = await dialogue.group("Person A", "Person B")
    assert await group.say("Person A", "hello everybody") == ""
    assert "What you can say here" in await group.say("Person B", "help")
    await group.say("Person A", 'poll "Lunch?" Pizza, Sushi')
    assert "Your vote is counted: Pizza" in await dialogue.direct("Person A").press("Pizza")
    assert "Your vote is counted: Sushi" in await dialogue.direct("Person A").say("2")


async def test_what_falls_due_on_the_way_is_dealt_with_at_its_time(dialogue):
    group = await dialogue.group("Person A", "Person B")
    await group.say("Person A", 'poll "Lunch?" Pizza, Sushi in 10m')
    await dialogue.direct("Person A").press("Pizza")
    await dialogue.clock.advance(86_400)  # the close waits 5 s for the direct channels, and here they have them
    result = await group.heard("Result")
    assert "1 of 2 voted" in result
    assert "Did not confirm" not in result


async def test_time_goes_on_while_the_server_is_down(dialogue):
    group = await dialogue.group("Person A", "Person B")
    await group.say("Person A", 'poll "Lunch?" Pizza, Sushi in 10m')
    await dialogue.direct("Person A").press("Pizza")
    await dialogue.server.kill()
    await dialogue.clock.advance(900)
    await dialogue.server.start()
    assert "Pizza 1" in await group.heard("Result")
    assert "closed" in await dialogue.direct("Person B").say("sushi")


async def test_two_votes_and_a_restart_that_was_asked_for(dialogue):
    group = await dialogue.group("Person A", "Person B")
    for number in (1, 2):
        await group.say("Person A", f'poll "Lunch {number}?" Pizza, Sushi in 10m')
        await dialogue.direct("Person A").press("Pizza")
        await dialogue.restart()
        await dialogue.direct("Person B").press("Pizza")
        assert "Pizza 2" in await group.heard(f"Result of vote #{number}")


async def test_people_come_in_once_and_somebody_who_did_not_is_told(dialogue):
    await dialogue.group("Person A")
    group = await dialogue.group("Person A", "Person B")
    assert list(dialogue.people) == ["Person A", "Person B"]
    with pytest.raises(LookupError, match=r"Person C is not in the room, but Person A, Person B; let people in with"):
        dialogue.direct("Person C")
    with pytest.raises(LookupError, match="Person C is not in the room"):
        await group.say("Person C", "hello")


async def test_faults_happen_in_the_middle_of_a_dialogue(dialogue):
    group = await dialogue.group("Person A", "Person B")
    await group.say("Person A", 'poll "Lunch?" Pizza, Sushi in 10m')
    with stopped(dialogue.server.publisher_pid):  # nothing passes on the bus
        await dialogue.direct("Person A").press("Pizza")
    await dialogue.direct("Person A").heard("Your vote is counted: Pizza")
    kill(dialogue.server.publisher_pid)  # another one takes its place
    await dialogue.direct("Person B").press("Pizza")
    assert "Pizza 2" in await group.heard("Result")


# --- with a bot of one's own

ASK = """
from shellbot import Command


class Ask(Command):
    keyword = "ask"
    usage_message = "ask QUESTION"
    in_direct = False

    async def execute(self, bot, arguments="", **kwargs):
        async with bot.observe() as answers:
            bot.broadcast({"do": "ask", "question": arguments})
            async for answer in answers.within(60, count=len(bot.direct_channels)):
                bot.say(f"{answer.person.name}: {answer.message['text']}")

    async def on_instruction(self, bot, message):
        text = await bot.ask(message["question"], timeout=60)
        if text:
            bot.report({"text": text})
"""


class TestOwnBot:
    @pytest.fixture
    def dialogue_options(self, tmp_path):
        (tmp_path / "ask_bot.py").write_text(ASK)
        return [str(tmp_path / "ask_bot.py")]

    async def test_it_asks_everybody_and_tells_the_group(self, dialogue):
        group = await dialogue.group("Person A", "Person B")
        await group.say("Person A", "ask How are you?")
        await dialogue.direct("Person B").heard("How are you?")
        assert await dialogue.direct("Person B").say("fine") == ""
        assert "Person B: fine" in await group.heard("Person B")
        await dialogue.clock.advance(60)
        assert "do not know" in await dialogue.direct("Person A").say("too late")

    async def test_after_a_kill_it_asks_again(self, dialogue):
        group = await dialogue.group("Person A", "Person B")
        await group.say("Person A", "ask How are you?")
        await dialogue.restart(kill=True)
        assert "How are you? (again)" in await dialogue.direct("Person B").heard("(again)")


BROKEN = """
from shellbot import Command


class Next(Command):
    keyword = "next"

    async def execute(self, bot, arguments="", **kwargs):
        bot.say(self.nobody_on_the_list)
"""

BROKEN_TEST = """
import pytest


@pytest.fixture
def dialogue_options():
    return ["my_bot.py"]


async def test_it(dialogue):
    group = await dialogue.group("Person A")
    assert await group.say("Person A", "next") == "Person B"
"""


def test_a_failed_test_shows_what_was_wrong_in_the_bot(tmp_path):
    (tmp_path / "my_bot.py").write_text(BROKEN)
    (tmp_path / "test_my_bot.py").write_text(BROKEN_TEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_bot.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=19, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "Log of the server" in done.stdout
    assert "in execute\n    bot.say(self.nobody_on_the_list)" in done.stdout
