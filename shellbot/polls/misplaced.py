"""Lines in a group that nobody took: a vote that belongs into the direct channel, a poll with a slip. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from shellbot.errors import UnknownChoice
from shellbot.events import Person
from shellbot.markup import one_line
from shellbot.polls import ballot
from shellbot.polls.records import Round

_NUMBERS = re.compile(r"\d{1,2}(?:(?:\s*[,;+&]\s*|\s+(?:and\s+)?)\d{1,2})*\Z")
_ASKING = ("poll", "vote", "survey", "ballot", "question", "ask")
_QUOTED = re.compile(r"(?:[\w/]+\s+){0,3}(?:\"[^\"]+\"|“[^”]+”|„[^“]+“|«[^»]+»)[\s:]*([^,]+,.*)?\Z", re.DOTALL)
_PLAIN = re.compile(r"[^,?]+\?\s*[^,]+,\s*\S.*\Z", re.DOTALL)
_NEAR = 0.75


def misplaced(line: str, rounds: Iterable[Round], person: Person) -> bool:
    """Whether this is a vote in one of these polls, said in the group by somebody who has a ballot.

    A number with ``#``, bare numbers, or exactly a choice; what else people say to each other is no vote.
    """
    number, words = ballot.split_number(line)
    for round in rounds:
        if round.state not in ("opening", "open") or number not in (None, round.number):
            continue
        if not any(seat.member.person.id == person.id for seat in round.seats.values()):
            continue
        is_number = _NUMBERS.match(words) is not None
        is_choice = any(one_line(choice).casefold() == one_line(words).casefold() for choice in round.spec.choices)
        if not (is_number or is_choice or number is not None):
            continue
        try:
            ballot.read(words, round.spec)
        except UnknownChoice:
            if number is None or not is_number:  # `#10 9` is one with a slip
                continue
        return True
    return False


def meant_poll(line: str) -> str:
    """What should stand after ``poll`` where a line is one with another word before it; ``""`` where it is none."""
    word, _, rest = line.strip().partition(" ")
    word, rest = word.casefold().rstrip(":,"), rest.strip()
    is_slip = bool(difflib.get_close_matches(word, ("poll",), cutoff=_NEAR))
    has_question = _QUOTED.match(rest) is not None and (is_slip or "," in rest)
    is_meant = (has_question and (is_slip or word in _ASKING)) or (is_slip and _PLAIN.match(rest) is not None)
    words = one_line(rest).replace("`", "'")
    return (words if len(words) <= 200 else f"{words[:200]} ...") if is_meant else ""
