"""What a poll lacks, asked for step by step. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from shellbot.errors import UsageError
from shellbot.machines.base import Machine
from shellbot.machines.input import Input
from shellbot.machines.menu import Menu
from shellbot.machines.sequence import Sequence
from shellbot.polls.grammar import check_span, cut_opener
from shellbot.polls.spec import MAX_QUESTION, Spec, make
from shellbot.polls.when import check_words, closing_words, is_span, moment

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


def asking(question: str, zone: tzinfo) -> Machine:
    """The machine that asks for question, choices and close, or without the first where it is known.

    ``zone``: where the clock of who answers hangs.

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
        _Ends(
            zone=zone,
            question="When does it close? Pick one, or write a time: in 20m, tomorrow 9:00. Say cancel to end this.",
            options=list(ENDS),
            on_retry=f"I wait for when the vote closes: a number from 1 to {len(ENDS)}, one of the words, or a time "
            f"such as `in 20m` or `tomorrow 9:00`; {CANCEL}",
            key="ends",
            **_WAITS,
        ),
    ]
    machine = Sequence(machines[bool(question) :])
    if question:
        machine.answer("question", question)
    return machine


def asked(answers: Mapping[str, Any], now: datetime) -> tuple[Spec, datetime | None]:
    """The poll that was answered for, and when it closes if it opens now; None: when it is ended."""
    ends = answers["ends"]
    if ends in ENDS:
        length = ENDS[ends]
        closes_at = now + length if length is not None else None
    else:
        closes_at = datetime.fromisoformat(ends)
    return make(answers["question"], tuple(answers["choices"])), closes_at


class _Question(Input):
    def filter(self, text: str) -> Any:
        return _made(text, ("Yes", "No"), text)


class _Choices(Input):
    def filter(self, text: str) -> Any:
        choices = [choice.strip() for choice in text.split(",") if choice.strip()]
        return _made("?", tuple(choices), choices)


class _Ends(Menu):
    """Takes one of the options, or a time, which is then the answer, in ISO format."""

    def __init__(self, bot: Any = None, *, zone: tzinfo, **kwargs: Any) -> None:
        self._zone = zone
        super().__init__(bot, **kwargs)

    def filter(self, text: str) -> str | None:
        option = super().filter(text)
        if option is not None:
            return option
        try:
            return self._moment(text)
        except UsageError:
            return None

    def say_answer(self, value: Any) -> None:
        super().say_answer(value if value in self.options else "")

    def say_retry(self, text: str = "") -> None:
        """Say what is wrong with a time; of other words, what can be answered."""
        words = closing_words(text)
        try:
            if not is_span(words):
                check_words(words)
        except UsageError:
            super().say_retry()
            return
        try:
            self._moment(text)
        except UsageError as error:
            self.say(f"{error} {CANCEL}")

    def _moment(self, text: str) -> str:
        now = datetime.fromtimestamp(self.now, UTC)
        closes_at = moment(closing_words(text), now, self._zone)
        check_span(now, closes_at)
        return closes_at.isoformat()


def _made(question: str, choices: tuple[str, ...], value: Any) -> Any:
    """The value, if a poll can be made of it."""
    try:
        make(question, choices)
    except UsageError:
        return None
    return value
