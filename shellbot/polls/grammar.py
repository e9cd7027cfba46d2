"""From ``"Lunch?" Pizza, Sushi in 10m`` to a question, its choices and how long it is open. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shellbot.errors import UsageError
from shellbot.markup import one_line

MAX_QUESTION, MAX_CHOICE, MAX_CHOICES = 300, 80, 50  # characters, characters, choices
SHORTEST, LONGEST = 1.0, 366 * 86400.0  # seconds a poll may be open
USAGE = 'poll "QUESTION" CHOICE, CHOICE [in 10m]'

_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "'": "'"}
_UNITS = {
    "s": 1,
    "sec": 1,
    "second": 1,
    "m": 60,
    "min": 60,
    "minute": 60,
    "h": 3600,
    "hour": 3600,
    "d": 86400,
    "day": 86400,
}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+?)s?(?=[\s\d]|\Z)", re.IGNORECASE)
_TAIL = re.compile(r"\s+in\s+((?:\d+(?:\.\d+)?\s*[a-z]+\s*)+)\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Spec:
    """What a poll asks. ``seconds`` is None when it stays open until somebody closes it, or all have voted."""

    question: str
    choices: tuple[str, ...]
    seconds: float | None = None


def parse(text: str) -> Spec:
    """Read what stands after ``poll``.

    Raises:
        UsageError: It says what is missing and how to write it.
    """
    rest, seconds = _cut_duration(text.strip())
    question, rest = _cut_question(rest)
    return make(question, _split(rest), seconds)


def make(question: str, choices: list[str] | tuple[str, ...], seconds: float | None = None) -> Spec:
    """Check the parts of a poll, from whatever source.

    Raises:
        UsageError: It says which part is wrong.
    """
    question = one_line(question)
    clean = tuple(one_line(choice) for choice in choices)
    if not question:
        raise UsageError(f"A poll needs a question. Write: `{USAGE}`")
    if len(question) > MAX_QUESTION:
        raise UsageError(f"The question is longer than {MAX_QUESTION} characters; make it shorter.")
    if len(clean) < 2 or not all(clean):
        raise UsageError(f"A poll needs two choices or more, with commas between. Write: `{USAGE}`")
    if len(clean) > MAX_CHOICES:
        raise UsageError(f"A poll takes at most {MAX_CHOICES} choices; you gave {len(clean)}.")
    if any(len(choice) > MAX_CHOICE for choice in clean):
        raise UsageError(f"A choice is at most {MAX_CHOICE} characters long.")
    if len({choice.casefold() for choice in clean}) < len(clean):
        raise UsageError("Two choices are the same; people could not tell them apart.")
    if seconds is not None and not SHORTEST <= seconds <= LONGEST:
        raise UsageError("A poll is open between one second and a year, e.g. `in 10m`.")
    return Spec(question, clean, seconds)


def parse_duration(text: str) -> float:
    """Seconds of ``10m``, ``in 1h 30m``, ``90 seconds``.

    Raises:
        UsageError: It is no duration.
    """
    rest = text.strip()
    if rest.casefold().startswith("in "):
        rest = rest[3:]
    total, end = 0.0, 0
    while end < len(rest.rstrip()):
        part = _PART.match(rest, end)
        unit = _UNITS.get(part[2].casefold()) if part else None
        if part is None or unit is None:
            raise UsageError(f"`{one_line(text)[:40]}` is no duration; write e.g. `in 10m`, `in 2h` or `in 1h 30m`.")
        total += float(part[1]) * unit
        end = part.end()
    if not total:
        raise UsageError("A poll needs a duration above zero, e.g. `in 10m`.")
    return total


def _cut_duration(text: str) -> tuple[str, float | None]:
    tail = _TAIL.search(text)
    if tail is None:
        return text, None
    try:
        return text[: tail.start()], parse_duration(tail[1])
    except UsageError:
        unit = re.search(r"[a-z]+", tail[1], re.IGNORECASE)
        if unit and len(unit[0]) <= 3:
            raise
        return text, None


def _cut_question(text: str) -> tuple[str, str]:
    end = _QUOTES.get(text[:1])
    if end is not None:
        closing = text.find(end, 1)
        if closing < 0:
            raise UsageError(f"The question has no closing {end} after it. Write: `{USAGE}`")
        return text[1:closing], text[closing + 1 :]
    mark = text.find("?")
    if mark < 0:
        raise UsageError(f"I cannot tell the question from the choices. Write: `{USAGE}`")
    return text[: mark + 1], text[mark + 1 :]


def _split(text: str) -> list[str]:
    """Choices between commas; a quoted one may hold a comma."""
    parts = re.findall(r'\s*("[^"]*"|[^,]*)\s*(?:,|\Z)', text.strip(" :"))
    if parts and not parts[-1]:
        parts.pop()  # what the pattern finds empty at the end of the text
    return [part[1:-1] if len(part) > 1 and part[0] == part[-1] == '"' else part for part in parts]
