"""``shellbot access``: the rules in words, whether somebody may, and a log that shows where it was touched."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from shellbot.cli import cli
from shellbot.commands.close import Close
from shellbot.context import Context
from shellbot.engine import Engine
from shellbot.errors import ConfigError
from shellbot.events import Person
from shellbot.settings import DECLARED
from shellbot.spaces.memory import MemorySpace
from shellbot.tools.config import survey

RULES = """\
access:
  admins: [a1]
  rooms:
    - team
  roles:
    leads: [b1, b@example.com]
  commands:
    poll: [leads, "@lead.example"]
    deploy: leads
"""
BOT = """
from shellbot import Command

class Deploy(Command):
    keyword = "deploy"
    is_admin = True
"""


@pytest.fixture
def rules(tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text(RULES)
    return file


def shellbot(*arguments):
    """In this process, where only what is printed and the exit code count."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_the_rules_are_said_in_words(rules):
    done = shellbot("access", "list", "--settings", rules)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Admins, who may everything: a1.",
        "Who may use the bot: everybody.",
        "In which rooms: team. In direct channels it is always heard.",
        "Role 'leads': b1, b@example.com.",
        "'deploy': leads, admins.",
        "'poll': leads, @lead.example, admins.",
        "All other commands: everybody who may use the bot, but what administers: admins.",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["a1", "close"], 0, "a1 may say 'close' in the direct channel: access.admins, {file}:2"),
        (["b1", "poll", "--room", "team"], 0, "b1 may say 'poll' in team: access.commands.poll, {file}:8"),
        (["B@Example.com", "poll"], 0, "B@Example.com may say 'poll' in the direct channel: access.commands.poll"),
        (["x1", "poll", "--address", "x@lead.example"], 0, "x1 may say 'poll'"),
        (["x1", "poll"], 1, "x1 may not say 'poll' in the direct channel: access.commands.poll, {file}:8"),
        (["b1", "poll", "--room", "other"], 1, "b1 may not say 'poll' in other: access.rooms, {file}:3"),
        (["b1", "close"], 1, "b1 may not say 'close' in the direct channel: it administers, and no rule is set for it"),
        (["b1", "echo hello"], 0, "b1 may say 'echo hello' in the direct channel: no rule is set for it"),
        (["b1", "audit on"], 1, "it administers"),
        (["b1", "audit off"], 0, "where it is about what is this person's own"),
    ],
)
def test_whether_somebody_may_and_which_rule_says_so(rules, arguments, code, told):
    done = shellbot("access", "check", *arguments, "--settings", rules)
    assert told.format(file=rules) in done.stdout
    assert (done.exit_code, done.stderr) == (code, "")


def test_a_command_of_the_bots_own_is_known_where_its_file_is_named(rules, tmp_path):
    bot = tmp_path / "deploy_bot.py"
    bot.write_text(BOT)
    asked = ["access", "check", "b1", "deploy", "--settings", rules]
    assert "name the file of the bot that has it with --bot" in shellbot(*asked).stderr
    assert shellbot(*asked).exit_code == 2
    assert shellbot(*asked, "--bot", bot).exit_code == 0
    assert shellbot("access", "check", "b1", "deploy", "--bot", bot).exit_code == 1  # no rule, and it administers
    assert "did you mean close?" in shellbot("access", "check", "b1", "colse").stderr


WRONG = """\
access:
  admin: [a1]
  domains: ["*.example.com"]
  people: a1
  roles:
    leads: [a1]
  commands:
    colse: leads
    poll: [leeds]
"""


def test_mistakes_are_told_with_file_and_line_and_nothing_is_said_of_the_rules(tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text(WRONG)
    expected = [
        f"{file}:2: 'access.admin' is not a setting; did you mean 'access.admins'?",
        f"{file}:4: access.people: takes a list of texts, and 'a1' is none",
        f"{file}:8: access.commands.colse: there is no command 'colse'; did you mean 'close'?",
        f"{file}:3: access.domains: '*.example.com': a '*' stands for nothing but all names of one domain, as in "
        "'*@example.com'",
        f"{file}:9: access.commands.poll: there is no role 'leeds'; did you mean 'leads'?",
    ]
    assert list(survey(file, {}).mistakes) == expected
    for command in (["config"], ["access", "list"], ["access", "check", "a1", "echo"]):
        done = shellbot(*command, "--settings", file)
        assert done.exit_code == (1 if command == ["config"] else 2)
        assert done.stderr.splitlines() == [f"shellbot: {text}" for text in expected]
    doctor = shellbot("doctor", "--settings", file, "--instance", tmp_path / "instance")
    assert all(f"wrong  settings   {text}" in doctor.stdout for text in expected)


def test_rules_for_commands_of_ones_own_bot(tmp_path):
    (tmp_path / "rules.yaml").write_text("access:\n  commands:\n    stats: a1\n")
    (tmp_path / "stats_bot.py").write_text(BOT.replace("deploy", "stats"))
    asked = ["config", "--settings", tmp_path / "rules.yaml"]
    assert "there is no command 'stats'; did you mean 'start'?" in shellbot(*asked).stderr
    for tool in ("config", "doctor"):
        done = shellbot(tool, *asked[1:], "--bot", tmp_path / "stats_bot.py")
        assert "did you mean" not in done.output
        assert "stats" in done.stdout or "1 set" in done.stdout


@pytest.mark.parametrize("key", ["people", "rooms", "admins", "domains"])
def test_a_rule_that_was_left_without_a_value_opens_nothing(tmp_path, key):
    file = tmp_path / "rules.yaml"
    file.write_text(f"access:\n  {key}:\n  # - a1\n  commands:\n    poll:\n")
    told = "no value; write [] for none, or take the line out"
    expected = (f"{file}:2: access.{key}: {told}", f"{file}:5: access.commands.poll: {told}")
    assert survey(file, {}).mistakes == expected
    with pytest.raises(ConfigError, match="no value"):
        Context.from_file(file)


def test_a_mistake_of_the_environment_is_told_by_the_name_of_its_variable():
    (mistake,) = survey(None, {"SHELLBOT_ACCESS_ADMINS": "a1,*"}).mistakes
    assert mistake.startswith("SHELLBOT_ACCESS_ADMINS: access.admins: '*': a '*' stands for nothing but")


def test_rules_that_are_fine_are_no_mistake_and_shown_with_what_they_are_for(rules):
    assert survey(rules, {}).mistakes == ()
    done = shellbot("config", "--settings", rules, "--all")
    assert done.exit_code == 0
    assert "access.commands.poll" in done.stdout
    assert "who may use this command: roles, ids" in done.stdout


# --- the page

PAGE = (Path(__file__).parent.parent.parent / "docs" / "access.md").read_text()


@pytest.mark.timeout(60)  # one command after the other, beside other tests
def test_the_page_says_what_the_commands_say(tmp_path):
    (written,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "rules.yaml").write_text(written)
    shown = re.findall(r"```sh\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
    assert len(shown) == 3
    for code, output in shown[:2]:
        code = f'shellbot() {{ "{sys.executable}" -m shellbot "$@"; }}\n{code}'
        done = subprocess.run(["sh", "-c", code], capture_output=True, text=True, timeout=28, check=True, cwd=tmp_path)
        assert done.stdout == output


def test_the_log_on_the_page_is_one_that_is_printed(instance):
    (code, output) = re.findall(r"```sh\n(shellbot access log.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)[0]
    done = shellbot(*code.split()[1:], "--instance", instance)
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00"
    assert re.sub(time, "TIME", done.stdout) == re.sub(time, "TIME", output)


def test_the_commands_on_the_page_administer_as_it_says(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    bot = tmp_path / "page_bot.py"
    bot.write_text(code)
    asked = {"deploy now": 1, "window": 0, "window shut": 0, "window open": 1}
    for words, exit_code in asked.items():
        assert shellbot("access", "check", "b1", words, "--bot", bot).exit_code == exit_code


def test_the_page_has_all_settings():
    named = set(re.findall(r"^\| `(access\.\w+)(?:\.[A-Z]+)?` \|", PAGE, re.MULTILINE))
    assert named == {key for key in DECLARED if key.startswith("access.")} | {"access.roles", "access.commands"}


# --- the log


@pytest.fixture
def instance(tmp_path):
    """A server that has stopped, and has refused and allowed something."""
    folder = tmp_path / "instance"

    async def play():
        space = MemorySpace()
        engine = Engine(space=space, instance=folder, commands=[Close()], settings={"access.admins": ["a1"]})
        await engine.start()
        try:
            people = {id_: Person(id_, f"Person {id_}") for id_ in ("a1", "b1")}
            for person in people.values():
                await (await space.join("group", person))
            for id_, text in (("b1", "close now"), ("b1", "access"), ("a1", "access"), ("b1", "echo"), ("a1", "close")):
                await (await space.say("group", people[id_], text))
        finally:
            await engine.stop()

    asyncio.run(play())
    return folder


def test_the_log_is_printed_and_verified(instance):
    done = shellbot("access", "log", "--instance", instance)
    assert (done.exit_code, done.stderr) == (0, "")
    *entries, verdict = done.stdout.splitlines()
    numbered = [(line.split()[0], line.split()[2]) for line in entries]
    assert numbered == [("1", "refused"), ("2", "refused"), ("3", "allowed"), ("4", "allowed")]
    assert entries[0].endswith("refused b1 group 'close' (typed, by default)")
    assert entries[2].endswith("allowed a1 group 'access' (typed, by access.admins)")
    assert verdict == "4 entries, and the log is whole."


def test_the_last_ones_or_only_whether_it_is_whole(instance):
    last = shellbot("access", "log", "--instance", instance, "--last", 1).stdout.splitlines()
    assert len(last) == 2
    assert last[0].startswith("4 ")
    assert shellbot("access", "log", "--instance", instance, "--verify").stdout == "4 entries, and the log is whole.\n"
    assert shellbot("access", "log", "--instance", instance, "--last", 0).stdout.startswith("4 entries")


CHANGED = (
    """UPDATE access_log SET entry = replace(CAST(entry AS TEXT), '"person":"b1"', '"person":"c1"') WHERE seq = 2"""
)


@pytest.mark.parametrize(
    ("tampering", "told"),
    [
        (CHANGED, "entry 2 of its log was changed: "),
        ("UPDATE access_log SET mac = zeroblob(32) WHERE seq = 1", "entry 1 of its log was changed: "),
        ("UPDATE access_log SET cause = 'x' WHERE seq = 3", "entry 3 of its log was changed: "),
        ("DELETE FROM access_log WHERE seq = 1", "entry 1 of its log is gone"),
        ("DELETE FROM access_log WHERE seq = 3", "entry 3 of its log is gone"),
        ("DELETE FROM access_log WHERE seq = 4", "entry 4 of its log is gone"),
        ("DELETE FROM access_log", "entry 1 of its log is gone"),
        (
            "DELETE FROM access_log WHERE seq = 2; UPDATE access_log SET seq = seq - 1 WHERE seq > 2",
            "entry 2 of its log",
        ),
        ("INSERT INTO access_log SELECT 5, 'x', entry, mac FROM access_log WHERE seq = 4", "entry 5 of its log was"),
        ("DELETE FROM access_head", "the head of its log is gone"),
        (
            "UPDATE access_head SET seq = 3, last = (SELECT mac FROM access_log WHERE seq = 3)",
            "the head of its log was",
        ),
        ("DROP TABLE access_log", "one of its tables is gone"),
    ],
)
def test_what_was_touched_is_named_with_exit_code_1(instance, tampering, told):
    db = sqlite3.connect(instance / "store.db")
    db.executescript(tampering)
    db.close()
    for options in ([], ["--verify"], ["--last", 1]):
        done = shellbot("access", "log", "--instance", instance, *options)
        assert done.exit_code == 1
        assert told in done.stderr
        assert "whole" not in done.stdout


@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM access_log WHERE seq = 4",
        "DELETE FROM access_log WHERE seq = 4; DELETE FROM access_head",
        "INSERT INTO access_log SELECT 5, 'x', entry, mac FROM access_log WHERE seq = 4",
    ],
)
def test_going_on_heals_nothing_and_loses_nothing(instance, tampering):
    db = sqlite3.connect(instance / "store.db")
    db.executescript(tampering)

    async def play():
        space = MemorySpace()
        engine = Engine(space=space, instance=instance)
        await engine.start()
        try:
            await (await space.join("group", Person("b1", "Person B")))
            await (await space.say("group", Person("b1", "Person B"), "access"))
        finally:
            await engine.stop()

    asyncio.run(play())
    (last,) = db.execute("SELECT CAST(entry AS TEXT) FROM access_log ORDER BY seq DESC LIMIT 1").fetchone()
    db.close()
    assert '"deed":"access"' in last
    done = shellbot("access", "log", "--instance", instance)
    assert done.exit_code == 1
    assert "of its log" in done.stderr


def test_a_key_that_is_not_the_servers_finds_nothing_genuine(instance, tmp_path):
    other = tmp_path / "key"
    other.write_bytes(b"x" * 32)
    other.chmod(0o600)
    done = shellbot("access", "log", "--instance", instance, "--key", other)
    assert done.exit_code == 1
    assert "entry 1 of its log was changed" in done.stderr


def test_where_there_is_no_server_it_says_so(tmp_path):
    command = [sys.executable, "-m", "shellbot", "access", "log", "--instance", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False, env=dict(os.environ))
    assert done.returncode == 1
    assert done.stderr.startswith("shellbot: there is no key ")
