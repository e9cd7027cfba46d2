"""What a poll lacks, asked for step by step. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from shellbot.errors import UsageError
from shellbot.machines.base import Machine
from shellbot.machines.input import Input
from shellbot.machines.menu import Menu
from shellbot.machines.sequence import Sequence
from shellbot.polls.grammar import cut_opener
from shellbot.polls.spec import MAX_QUESTION, Spec, make

# What can be picked, and how long the poll is open then.
ENDS = {
    "In 10 minutes": timedelta(minutes=10),
    "In 1 hour": timedelta(hours=1),
    "In 1 day": timedelta(days=1),
    "When all have voted, or I close it": None,
}
CANCEL = "`cancel` ends this."  # said each time: who goes on chatting is taken for answering
_WAITS: dict[str, Any] = {"retry_delay": 300.0, "cancel_delay": 900.0, "on_cancel": "No vote, then."}
_QUESTION = re.compile(r"\"([^\"]+)\"|“([^”]+)”|([^,\"“]+\?)")


def lacking(arguments: str) -> str | None:
    """The question of a poll that lacks all other words, ``""`` for ``new``, which lacks it too; None for the rest.

    Raises:
        UsageError: It may be meant in two ways.
    """
    text = cut_opener(arguments)
    if not text and arguments.strip():
        return ""
    is_plain = not re.match(r"anonymous|yesno\b|yes/no\b", text, re.IGNORECASE)
    found = _QUESTION.fullmatch(text) if is_plain else None  # nothing by halves
    return next(filter(None, found.groups())).strip() if found is not None else None


def asking(question: str) -> Machine:
    """The machine that asks for question, choices and close, or without the first where it is known.

    Raises:
        UsageError: This is no question.
    """
    if question:
        make(question, ("Yes", "No"))
    machines: list[Machine] = [
        _Question(
            question=f"What do you want to ask? What you write here next is the question; {CANCEL}",
            on_answer="The question is: {}",
            on_retry=f"I wait for the question of a vote, {MAX_QUESTION} characters at most; {CANCEL}",
            key="question",
            **_WAITS,
        ),
        _Choices(
            question=f"Which choices? Separate them by commas; {CANCEL}",
            on_retry=f"I wait for the choices of a vote, two at least, with commas between: `Pizza, Sushi`; {CANCEL}",
            key="choices",
            **_WAITS,
        ),
        Menu(
            question="When does it close? Say cancel to end this.",
            options=list(ENDS),
            on_retry=f"I wait for when the vote closes, a number from 1 to {len(ENDS)} or one of the words; {CANCEL}",
            key="ends",
            **_WAITS,
        ),
    ]
    machine = Sequence(machines[bool(question) :])
    if question:
        machine.answer("question", question)
    return machine


def asked(answers: Mapping[str, Any]) -> tuple[Spec, timedelta | None]:
    """The poll that was answered for, and how long it is open; None: until it is closed."""
    return make(answers["question"], tuple(answers["choices"])), ENDS[answers["ends"]]


class _Question(Input):
    def filter(self, text: str) -> Any:
        return _made(text, ("Yes", "No"), text)


class _Choices(Input):
    def filter(self, text: str) -> Any:
        choices = [choice.strip() for choice in text.split(",") if choice.strip()]
        return _made("?", tuple(choices), choices)


def _made(question: str, choices: tuple[str, ...], value: Any) -> Any:
    """The value, if a poll can be made of it."""
    try:
        make(question, choices)
    except UsageError:
        return None
    return value
