"""A ballot paper and what somebody typed or pressed on it. Pure.

A vote is a tuple of choices, in the order of the paper: one, of the kind ``multiple`` several; empty is none.
"""

from __future__ import annotations

import json
import re
from string import ascii_lowercase

from shellbot.errors import UnknownChoice
from shellbot.markup import one_line, plain
from shellbot.polls.spec import Spec

Vote = tuple[str, ...]
DONE = " done"  # value of the button that ends a choice of several; no choice begins with a space

_NUMBERED = re.compile(r"#(\d{1,9})\s*(.*)\Z", re.DOTALL)
_BETWEEN = re.compile(r"\s*[,;+&]\s*|\s+(?:and\s+)?")


def labels(choices: tuple[str, ...]) -> tuple[str, ...]:
    """What people type for each choice: 1, 2, 3, or letters where a choice is itself a number."""
    if any(_folded(choice).isdigit() for choice in choices) and len(choices) <= len(ascii_lowercase):
        return tuple(ascii_lowercase[: len(choices)])
    return tuple(str(number) for number in range(1, len(choices) + 1))


def find(text: str, choices: tuple[str, ...]) -> str:
    """The choice that is meant by its label or its words; case, outer space and a closing mark do not matter.

    Raises:
        UnknownChoice: None is, and it says which there are.
    """
    said, exactly = _folded(text), one_line(text).casefold()
    for choice in sorted(choices, key=lambda choice: choice.casefold() != exactly):  # "Yes!" beside "Yes"
        if _folded(choice) == said:
            return choice
    for label, choice in zip(labels(choices), choices, strict=True):
        if label == said:
            return choice
    raise UnknownChoice(f"Please answer with one of: {listed(choices)}.")


def listed(choices: tuple[str, ...]) -> str:
    """The choices with their labels on one line, for markdown."""
    return ", ".join(f"{label} {plain(choice)}" for label, choice in zip(labels(choices), choices, strict=True))


def answers(spec: Spec) -> str:
    """What one may answer, on one line, for markdown."""
    match spec.kind:
        case "rating":
            return f"a number from 1 (lowest) to {len(spec.choices)} (highest)"
        case "multiple":
            return f"up to {spec.most} of: {listed(spec.choices)}"
    return f"one of: {listed(spec.choices)}"


def example(spec: Spec) -> str:
    """Something that one may type."""
    return spec.choices[0] if spec.kind == "rating" else labels(spec.choices)[0]


def read(text: str, spec: Spec) -> Vote:
    """The vote that is meant by what somebody typed: ``2``, ``sushi``; of several ``1, 3`` or ``ham and corn``.

    Of a choice of several, ``none`` takes the vote back, unless a choice is called so.

    Raises:
        UnknownChoice: It is none, and it says which there are.
    """
    try:
        return (_one(text, spec),)
    except UnknownChoice:
        if spec.kind != "multiple":
            raise
    said = _folded(text)
    if said == "none":
        return ()
    for parts in (re.split(r"\s*[,;]\s*", said), _BETWEEN.split(said)):
        try:
            found = {find(part, spec.choices) for part in parts if part}
        except UnknownChoice:
            continue
        if 0 < len(found) <= spec.most:
            return _ordered(found, spec)
        break
    raise UnknownChoice(_please(spec))


def press(value: str, vote: Vote, spec: Spec) -> Vote:
    """The vote after a press on the button ``value``: of several, it is added, or taken away where it was chosen.

    Raises:
        UnknownChoice: There is no such button, or there are as many as a ballot may hold.
    """
    if spec.kind == "multiple" and value == DONE:
        if not vote:
            raise UnknownChoice("Choose first, then press Done.")
        return vote
    if value not in spec.choices:
        raise UnknownChoice(_please(spec))
    if spec.kind != "multiple":
        return (value,)
    chosen = set(vote) ^ {value}
    if len(chosen) > spec.most:
        raise UnknownChoice(f"At most {spec.most} of them: press one you have chosen to take it back, then this one.")
    return _ordered(chosen, spec)


def says_done(text: str, spec: Spec) -> bool:
    """Whether somebody typed what the button Done does: its word, or its number where buttons are numbered."""
    return spec.kind == "multiple" and _folded(text) in ("done", str(len(spec.choices) + 1))


def is_complete(vote: Vote, spec: Spec) -> bool:
    """Whether nothing can be added to it."""
    return len(vote) >= spec.most


def to_wire(vote: Vote, spec: Spec) -> str | list[str]:
    """How a vote travels and is kept: its choice, of several a list."""
    return list(vote) if spec.kind == "multiple" else "".join(vote)


def from_wire(value: object, spec: Spec) -> Vote | None:
    """The vote that this is, if it is one of this poll; else None."""
    if spec.kind != "multiple":
        return (value,) if isinstance(value, str) and value in spec.choices else None
    if not isinstance(value, list) or not all(isinstance(choice, str) for choice in value):
        return None
    chosen = set(value)
    is_vote = len(chosen) == len(value) <= spec.most and chosen <= set(spec.choices)
    return _ordered(chosen, spec) if is_vote else None


def to_text(vote: Vote, spec: Spec) -> str:
    """How a vote stands in a column of the store: as it travels, a list as JSON."""
    wire = to_wire(vote, spec)
    return wire if isinstance(wire, str) else json.dumps(wire, ensure_ascii=False)


def from_text(text: str, spec: Spec) -> Vote:
    """The vote of :func:`to_text`; an empty text is none, and so is what somebody wrote into the store."""
    try:
        value = json.loads(text) if text and spec.kind == "multiple" else text
    except ValueError:
        return ()
    return from_wire(value, spec) or ()


def worded(vote: Vote) -> str:
    """A vote for reading, as text: ``Ham, Corn``."""
    return ", ".join(vote)


def split_number(text: str) -> tuple[int | None, str]:
    """``#7 2`` gives (7, "2"); without a number (None, text)."""
    match = _NUMBERED.match(text.strip())
    return (int(match[1]), match[2].strip()) if match else (None, text.strip())


def _one(text: str, spec: Spec) -> str:
    said = _folded(text)
    if spec.kind == "yesno" and said in ("y", "n"):
        return spec.choices["yn".index(said)]
    if spec.kind == "rating":
        number, slash, highest = (part.strip() for part in said.partition("/"))
        if number in spec.choices and (not slash or highest == spec.choices[-1]):
            return number
        raise UnknownChoice(_please(spec))
    try:
        return find(text, spec.choices)
    except UnknownChoice:
        raise UnknownChoice(_please(spec)) from None


def _please(spec: Spec) -> str:
    return f"Please answer with {answers(spec)}."


def _ordered(chosen: set[str], spec: Spec) -> Vote:
    return tuple(choice for choice in spec.choices if choice in chosen)


def _folded(text: str) -> str:
    return one_line(text).casefold().rstrip(".!) ")
