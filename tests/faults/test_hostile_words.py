"""What people write to do harm, and what must never be written down: rows C13, C15 and C16 of docs/faults.md."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from html import escape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.markup import one_line, plain
from shellbot.server.markdown import Markdown
from shellbot.testing import ScriptedPerson, Server
from shellbot.testing.servers import PRODUCT
from tests.faults.canaries import LEAKY, command_line, found_in, keys_in

ROOT = Path(__file__).parents[2]
CANARY = "canary-5e1f"
COMMANDS = [
    "echo; touch {canary}",
    "echo $(touch {canary})",
    "echo `touch {canary}`",
    "| touch {canary}",
    "&& touch {canary}",
    "../../etc/passwd",
    "help ../../../../etc/passwd",
    "help %s%s%s%n",
    "help {{0.__class__.__mro__}}",
    "echo {{canary!r}} {{self}} %(name)s ${{HOME}}",
    "poll {{0.__class__}}? %s, ${{jndi:ldap://x}}",
    "poll '; DROP TABLE polls; --? a, b",
    "poll \"a'; DELETE FROM poll_ballots; --\" x', 'y",
    "__import__('os').system('touch {canary}')",
    "poll __import__('os').system('touch {canary}')? a, b",
    "\x00\x01\x1b]0;owned\x07",
    "echo \u200b\u200d\u202eevil\u2066",
    "\u202ehelp",
    "he\u200blp",
    "ＨＥＬＰ",
    "\ud800 alone",
    "#" * 50,
    "#99999999999999999999 1",
    "poll close #99999999999999999999",
    "poll list " + "#1 " * 500,
]
LONG = [
    "a" * 100_000,
    " " * 100_000 + "x",
    "poll " + '"' * 100_000,
    "poll " + "a? " * 33_000,
    "poll x? " + "a, " * 33_000,
    "poll x? a, b in " + "1" * 100_000,
    "poll x? a, b " + "in 1h " * 16_000,
    "poll x? a, b at " + "9:" * 50_000,
    "poll extend #1 " + "1 " * 50_000,
    "poll extend #1 " + "0" * 100_000 + "!",
    "1" + ", 1" * 33_000,
    "1" + " and" * 25_000 + " x",
    "#" + "1" * 100_000,
    "echo " + "(((((" * 20_000,
    "shelly" + "!" * 100_000,
]


@pytest.mark.parametrize("where", ["group", "direct"])
async def test_c13_hostile_lines_stay_words_and_disturb_nobody(party, tmp_path, monkeypatch, caplog, where):
    monkeypatch.chdir(tmp_path)
    async with party("Person A", "Person B") as people:
        await people.say("Person A", 'poll "Still there?" Yes, No in 10m')
        await people.ballot("Person B", "Still there?")
        say = people.say if where == "group" else people.whisper
        for line in COMMANDS:
            await say("Person B", line.format(canary=CANARY))
        for line in LONG:
            began = time.process_time()
            await say("Person B", line)
            assert time.process_time() - began < 2.0, f"{line[:30]!r} takes long to read"
        await people.whisper("Person B", "#1 Yes")
        await people.hears("Your vote is counted: Yes", "Person B")
    assert not list(tmp_path.glob(f"**/*{CANARY}*"))
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("eval(input())", "S307"),
        ("exec(input())", "S102"),
        ("import subprocess\nsubprocess.run(input(), shell=True)", "S602"),
        ("import os\nos.system(input())", "S605"),
        ("import pickle\npickle.loads(b'')", "S301"),
        ("import yaml\nyaml.load(input(), Loader=yaml.Loader)", "S506"),
    ],
)
def test_c13_code_that_runs_words_is_found_by_the_check(line, rule):
    """The harm, in one line each: scripts/check would not let it pass."""
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise", "-"]
    options = ["--stdin-filename", str(ROOT / "shellbot/new.py")]
    found = subprocess.run(
        [*command, *options], input=line + "\n", capture_output=True, text=True, cwd=ROOT, check=False, timeout=15
    )
    assert rule in found.stdout, found.stderr


# -- C15: what is secret


async def traces(tmp_path, *lines) -> tuple[dict[str, str], set[str]]:
    """What a server at -vv writes down of a vote with all its secrets, and which of them are found there."""
    bot, settings = tmp_path / "leaky.py", tmp_path / "settings.yaml"
    bot.write_text(LEAKY)
    settings.write_text(f"space:\n  token: {CANARY}-token\n  audit_token: {CANARY}-audit\n")
    options = (str(bot), "-vv", "--settings", str(settings))
    async with Server(tmp_path / "instance", *options, program=PRODUCT) as server:
        async with ScriptedPerson(server.url, "Person A") as person:
            await person.say('poll "Lunch?" Pizza, Sushi in 10m')
            await person.press("Pizza")
            await person.heard("Result of vote #1")
            for line in lines:
                await person.say(line)
            await person.say("echo last")
            await person.heard("last")
            cookies = dict(person._browser.cookies)
            token = person._token
        written = {
            "command line": command_line(server.pid),
            "publisher": command_line(server.publisher_pid),
            "instance.json": (server.folder / "instance.json").read_text(),
        }
        await server.stop()
        written |= {"stdout": server.stdout, "stderr": server.stderr}
    secrets = {"token": f"{CANARY}-token", "audit token": f"{CANARY}-audit", "form token": token}
    secrets |= {f"cookie {name}": value for name, value in cookies.items()}
    secrets |= keys_in(server.folder)
    assert "DEBUG" in written["stderr"]
    return written, found_in(written, secrets)


async def test_c15_no_secret_is_written_down_at_debug(tmp_path):
    written, found = await traces(tmp_path, "break it")
    assert found == set()
    assert "ValueError: with " in written["stderr"], "an error with all settings in its text is in the log"


async def test_c15_a_secret_that_is_logged_on_purpose_is_found(tmp_path):
    """The harm: so the search above finds what is there."""
    _, found = await traces(tmp_path, "leak")
    assert found == {"token"}


# -- C16: what is shown


MARKDOWN = Markdown()
TEXTS = st.text(
    st.one_of(st.sampled_from("*_`[]()<>#|~&!\\-+=.:/@1\"' \n\t\r\u202e\u200b"), st.characters()), max_size=80
)
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "![x](http://evil/x.png)",
    "<http://evil>",
    "**bold** _em_ `code` ~~gone~~",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "# title",
    "- item",
    "1. item",
    "+ item",
    "> quote",
    "---",
    "===",
    "    code",
    "```\ncode\n```",
    "&lt;b&gt; &#60; &amp;",
    "<@all> @all @here <!channel> <@U123|x>",
    "[x]: http://evil",
    "a\\*b\\",
    "\u202eabc\x1b[2J\r\nResult of vote #1",
]


def shown(text: str) -> str:
    return escape(one_line(text), quote=False)


def test_c16_words_as_they_were_typed_would_mean_something():
    """The harm, where nothing is escaped."""
    assert sum(MARKDOWN.render(text).strip() != f"<p>{shown(text)}</p>" for text in HOSTILE) > 12


@given(TEXTS)
def test_c16_any_words_are_shown_as_they_were_written_and_mean_nothing(text):
    if not one_line(text):
        return
    assert MARKDOWN.render(plain(text)).strip() == f"<p>{shown(text)}</p>"
    assert MARKDOWN.render(f"**Vote #1: {plain(text)}**").strip() == f"<p><strong>Vote #1: {shown(text)}</strong></p>"
    assert MARKDOWN.render(f"- {plain(text)}: 1").count("<li>") == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_c16_hostile_words_are_shown_as_they_were_written(text):
    assert MARKDOWN.render(plain(text)).strip() == f"<p>{shown(text)}</p>"
    assert "<@" not in plain(text).replace("\\<", "")


async def test_c16_hostile_titles_choices_and_names_call_nobody(party, clock):
    hostile = "<@all> <b>[x](javascript:alert(1))</b>"
    async with party(hostile, "Person B") as people:
        people.people["Person A"] = people.people[hostile]
        await people.say("Person A", f'poll "{hostile}?" "{hostile}", other in 10m')
        await people.ballot("Person B", f"{hostile}?")
        clock.advance(600)
        await people.hears("Result of vote #1")
        for reply in people.space.heard("group"):
            html = MARKDOWN.render(reply.text)
            assert "javascript:" not in html.replace("(javascript:alert(1))", "")
            assert "<b>" not in html
            assert "<@" not in reply.text.replace("\\<", "")
