"""What people read of a poll. All that people wrote passes :func:`shellbot.markup.plain` on its way in."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from shellbot.markup import plain, sentence
from shellbot.polls.records import Round
from shellbot.polls.spec import ABSTAIN, Spec
from shellbot.polls.tally import Result, bars, needed
from shellbot.polls.when import shown

LATE = timedelta(minutes=1)  # after its time, from when on it is said that a poll closes late
NAMED = 20  # names said in one line of a group; above that the rest is a number
EVERY = 500  # names said to who opened a vote
WHEN_ALL = "when all have voted"
WHEN_ENDED = "when its opener ends it"
CHANGE = "You may change it until it closes."  # when that is, the ballot says
TOO_LATE = "What you pressed last came too late."
_SILENT = "Did not confirm the close, so a last vote of theirs may be missing"


def closing_time(closes_at: datetime | None, now: datetime, zone: tzinfo, *, is_reopened: bool = False) -> str:
    """When it closes, with the offset, and the date where that is not today. Open again, all may have voted."""
    if closes_at is None:
        return WHEN_ENDED if is_reopened else f"{WHEN_ALL}, or {WHEN_ENDED}"
    at = f"at {shown(closes_at, now, zone)}"
    return at if is_reopened else f"{WHEN_ALL}, at the latest {at}"


def how_to_answer(spec: Spec) -> str:
    """What is not plain from the buttons, or nothing."""
    match spec.kind:
        case "multiple" if spec.anonymous:
            return f"Type up to {spec.most} of them, all in one line, e.g. `1, 2`; `none` takes it back."
        case "multiple":
            return f"Choose up to {spec.most}, then press Done; with {spec.most} you are done. Or type, e.g. `1, 2`."
        case "rating":
            return f"From 1 (lowest) to {len(spec.choices)} (highest)."
    return ""


def paper_note(worded: str, *, has_voted: bool, is_open: bool, is_confirmed: bool) -> str:
    """The line under the buttons; ``worded`` is the vote, or nothing where that is not to be shown."""
    if not is_open and not is_confirmed:
        return "Closed. It is not known yet whether your last vote came in time."
    if not is_open and has_voted:
        return f"Closed. Your vote: {worded}" if worded else "Closed. Your vote was counted."
    if not is_open:
        return "Closed. No vote of yours was counted."
    if has_voted and is_confirmed:
        which = f": {worded}" if worded else ""
        return f"Your vote is counted{which}. {CHANGE}"
    return ""


def group_opened(round: Round, now: datetime, zone: tzinfo) -> str:
    """Said in the group when the vote is open: how many have a ballot or get one, and who does not."""
    lost = tuple(person.name for person in round.lost())
    ballots = round.asked - len(lost)
    people = _having(round, ballots)
    has_own_choices = round.spec.kind in ("yesno", "rating")
    when = closes(round, now, zone).removesuffix(f", or {WHEN_ENDED}")
    # so that who opened it sees at once what was taken for a choice
    choices = "" if has_own_choices else f"Its choices: {choices_of(round.spec)}.\n\n"
    return (
        f"**Vote #{round.number}: {plain(round.spec.question)}**\n\n{choices}"
        f"{people} a ballot in the direct channel.{_lost(round, lost)} It closes {when}."
        f"{_rules(round.spec)}{_out_of_reach(round, ballots)} "
        f"{plain(round.opener.name)} can end it before that with `poll close #{round.number}`."
    )


def _having(round: Round, count: int) -> str:
    of_roll = f" of the roll {plain(round.spec.roll)}" if round.spec.roll else ""
    match count:
        case 0:
            return f"Nobody{of_roll} has"
        case 1:
            return f"One person{of_roll} has"
    return f"{count} people{of_roll} have"


def _out_of_reach(round: Round, ballots: int) -> str:
    """That a quorum is larger than the number of those who can vote, with what to do."""
    quorum = needed(round.spec.quorum, round.asked)
    if quorum <= ballots:
        return ""
    told = f"**The quorum of {quorum} cannot be reached**: only {ballots} can vote."
    return f" {told} `poll cancel #{round.number}` calls it off."


def _lost(round: Round, people: tuple[str, ...]) -> str:
    if not people:
        return ""
    if len(people) <= NAMED:
        return f" Could not be reached: {names(people)}."
    where = f"`poll show #{round.number}` tells {plain(round.opener.name)} their names, in the direct channel"
    return f" Could not be reached: {len(people)} people; {where}."


def group_planned(round: Round, now: datetime, zone: tzinfo) -> str:
    """Said in the group when a vote is to open later."""
    assert round.opens_at is not None
    where = f"on the roll {plain(round.spec.roll)}" if round.spec.roll else "in the group"
    return (
        f"**Vote #{round.number} opens at {shown(round.opens_at, now, zone)}: {plain(round.spec.question)}**\n\n"
        f"It closes {closing_time(round.closes_at, now, zone)}. Who is {where} when it opens can vote. "
        f"{plain(round.opener.name)} can call it off with `poll cancel #{round.number}`."
    )


def owner_planned(round: Round, now: datetime, zone: tzinfo) -> str:
    """Said to who planned a vote."""
    assert round.opens_at is not None
    question = sentence(plain(round.spec.question))
    return (
        f"Your vote #{round.number} opens at {shown(round.opens_at, now, zone)}: {question} "
        f"You may say `poll cancel #{round.number}` here, too."
    )


def owner_result(round: Round, result: Result, now: datetime) -> str:
    """Said in the group when only who opened it is told the result."""
    return (
        f"**Vote #{round.number} is closed: {plain(result.question)}**\n\n"
        f"{result.answered} of {result.asked} voted. {plain(round.opener.name)} has the result.{_lateness(round, now)}"
    )


def group_result(round: Round, result: Result, now: datetime, most: int = NAMED) -> tuple[str, str]:
    """The announcement, and its bars for a fixed-width font. More than ``most`` names are only counted."""
    lines = [
        f"**Result of vote #{round.number}: {plain(result.question)}**",
        f"{verdict(result)} {result.answered} of {result.asked} voted.{conditions(result)}{_lateness(round, now)}",
    ]
    told = [(result.unreachable, "Could not be reached"), (result.silent, _SILENT)]
    for people, what in told:
        if len(people) > most:
            lines.append(f"{what}: {len(people)} people. {plain(round.opener.name)}, who opened it, has their names.")
        elif people:
            lines.append(f"{what}: {names(people, most)}.")
    return "\n\n".join(lines), bars(result)


def owner_missed(round: Round, result: Result) -> str:
    """All names that are too many for the group, for who opened it; nothing where there are none such."""
    told = [(result.unreachable, "Could not be reached"), (result.silent, _SILENT)]
    lines = [f"{what} ({len(people)}): {names(people, EVERY)}." for people, what in told if len(people) > NAMED]
    return "\n\n".join([f"Vote #{round.number}: {plain(result.question)}", *lines]) if lines else ""


def _lateness(round: Round, now: datetime) -> str:
    """That it closes long after its time, because nobody served: the machine slept, or its clock was set."""
    if round.closes_at is None or now - round.closes_at < LATE:
        return ""
    minutes = int((now - round.closes_at).total_seconds()) // 60
    amounts = ((minutes // 1440, "day"), (minutes // 60, "hour"), (minutes, "minute"))
    amount, unit = next((amount, unit) for amount, unit in amounts if amount)
    return (
        f" It closes {amount} {unit}{'' if amount == 1 else 's'} late, as nobody was there to close it; "
        "what was voted after its time does not count."
    )


def verdict(result: Result) -> str:
    """What the count says, in a sentence, for markdown."""
    if not result.answered:
        return "Nobody voted."
    if result.average is not None:
        return f"**{result.average:.1f}** of {len(result.counts)} on average."
    leading = [plain(choice) for choice in result.leading]
    if not leading:
        return f"Nobody said more than {plain(ABSTAIN)}."
    if len(leading) > 1:
        return f"A tie between {_and(leading)}."
    return f"**{leading[0]}** has the most votes."


def conditions(result: Result, *, is_over: bool = True) -> str:
    """Quorum and threshold, where there are any, each in a sentence with a space before it."""
    missed = "missed, so that nothing is decided" if is_over else "not reached yet"
    said = ""
    if result.quorum:
        said += f" The quorum of {result.quorum} is {'reached' if result.has_quorum else missed}."
    if result.threshold:
        said += f" The threshold of {result.threshold} is {'reached' if result.has_threshold else missed}."
    return said


def outcome(result: Result, *, is_over: bool) -> str:
    """What a vote came to, or comes to so far, for markdown."""
    if not (result.answered or is_over):
        return "Nobody has voted yet."
    return f"{verdict(result)}{conditions(result, is_over=is_over)}"


def _rules(spec: Spec) -> str:
    """The rules that are not the usual ones, each in a sentence with a space before it."""
    said = f" {how_to_answer(spec)}" if spec.kind == "rating" else ""
    if spec.kind == "multiple":
        said += f" Everybody may choose up to {spec.most}."
    if spec.anonymous:
        said += " It is anonymous: nobody sees who voted what."
    if spec.quorum:
        said += f" It is valid if {spec.quorum} vote."
    if spec.threshold:
        said += f" {spec.threshold} of the votes are needed to win."
    if spec.results == "live":
        said += " The votes so far are shown."
    if spec.results == "owner":
        said += " Only who opened it is told the result."
    return said


def status(round: Round, now: datetime, zone: tzinfo) -> str:
    """One line on a poll that is not closed."""
    voted = sum(seat.has_voted for seat in round.seats.values())
    if round.state == "planned" and round.opens_at is not None:
        return f"- #{round.number} {plain(round.spec.question)}: opens at {shown(round.opens_at, now, zone)}"
    state = {"opening": "opens as soon as the bus answers", "closing": "is closing"}.get(
        round.state, f"closes {closes(round, now, zone)}"
    )
    if round.halt == "stopped" and round.state in ("opening", "open"):
        out = len(round.seats) - len(round.unseen)
        state = f"is stopped, {out} ballots are out; `poll resume #{round.number}` lets it go on"
    return f"- #{round.number} {plain(round.spec.question)}: {voted} of {round.asked} voted; {state}"


def past(round: Round, zone: tzinfo) -> str:
    """One line on a poll that is over."""
    head = f"- #{round.number} {plain(round.spec.question)} ({round.opened_at.astimezone(zone):%d %b %Y})"
    if round.result is None or round.state == "cancelled":
        return f"{head}: cancelled"
    voted = f"{round.result.answered} of {round.result.asked} voted."
    if round.spec.results == "owner":
        return f"{head}: {voted}"
    return f"{head}: {verdict(round.result)} {voted}{conditions(round.result)}"


def details(round: Round, now: datetime, zone: tzinfo, most: int = NAMED) -> str:
    """All on one poll but its votes. Of more than ``most`` names the rest is a number."""
    rules = _rules(round.spec)
    state = past(round, zone) if round.is_over else status(round, now, zone)
    lines = [
        state.removeprefix("- "),
        f"Choices: {choices_of(round.spec)}.{rules}",
        f"Opened by {plain(round.opener.name)}.",
    ]
    if round.state == "open" and (missed := tuple(person.name for person in round.unreachable())):
        lines.append(f"No ballot shown so far to: {names(missed, most)}.")
    if round.result is not None and (missed := round.result.unreachable):
        lines.append(f"Could not be reached: {names(missed, most)}.")
    return "\n\n".join(lines)


def names(people: tuple[str, ...], most: int = NAMED) -> str:
    """Names for reading; many are cut and counted."""
    shown = [plain(name) for name in people[:most]]
    return _and([*shown, f"{len(people) - most} more"] if len(people) > most else shown)


def choices_of(spec: Spec) -> str:
    """The choices with commas between, for markdown; what has one itself stands in quotes, as one would type it."""
    return ", ".join(f'"{plain(choice)}"' if "," in choice else plain(choice) for choice in spec.choices)


def closes(round: Round, now: datetime, zone: tzinfo) -> str:
    """When a vote closes, for reading."""
    return closing_time(round.closes_at, now, zone, is_reopened=bool(round.reopened))


def _and(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
