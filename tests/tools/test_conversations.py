"""``shellbot test FILE``: conversations that come true, and what is said of one that does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from tests.bus.watching import wait_until
from tests.processes import started

BOT = """
from shellbot import Command


class Hello(Command):
    keyword = "hello"

    async def execute(self, bot, name: str = "world"):
        bot.say(f"Hello, {name}!")


class Fail(Command):
    keyword = "fail"

    async def execute(self, bot):
        raise ValueError("as was to be expected")
"""


@pytest.fixture
def play(tmp_path):
    """``play(text)``: the end of ``shellbot test`` on a file with this text, beside a bot."""
    (tmp_path / "bots").mkdir()
    (tmp_path / "bots" / "hello_bot.py").write_text(BOT)
    (tmp_path / "tmp").mkdir()

    def run(text, *options):
        (tmp_path / "bots" / "talk.txt").write_text(textwrap.dedent(text))
        done = subprocess.run(
            [sys.executable, "-m", "shellbot", "test", "bots/talk.txt", *options],
            capture_output=True,
            text=True,
            timeout=18,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        )
        assert os.listdir(tmp_path / "tmp") == []
        assert done.stderr == ""
        return done

    return run


def test_a_vote_that_survives_a_kill(play):
    done = play("""
        == A vote survives a kill
        Ann: poll "Lunch?" Pizza, Sushi in 10m
        [Ann] Lunch?
        Ann> [Pizza]
        [Ann] Your vote is counted: Pizza
        [Bob] Lunch?
        not [Bob] Your vote
        (kill)
        Bob> 1
        [group] Pizza 2
        Ann> sushi
        [Ann] closed
    """)
    assert done.stdout == "ok      A vote survives a kill\n1 conversation, all came true\n"
    assert done.returncode == 0


def test_time_passes_and_people_come_and_go(play):
    done = play("""
        Ann: poll "Lunch?" Pizza, Sushi in 10m
        [Person C] Lunch?
        (Bob comes)
        Ann> 2
        not [group] Result
        (wait 9m)
        not [group]
        (Ann leaves)
        (wait 1m)
        [group] Sushi 1
        Bob> help
        [Bob] What you can say here
    """)
    assert done.returncode == 0, done.stdout


def test_who_has_left_comes_again_under_the_same_name(play):
    done = play("""
        Ann: hello
        Bob> echo one
        [Bob] one
        (Bob leaves)
        (Bob comes)
        not [Bob] one
        Bob> echo two
        [Bob] two
        (Bob leaves)
        (kill)
        (Bob comes)
        Bob: echo three
        [group] three
    """)
    assert done.returncode == 0, done.stdout


def test_several_conversations_with_a_bot_of_ones_own(play):
    done = play("""
        (bot hello_bot.py)
        == In the group
        Ann: hello
        [group] Hello, world!
        Ann: hello  Bob
        [group] Hello, Bob!
        == Alone
        Ann> hello
        [Ann] Hello, world!
        not [group]
    """)
    assert done.stdout == "ok      In the group\nok      Alone\n2 conversations, all came true\n"


def test_a_line_that_does_not_come_true_is_told_with_what_was_heard_instead(play):
    done = play("""
        (bot hello_bot.py)
        == No
        Ann: hello
        [group] Hello, world!
        Ann: hello Bob
        [group] Hello, world!
        == Yes
        Ann: hello
        [group] Hello, world!
    """)
    assert done.stdout == (
        "FAILED  bots/talk.txt:7: 'Hello, world!' was not heard in the group, but:\n"
        "    Hello, Bob!\n"
        "ok      Yes\n"
        "2 conversations, 1 failed\n"
    )
    assert done.returncode == 1


def test_a_button_that_is_not_there_is_told(play):
    done = play("""
        Ann> echo hello
        [Ann] hello
        Ann> [hello]
    """)
    assert done.returncode == 1
    assert "bots/talk.txt:4: Ann did not see a button 'hello'" in done.stdout


def test_one_answer_does_not_serve_twice(play):
    done = play("""
        Ann> echo hello
        [Ann] hello
        Bob> echo hello
        [Ann] hello
    """)
    assert "bots/talk.txt:5: 'hello' was not heard by Ann alone, but: nothing" in done.stdout


def test_what_was_not_to_be_heard_is_told(play):
    done = play("""
        (bot hello_bot.py)
        Ann: hello
        not [group] Bob
        not [group] Hello
    """)
    assert "talk.txt:5: 'Hello' was not to be heard in the group, but:\n    Hello, world!\n" in done.stdout


def test_the_log_of_the_bot_is_shown_with_a_failure(play):
    done = play("""
        Ann: fail
        [group] Done
    """, "--bot", "bots/hello_bot.py")  # fmt: skip
    assert "    fail failed; this is the bot's fault" in done.stdout
    assert "    | ValueError: as was to be expected" in done.stdout


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Ann hello", "bots/talk.txt:1: cannot read 'Ann hello'"),
        ("(bot nowhere.py)\nAnn: hello", "bots/talk.txt:2: there is no bot bots/nowhere.py"),
        ("(bot talk.txt)\nAnn: hello", "bots/talk.txt is no Python file"),
        ("Ann: hello\n(Ann leaves)\nAnn: hello", "bots/talk.txt:3: Ann has left; write (Ann comes) before"),
        ("Ann: hello\n(Ann leaves)\n[group] hello", "bots/talk.txt:3: everybody has left"),
    ],
)
def test_what_cannot_be_played_is_told_with_its_line(play, text, told):
    done = play(text)
    assert done.returncode == 1
    assert told in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ended_in_the_middle_it_leaves_nothing_behind(tmp_path, number):
    (tmp_path / "talk.txt").write_text("Ann: hello\n[group] never\n")
    (tmp_path / "tmp").mkdir()
    arguments = ["-m", "shellbot", "test", str(tmp_path / "talk.txt")]
    with started(*arguments, env={**os.environ, "TMPDIR": str(tmp_path / "tmp")}) as process:
        wait_until(lambda: list((tmp_path / "tmp").glob("*/instance/instance.json")))
        process.send_signal(number)
        process.communicate(timeout=15)
        assert process.returncode == 1
    assert os.listdir(tmp_path / "tmp") == []


def test_a_file_that_is_not_there(tmp_path):
    command = [sys.executable, "-m", "shellbot", "test", str(tmp_path / "none.txt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False)
    assert done.returncode == 2
    assert "none.txt" in done.stderr
