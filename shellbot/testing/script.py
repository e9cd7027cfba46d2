"""What the people of the demo do. Pure: the seed and what was seen so far give who does what, and after how long."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

CAST = ("Robin", "Sasha", "Noa", "Mika", "Jo")
QUIET = 15.0  # seconds a real person has to start something before one of the cast opens a vote
OPENING = 'poll "Where shall we have lunch?" Pizzeria, Sushi bar, The park in 40s'
# seconds from the ballot to the vote: one at once, most within 20 s, one late
PACES = ((0.5, 1.5), (3.0, 8.0), (5.0, 11.0), (8.0, 16.0), (21.0, 24.0))
# what these say when they have voted, once, so that somebody who waits for the result sees how far it is
VOTED = {CAST[0]: ("I have voted.",), CAST[1]: ("So have I.",), CAST[3]: ("Me too. Who is missing?", "poll list")}
CHANGES = 2  # index of the one who votes again
GREETED = 3  # real people who are greeted by name
REACTED = 2  # results that are talked about


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that happened: the demo ``began``; a real person ``came``; one of the cast got a ``ballot``, or has
    ``voted``; a ``result`` was told, ``text`` being who won or ``""``; a wait asked for under the name ``text`` is
    over (``woke``).
    """

    what: Literal["began", "came", "ballot", "voted", "result", "woke"]
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
        case "voted" if now not in before:
            return list(_telling(now.who, chance))
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
        begun = "Ask us something if you like" if came else "In a moment I ask you something. Or ask us before"
        text = f'Welcome, {name}! {begun}: poll "Tea or coffee?" Tea, Coffee'
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


def _telling(who: str, chance: random.Random) -> Iterator[Deed]:
    delay = 0.0
    for line in VOTED.get(who, ()):
        delay += chance.uniform(0.5, 1.5)
        yield Deed(delay, who, "say", line)


def _reaction(winner: str, chance: random.Random) -> Iterator[Deed]:
    lines = (f"{winner} it is, then." if winner else "So it is open still.", "Fine with me.")
    delay = 1.0
    for who, line in zip((CAST[3], CAST[1]), lines, strict=True):
        delay += chance.uniform(1.0, 2.0)
        yield Deed(delay, who, "say", line)


def _count(seen: Sequence[Seen], what: str) -> int:
    return sum(item.what == what for item in seen)
