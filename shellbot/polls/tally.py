"""Counting a poll and showing the count. Pure: the same ballots give the same result anywhere."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from shellbot.polls.ballot import Vote
from shellbot.polls.spec import ABSTAIN, Kind, Spec, share

BAR = 12  # characters of the longest bar
COLUMNS = 44  # of a line, at most: what a phone shows in a fixed-width font
_EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class Result:
    """What a poll came to.

    Attributes:
        counts: Votes per choice, in the order of the choices.
        winner: The choice with the most votes, which of Yes and No with ``yesno``. None on a tie, when nobody voted,
            with ``rating``, and where the quorum or the threshold was missed.
        answered: Ballots counted; asked: people on the roll.
        unreachable: Names of people who could not be asked; silent: of those whose channel did not confirm the close.
        average: Of a rating that somebody gave.
        quorum: How many had to vote, 0 for any number. threshold: the share that was needed, as it was written.
        has_quorum: Enough voted; has_threshold: the leading choice has its share. True where none was asked for.
    """

    question: str
    counts: Mapping[str, int]
    winner: str | None
    answered: int
    asked: int
    unreachable: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    kind: Kind = "single"
    average: float | None = None
    quorum: int = 0
    threshold: str = ""
    has_quorum: bool = True
    has_threshold: bool = True

    @property
    def leading(self) -> tuple[str, ...]:
        """The choices with the most votes; several on a tie, none when nobody chose. Who abstains is no choice."""
        standing = {c: votes for c, votes in self.counts.items() if not (self.kind == "yesno" and c == ABSTAIN)}
        most = max(standing.values(), default=0)
        return tuple(choice for choice, votes in standing.items() if votes == most) if most else ()


def count(
    spec: Spec, ballots: Iterable[Vote], asked: int, unreachable: Iterable[str] = (), silent: Iterable[str] = ()
) -> Result:
    """Count one vote per ballot; an empty one is none."""
    counts, answered = dict.fromkeys(spec.choices, 0), 0
    for vote in ballots:
        answered += bool(vote)
        for choice in vote:
            counts[choice] += 1
    quorum = needed(spec.quorum, asked)
    bare = Result(spec.question, counts, None, answered, asked, kind=spec.kind)
    leading = () if spec.kind == "rating" else bare.leading
    has_threshold = True
    if spec.threshold:
        weighed = answered - (counts[ABSTAIN] if spec.kind == "yesno" else 0)
        has_threshold = bool(leading) and counts[leading[0]] >= share(spec.threshold) * weighed
    has_quorum = answered >= quorum
    is_decided = len(leading) == 1 and has_quorum and has_threshold
    return Result(
        question=spec.question,
        counts=counts,
        winner=leading[0] if is_decided else None,
        answered=answered,
        asked=asked,
        unreachable=tuple(unreachable),
        silent=tuple(silent),
        kind=spec.kind,
        average=_average(counts) if spec.kind == "rating" and answered else None,
        quorum=quorum,
        threshold=spec.threshold,
        has_quorum=has_quorum,
        has_threshold=has_threshold,
    )


def needed(quorum: str, asked: int) -> int:
    """Votes that a quorum of ``"5"``, ``"50%"`` or ``""`` asks of so many people."""
    if not quorum or quorum.isdecimal():
        return int(quorum or 0)
    return math.ceil(share(quorum) * asked)


def bars(result: Result) -> str:
    """For each choice its name, votes, a bar, the share of the votes and of the roll.

    They stand in one line, or where a name is too long for that with the name above the rest: lines are narrow enough
    for a phone, and bars always begin below each other.
    """
    heads = [f"{choice} {votes}" for choice, votes in result.counts.items()]
    titles = "  of votes  of all"
    width = max(map(_columns, heads)) + 2
    is_above = width + BAR + len(titles) > COLUMNS
    most = max(result.counts.values())
    lines = [" " * (BAR if is_above else width + BAR) + titles]
    for head, votes in zip(heads, result.counts.values(), strict=True):
        eighths = round(votes * BAR * 8 / most) if most else 0
        bar = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
        shares = f"{_percent(votes, result.answered):>8}  {_percent(votes, result.asked):>6}"
        bar += f"{' ' * (BAR - len(bar))}  {shares}"
        lines += [*_cut(head), bar] if is_above else [head + " " * (width - _columns(head)) + bar]
    return "\n".join(lines)


def _cut(text: str) -> Iterator[str]:
    """The text in lines, cut between words where that is possible."""
    line = ""
    for char in text:
        if char != " " and _columns(line + char) > COLUMNS:
            whole, gap, begun = line.rpartition(" ")
            yield whole if gap else line
            line = begun if gap else ""
        line += char
    yield line


def _average(counts: Mapping[str, int]) -> float:
    return sum(int(step) * votes for step, votes in counts.items()) / sum(counts.values())


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def _columns(text: str) -> int:
    """Columns the text takes in a fixed-width font: two for wide letters, none for marks on other letters."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
