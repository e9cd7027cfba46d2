"""Scripted people, and the clock of their server."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import subprocess
import sys
import tomllib
from contextlib import AsyncExitStack, asynccontextmanager
from inspect import signature
from pathlib import Path

import pytest

from shellbot.errors import SpaceError
from shellbot.testing.clock import Clock
from shellbot.testing.dialogue import Dialogue
from shellbot.testing.pages import read
from shellbot.testing.people import ScriptedPerson, new_key, own_address
from shellbot.testing.servers import Server

ROOT = Path(__file__).parent.parent.parent


@asynccontextmanager
async def room(tmp_path, *names, clock=None):
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server(tmp_path / "instance", clock=clock))
        people = [
            await stack.enter_async_context(ScriptedPerson(server.url, name, address=own_address(number)))
            for number, name in enumerate(names)
        ]
        yield server, *people


async def test_what_one_says_the_other_reads(tmp_path):
    async with room(tmp_path, "Person A", "Person B") as (_, first, second):
        await first.say("good day")
        assert await second.heard("good day") == "good day"
        await first.say_direct("only for the bot")
        await second.catch_up()
        assert not any("only for the bot" in post.text for post in second.shown)


async def test_what_is_said_twice_under_one_key_was_said_once(tmp_path):
    async with room(tmp_path, "Person A") as (_, person):
        key = new_key()
        for _ in range(3):
            await person.say("once", key=key)
        await person.catch_up()
        assert [post.text for post in person.posts("group")] == ["once"]
        await person.say("once")  # without the key nobody could tell that it is the same
        await person.catch_up()
        assert [post.text for post in person.posts("group")] == ["once", "once"]


async def test_a_refusal_is_raised_with_its_reason(tmp_path):
    async with room(tmp_path, "Person A") as (server, person):
        with pytest.raises(SpaceError, match="too long"):
            await person.say("x" * 8000)
        namesake = ScriptedPerson(server.url, "PERSON A")
        with pytest.raises(SpaceError, match="already taken"):
            await namesake.join()


async def test_what_does_not_come_is_told_with_what_did(tmp_path):
    async with room(tmp_path, "Person A") as (_, person):
        await person.say("good day")
        await person.heard("good day")
        with pytest.raises(TimeoutError, match=r"Person A did not see 'good night'.*\n\[group\] good day"):
            await person.heard("good night", timeout=0.05)
        person._patience = 0.05
        with pytest.raises(TimeoutError, match="a button 'Pizza'"):
            await person.press("Pizza")


async def test_who_was_away_reads_what_came_meanwhile_once_and_in_order(tmp_path):
    async with room(tmp_path, "Person A", "Person B") as (server, first, second):
        for number in range(4):
            await first.say(f"number {number}")
            if number % 2:
                await server.restart(kill=True)
            else:
                await second.heard(f"number {number}")
        await second.catch_up()
        assert [post.text for post in second.shown] == [f"number {number}" for number in range(4)]
        assert second.gaps == 0


async def test_who_left_hears_nothing_more(tmp_path):
    async with room(tmp_path, "Person A", "Person B") as (_, first, second):
        await second.leave()
        await first.say("is anybody here?")
        with pytest.raises(SpaceError):
            await second.say("no")


# --- the clock


async def test_time_stands_until_it_is_moved(tmp_path):
    clock = Clock()
    async with room(tmp_path, "Person A", clock=clock) as (_, person):
        await person.say('poll "Lunch?" Pizza, Sushi in 1s')
        await person.ballot()
        assert (await person.ballot()).is_open
        await clock.advance(0.999)
        assert not any("Result" in post.text for post in person.posts("group"))
        await clock.advance(0.001)
        assert "Nobody voted" in await person.heard("Result")


async def test_without_a_clock_time_is_real(tmp_path):
    async with room(tmp_path, "Person A") as (_, person):
        await person.say('poll "Lunch?" Pizza, Sushi in 1s')
        assert "Nobody voted" in await person.heard("Result")


@pytest.mark.parametrize("seconds", [-1, -math.inf, math.inf, math.nan])
async def test_time_does_not_go_back_nor_for_ever(seconds):
    with pytest.raises(ValueError, match="time goes on"):
        await Clock().advance(seconds)


async def test_a_move_that_is_cut_off_is_told_and_has_not_happened(tmp_path):
    clock = Clock(timeout=5)
    async with room(tmp_path, clock=clock) as (server,):
        await clock.advance(10)
        os.kill(server.pid, signal.SIGSTOP)
        moving = asyncio.ensure_future(clock.advance(1))
        await asyncio.sleep(0)
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(ConnectionError):
            await moving
        assert clock.now == 10


async def test_a_server_that_does_not_come_to_rest_is_told_in_words():
    clock = Clock(timeout=0.05)
    with await clock.connect():  # nobody answers there
        with pytest.raises(TimeoutError, match=r"did not come to rest within 0.05 s; a turn of a bot may be stuck"):
            await clock.advance(1)
        assert clock.now == 0
    await clock.disconnect()


@pytest.mark.parametrize("kind", [Dialogue, ScriptedPerson, Clock])
def test_what_does_not_come_is_told_well_within_the_time_that_a_test_has(kind):
    """Else the test is ended before it can say what was heard instead."""
    limit = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["timeout"]
    [waits] = [value for name, value in signature(kind).parameters.items() if name in ("patience", "timeout")]
    assert 2 * waits.default <= limit


def test_the_product_has_no_such_clock():
    ran = subprocess.run(
        [sys.executable, "-m", "shellbot", "run", "--clock-fd", "0"], capture_output=True, text=True, timeout=15
    )
    assert ran.returncode == 2
    assert "No such option" in ran.stderr


async def test_a_server_whose_test_has_gone_ends(tmp_path):
    clock = Clock()
    async with room(tmp_path, clock=clock) as (server,):
        await clock.disconnect()
        assert await server.wait() == 0


# --- reading pages


def test_a_message_with_lists_and_a_ballot_is_read_whole():
    page = read(
        '<li class="post is-bot" id="direct-7"><p class="head"><b class="who">bot</b></p><div class="said">'
        '<div class="rich"><p>Choose:</p><ul><li class="x">one &amp; all</li><li>two</li></ul></div>'
        '<form class="ballot"><input type="hidden" name="token" value=""><fieldset disabled><legend>Lunch?</legend>'
        '<button class="choice" value="a" aria-pressed="true"><span>Pizza</span></button>'
        '<button class="choice" value="b" aria-pressed="false"><span>Sushi</span></button>'
        '</fieldset><p class="note">Closed.</p></form></div></li>'
        '<li class="post" id="direct-8"><b class="who">Person A</b><div class="said"><p>yes</p></div></li>'
    )
    first, second = page.posts
    assert first.text == "Choose:\none & all\ntwo\nLunch?\nPizza\nSushi\nClosed."
    assert (first.side, first.place, first.who, first.is_bot) == ("direct", 7, "bot", True)
    assert first.ballot is not None
    assert first.ballot.choices == {"Pizza": "a", "Sushi": "b"}
    assert (first.ballot.title, first.ballot.chosen, first.ballot.note) == ("Lunch?", "a", "Closed.")
    assert not first.ballot.is_open
    assert (second.text, second.is_bot, second.ballot) == ("yes", False, None)


# --- the plugin alone

ALONE = """
async def test_lunch(dialogue):
    group = await dialogue.group("Person A", "Person B")
    await group.say("Person A", 'poll "Lunch?" Pizza, Sushi in 10m')
    await dialogue.direct("Person B").press("Sushi")
    await dialogue.clock.advance(600)
    assert "Sushi 1" in await group.heard("Result")


async def test_that_fails(dialogue):
    await dialogue.group("Person A")
    assert False, "it is told"
"""


def test_the_fixture_works_without_any_other_plugin(tmp_path):
    (tmp_path / "test_alone.py").write_text(ALONE)
    options = ["-q", "-p", "no:cacheprovider", "-p", "shellbot.testing.plugin", "--rootdir", str(tmp_path)]
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", *options, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=18,
    )
    assert "1 failed, 1 passed" in ran.stdout, ran.stdout + ran.stderr
    assert "it is told" in ran.stdout
