"""A question with answers to pick from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shellbot.errors import MachineError
from shellbot.machines.input import Input
from shellbot.markup import one_line


class Menu(Input):
    """Takes one of ``options``: by its button, its number from 1 on, or its words.

    The answer is the option as it was given, where in 2017 it was the number.

    Args:
        options: At least one, and no two that read the same.
        kwargs: As of :class:`Input`, but for ``mask`` and ``regex``.
    """

    RETRY_MESSAGE = "Please answer with a number from 1 to {}, or with one of the words."

    def __init__(self, bot: Any = None, *, options: Iterable[str] = (), **kwargs: Any) -> None:
        self.options = tuple(map(str, options))
        self._by_words = {_read(option): option for option in self.options}
        if not self.options or "" in self._by_words:
            raise MachineError("a menu needs at least one option, and none that is empty")
        if len(self._by_words) < len(self.options):
            raise MachineError(f"two options of a menu read the same: {', '.join(self.options)}")
        if kwargs.get("mask") or kwargs.get("regex"):
            raise MachineError("the options of a menu say what fits; it takes neither mask nor regex")
        super().__init__(bot, **kwargs)

    def filter(self, text: str) -> str | None:
        """The option that is meant. Its words go before its number, for an option may be ``2``."""
        words = _read(text)
        if words in self._by_words:
            return self._by_words[words]
        number = words.removesuffix(".")
        if number.isascii() and number.isdecimal() and len(number) < 6 and 1 <= int(number) <= len(self.options):
            return self.options[int(number) - 1]
        return None

    def ask(self) -> None:
        """Ask, with the options."""
        self.say(self.question, self.question_content, choices=self.options)

    def say_answer(self, value: Any) -> None:
        """Settle the buttons, and say what is said to a good answer."""
        self.settle(value)
        super().say_answer(value)

    def say_retry(self) -> None:
        """Say what can be answered."""
        self.say(self.on_retry or self.RETRY_MESSAGE.replace("{}", str(len(self.options))), self.on_retry_content)


def _read(text: str) -> str:
    return one_line(text).casefold()
