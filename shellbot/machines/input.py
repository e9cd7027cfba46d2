"""One question to one person: asked, asked again, answered or given up."""

from __future__ import annotations

import re
from typing import Any

from shellbot.errors import MachineError
from shellbot.machines.base import Machine
from shellbot.markup import one_line, plain


class Input(Machine):
    """Asks a question and waits for an answer that fits.

    As in 2017, but for this: an answer that does not fit starts the time-outs anew, because somebody is there; a mask
    fits only what stands alone (``9`` finds nothing in ``12``); nothing is said to a good answer unless you write what.

    Args:
        question: What is asked; ``question_content``, as with all texts here: the same as markdown.
        mask: What an answer looks like: ``9`` a digit, ``A`` no white space, ``Z`` no digit, ``+`` one or more of what
            stands before it; all else means itself. The part of the answer that fits is taken.
        regex: The same as an expression; where it has a group, that is taken. Neither: any answer will do.
        on_answer: Said to a good answer, with the answer in place of ``{}``.
        on_retry: Said to one that does not fit, and after ``retry_delay`` seconds of silence (None: never).
        on_cancel: Said when it is given up, ``cancel_delay`` seconds after it was asked (None: never).
        is_mandatory: Insists: is never given up, and asks again every ``retry_delay`` seconds.
        key: Name of the answer: in ``machine.answers``, and in what the bot remembers under ``input``.
    """

    RETRY_MESSAGE = "This does not fit. Please try once more."
    REMIND_MESSAGE = "I am still waiting for your answer."
    CANCEL_MESSAGE = "No answer, so I leave it at that."
    CANCELLED_MESSAGE = "I leave it at that."
    MANDATORY_MESSAGE = "This one needs an answer."
    RETRY_DELAY = 20.0
    CANCEL_DELAY = 40.0

    def __init__(
        self,
        bot: Any = None,
        *,
        question: str = "",
        question_content: str = "",
        mask: str | None = None,
        regex: str | None = None,
        on_answer: str = "",
        on_answer_content: str = "",
        on_retry: str = "",
        on_retry_content: str = "",
        retry_delay: float | None = RETRY_DELAY,
        on_cancel: str = "",
        on_cancel_content: str = "",
        cancel_delay: float | None = CANCEL_DELAY,
        is_mandatory: bool = False,
        key: str = "",
        **kwargs: Any,
    ) -> None:
        if not (question or question_content):
            raise MachineError(f"{type(self).__name__} needs a question")
        if mask and regex:
            raise MachineError("an answer fits a mask or a regex; give one of them")
        try:
            re.compile(regex or "")
        except re.error as error:
            raise MachineError(f"the regex {regex!r} cannot be used: {error}") from error
        self.search_mask(mask or "", "")
        self.question, self.question_content = question, question_content
        self.mask, self.regex = mask, regex
        self.on_answer, self.on_answer_content = on_answer, on_answer_content
        self.on_retry, self.on_retry_content = on_retry, on_retry_content
        self.on_cancel, self.on_cancel_content = on_cancel, on_cancel_content
        self.retry_delay = retry_delay
        self.cancel_delay = None if is_mandatory else cancel_delay
        self.is_mandatory = is_mandatory
        self.key = key
        super().__init__(bot, **kwargs)
        self.build(["begin", "waiting", "delayed", "end"], self._ways(), "begin")

    def _ways(self) -> list[dict[str, Any]]:
        ways: list[dict[str, Any]] = [{"source": "begin", "target": "waiting", "action": "ask"}]
        for state in ("waiting", "delayed"):
            ways += [
                {"source": state, "target": "end", "event": "input", "condition": "is_fine", "action": "receive"},
                {"source": state, "target": "waiting", "event": "input", "action": "say_retry"},
            ]
        retry, cancel = self.retry_delay, self.cancel_delay
        if cancel is not None and (retry is None or cancel <= retry):
            ways.append({"source": "waiting", "target": "end", "after": cancel, "action": "give_up"})
        elif retry is not None:
            ways.append({"source": "waiting", "target": "delayed", "after": retry, "action": "remind"})
            if cancel is not None:
                ways.append({"source": "delayed", "target": "end", "after": cancel - retry, "action": "give_up"})
            elif self.is_mandatory:
                ways.append({"source": "delayed", "target": "delayed", "after": retry, "action": "remind"})
        return ways

    # --- what an answer is

    def filter(self, text: str) -> Any:
        """The answer in what was said, None if there is none. Override it for answers of your own kind."""
        if self.mask:
            return self.search_mask(self.mask, text)
        if self.regex:
            return self.search_expression(self.regex, text)
        return one_line(text) or None

    @staticmethod
    def search_mask(mask: str, text: str) -> str | None:
        """The first part of ``text`` that fits the mask and stands alone, if any."""
        signs = {"9": r"\d", "A": r"\S", "Z": r"\D", "+": "+"}
        expression = "".join(signs.get(char, re.escape(char)) for char in mask)
        try:
            found = re.search(rf"(?<!\w)(?:{expression})(?!\w)", text)
        except re.error as error:
            raise MachineError(f"the mask {mask!r} cannot be used: {error}") from error
        return found[0] if found else None

    @staticmethod
    def search_expression(regex: str, text: str) -> str | None:
        """The first part of ``text`` that fits the expression: its first group, where it has one."""
        found = re.search(regex, text)
        return (found[1] if found.re.groups else found[0]) if found else None

    def is_fine(self, text: str = "") -> bool:
        """Whether this is an answer."""
        return self.filter(text) is not None

    # --- what it does

    def ask(self) -> None:
        """Ask."""
        self.say(self.question, self.question_content)

    def receive(self, text: str = "") -> None:
        """Take the answer."""
        value = self.filter(text)
        self.set("answer", value)
        self.answer(self.key or "answer", value)
        if self.key:
            self.update("input", self.key, value)
        self.say_answer(value)

    def say_answer(self, value: Any) -> None:
        """Say what is said to a good answer."""
        shown = plain(str(value))
        self.say(self.on_answer.replace("{}", shown), self.on_answer_content.replace("{}", shown))

    def say_retry(self) -> None:
        """Say that the answer does not fit."""
        self.say(self.on_retry or self.RETRY_MESSAGE, self.on_retry_content)

    def remind(self) -> None:
        """Break the silence, unless it is to be given up at this very moment."""
        if self.cancel_delay is None or self._until < self._entered + self.cancel_delay:
            self.say(self.on_retry or self.REMIND_MESSAGE, self.on_retry_content)

    def give_up(self) -> None:
        """Nobody has answered."""
        self._leave(self.CANCEL_MESSAGE)

    def _cancel(self) -> None:
        if self.is_mandatory:
            self.say(self.MANDATORY_MESSAGE)
        else:
            self._leave(self.CANCELLED_MESSAGE)
            self.stop()

    def _leave(self, message: str) -> None:
        self._is_cancelled = True
        self.settle()
        self.say(self.on_cancel or message, self.on_cancel_content)
