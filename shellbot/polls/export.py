"""A poll to take along: as facts for a program, and as sheets for a spreadsheet. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shellbot.polls.sheet import written
from shellbot.polls.standing import Standing
from shellbot.polls.tally import Result


@dataclass(frozen=True, slots=True)
class Row:
    """One choice as it is shown; ``width`` of its bar is in percent of the longest."""

    choice: str
    votes: int
    of_votes: str
    of_all: str
    width: float


@dataclass(frozen=True, slots=True)
class Voter:
    """Somebody on the roll of a poll with names. ``choice`` is empty where there is no vote, or it is not to be seen.

    ``reached`` is whether a ballot was shown; ``at`` is when the vote was accepted.
    """

    name: str
    id: str
    reached: bool
    has_voted: bool
    choices: tuple[str, ...] = ()
    at: datetime | None = None


def rows(result: Result | None) -> list[Row]:
    """The choices in their order; none where there is no count to be seen."""
    if result is None:
        return []
    most = max(result.counts.values(), default=0)
    return [
        Row(
            choice,
            votes,
            _percent(votes, result.answered),
            _percent(votes, result.asked),
            round(100 * votes / most, 1) if most else 0.0,
        )
        for choice, votes in result.counts.items()
    ]


_DECIDING = ("winner", "average", "quorum", "has_quorum", "threshold", "has_threshold")  # of a Result, as JSON too


def facts(poll: Standing) -> dict[str, Any]:
    """All of it as JSON; names only where it has them."""
    result = poll.result
    named: dict[str, Any] = {"opener": poll.opener} if poll.opener else {}
    if poll.opener:
        named["unreachable"] = list(result.unreachable) if result else None
    counts = [
        {"choice": row.choice, "votes": row.votes, "of_votes": row.of_votes, "of_all": row.of_all, "bar": row.width}
        for row in rows(result)
    ]
    return {
        "number": poll.number,
        "question": poll.question,
        "state": poll.state,
        "is_over": poll.is_over,
        "answered": poll.answered,
        "asked": poll.asked,
        "counts": counts if result else None,
        "verdict": poll.verdict or None,
        **{name: getattr(result, name, None) for name in _DECIDING},
        **named,
    }


def people(voters: Iterable[Voter]) -> list[dict[str, Any]]:
    """Those on the roll as JSON."""
    return [
        {
            "name": voter.name,
            "id": voter.id,
            "reached": voter.reached,
            "voted": voter.has_voted,
            "choices": list(voter.choices),
            "at": voter.at.isoformat() if voter.at else None,
        }
        for voter in voters
    ]


def counts_sheet(result: Result, verdict: str) -> str:
    """A row for each choice; what stands for all of them is in each."""
    table = ([choice, votes, result.answered, result.asked, verdict] for choice, votes in result.counts.items())
    return written([("choice", "votes", "voted", "asked", "verdict"), *table])


def people_sheet(voters: Iterable[Voter]) -> str:
    """A row for each person on the roll."""
    table = (
        [
            voter.name,
            voter.id,
            "yes" if voter.reached else "no",
            "yes" if voter.has_voted else "no",
            "; ".join(voter.choices),
            voter.at.isoformat(timespec="seconds") if voter.at else "",
        ]
        for voter in voters
    )
    return written([("name", "id", "reached", "voted", "choice", "at"), *table])


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"
