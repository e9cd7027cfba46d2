"""``shellbot init``: what it writes works at once, and nothing of anybody's is overwritten."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from shellbot.errors import ConfigError
from shellbot.tools.init import write_bot


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=18, check=False, **options
    )


@pytest.fixture
def made(tmp_path):
    done = run("shellbot", "init", "Lunch-Bot", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    return done


def test_it_writes_a_bot_and_its_test_and_says_how_to_use_them(tmp_path, made):
    assert sorted(os.listdir(tmp_path / "Lunch-Bot")) == ["lunch_bot.py", "test_lunch_bot.py"]
    assert made.stdout == (
        "Lunch-Bot/lunch_bot.py: the bot; serve it with: shellbot run Lunch-Bot/lunch_bot.py\n"
        "Lunch-Bot/test_lunch_bot.py: its test; run it with: pytest Lunch-Bot\n"
    )


def test_the_bot_answers(tmp_path, made):
    command = ["shellbot", "run", "Lunch-Bot/lunch_bot.py", "--space", "console", "--instance", "instance"]
    done = run(*command, cwd=tmp_path, input="Ann: hello Bob\nBob> hello\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "[group] Hello, Bob!\n[Bob] Hello, world!\n"


def test_its_test_passes_wherever_pytest_is_started(tmp_path, made):
    done = run("pytest", "-q", "-p", "no:cacheprovider", "Lunch-Bot", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_its_test_fails_when_the_bot_says_something_else(tmp_path, made):
    bot = tmp_path / "Lunch-Bot" / "lunch_bot.py"
    bot.write_text(bot.read_text().replace("Hello,", "Bye,"))
    done = run("pytest", "-q", "-p", "no:cacheprovider", "-k", "direct", cwd=bot.parent)
    assert done.returncode == 1
    assert "'Bye, world!' == 'Hello, world!'" in done.stdout


@pytest.mark.parametrize("name", ["", ".", "..", "3rd", "my bot", "böt", "a" * 41, "bot.py", "a/b!"])
def test_a_bad_name_is_refused_in_one_line_and_nothing_is_written(tmp_path, name):
    done = run("shellbot", "init", name, cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot be the name of a bot: take letters" in done.stderr
    assert done.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    folder = tmp_path / "lunch"
    write_bot(folder)
    (folder / "lunch_bot.py").write_text("# mine")
    with pytest.raises(ConfigError, match="holds something already, and nothing was written"):
        write_bot(folder)
    assert (folder / "lunch_bot.py").read_text() == "# mine"


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "lunch").write_text("")
    for folder in (tmp_path / "lunch", tmp_path / "lunch" / "bot"):
        with pytest.raises(ConfigError, match="cannot write into"):
            write_bot(folder)
