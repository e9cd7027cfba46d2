"""``shellbot run BOT --reload``: a change is served, a mistake is told and waited over, and nothing is left behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from shellbot.testing import ScriptedPerson
from shellbot.tools.reload import Watch, again
from tests.processes import started

BOT = """
from shellbot import Command
from words import GREETING


class Hello(Command):
    keyword = "hello"

    async def execute(self, bot):
        bot.say(GREETING)
"""


@pytest.fixture
def bot(tmp_path):
    """The file of a bot whose words stand in a module beside it."""
    folder = tmp_path / "bot"
    folder.mkdir()
    (folder / "words.py").write_text('GREETING = "one"\n')
    (folder / "hello_bot.py").write_text(BOT)
    return folder / "hello_bot.py"


@pytest.fixture
def serving(tmp_path, bot):
    """It runs, and is gone with all it started when the test is over."""
    arguments = ["run", str(bot), "--reload", "--port", "0", "--instance", str(tmp_path / "instance")]
    with started("-m", "shellbot", *arguments) as process:
        yield process


def write(path, text):
    """As editors do: a new file takes the old one's place."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def url_of(process):
    line = process.stdout.readline()
    assert line.startswith("shellbot: http://"), line + process.stderr.read()
    return line.split()[1]


def members(group):
    """Processes of a group that have not ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, its_group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            found.append(int(folder.name))
    return found


def read_until(process, text):
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError(f"it ended without saying {text!r}")


async def test_a_change_is_served_on_the_same_page_by_the_same_process(bot, serving):
    url = url_of(serving)
    async with ScriptedPerson(url, "Person A") as person:
        await person.say("hello")
        await person.heard("one")
        for greeting in ("two", "six"):  # of the same length, and perhaps in the same second
            write(bot.parent / "words.py", f'GREETING = "{greeting}"\n')
            assert "words.py has changed; starting anew" in read_until(serving, "has changed")
            assert url_of(serving) == url
            await person.say("hello")
            await person.heard(greeting)
    assert serving.poll() is None


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("hello_bot.py", BOT + "\n\nx = (\n", "hello_bot.py:13 cannot be run: SyntaxError"),
        ("words.py", "\nGREETING = 1 +\n", "words.py:2 cannot be run: SyntaxError"),
        ("words.py", "\n\nGREETING = nothing\n", "words.py:3 cannot be run: NameError"),
        ("hello_bot.py", BOT.replace("bot):", "bot, x: bytes):"), "hello_bot.py:9: Hello.execute: 'x' cannot be"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_the_next_change_is_served(bot, serving, file, text, told):
    url = url_of(serving)
    right = (bot.parent / file).read_text()
    write(bot.parent / file, text)
    assert "Traceback" not in read_until(serving, told)
    assert "waiting for a change of" in serving.stderr.readline()
    assert members(serving.pid) == [serving.pid]
    write(bot.parent / file, right)
    read_until(serving, "has changed; starting anew")
    assert url_of(serving) == url


def test_what_fails_later_is_told_and_waited_over_too(bot, serving):
    url_of(serving)
    write(bot, BOT + "\n    async def prepare(self, store):\n        raise ValueError('as was to be expected')\n")
    read_until(serving, "ValueError: as was to be expected")
    read_until(serving, "waiting for a change of")
    assert members(serving.pid) == [serving.pid]
    write(bot, BOT)
    url_of(serving)


def test_ctrl_c_ends_all_of_it(bot, serving):
    url_of(serving)
    write(bot, BOT + "\n")
    url_of(serving)
    assert len(members(serving.pid)) > 1
    serving.send_signal(signal.SIGINT)
    assert serving.wait(10) == 0
    assert members(serving.pid) == []
    assert "Traceback" not in serving.stderr.read()


def test_ctrl_c_ends_it_while_it_waits(bot, serving):
    url_of(serving)
    write(bot, "x = (")
    read_until(serving, "waiting for a change")
    serving.send_signal(signal.SIGINT)
    assert serving.wait(10) == 130
    assert serving.stderr.read() == ""


def test_nothing_that_ended_is_left_as_a_child(bot, serving):
    url_of(serving)
    for number in range(2):
        write(bot, BOT + "\n" * (number + 1))
        url_of(serving)
    children = Path(f"/proc/{serving.pid}/task/{serving.pid}/children").read_text().split()
    states = [Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] for child in children]
    assert "Z" not in states


def test_without_a_file_there_is_nothing_to_watch(tmp_path):
    with started("-m", "shellbot", "run", "--reload", "--instance", str(tmp_path / "instance")) as process:
        _, told = process.communicate(timeout=15)
    assert process.returncode == 2
    assert "name its file: shellbot run BOT --reload" in told


# --- what is watched


def test_files_that_come_go_and_change_are_seen_once(tmp_path):
    bot, other = tmp_path / "bot.py", tmp_path / "settings.yaml"
    (tmp_path / "inner").mkdir()
    (tmp_path / ".venv").mkdir()
    for path in (bot, other):
        path.write_text("1")
    watch = Watch(bot, other)
    assert watch.changed() is None
    (tmp_path / ".venv" / "no.py").write_text("1")
    (tmp_path / "readme.md").write_text("1")
    assert watch.changed() is None
    for path in (bot, other, tmp_path / "new.py", tmp_path / "inner" / "new.py"):
        path.write_text("12")
        assert watch.changed() == path
        assert watch.changed() is None
    (tmp_path / "new.py").unlink()
    assert watch.changed() == tmp_path / "new.py"
    assert watch.changed() is None
    os.utime(bot, ns=(1, 1))
    assert watch.changed() == bot


def test_the_next_command_line_keeps_the_port_and_opens_no_second_page():
    command = ["python", "-X", "dev", "-m", "shellbot", "run", "my.py", "--open", "--port", "0", "--reload"]
    once = again(command, 8081)
    assert once[1:] == ["-X", "dev", "-m", "shellbot", "run", "my.py", "--reload", "--port", "8081"]
    assert again(once, 8081) == once
    assert again(["python", "x", "--port=8080"], 8081)[1:] == ["x", "--port", "8081"]
    assert again(["python", "x", "--port", "1"], None)[1:] == ["x", "--port", "1"]
