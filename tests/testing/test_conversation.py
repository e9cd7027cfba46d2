"""Conversations written as text: what the lines mean, and what is said of lines that mean nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.errors import ConfigError
from shellbot.testing.conversation import FORMS, Step, read_scenes

WHOLE = """
# for the reader
(bot lunch_bot.py)

== A vote survives a kill ==
Ann: poll "Lunch?" Pizza, Sushi in 10m
Ann> [Pizza]
[Bob] Lunch?
Bob: [Yes]
Person C> 2
(kill)
(wait 1h 30m)
[group] Pizza 1
not [Ann]
not [group]  Sushi 2

== Another
(bot other.py)
Ann: hello
(Bob comes)
[Bob] hello
(Bob leaves)
(restart)
"""


def test_each_line_is_a_step():
    vote, other = read_scenes(WHOLE, "lunch.txt")
    assert (vote.title, vote.line, vote.bot, vote.people) == (
        "A vote survives a kill",
        5,
        "lunch_bot.py",
        ["Ann", "Bob", "Person C"],
    )
    assert vote.steps == [
        Step(6, "says", "Ann", "group", 'poll "Lunch?" Pizza, Sushi in 10m'),
        Step(7, "presses", "Ann", "direct", "Pizza"),
        Step(8, "hears", "Bob", "direct", "Lunch?"),
        Step(9, "presses", "Bob", "group", "Yes"),
        Step(10, "says", "Person C", "direct", "2"),
        Step(11, "kill"),
        Step(12, "wait", seconds=5400),
        Step(13, "hears", "", "group", "Pizza 1"),
        Step(14, "hears not", "Ann", "direct", ""),
        Step(15, "hears not", "", "group", "Sushi 2"),
    ]
    assert (other.title, other.bot, other.people) == ("Another", "other.py", ["Ann"])
    assert [step.do for step in other.steps] == ["says", "comes", "hears", "leaves", "restart"]


def test_a_file_without_titles_is_one_conversation():
    (scene,) = read_scenes("Ann: hello\n[group] Hello", "hello.txt")
    assert (scene.title, scene.bot, len(scene.steps)) == ("hello.txt", "", 2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", f"f.txt: there is no line in it; write {FORMS}"),
        ("Ann: hello\n\nAnn hello", "f.txt:3: cannot read 'Ann hello'; write 'NAME: text'"),
        ("Ann:hello", "f.txt:1: cannot read 'Ann:hello'"),
        ("Ann:", "f.txt:1: cannot read 'Ann:'"),
        ("Ann: a\n[group]", "f.txt:2: what must be heard? Write '[group] text'"),
        ("Ann: a\n(sleep 10m)", "f.txt:2: cannot read (sleep 10m); write (wait 10m), (restart), (kill)"),
        ("Ann: a\n(wait 10)", "f.txt:2: '10' is no duration; write 10m, 1h 30m, 90s or 2d"),
        ("Ann: a\n(bot x.py)", "f.txt:2: the bot is named before the first line"),
        ("group: a", "f.txt:1: nobody can be called 'group'"),
        ("Ann: a\nann: b", "f.txt:2: 'ann' is written 'Ann' above"),
        ("Ann: a\nBob: b\n(Bob comes)", "f.txt:2: Bob is not there yet, but comes further down"),
        ("Ann: a\n(Bob comes)\n(Bob comes)", "f.txt:3: Bob is there already"),
        ("Ann: a\n(Bob leaves)\n(Bob comes)\n(Bob comes)", "f.txt:4: Bob is there already"),
        ("Ann: a\n(Bob leaves)\nBob: b", "f.txt:3: Bob has left; write (Bob comes) before"),
        ("== a\n== b\nAnn: c", "f.txt:1: nothing happens in this conversation"),
        ("(wait 10m)", "f.txt:1: nobody is in this conversation from the beginning"),
        ("(Ann comes)", "f.txt:1: nobody is in this conversation from the beginning"),
    ],
)
def test_a_mistake_is_told_with_file_and_line(text, told):
    with pytest.raises(ConfigError, match=re.escape(told)) as raised:
        read_scenes(text, "f.txt")
    assert "\n" not in str(raised.value)


LINES = ("Ann: a", "Bob> [b]", "[group] c", "not [Ann] d", "(wait 5m)", "(kill)", "(Bob comes)", "== t", "# r", "")


@given(st.lists(st.sampled_from(LINES) | st.text(), max_size=8))
def test_any_text_is_understood_or_refused_in_one_line(lines):
    scenes, told = [], ""
    try:
        scenes = read_scenes("\n".join(lines), "f.txt")
    except ConfigError as error:
        told = str(error)
    assert bool(scenes) != bool(told)
    assert not told or (re.match(r"f\.txt(:\d+)?: ", told) and len(told.splitlines()) == 1)
    assert all(scene.people and scene.steps for scene in scenes)
