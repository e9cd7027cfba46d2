"""The ballot as a person sees it: a card where the platform has buttons, else words. Made anew of each state of it."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Any

from shellbot.events import Button, Capabilities, Card, Reply
from shellbot.markup import plain, sentence
from shellbot.polls import ballot
from shellbot.polls.ballot import DONE, Vote
from shellbot.polls.papers import Paper
from shellbot.polls.spec import Spec, restored
from shellbot.polls.texts import CHANGE, closing_time, how_to_answer, paper_note

ANONYMOUS = "Anonymous: your vote is sealed, and after the close nobody can tell whose it was."
PLATFORM = "What you write or press here, this chat platform itself keeps, readable for those who run it."
KEPT = 200  # of each kind


class Printer:
    """Makes the ballots of all direct channels of a process: those that look the same are one object.

    In a vote of ten thousand there are as many papers and three pictures of them.
    """

    def __init__(self) -> None:
        self._specs: dict[str, tuple[object, Spec]] = {}  # of each poll, beside what was asked
        self._invitations: dict[tuple[object, ...], Reply] = {}
        self._times: dict[tuple[object, ...], str] = {}

    def spec(self, message: dict[str, Any]) -> Spec:
        """What an instruction to open a poll asks."""
        asked = message["question"], message["choices"], message.get("rules", {})
        known = self._specs.get(message["poll"])
        if known is None or known[0] != asked:
            _trim(self._specs)
            known = self._specs[message["poll"]] = asked, restored(asked[0], tuple(asked[1]), asked[2])
        return known[1]

    def when(self, paper: Paper, now: datetime, zone: tzinfo) -> str:
        """When it closes, as it is said in this second."""
        key = paper.closes_at, paper.is_reopened, int(now.timestamp()), zone
        when = self._times.get(key)
        if when is None:
            _trim(self._times)
            closes_at = datetime.fromtimestamp(paper.closes_at, UTC) if paper.closes_at is not None else None
            when = self._times[key] = closing_time(closes_at, now, zone, is_reopened=paper.is_reopened)
        return when

    def invitation(self, paper: Paper, when: str, capabilities: Capabilities) -> Reply:
        """What to show; ``when`` says when it closes."""
        key = (
            paper.poll, paper.number, paper.spec, paper.vote, paper.is_cast, paper.is_done, paper.is_open,
            paper.is_confirmed, paper.is_cancelled, paper.is_reopened, paper.problem, paper.version, when, capabilities,
        )  # fmt: skip
        reply = self._invitations.get(key)
        if reply is None:
            _trim(self._invitations)
            reply = self._invitations[key] = invitation(paper, when, capabilities)
        return reply


def _trim(kept: dict[Any, Any]) -> None:
    if len(kept) >= KEPT:
        kept.clear()


def invitation(paper: Paper, when: str, capabilities: Capabilities) -> Reply:
    """What to show; ``when`` says when it closes. Of an anonymous poll the vote is shown nowhere."""
    spec = paper.spec
    # of several, presses would have to show what is chosen
    is_typed = not capabilities.cards or (spec.anonymous and spec.kind == "multiple")
    buttons = [Button(choice, choice) for choice in spec.choices] if not is_typed else []
    if spec.kind == "multiple" and not is_typed:
        buttons.append(Button(DONE, "Done", is_action=True))
    note = paper_note(
        ballot.worded(paper.vote),
        has_voted=paper.has_voted,
        is_open=paper.is_open,
        is_confirmed=paper.is_confirmed,
    )
    card = Card(
        id=paper.poll,
        title=spec.question,
        buttons=tuple(buttons),
        chosen=paper.vote[0] if len(paper.vote) == 1 else "",
        pressed=(*paper.vote, DONE) if paper.vote and paper.is_done else paper.vote,
        is_open=paper.is_open,
        note="Cancelled. There is no result." if paper.is_cancelled else f"{paper.problem} {note}".strip(),
    )
    state = f"closes {when}" if paper.is_open else "cancelled" if paper.is_cancelled else "closed"
    how = [how_to_answer(spec)] if paper.is_open else []
    if spec.anonymous and paper.is_open:
        how += [ANONYMOUS] if capabilities.veils else [ANONYMOUS, PLATFORM]
    words = " ".join(filter(None, how))
    text = f"**Vote #{paper.number}** · {state}" + (f"\n\n{words}" if words else "")
    if not capabilities.cards:
        text = f"**Vote #{paper.number}: {plain(spec.question)}** It closes {when}. {words}".rstrip()
    if is_typed and spec.kind != "rating":
        lines = zip(ballot.labels(spec.choices), spec.choices, strict=True)
        text += "\n\n" + "\n".join(f"- {label} {plain(choice)}" for label, choice in lines)
    return Reply(id=f"{paper.poll}/ballot", version=paper.version, text=text, card=card)


def receipt(paper: Paper) -> str:
    """What is said when the group has counted the vote on a paper; of an anonymous poll only that it has."""
    which = f": **{plain(ballot.worded(paper.vote))}**" if paper.vote else ""
    said = f"Your vote is counted{which}." if paper.has_voted else "Your vote is taken back."
    until = f" {CHANGE}" if paper.is_open else ""
    return f"{said} ({plain(paper.spec.question)}){until}"


def too_late(paper: Paper, late: Vote) -> str:
    """What is said when the group has closed before a vote came; on the paper is the earlier one, which counts."""
    said = f"vote{_which(' for', late)}" if not paper.has_voted else f"change{_which(' to', late)}"
    earlier = f"; your earlier vote{_which(' for', paper.vote)} counts" if paper.has_voted else ""
    return f"Your {said} came after the close and is not counted{earlier}. ({plain(paper.spec.question)})"


def _which(word: str, vote: Vote) -> str:
    return f"{word} **{plain(ballot.worded(vote))}**" if vote else ""


def reminding(paper: Paper, when: str) -> str:
    """What is said to who has not voted yet."""
    return (
        f"You have not voted yet. Vote #{paper.number} closes {when}: "
        f"{sentence(plain(paper.spec.question))} Please answer with {ballot.answers(paper.spec)}."
    )


def still_open(paper: Paper, when: str, *, was_open: bool, halt: str) -> str:
    """What is said to who has a ballot when the close is another, or no further ballots go out, or they do again."""
    question = sentence(plain(paper.spec.question))
    if halt == "stopped":
        return (
            f"Vote #{paper.number} is stopped for now, and no further ballots go out: {question} "
            "What you voted is kept; you will be told whether it goes on."
        )
    state = "goes on" if halt else "stays open" if was_open else "is open again"
    return f"Vote #{paper.number} {state}. It closes {when}: {question}"
