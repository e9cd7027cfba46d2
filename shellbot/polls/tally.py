"""Counting a single-choice poll and showing the count. Pure: the same ballots give the same result anywhere."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

BAR = 12  # characters of the longest bar
_EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class Result:
    """What a poll came to.

    Attributes:
        counts: Votes per choice, in the order of the choices.
        winner: The choice with the most votes; None on a tie, or when nobody voted.
        answered: Ballots counted; asked: people on the roll.
        unreachable: Names of people who could not be asked; silent: of those whose channel did not confirm the close.
    """

    question: str
    counts: Mapping[str, int]
    winner: str | None
    answered: int
    asked: int
    unreachable: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


def count(
    question: str,
    choices: Iterable[str],
    ballots: Iterable[str],
    asked: int,
    unreachable: Iterable[str] = (),
    silent: Iterable[str] = (),
) -> Result:
    """Count one choice per ballot."""
    counts = dict.fromkeys(choices, 0)
    for choice in ballots:
        counts[choice] += 1
    most = max(counts.values(), default=0)
    leading = [choice for choice, votes in counts.items() if votes == most]
    winner = leading[0] if most and len(leading) == 1 else None
    return Result(question, counts, winner, sum(counts.values()), asked, tuple(unreachable), tuple(silent))


def bars(result: Result) -> str:
    """One line a choice: name, votes, a bar, the share of the votes and of the roll. Narrow enough for a phone."""
    heads = [f"{choice} {votes}" for choice, votes in result.counts.items()]
    width = max(map(_columns, heads))
    most = max(result.counts.values())
    lines = [f"{' ' * (width + 2 + BAR)}  of votes  of all"]
    for head, votes in zip(heads, result.counts.values(), strict=True):
        eighths = round(votes * BAR * 8 / most) if most else 0
        bar = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
        shares = f"{_percent(votes, result.answered):>8}  {_percent(votes, result.asked):>6}"
        lines.append(f"{head}{' ' * (width - _columns(head))}  {bar}{' ' * (BAR - len(bar))}  {shares}")
    return "\n".join(lines)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def _columns(text: str) -> int:
    """Columns the text takes in a fixed-width font: two for wide letters, none for marks on other letters."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
