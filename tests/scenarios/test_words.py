"""The four words for people who write bots: broadcast, observe, on_instruction, report; and ask."""

from __future__ import annotations

import asyncio

import pytest

from shellbot.commands.base import Command
from shellbot.commands.loading import load_commands
from shellbot.errors import UsageError


class Ask(Command):
    """As in the documentation."""

    keyword = "ask"
    usage_message = "ask QUESTION"
    in_direct = False

    async def execute(self, bot, arguments="", **kwargs):
        async with bot.observe() as answers:
            bot.broadcast({"do": "ask", "question": arguments})
            async for answer in answers.within(60, count=len(bot.direct_channels)):
                bot.say(f"{answer.person.name}: {answer.message['text']}")
        bot.say("That was all.")

    async def on_instruction(self, bot, message):
        text = await bot.ask(message["question"], timeout=60)
        if text:
            bot.report({"text": text})


async def test_the_group_asks_and_hears_everybody(party):
    async with party("Person A", "Person B", commands=[Ask()]) as people:
        asking = asyncio.create_task(people.say("Person A", "ask What is new?"))
        await people.hears("What is new?", "Person A")
        await people.hears("What is new?", "Person B")
        await people.whisper("Person B", "nothing")
        await people.hears("Person B: nothing")
        await people.whisper("Person A", "all of it")
        await people.hears("That was all.")
        await asking
        assert people.told() == ["Person B: nothing", "Person A: all of it", "That was all."]


async def test_who_says_nothing_in_time_is_not_waited_for(party, clock):
    async with party("Person A", "Person B", commands=[Ask()]) as people:
        asking = asyncio.create_task(people.say("Person A", "ask What is new?"))
        await people.hears("What is new?", "Person A")
        await people.hears("What is new?", "Person B")
        await people.whisper("Person A", "a lot")
        await people.hears("Person A: a lot")
        clock.advance(60)
        await people.hears("That was all.")
        await asking


async def test_while_it_waits_for_answers_the_group_is_served(party):
    async with party("Person A", "Person B", commands=[Ask()]) as people:
        asking = asyncio.create_task(people.say("Person A", "ask What is new?"))
        await people.hears("What is new?", "Person B")
        await people.say("Person B", "echo still here")
        await people.hears("still here")
        await people.whisper("Person A", "help")
        await people.hears("What you can say here", "Person A")
        await people.whisper("Person A", "x")
        await people.whisper("Person B", "y")
        await people.hears("That was all.")
        await asking


async def test_questions_are_asked_one_at_a_time(party):
    class Twice(Command):
        keyword = "twice"

        async def execute(self, bot, arguments="", **kwargs):
            first, second = await asyncio.gather(bot.ask("One?"), bot.ask("Two?"))
            bot.say(f"{first} then {second}")

    async with party("Person A", commands=[Twice()]) as people:
        asking = asyncio.create_task(people.whisper("Person A", "twice"))
        await people.hears("One?", "Person A")
        assert "Two?" not in people.told("Person A")
        await people.whisper("Person A", "a")
        await people.hears("Two?", "Person A")
        await people.whisper("Person A", "b")
        await people.hears("a then b", "Person A")
        await asking


async def test_an_open_question_is_asked_again_after_a_restart_and_marked(party):
    async with party("Person A", "Person B", commands=[Ask()]) as people:
        asking = asyncio.create_task(people.say("Person A", "ask What is new?"))
        await people.hears("What is new?", "Person B")
        await people.engine.stop()
        await asking
    async with party(commands=[Ask()]) as people:
        await people.join("Person A", "Person B")
        await people.hears("What is new? (again)", "Person B")
        await people.whisper("Person B", "nothing")
        await people.hears("Person B: nothing")


async def test_observe_hears_only_what_answers_this_run_unless_all_are_asked_for(party):
    heard = {}

    class Call(Command):
        keyword = "call"
        in_direct = False

        async def execute(self, bot, arguments="", **kwargs):
            async with bot.observe() as mine, bot.observe(all=True) as everything:
                if arguments == "silent":
                    await asyncio.sleep(0)
                else:
                    bot.broadcast({"do": "call", "word": arguments})
                heard[arguments, "all"] = [a.message["word"] async for a in everything.within(60, count=1)]
                heard[arguments, "mine"] = [a.message["word"] async for a in mine.within(0)]

        async def on_instruction(self, bot, message):
            bot.report({"word": message["word"]})

    async with party("Person A", commands=[Call()]) as people:
        silent = asyncio.create_task(people.say("Person A", "call silent"))
        await people.say("Person A", "call loud")
        await silent
        assert heard["loud", "all"] == heard["loud", "mine"] == ["loud"]
        assert heard["silent", "all"] == ["loud"]
        assert heard["silent", "mine"] == []


async def test_words_on_the_wrong_side_or_of_the_wrong_shape_are_told(party):
    async with party("Person A") as people:
        group, direct = people.engine.agent("group"), people.engine.agent(people.direct("Person A"))
        with pytest.raises(UsageError, match="keyword of a command: access, echo, help, poll"):
            group.broadcast({"question": "?"})
        with pytest.raises(UsageError, match="from a group to its direct channels"):
            direct.broadcast({"do": "poll"})
        with pytest.raises(UsageError, match="for group channels"):
            direct.observe()
        with pytest.raises(UsageError, match="within on_instruction"):
            direct.report({})


async def test_direct_channels_follow_joins_and_leaves(party):
    async with party("Person A") as people:
        group = people.engine.agent("group")
        assert group.direct_channels == [people.direct("Person A")]
        await people.join("Person B")
        assert group.direct_channels == [people.direct("Person A"), people.direct("Person B")]
        await (await people.space.leave("group", people.people["Person A"]))
        assert group.direct_channels == [people.direct("Person B")]


async def test_a_plain_command_may_block_and_use_every_word(party):
    class Plain(Command):
        keyword = "plain"
        in_direct = False

        def execute(self, bot, arguments=None, **kwargs):
            bot.remember("count", bot.recall("count", 0) + 1)
            bot.broadcast({"do": "plain"})
            bot.say(f"said {bot.recall('count')}")

        async def on_instruction(self, bot, message):
            bot.say("heard")

    async with party("Person A", commands=[Plain()]) as people:
        await people.say("Person A", "plain")
        await people.hears("said 1")
        await people.hears("heard", "Person A")
    async with party(commands=[Plain()]) as people:
        await people.join("Person A")
        await people.say("Person A", "plain")
        await people.hears("said 2")


async def test_a_command_cut_off_by_the_stop_is_carried_out_by_the_next_run_and_not_called_failed(party):
    begun = asyncio.Event()

    class Late(Command):
        keyword = "late"

        async def execute(self, bot, arguments="", **kwargs):
            if not begun.is_set():
                begun.set()
                while bot.state == "running":  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(0)
                bot.after(1, bot.say, "never")  # a bot that stops sets no more timers
            bot.say("done at last")

    async with party("Person A", commands=[Late()]) as people:
        saying = asyncio.create_task(people.say("Person A", "late"))
        await begun.wait()
        await people.engine.stop()
        await saying
    async with party(commands=[Late()]) as people:
        await people.hears("done at last")
        assert people.told() == ["done at last"]


SLIPS = """
from shellbot import Command


class Base(Command):
    def execute(self, bot):
        bot.say(self.text)


class Tea(Base):
    keyword = "tea"
    text = "tea it is"


class Forgotten(Command):
    def execute(self, bot):
        bot.say("never said")


class Other(Command):
    keyword = "Tea"

    async def execute(self, bot):
        return "the text of async"


class Plain(Command):
    keyword = "plain"

    def execute(self, bot):
        return "the text of plain"


class Echo(Command):
    keyword = "echo"

    def execute(self, bot):
        bot.say("in place of a built-in")
"""


async def test_the_author_of_a_bot_is_told_in_the_log_what_will_never_be_heard(party, tmp_path, caplog):
    file = tmp_path / "bot.py"
    file.write_text(SLIPS)
    commands = load_commands(str(file))
    assert [type(command).__name__ for command in commands] == ["Tea", "Other", "Plain", "Echo"]
    async with party("Person A", commands=commands) as people:
        for line in ("tea", "plain", "echo"):
            await people.say("Person A", line)
        await people.hears("in place of a built-in")
        assert len(people.told()) == 1
    warnings = [record.getMessage() for record in caplog.records if record.name.startswith("shellbot.commands")]
    assert warnings == [
        f"{file}: the command class Forgotten has no keyword and is left out; write keyword = '...' in it",
        "two commands have the keyword 'Tea': Tea is left out, and Other is taken; give one of them another keyword",
        "Other.execute returned a text, which nobody is told; say it with bot.say(...)",
        "Plain.execute returned a text, which nobody is told; say it with bot.say(...)",
    ]
