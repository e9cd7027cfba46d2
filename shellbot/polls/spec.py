"""What a poll asks, and by which rules it is decided. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from shellbot.errors import UsageError
from shellbot.markup import one_line

Kind = Literal["single", "multiple", "yesno", "rating"]
Showing = Literal["hidden", "live", "owner"]

MAX_QUESTION, MAX_CHOICE, MAX_CHOICES = 300, 80, 50  # characters, characters, choices
MAX_RATING, RATING = 10, 5  # highest step a rating may have, and has when nothing is said
YES, NO, ABSTAIN = "Yes", "No", "Abstain"
REHEARSED = "rehearsal-"
USAGE = 'poll "QUESTION" CHOICE, CHOICE [in 10m]'

_SHARE = re.compile(r"(\d{1,3})\s*%\Z|(\d{1,9})\s*/\s*(\d{1,9})\Z")


@dataclass(frozen=True, slots=True)
class Spec:
    """The question, its choices and the rules.

    Attributes:
        kind: ``single``: one choice; ``multiple``: up to ``most`` of them; ``yesno``: Yes, No or Abstain;
            ``rating``: the choices are the numbers from 1.
        results: Who sees the count before the close, and at it. ``hidden``: nobody before, then all; ``live``: all
            at any time; ``owner``: only who opened it, at any time.
        quorum: How many must vote for it to be valid: ``"5"``, ``"50%"`` of the roll, or ``""``.
        threshold: What share the winner needs, of those who voted and did not abstain: ``"60%"``, ``"2/3"`` or ``""``.
        anonymous: Votes are sealed until the close, and then tied to nobody.
        remind: Seconds before the close at which those who have not voted are reminded; 0 for not at all.
        roll: Name of the roll whose people are asked; empty: those who are in the group.
    """

    question: str
    choices: tuple[str, ...]
    kind: Kind = "single"
    most: int = 1
    results: Showing = "hidden"
    quorum: str = ""
    threshold: str = ""
    remind: float = 0.0
    anonymous: bool = False
    roll: str = ""

    @property
    def rules(self) -> dict[str, Any]:
        """All but question and choices, as JSON; what is as usual is left out."""
        rules: dict[str, Any] = {"kind": self.kind, "most": self.most, "results": self.results}
        rules |= {"quorum": self.quorum, "threshold": self.threshold, "remind": self.remind}
        rules |= {"anonymous": self.anonymous, "roll": self.roll}
        return {name: value for name, value in rules.items() if value != _USUAL[name]}


def restored(question: str, choices: tuple[str, ...], rules: dict[str, Any]) -> Spec:
    """The spec of these parts as :attr:`Spec.rules` gave them; polls from before there were rules have none."""
    return Spec(question, choices, **{name: value for name, value in rules.items() if name in _USUAL})


def rehearsed(question: str) -> str:
    """How the ids of what is shown in rehearsals of this question begin."""
    return f"{REHEARSED}{hashlib.sha256(question.encode()).hexdigest()[:16]}"


_USUAL: dict[str, Any] = {
    "kind": "single",
    "most": 1,
    "results": "hidden",
    "quorum": "",
    "threshold": "",
    "remind": 0.0,
    "anonymous": False,
    "roll": "",
}


def make(
    question: str,
    choices: list[str] | tuple[str, ...] = (),
    *,
    kind: Kind = "single",
    most: int | None = None,
    results: Showing = "hidden",
    quorum: str = "",
    threshold: str = "",
    remind: float = 0.0,
    anonymous: bool = False,
    roll: str = "",
) -> Spec:
    """Check the parts of a poll, from whatever source.

    Args:
        most: For ``multiple``, choices on one ballot (all of them by default); for ``rating``, the highest number (5).

    Raises:
        UsageError: It says which part is wrong.
    """
    question = one_line(question)
    if not question:
        raise UsageError(f"A poll needs a question. Write: `{USAGE}`")
    if len(question) > MAX_QUESTION:
        raise UsageError(f"The question is longer than {MAX_QUESTION} characters; make it shorter.")
    if results not in ("hidden", "live", "owner"):
        raise UsageError("Write `results hidden`, `results live` or `results owner`.")
    if anonymous and results == "live":
        raise UsageError(
            "An anonymous vote has no live count: two counts that are one vote apart would tell who voted what. "
            "Leave out `results live`."
        )
    clean, most = _choices([one_line(choice) for choice in choices], kind, most)
    if quorum and not re.fullmatch(r"\d{1,9}", quorum):
        share(quorum)
    if threshold:
        share(threshold)
        if kind == "rating":
            raise UsageError("A rating has no threshold; it comes to an average.")
    return Spec(question, clean, kind, most, results, quorum, threshold, remind, anonymous, roll.casefold())


def share(text: str) -> Fraction:
    """What ``60%`` or ``2/3`` is of one; UsageError when it is not between nothing and all."""
    found = _SHARE.match(text.strip())
    if found:
        part, whole = (int(found[1]), 100) if found[1] else (int(found[2]), int(found[3]))
        if 0 < part <= whole:
            return Fraction(part, whole)
    raise UsageError(f"`{one_line(text)[:20].replace('`', chr(39))}` is no share; write e.g. `60%` or `2/3`.")


def _choices(clean: list[str], kind: Kind, most: int | None) -> tuple[tuple[str, ...], int]:
    if kind in ("yesno", "rating") and clean:
        raise UsageError(
            f"A poll of the kind {kind} brings its choices along; leave out what stands behind the question."
        )
    if kind == "yesno":
        return (YES, NO, ABSTAIN), 1
    if kind == "rating":
        highest = RATING if most is None else most
        if not 2 <= highest <= MAX_RATING:
            raise UsageError(f'A rating goes from 1 to at most {MAX_RATING}. Write e.g. `poll rating 5 "QUESTION"`')
        return tuple(map(str, range(1, highest + 1))), 1
    if len([choice for choice in clean if choice]) < 2:
        raise UsageError(f"A poll needs two choices or more, with commas between. Write: `{USAGE}`")
    if not all(clean):
        raise UsageError("One of the choices is empty; leave out the comma that is too many.")
    if len(clean) > MAX_CHOICES:
        raise UsageError(f"A poll takes at most {MAX_CHOICES} choices; you gave {len(clean)}.")
    if any(len(choice) > MAX_CHOICE for choice in clean):
        raise UsageError(f"A choice is at most {MAX_CHOICE} characters long.")
    folded = [choice.casefold() for choice in clean]
    for number, choice in enumerate(clean):
        if folded[number] in folded[:number]:
            twice = choice.replace("`", "'")
            raise UsageError(f"Two choices are the same, `{twice}`; people could not tell them apart.")
    if kind == "single":
        return tuple(clean), 1
    most = len(clean) if most is None else most
    if not 2 <= most <= len(clean):
        raise UsageError(f"With {len(clean)} choices a ballot may hold 2 to {len(clean)} of them, not {most}.")
    return tuple(clean), most
