"""Hides votes in anonymous polls at the door of a direct channel, before anything of them is kept or shown.

What is no vote there is hidden, too: ``Pizzza`` tells as much as ``Pizza``, and so does a number of no vote that is
open before it. From here on nobody but the urn reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec

from shellbot.commands.base import Said
from shellbot.errors import CommandError
from shellbot.events import CardAction, Message
from shellbot.polls import ballot, marking
from shellbot.polls.ballot import Vote
from shellbot.polls.papers import Paper
from shellbot.polls.sealing import seal

VOTED, NOT_KEPT = "(your vote)", "(not kept: said to an anonymous vote)"


class Veiled(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the turn gets of it: a sealed vote, or what to say to who wrote something else.

    ``is_cast`` is false where somebody takes the vote back.
    """

    poll: str = ""
    vote: str = ""
    is_cast: bool = True
    problem: str = ""


def veiled_line(message: Message, papers: list[Paper]) -> Said:
    """A typed line as it may be kept; itself if it is not for an anonymous poll."""
    found = marking.candidates(message.text, papers)
    if any(paper.spec.anonymous for paper in found):
        return _veiled(message, lambda: marking.typed(message.text, papers))
    number, _ = ballot.split_number(message.text)
    is_misdirected = number is not None and not any(paper.is_open for paper in found)
    if is_misdirected and any(paper.is_open and paper.spec.anonymous for paper in papers):
        return _kept(message, NOT_KEPT, Veiled(problem=f"There is no open vote #{number} here."))
    return message


def veiled_press(action: CardAction, paper: Paper) -> Said:
    """A press on the card of an anonymous poll as it may be kept."""
    return _veiled(action, lambda: (paper, ballot.press(action.value, (), paper.spec)))


def unveiled(event: Said) -> Veiled:
    """What was veiled."""
    return msgspec.json.decode(event.sealed, type=Veiled)


def _veiled(event: Said, read: Callable[[], tuple[Paper, Vote] | None]) -> Said:
    try:
        found = read()
    except CommandError as error:
        return _kept(event, NOT_KEPT, Veiled(problem=str(error)))
    if found is None or not found[0].spec.anonymous:
        return event
    paper, vote = found
    form = seal(vote, paper.spec, paper.seal, paper.poll, event.channel.id)
    return _kept(event, VOTED, Veiled(poll=paper.poll, vote=form, is_cast=bool(vote)))


def _kept(event: Said, shown: str, veiled: Veiled) -> Said:
    sealed = msgspec.json.encode(veiled).decode()
    if isinstance(event, Message):
        return replace(event, text=shown, sealed=sealed)
    return replace(event, value="", sealed=sealed)
