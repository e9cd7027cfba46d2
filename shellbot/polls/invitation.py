"""The ballot as a person sees it: a card where the platform has buttons, else words. Made anew of each state of it."""

from __future__ import annotations

from shellbot.events import Button, Capabilities, Card, Reply
from shellbot.markup import plain
from shellbot.polls import ballot
from shellbot.polls.ballot import DONE
from shellbot.polls.papers import Paper
from shellbot.polls.texts import how_to_answer, paper_note


def invitation(paper: Paper, when: str, capabilities: Capabilities) -> Reply:
    """What to show; ``when`` says when it closes."""
    spec = paper.spec
    buttons = [Button(choice, choice) for choice in spec.choices]
    if spec.kind == "multiple":
        buttons.append(Button(DONE, "Done"))
    note = paper_note(spec, paper.vote, when, is_open=paper.is_open, is_confirmed=paper.is_confirmed)
    card = Card(
        id=paper.poll,
        title=spec.question,
        buttons=tuple(buttons),
        chosen=paper.vote[0] if len(paper.vote) == 1 else "",
        pressed=(*paper.vote, DONE) if paper.vote and paper.is_done else paper.vote,
        is_open=paper.is_open,
        note="Cancelled. There is no result." if paper.is_cancelled else note,
    )
    state = f"closes {when}" if paper.is_open else "cancelled" if paper.is_cancelled else "closed"
    how = how_to_answer(spec) if paper.is_open else ""
    text = f"**Vote #{paper.number}** · {state}" + (f"\n\n{how}" if how else "")
    if not capabilities.cards:
        text = f"**Vote #{paper.number}: {plain(spec.question)}** It closes {when}. {how}".rstrip()
        if spec.kind != "rating":
            lines = zip(ballot.labels(spec.choices), spec.choices, strict=True)
            text += "\n\n" + "\n".join(f"- {label} {plain(choice)}" for label, choice in lines)
    return Reply(id=f"{paper.poll}/ballot", version=paper.version, text=text, card=card)
