"""Conversations written as text: what people say and press, what must be heard, how time passes. Pure.

::

    (bot lunch_bot.py)
    == A vote survives a kill
    Ann: poll "Lunch?" Pizza, Sushi in 10m
    Ann> [Pizza]
    [Ann] Your vote is counted: Pizza
    (kill)
    (wait 10m)
    [group] Pizza 1
    not [Bob] Your vote
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from shellbot.errors import ConfigError

GROUP = "group"
FORMS = "'NAME: text', 'NAME> text', 'NAME> [button]', '[group] text', '[NAME] text' or '(wait 10m)'"
DIRECTIONS = "(wait 10m), (restart), (kill), (NAME comes), (NAME leaves)"

_TITLE = re.compile(r"==+\s*(.*?)\s*=*\Z")
_HEAR = re.compile(r"(not\s+)?\[([^\[\]]+)\]\s*(.*)\Z")
_SAY = re.compile(r"([^:>\[\]()#=]{0,39}[^:>\[\]()#=\s])\s*([:>])\s+(.+)\Z")
_BUTTON = re.compile(r"\[(.+)\]\Z")
_FILE = re.compile(r"bot\s+(.+)\Z")
_WAIT = re.compile(r"wait\s+(.+)\Z")
_WALK = re.compile(r"(.+?)\s+(comes|leaves)\Z")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?\s*[smhd]\s*)+\Z")
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Step:
    """One line. ``who`` says ``text``, presses the button ``text``, or ``hears`` it, in the group or alone.

    Nobody in particular hears what is heard in the group. ``seconds`` is how long one waits.
    """

    line: int
    do: Literal["says", "presses", "hears", "hears not", "wait", "restart", "kill", "comes", "leaves"]
    who: str = ""
    side: Literal["group", "direct"] = "group"
    text: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class Scene:
    """One conversation, with a server of its own. ``people`` are there from the beginning."""

    title: str
    line: int
    bot: str = ""
    people: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)


def read_scenes(text: str, name: str) -> list[Scene]:
    """Read a file that is called ``name`` in errors and, without a title of its own, as the title.

    Raises:
        ConfigError: A line means nothing, or something that cannot be; the text names file and line.
    """
    scenes: list[Scene] = []
    bot = ""
    for number, line in _lines(text):
        try:
            if title := _TITLE.match(line):
                scenes.append(Scene(title[1] or f"line {number}", number, bot))
            elif line.startswith("(") and line.endswith(")") and (file := _FILE.match(line[1:-1].strip())):
                if scenes and scenes[-1].steps:
                    raise ConfigError("the bot is named before the first line of a conversation")
                if scenes:
                    scenes[-1].bot = file[1]
                else:
                    bot = file[1]
            else:
                if not scenes:
                    scenes.append(Scene(name, number, bot))
                scenes[-1].steps.append(_step(number, line))
        except ConfigError as error:
            raise ConfigError(f"{name}:{number}: {error}") from None
    for scene in scenes:
        _take_roll(scene, name)
    if not scenes:
        raise ConfigError(f"{name}: there is no line in it; write {FORMS}")
    return scenes


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = line.strip()
        if line and not line.startswith("#"):
            yield number, line


def _step(number: int, line: str) -> Step:
    if line.startswith("(") and line.endswith(")"):
        return _direction(number, line[1:-1].strip())
    if found := _HEAR.match(line):
        is_not, where, text = found.groups()
        if not text and not is_not:
            raise ConfigError(f"what must be heard? Write '[{where}] text'; for silence: 'not [{where}]'")
        is_group = where.strip().casefold() == GROUP
        return Step(
            number,
            "hears not" if is_not else "hears",
            who="" if is_group else " ".join(where.split()),
            side="group" if is_group else "direct",
            text=text,
        )
    if found := _SAY.match(line):
        who, mark, text = " ".join(found[1].split()), found[2], found[3]
        if who.casefold() == GROUP:
            raise ConfigError("nobody can be called 'group': '[group]' is what is heard by all")
        side: Literal["group", "direct"] = "group" if mark == ":" else "direct"
        if button := _BUTTON.match(text):
            return Step(number, "presses", who, side, button[1])
        return Step(number, "says", who, side, text)
    raise ConfigError(f"cannot read {line[:60]!r}; write {FORMS}")


def _direction(number: int, text: str) -> Step:
    if text in ("restart", "kill"):
        return Step(number, "kill" if text == "kill" else "restart")
    if found := _WAIT.match(text):
        return Step(number, "wait", seconds=_seconds(found[1]))
    if found := _WALK.match(text):
        return Step(number, "comes" if found[2] == "comes" else "leaves", " ".join(found[1].split()))
    raise ConfigError(f"cannot read ({text[:60]}); write {DIRECTIONS} or, at the top, (bot FILE)")


def _seconds(text: str) -> float:
    if not _DURATION.match(text):
        raise ConfigError(f"{text[:40]!r} is no duration; write 10m, 1h 30m, 90s or 2d")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def _take_roll(scene: Scene, name: str) -> None:
    """Fill in who is there from the beginning: all who are named, but for those who come later."""
    if not scene.steps:
        raise ConfigError(f"{name}:{scene.line}: nothing happens in this conversation; write {FORMS}")
    spelled: dict[str, str] = {}
    first: dict[str, str] = {}
    for step in scene.steps:
        if step.do in ("comes", "leaves"):
            first.setdefault(step.who, step.do)
    met: set[str] = set()
    there: set[str] = set()
    for step in _of_people(scene.steps):
        place = f"{name}:{step.line}"
        known = spelled.setdefault(step.who.casefold(), step.who)
        if known != step.who:
            raise ConfigError(f"{place}: {step.who!r} is written {known!r} above; one person has one spelling")
        if step.do == "comes" and step.who in there:
            raise ConfigError(f"{place}: {step.who} is there already")
        if step.do != "comes" and first.get(step.who) == "comes" and step.who not in met:
            raise ConfigError(f"{place}: {step.who} is not there yet, but comes further down")
        if step.do != "comes" and step.who in met - there:
            raise ConfigError(f"{place}: {step.who} has left; write ({step.who} comes) before")
        if step.who not in met and step.do != "comes":
            scene.people.append(step.who)
        met.add(step.who)
        there.add(step.who)
        if step.do == "leaves":
            there.remove(step.who)
    if not scene.people:
        raise ConfigError(f"{name}:{scene.line}: nobody is in this conversation from the beginning")


def _of_people(steps: Iterable[Step]) -> Iterator[Step]:
    return (step for step in steps if step.who)
