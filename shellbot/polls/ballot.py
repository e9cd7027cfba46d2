"""A ballot paper and what somebody typed on it. Pure."""

from __future__ import annotations

import re
from string import ascii_lowercase

from shellbot.errors import UnknownChoice
from shellbot.markup import one_line, plain

_NUMBERED = re.compile(r"#(\d{1,9})\s*(.*)\Z", re.DOTALL)


def labels(choices: tuple[str, ...]) -> tuple[str, ...]:
    """What people type for each choice: 1, 2, 3, or letters where a choice is itself a number."""
    if any(choice.isdigit() for choice in choices) and len(choices) <= len(ascii_lowercase):
        return tuple(ascii_lowercase[: len(choices)])
    return tuple(str(number) for number in range(1, len(choices) + 1))


def find(text: str, choices: tuple[str, ...]) -> str:
    """The choice that is meant by its label or its words; case, outer space and a closing mark do not matter.

    Raises:
        UnknownChoice: None is, and it says which there are.
    """
    said = _folded(text)
    for choice in choices:
        if _folded(choice) == said:
            return choice
    for label, choice in zip(labels(choices), choices, strict=True):
        if label == said:
            return choice
    raise UnknownChoice(f"Please answer with one of: {listed(choices)}.")


def listed(choices: tuple[str, ...]) -> str:
    """The choices with their labels on one line, for markdown."""
    return ", ".join(f"{label} {plain(choice)}" for label, choice in zip(labels(choices), choices, strict=True))


def split_number(text: str) -> tuple[int | None, str]:
    """``#7 2`` gives (7, "2"); without a number (None, text)."""
    match = _NUMBERED.match(text.strip())
    return (int(match[1]), match[2].strip()) if match else (None, text.strip())


def _folded(text: str) -> str:
    return one_line(text).casefold().rstrip(".!) ")
