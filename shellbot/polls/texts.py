"""What people read of a poll. All that people wrote passes :func:`shellbot.markup.plain` on its way in."""

from __future__ import annotations

from datetime import datetime, timedelta

from shellbot.markup import plain
from shellbot.polls.records import Round
from shellbot.polls.tally import Result, bars

_NAMED = 20  # names said in one line; above that the rest is a number


def closing_time(closes_at: datetime | None, now: datetime) -> str:
    """When it closes, in the server's zone, with the date where that is not today."""
    if closes_at is None:
        return "when all have voted, or when it is closed"
    local, today = closes_at.astimezone(), now.astimezone()
    day = "" if local.date() == today.date() else f"{local:%a %d %b} "
    seconds = ":%S" if closes_at - now < timedelta(minutes=2) else ""
    return f"at {day}{local.strftime('%H:%M' + seconds)} {local.tzname()}"


def group_opened(round: Round, now: datetime) -> str:
    """Said in the group when the vote is open."""
    people = f"{round.asked} people have" if round.asked > 1 else "One person has"
    return (
        f"**Vote #{round.number}: {plain(round.spec.question)}**\n\n"
        f"{people} a ballot in the direct channel. It closes {closing_time(round.closes_at, now)}. "
        f"{plain(round.opener.name)} can end it before with `poll close #{round.number}`."
    )


def group_result(round: Round, result: Result) -> tuple[str, str]:
    """The announcement, and its bars for a fixed-width font."""
    if not result.answered:
        verdict = "Nobody voted."
    elif result.winner is not None:
        verdict = f"**{plain(result.winner)}** has the most votes."
    else:
        most = max(result.counts.values())
        tied = [plain(choice) for choice, votes in result.counts.items() if votes == most]
        verdict = f"A tie between {_and(tied)}."
    lines = [
        f"**Result of vote #{round.number}: {plain(result.question)}**",
        f"{verdict} {result.answered} of {result.asked} voted.",
    ]
    if result.unreachable:
        lines.append(f"Could not be reached: {names(result.unreachable)}.")
    if result.silent:
        lines.append(f"Did not confirm the close, so a last vote of theirs may be missing: {names(result.silent)}.")
    return "\n\n".join(lines), bars(result)


def status(round: Round, now: datetime) -> str:
    """One line on a poll that is not closed."""
    voted = sum(seat.has_voted for seat in round.seats.values())
    state = {"opening": "opens as soon as the bus answers", "closing": "is closing"}.get(
        round.state, f"closes {closing_time(round.closes_at, now)}"
    )
    return f"- #{round.number} {plain(round.spec.question)}: {voted} of {round.asked} voted; {state}"


def names(people: tuple[str, ...]) -> str:
    """Names for reading; many are cut and counted."""
    shown = [plain(name) for name in people[:_NAMED]]
    return _and([*shown, f"{len(people) - _NAMED} more"] if len(people) > _NAMED else shown)


def _and(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
