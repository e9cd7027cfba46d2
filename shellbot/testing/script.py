"""What the people of the demo do. Pure: the seed and what was seen so far give who does what, and after how long."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

CAST = ("Robin", "Sasha", "Noa", "Mika", "Jo")
QUIET = 20.0  # seconds a real person has to start something before one of the cast opens a vote
OPENING = 'poll "Where shall we have lunch?" Pizza place, Sushi bar, The park in 40s'
# seconds from the ballot to the vote: one at once, most within 20 s, one late
PACES = ((0.5, 1.5), (3.0, 8.0), (5.0, 11.0), (8.0, 16.0), (21.0, 24.0))
CHANGES = 2  # index of the one who votes again
GREETED = 3  # real people who are greeted by name
REACTED = 2  # results that are talked about


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that happened: the demo ``began``; a real person ``came``; one of the cast got a ``ballot``; a
    ``result`` was told, ``text`` being who won or ``""``; a wait asked for under the name ``text`` is over (``woke``).
    """

    what: Literal["began", "came", "ballot", "result", "woke"]
    who: str = ""
    text: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deed:
    """What ``who`` does ``delay`` seconds from now: ``say`` a text, ``press`` a button, or ``wait`` for that long."""

    delay: float
    who: str
    do: Literal["say", "press", "wait"]
    text: str


def react(seed: int, seen: Sequence[Seen]) -> list[Deed]:
    """What the last of ``seen`` leads to. Each thing happens once and nothing repeats itself, so the cast falls silent
    when nobody else starts anything."""
    *before, now = seen
    chance = random.Random(f"{seed} {len(before)}")
    match now.what:
        case "began":
            return list(_small_talk(chance))
        case "came":
            return list(_greeting(now.who, before, chance))
        case "ballot":
            return list(_votes(now, chance))
        case "result" if _count(before, "result") < REACTED:
            return list(_reaction(now.text, chance))
        case "woke" if not _count(before, "ballot"):
            return [Deed(0.0, CAST[0], "say", OPENING)]
    return []


def _small_talk(chance: random.Random) -> Iterator[Deed]:
    delay = 0.0
    lines = ("Good day, everybody.", "Good day, Robin. Is it lunch time yet?", "Nearly. Are we going out today?")
    for who, line in zip(CAST, lines, strict=False):
        delay += chance.uniform(1.0, 2.5)
        yield Deed(delay, who, "say", line)


def _greeting(name: str, before: Sequence[Seen], chance: random.Random) -> Iterator[Deed]:
    came = _count(before, "came")
    if came < GREETED:
        text = f"Welcome, {name}! Ask us something if you like; a vote begins with the word poll."
        yield Deed(chance.uniform(1.5, 3.0), CAST[came % len(CAST)], "say", text)
    if not came and not _count(before, "ballot"):
        yield Deed(QUIET, CAST[0], "wait", "quiet")


def _votes(now: Seen, chance: random.Random) -> Iterator[Deed]:
    which = CAST.index(now.who)
    first = chance.choice(now.choices)
    yield Deed(chance.uniform(*PACES[which]), now.who, "press", first)
    others = [choice for choice in now.choices if choice != first]
    if which == CHANGES and others:
        yield Deed(chance.uniform(13.0, 18.0), now.who, "press", chance.choice(others))


def _reaction(winner: str, chance: random.Random) -> Iterator[Deed]:
    lines = (f"{winner} it is, then." if winner else "So it is open still.", "Fine with me.")
    delay = 1.0
    for who, line in zip((CAST[3], CAST[1]), lines, strict=True):
        delay += chance.uniform(1.0, 2.0)
        yield Deed(delay, who, "say", line)


def _count(seen: Sequence[Seen], what: str) -> int:
    return sum(item.what == what for item in seen)
