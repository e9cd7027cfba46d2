"""What people type, and the one helpful line that comes back when it is no command."""

from __future__ import annotations

import asyncio
import inspect
import re
import threading
from datetime import UTC, datetime

import pytest

from shellbot.commands.base import Command
from shellbot.errors import UsageError
from shellbot.polls.grammar import parse
from shellbot.polls.orders import read
from shellbot.server.chat import ChatServer


class Hello(Command):
    keyword = "hello"
    information_message = "Say hello to somebody"
    usage_message = "hello NAME"

    def execute(self, bot, arguments=None, **kwargs):
        bot.say(f"Hello, {arguments or 'world'}!")


@pytest.mark.parametrize(
    "line", ["hello you", "Hello you", "/hello you", "!hello you", "@shelly hello you", "shelly: hello you"]
)
async def test_a_command_is_heard_in_the_group(party, line):
    async with party("Person A", commands=[Hello()]) as people:
        await people.say("Person A", line)
        await people.hears("Hello, you!")


async def test_what_people_say_to_each_other_is_left_alone(party):
    async with party("Person A", "Person B", commands=[Hello()]) as people:
        for line in ["good morning", "2", "sushi", "is there any help?", "", "   ", "🙂", "shelly"]:
            await people.say("Person A", line)
        await people.say("Person A", "echo end")
        await people.hears("end")
        assert people.told() == ["end"]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("helo you", "Did you mean `hello NAME`?"),
        ("pol Lunch? a, b", "Did you mean `poll"),
        ("poll Lunch? a, b", "Say it in the group"),
        ("what is this", "Say `help`"),
        ("\x00\x1b[31m", "Say `help`"),
        ("{0.__class__} %s $(reboot) ../../etc/passwd", "Say `help`"),
        ("x" * 100_000, "Say `help`"),
        ("echo", "Write: `echo TEXT`"),
        ("help nonsense", "no command nonsense"),
        ("help pol", "Did you mean `help poll`?"),
        ("pol list", "Did you mean `poll list`?"),
        ("pol lsit", "Did you mean `poll list`?"),
        ("poll clsoe #1", "Did you mean `poll close #1`?"),
    ],
)
async def test_a_direct_line_that_is_no_command_gets_one_helpful_line(party, line, hint):
    async with party("Person A", commands=[Hello()]) as people:
        await people.whisper("Person A", line)
        await people.hears(hint, "Person A")
        assert len(people.told("Person A")) == 1
        assert len(people.told("Person A")[0]) < 500


async def test_a_slip_in_the_group_gets_a_hint(party):
    async with party("Person A", commands=[Hello()]) as people:
        await people.say("Person A", 'pool "Lunch?" Pizza, Sushi')
        await people.hears("Did you mean `poll")


async def test_a_slip_in_an_order_about_votes_gets_its_line_back_where_the_bot_is_meant(party):
    async with party("Person A") as people:
        for said in ("pol list", "pol is near", "shelly pol list", "poll clsoe #1", "poll extnd #1 10m"):
            await people.say("Person A", said)
        await people.hears("Did you mean `poll extend #1 10m`?")
        assert people.told() == [
            f"Did you mean `poll {meant}`?" for meant in ("list", "close #1", "extend #1 10m")
        ]  # the first two are said to each other


async def test_a_slip_in_an_order_beside_an_open_ballot_is_taken_for_no_vote(party):
    async with party("Person A") as people:
        await people.say("Person A", 'poll "Lunch?" Pizza, Sushi')
        await people.ballot("Person A", "Lunch?")
        await people.whisper("Person A", "pol close #1")
        await people.hears("Did you mean `poll close #1`?", "Person A")
        await people.whisper("Person A", "Pizzza")
        await people.hears("Please answer with one of", "Person A")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("end #1", "poll close #1"),
        ("delete 1", "poll cancel 1"),
        ("results", "poll show"),
        ("end in 10m", "poll close"),
        ("help", "help poll"),
    ],
)
def test_an_order_by_another_word_gets_the_one_that_there_is(said, meant):
    with pytest.raises(UsageError, match=f"Did you mean `{meant}`"):
        read(said)


@pytest.mark.parametrize(
    "text",
    [
        "result? a, b",
        "help me? yes, no",
        "End of term? yes, no",
        "end, begin",
        "lunch",
        "lost items",
        "stats",
        "open",
        "Lost? yes, no",
        "closes, opens",
        "new",
        "",
    ],
)
def test_what_may_be_a_question_is_no_order_with_a_slip(text):
    assert read(text) is None


SLIPS = {
    'pol "Lunch?" Pizza, Sushi in 10m': 'Did you mean `poll "Lunch?" Pizza, Sushi in 10m`?',
    'vote "Lunch?" Pizza, Sushi': 'Did you mean `poll "Lunch?" Pizza, Sushi`?',
    'survey multiple "Lunch?" Pizza, Sushi': 'Did you mean `poll multiple "Lunch?" Pizza, Sushi`?',
    "pol Lunch? Pizza, Sushi": "Did you mean `poll Lunch? Pizza, Sushi`?",
}
TALK = ['she said "vote", and left', "vote now? sure, why not", 'ask "why?" and listen', "pol", "all right? fine, then"]


@pytest.mark.parametrize("line", SLIPS)
async def test_a_poll_with_another_word_before_it_gets_its_line_back(party, line):
    async with party("Person A") as people:
        for said in TALK:
            await people.say("Person A", said)
        await people.say("Person A", line)
        await people.hears(SLIPS[line])
        assert len(people.told()) == 1
        await people.whisper("Person A", line)
        await people.hears(f"{SLIPS[line]} Say it in the group.", "Person A")


async def test_the_line_that_an_empty_room_of_the_web_chat_shows_opens_a_vote(party):
    shown = inspect.signature(ChatServer).parameters["hint"].default
    line = re.search(r"poll .*10m", shown)[0]
    async with party("Person A") as people:
        await people.say("Person A", line)
        await people.ballot("Person A", "Lunch?")
        assert "help" in shown


async def test_help_on_polls_shows_in_each_channel_what_works_there(party):
    async with party("Person A") as people:
        for text in ("help", "help poll"):
            await people.say("Person A", text)
            await people.whisper("Person A", text)
        await people.hears("`help [COMMAND]`", "Person A")
        await people.say("Person A", "echo end")
        await people.hears("end")
        assert all('poll "QUESTION" CHOICE' in text for text in people.told()[:2])
        assert not any("QUESTION" in text for text in people.told("Person A"))
        assert "`poll list`" in people.told("Person A")[0]
        assert "A vote is opened in the group." in people.told("Person A")[0]


async def test_help_poll_names_what_an_organiser_can_ask_for_and_its_examples_can_be_said(party):
    async with party("Person A") as people:
        await people.say("Person A", "help poll")
        told = await people.hears("poll new")
        assert len(told.splitlines()) < 12
        examples = re.findall(r"`([^`]+)`", told[told.index("- Other kinds") :])
        assert " ".join(examples).count("poll ") == 6
        for example in examples:
            words = example if example.startswith("poll") else f'poll "Q?" a, b {example}'
            words = words.removeprefix("poll ").removeprefix("rehearse ")
            words += " in 2h" if "remind" in words else ""
            if words != "new":
                parse(words, datetime(2026, 11, 20, 12, tzinfo=UTC), UTC)
        for word in (
            "yesno",
            "multiple",
            "rating",
            "anonymous",
            "quorum",
            "threshold",
            "opens",
            "results live",
            "rehearse",
        ):
            assert word in told
        await people.say("Person A", "help")
        assert "yesno" not in await people.hears("What you can say here")


async def test_help_lists_what_can_be_used_where_one_is(party):
    class Shout(Hello):
        keyword = "shout"
        in_direct = False

    async with party("Person A", commands=[Hello(), Shout()]) as people:
        await people.say("Person A", "help")
        text = await people.hears("What you can say here")
        assert "poll" in text
        assert "Say hello to somebody" in text
        await people.whisper("Person A", "help")
        text = await people.hears("What you can say here", "Person A")
        assert text.count("Say hello to somebody") == 1
        assert "`hello NAME` Say hello to somebody" in text
        await people.say("Person A", "help hello")
        await people.hears("Say hello to somebody")
        await people.say("Person A", "version")
        await people.hears("shellbot 26.11.0")


async def test_a_command_that_fails_says_so_and_the_bot_goes_on(party, caplog):
    class Broken(Command):
        keyword = "broken"

        def execute(self, bot, arguments="", **kwargs):
            raise RuntimeError("on purpose")

    async with party("Person A", commands=[Broken()]) as people:
        await people.say("Person A", "broken")
        await people.hears("`broken` failed")
        await people.say("Person A", "echo alive")
        await people.hears("alive")
    assert "on purpose" in caplog.text
    caplog.clear()


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_a_command_that_takes_too_long_is_stopped_and_said(party, kind):
    release = threading.Event()

    class Slow(Command):
        keyword = "slow"
        timeout = 0.1

    class Plain(Slow):
        def execute(self, bot, arguments="", **kwargs):
            release.wait(10)

    class Async(Slow):
        async def execute(self, bot, arguments="", **kwargs):
            await asyncio.sleep(10)

    async with party("Person A", commands=[Plain() if kind == "plain" else Async()]) as people:
        await people.say("Person A", "slow")
        await people.hears("took too long")
        await people.say("Person A", "echo alive")
        await people.hears("alive")
        release.set()


@pytest.mark.parametrize(
    "hostile",
    ['"<img src=x onerror=alert(1)>"', '"**bold** [x](javascript:alert(1)) `code`"', '"\u202eabc\x1b[2J\r\nResult"'],
)
async def test_a_hostile_title_is_shown_as_it_was_written_and_means_nothing(party, hostile):
    async with party("Person A") as people:
        await people.say("Person A", f"poll {hostile} a, b")
        text = await people.hears("Vote #1")
        head = text.split("\n")[0]
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "<img" not in head.replace("\\<", "")
        assert "](" not in head.replace("\\]", "")
        assert head.startswith("**Vote #1: ")
