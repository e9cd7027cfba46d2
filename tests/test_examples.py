"""Each example is run as its reader would: as a program, on a bus or a console of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.processes import started

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def address(runtime_folder):
    return f"ipc://{runtime_folder}/{os.urandom(4).hex()}"


def example(name, *arguments):
    """The example as a program beside the test."""
    return started(str(EXAMPLES / name), *arguments)


def test_publish_and_subscribe(address):
    with example("bus_subscribe.py", address) as subscriber, example("bus_publish.py", address) as publisher:
        assert subscriber.communicate(timeout=15)[0].splitlines() == [
            f"{room}: {choice}" for choice in ["pizza", "sushi", "salad"] for room in ["room-1", "room-2"]
        ]
        assert subscriber.returncode == publisher.wait(10) == 0


def test_spy(address):
    with example("bus_spy.py", address, "6") as spy, example("bus_publish.py", address):
        lines = spy.communicate(timeout=15)[0].splitlines()
        assert lines[:2] == ["room-1 {'choice': 'pizza'}", "room-2 {'choice': 'pizza'}"]
        assert len(lines) == 6
        assert spy.returncode == 0


def test_group_and_direct(address):
    with example("group_and_direct.py", address) as program:
        assert program.communicate(timeout=15)[0] == "pizza 1\nsushi 2\n"
        assert program.returncode == 0


class Console:
    """Somebody who types, and reads until the bot has said something."""

    def __init__(self, process):
        self.process = process

    def type(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def read(self, text):
        for line in self.process.stdout:
            if text in line:
                return line
        raise AssertionError(f"the bot ended without saying {text!r}")


@pytest.fixture
def console(tmp_path):
    """``with console("hello_bot.py") as c``: the example's bot in a terminal."""

    @contextmanager
    def start(name):
        code = f"import runpy; runpy.run_path({str(EXAMPLES / name)!r})['main']('console')"
        environment = {**os.environ, "SHELLBOT_INSTANCE_FOLDER": str(tmp_path / "instance")}
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        try:
            yield Console(process)
            process.stdin.close()
            assert process.wait(10) == 0
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.stdin.close()
            process.stdout.close()
            process.wait()

    return start


def test_hello_bot(console):
    with console("hello_bot.py") as bot:
        bot.type("Ann: hello Bob")
        bot.read("[group] Hello, Bob!")
        bot.type("Ann> hello")
        bot.read("[Ann] Hello, world!")


def test_ask_everyone(console):
    with console("ask_everyone.py") as bot:
        bot.type("Bob: good morning")
        bot.type("Ann: ask What is new?")
        bot.read("What is new?")
        bot.read("What is new?")
        bot.type("Bob> nothing")
        bot.read("[group] Bob: nothing")
        bot.type("Ann> a lot")
        bot.read("[group] Ann: a lot")
        bot.read("[group] That was everybody.")


def test_lunch_vote(console):
    with console("lunch_vote.py") as bot:
        bot.type("Bob: good morning")
        bot.type("Ann: lunch")
        bot.read("[Ann] Vote #1")
        bot.type("Ann> sushi")
        bot.read("[Ann] Your vote is counted: Sushi")
        bot.type("Bob> 2")
        bot.read("[group] Result of vote #1")
        bot.read("[group] I book Sushi for 2.")


def test_order_dialog(console):
    with console("order_dialog.py") as bot:
        bot.type("Ann> order")
        bot.read("[Ann] Which dish?")
        bot.type("Bob: order")
        bot.read("[group] Bob: Which dish?")
        bot.type("Ann> 2")
        bot.read("[Ann] How many?")
        bot.type("Ann> lots")
        bot.read("[Ann] One digit, please.")
        bot.type("Ann> help")
        bot.read("order Order a meal, step by step")
        bot.type("Ann> 3")
        bot.read("[Ann] Anything to add?")
        bot.type("Bob: salad")
        bot.read("[group] Bob: How many?")
        bot.type("Ann> no fish")
        bot.read("[Ann] Ann ordered 3 Sushi. Remark: no fish")
        bot.type("Bob: cancel")
        bot.read("[group] Bob: No order, then.")


def test_todo_list(console):
    with console("todo_list.py") as bot:
        bot.type("Ann: todos")
        bot.read("[group] Nothing is left to do.")
        bot.type("Ann: todo Buy <b>milk</b>")
        bot.read("[group] 1. Buy <b>milk</b>")
        bot.type("Bob: todo Paint the wall")
        bot.read("[group] 2. Paint the wall")
        bot.type("Bob: done 1")
        bot.read("[group] Bob has done: Buy <b>milk</b>. 1 left.")
        for wrong in ["done 2", "done 0", "done it", "todo"]:
            bot.type(f"Bob: {wrong}")
            bot.read("[group] There is no" if wrong[-1].isdigit() else "Write: ")
        bot.type("Bob> todos")
        bot.read("[Bob] todos works in a group channel.")
    with console("todo_list.py") as bot:
        bot.type("Ann: todos")
        bot.read("[group] 1. Paint the wall (Bob)")


class TestEscalation:
    @pytest.fixture
    def dialogue_options(self):
        return [str(EXAMPLES / "escalation.py")]

    async def test_step_and_time_lead_on_and_a_kill_stops_neither(self, dialogue):
        group = await dialogue.group("Ann", "Bob")
        assert "What has happened?" in await group.say("Ann", "alarm")
        assert "There is no alarm." in await group.say("Ann", "solved")
        await group.say("Bob", "alarm The site is down")
        await group.heard("Level 1: The site is down")
        await group.heard("Please let in: Ann, who is on call")
        assert "There is an alarm already: The site is down" in await group.say("Ann", "alarm Fire")
        await group.say("Ann", "step")
        await group.heard("Level 2: still The site is down")
        await group.heard("Please let in: Bob, Cid")
        await dialogue.restart(kill=True)
        await dialogue.clock.advance(600)
        await group.heard("Level 3: still The site is down")
        assert "Solved, says Bob: The site is down" in await group.say("Bob", "solved")
        await dialogue.clock.advance(3600)
        assert "Level 1: Fire" in await group.say("Ann", "alarm Fire")

    async def test_who_has_nobody_left_to_ask_says_so(self, dialogue):
        group = await dialogue.group("Ann")
        await group.say("Ann", "alarm Fire")
        await dialogue.clock.advance(3 * 600)
        await group.heard("Nobody is left to be asked.")
        assert "There is no alarm." in await group.say("Ann", "solved")


class TestStickyRoom:
    @pytest.fixture
    def dialogue_options(self):
        return [str(EXAMPLES / "sticky_room.py")]

    async def test_who_leaves_is_asked_back_and_greeted_after_a_kill(self, dialogue):
        group = await dialogue.group("Ann", "Bob")
        bob = dialogue.person("Bob")
        await bob.leave()
        await bob.join()
        assert "I will ask you back" in await group.say("Ann", "sticky")
        await bob.leave()
        await group.heard("Bob has left. I ask for a return.")
        await dialogue.restart(kill=True)
        await bob.join()
        await group.heard("Welcome back, Bob!")
        await dialogue.direct("Bob").heard("We miss you, Bob! Please come back.")
        await dialogue.direct("Bob").heard("It is good to see you again.")
        assert "Who leaves may go" in await group.say("Ann", "sticky off")


class TestHandOver:
    @pytest.fixture
    def dialogue_options(self):
        return [str(EXAMPLES / "hand_over.py")]

    async def test_what_was_answered_in_private_is_a_ticket_of_the_group(self, dialogue):
        group = await dialogue.group("Ann", "Bob")
        ann, bob = dialogue.direct("Ann"), dialogue.direct("Bob")
        assert "There are no tickets." in await group.say("Ann", "tickets")
        await group.say("Ann", "ticket")
        await ann.heard("What does not work?")
        await group.say("Bob", "ticket")
        await bob.heard("What does not work?")
        await bob.say("The lamp")
        await ann.say("The <b>door</b>")
        await dialogue.restart(kill=True)
        await ann.press("Now")
        await group.heard("Ticket 1: The <b>door</b> (Now, Ann)")
        await ann.heard("This is ticket 1.")
        await bob.say("1")
        await group.heard("Ticket 2: The lamp (I can wait, Bob)")
        await bob.heard("This is ticket 2.")
        assert "The lamp (I can wait, Bob)" in await group.say("Ann", "tickets")


def test_notify(console, tmp_path):
    def pub(*news):
        with started("-m", "shellbot", "pub", "--instance", str(tmp_path / "instance"), "news", *news) as program:
            assert program.wait(15) == 0, program.stderr.read()

    with console("notify.py") as bot:
        bot.type("Ann: news on")
        bot.read("[group] I tell you the news.")
        pub('{"text": "The build is <b>green</b>"}')
        bot.read("[group] News: The build is <b>green</b>")
        pub("17", '{"text": 17}', '{"do": "poll", "group": "group"}', '{"text": "Lunch is ready"}')
        assert next(bot.process.stdout) == "[group] News: Lunch is ready\n"
        bot.type("Ann: news off")
        bot.read("[group] I keep the news to myself.")
        pub('{"text": "Nobody hears this"}')
        bot.type("Ann: news on")
        assert next(bot.process.stdout) == "[group] I tell you the news.\n"


def test_every_example_is_tested():
    tested = Path(__file__).read_text()
    assert all(f'"{path.name}"' in tested for path in EXAMPLES.glob("*.py"))
