"""Which of the ballots in a direct channel somebody means, and what is marked on it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from shellbot.errors import PollClosed, UnknownChoice
from shellbot.markup import plain, sentence
from shellbot.polls import ballot
from shellbot.polls.ballot import DONE, Vote
from shellbot.polls.papers import Paper


def candidates(text: str, papers: Iterable[Paper]) -> list[Paper]:
    """The papers that a typed line may be for: those that are open, of its number if it names one; else the latest."""
    number, _ = ballot.split_number(text)
    named = [paper for paper in papers if number in (None, paper.number)]
    return [paper for paper in named if paper.is_open] or named[-1:]


def typed(text: str, papers: Iterable[Paper]) -> tuple[Paper, Vote] | None:
    """The paper that is meant by a typed line, and the vote; None where it is no vote.

    Raises:
        PollClosed, UnknownChoice: Their text says what to do.
    """
    number, words = ballot.split_number(text)
    found = several = candidates(text, papers)
    if not found:
        if number is None:
            return None
        raise UnknownChoice(f"There is no vote #{number} here.")
    if number is None and len(found) > 1:
        # numbers fit too many: a slip on one ballot must not be a vote on another
        found = [] if words[:1].isdigit() else [paper for paper in found if _is_vote(words, paper)]
        if len(found) != 1:
            raise UnknownChoice(_which(several))
    paper = found[-1]
    if not paper.is_open:
        if not _is_vote(words, paper):
            return None
        raise PollClosed(closed(paper))
    try:
        return paper, ballot.read(words, paper.spec)
    except UnknownChoice:
        if paper.spec.anonymous or not ballot.says_done(words, paper.spec):
            raise
        return paper, ballot.press(DONE, paper.vote, paper.spec)


def _is_vote(words: str, paper: Paper) -> bool:
    try:
        ballot.read(words, paper.spec)
    except UnknownChoice:
        return False
    return True


def closed(paper: Paper) -> str:
    """What is said to who votes when it is over."""
    if paper.is_cancelled:
        return f"Vote #{paper.number} was cancelled: {plain(paper.spec.question)}"
    worded = plain(ballot.worded(paper.vote))
    if not paper.is_confirmed:
        which = f", for {worded}," if worded else ""
        yours = f"It is not known yet whether your last vote{which} came in time."
    elif paper.has_voted:
        yours = f"Your vote{f' for {worded}' if worded else ''} stands."
    else:
        yours = "You did not vote."
    return f"Vote #{paper.number} is closed: {sentence(plain(paper.spec.question))} {yours}"


def _which(papers: list[Paper]) -> str:
    lines = [f"- #{paper.number} {plain(paper.spec.question)}: {ballot.answers(paper.spec)}" for paper in papers]
    example = f"`#{papers[0].number} {ballot.example(papers[0].spec)}`"
    return f"Which vote do you mean? Write its number first, e.g. {example}.\n\n" + "\n".join(lines)
