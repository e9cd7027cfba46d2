"""The command line as somebody types it: the bus from the shell, and what is said when it cannot be."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shellbot.bus.bus import Bus
from shellbot.context import Context
from tests.processes import started


@pytest.fixture
def address(runtime_folder):
    return f"ipc://{runtime_folder}/{os.urandom(4).hex()}"


def shellbot(*arguments, **options):
    """Run it to its end."""
    return subprocess.run(
        [sys.executable, "-m", "shellbot", *arguments],
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
        **options,
    )


def running(*arguments):
    """Run it beside the test."""
    return started("-m", "shellbot", *arguments)


def test_what_is_published_is_printed_by_sub(address):
    with running("sub", "room-1", "room-2", "--bus", address, "--count", "2") as sub:
        done = shellbot("pub", "room-1", '{"choice": "sushi"}', '"second"', "--bus", address)
        assert done.returncode == 0, done.stderr
        assert sub.communicate(timeout=15)[0] == 'room-1 {"choice":"sushi"}\nroom-1 "second"\n'
        assert sub.returncode == 0


def test_pub_reads_lines_when_no_message_is_given(address):
    with running("spy", "--bus", address, "--count", "3") as spy:
        done = shellbot("pub", "room", "--bus", address, input='1\n\n{"a": [true]}\n"ü"\n')
        assert done.returncode == 0, done.stderr
        assert spy.communicate(timeout=15)[0] == 'room 1\nroom {"a":[true]}\nroom "ü"\n'


def test_sub_ends_when_nothing_comes_and_tells_how_much_was_missing(address):
    done = shellbot("sub", "room", "--bus", address, "--timeout", "0.2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = shellbot("sub", "room", "--bus", address, "--timeout", "0.2", "--count", "2")
    assert done.returncode == 1
    assert done.stderr == "shellbot: only 0 of 2 messages came; nothing for 0.2 s\n"


def test_pub_says_when_nobody_listens_and_how_to_go_on(address):
    done = shellbot("pub", "room", "1", "--bus", address, "--timeout", "0.2")
    assert done.returncode == 1
    assert "nobody subscribed to 'room' within 0.2 s; start `shellbot sub room`" in done.stderr
    assert done.stderr.count("\n") == 1
    assert shellbot("pub", "room", "1", "--bus", address, "--timeout", "0").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pub", "room", "{choice"], "not JSON: '{choice'"),
        (["pub", "", "1"], "channel"),
        (["pub", "my room", "1"], "channel"),
        (["pub", "room", "null"], "message"),
        (["sub", "my room"], "channel"),
        (["sub"], "Missing argument"),
        (["spy", "--bus", "tcp://*:99999"], "99999"),
        (["spy", "--bus", "mqtt://here"], "mqtt"),
        (["spy", "--instance", "/nowhere/at/all"], "no server runs in /nowhere/at/all; start one with"),
        (["sing"], "No such command"),
        (["run", "nothing.py"], "nothing.py"),
        (["run", "--space", "marsian"], "marsian"),
        (["run", "--port", "99999"], "99999"),
    ],
)
def test_what_cannot_be_done_is_told_without_a_traceback(address, arguments, told):
    options = (
        []
        if "--bus" in arguments or "--instance" in arguments or arguments[0] in ("run", "sing")
        else ["--bus", address]
    )
    done = shellbot(*arguments, *options, "--timeout", "0") if arguments[0] == "pub" else shellbot(*arguments, *options)
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_address_names_its_holder(address):
    with running("pub", "room", "1", "--bus", address, "--timeout", "30"):
        with Bus(Context({"bus": {"address": address}})).subscribe("other") as subscriber:
            subscriber.wait_ready(15)
        done = shellbot("pub", "room", "1", "--bus", address, "--timeout", "0")
    assert done.returncode == 1
    assert re.fullmatch(r"shellbot: process \d+ publishes on ipc:\S+ already; .*\n", done.stderr)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = (", "cannot be run: SyntaxError"),
        ("import nowhere_to_be_found", "cannot be run: ModuleNotFoundError"),
        ("x = 1", "defines no command"),
        (
            "from shellbot import Command\nclass A(Command):\n    keyword='a'\n    def __init__(self, x): pass",
            "put ready-made commands into a list named 'commands'",
        ),
        ("from shellbot import Command\nclass A(Command):\n    keyword='two words'", "needs a keyword: one word"),
    ],
)
def test_a_broken_bot_file_is_told_in_one_line(tmp_path, text, told):
    file = tmp_path / "bot.py"
    file.write_text(text)
    done = shellbot("run", str(file), "--space", "console", "--instance", str(tmp_path / "instance"), input="")
    assert done.returncode == 1
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unknown_setting_in_a_file_is_told_with_the_nearest_known(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("bus:\n  adress: tcp://127.0.0.1:5555\n")
    done = shellbot("run", "--settings", str(file), "--instance", str(tmp_path / "instance"))
    assert done.returncode == 1
    assert "bus.address" in done.stderr


def test_a_guarantee_that_the_bus_does_not_keep_is_refused(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('[bus]\nguarantee = "log"\n')
    done = shellbot("run", "--settings", str(file), "--instance", str(tmp_path / "instance"))
    assert done.returncode == 1
    assert "log" in done.stderr
    assert done.stderr.count("\n") == 1


def test_version_and_help():
    assert shellbot("version").stdout == "shellbot 26.11.0\n"
    assert shellbot("--version").stdout == "shellbot 26.11.0\n"
    for arguments in ([], ["run"], ["pub"], ["sub"], ["spy"]):
        assert "Usage: shellbot" in shellbot(*arguments, "--help").stdout


def test_a_hostile_title_steers_neither_terminal_nor_log(tmp_path):
    title = "\x1b[2J\x1b]0;owned\x07\u202eLunch?\r[group] Result of vote #9: all for me\x00"
    typed = f'Ann: poll "{title}" <b>a</b>, `b` in 10m\nAnn: poll list\nAnn: poll close\n'
    done = shellbot("-vv", "run", "--space", "console", "--instance", str(tmp_path / "instance"), input=typed)
    assert done.returncode == 0, done.stderr
    assert "Lunch?" in done.stdout
    for shown in (done.stdout, done.stderr):
        assert not set(shown) & set("\x1b\x07\x00\r\u202e")
        assert not any(line.startswith("[group] Result of vote #9") for line in shown.splitlines())


def test_run_serves_the_commands_of_a_file(tmp_path):
    example = Path(__file__).parent.parent / "examples" / "hello_bot.py"
    arguments = ["run", str(example), "--space", "console", "--instance", str(tmp_path / "instance")]
    assert shellbot(*arguments, input="Ann: hello Bob\n").stdout == "[group] Hello, Bob!\n"
