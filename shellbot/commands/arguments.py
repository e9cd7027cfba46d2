"""Arguments of a command: from the parameters of ``execute`` to a usage line, and from a line to their values. Pure.

``async def execute(self, bot, count: int, item: str = "tea", *, person)`` takes ``3 green tea``.
"""

from __future__ import annotations

import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from shellbot.errors import ConfigError, UsageError
from shellbot.markup import plain

HANDED = ("person", "message", "files", "arguments")  # what the bot hands to parameters behind a '*'

_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»"}
_WHOLE = re.compile(r"[+-]?[0-9]{1,100}\Z")
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])\s*", re.IGNORECASE)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SWITCH = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument. ``read`` raises ValueError for a word that is none; ``wanted`` says what would be one."""

    shown: str
    wanted: str
    read: Callable[[str], Any]
    default: Any
    is_needed: bool
    is_many: bool = False
    is_rest: bool = False

    @property
    def usage(self) -> str:
        shown = f"{self.shown}..." if self.is_many else self.shown
        return shown if self.is_needed else f"[{shown}]"


@dataclass(frozen=True, slots=True)
class Arguments:
    """What one ``execute`` takes. ``parameters`` is None where it takes the line as it is, as commands of 2017 do.

    Attributes:
        handed: Names out of :data:`HANDED` that it wants besides.
    """

    parameters: tuple[Parameter, ...] | None
    handed: frozenset[str]

    def usage(self, keyword: str) -> str:
        """How the command is written: ``order COUNT [ITEM]``; ``""`` where nothing is known of its arguments."""
        return "" if self.parameters is None else " ".join([keyword, *(p.usage for p in self.parameters)])

    def fit(self, line: str, usage: str) -> list[Any]:
        """Values for the positional parameters.

        Args:
            line: What stands after the keyword. Texts in double quotes are one word. The last parameter that is a str
                takes all that is left of the line.

        Raises:
            UsageError: The line does not fit; one line that says why, and ends in ``usage``.
        """
        if self.parameters is None:
            return [line]
        values: list[Any] = []
        rest = line.strip()
        for parameter in self.parameters:
            if parameter.is_many:
                while rest:
                    word, rest = _next_word(rest)
                    values.append(_value(parameter, word, usage))
            elif not rest:
                if parameter.is_needed:
                    raise UsageError(f"{parameter.shown} is missing. Write: `{usage}`")
                values.append(parameter.default)
            else:
                word, rest = _all_words(rest) if parameter.is_rest else _next_word(rest)
                values.append(_value(parameter, word, usage))
        if rest:
            raise UsageError(f"“{plain(rest[:40])}” is too much. Write: `{usage}`")
        return values


def arguments_of(execute: Callable[..., Any]) -> Arguments:
    """Read the parameters of an ``execute``, without ``self``.

    Raises:
        ConfigError: One cannot be filled from a line; the text tells where it stands.
    """
    try:
        bot, *found = inspect.signature(execute).parameters.values()
    except ValueError:
        return Arguments(None, frozenset())
    if bot.kind is bot.VAR_POSITIONAL:
        found.insert(0, bot)
    named = {p.name for p in found if p.kind is not p.VAR_POSITIONAL}
    if any(p.kind is p.VAR_KEYWORD for p in found):
        named |= {"person", "message", "files"}
    positional = [p for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
    if positional and (positional[0].name == "arguments" or _is_bare(positional[0])):
        return Arguments(None, frozenset(HANDED[:3]) & named)
    for p in found:
        if p.kind is p.KEYWORD_ONLY and p.name not in HANDED and p.default is p.empty:
            text = f"nothing is handed to '{p.name}'; behind the '*' stand {', '.join(HANDED)}, before it arguments"
            raise ConfigError(f"{_place(execute)}: {text}")
    try:
        parameters = [_parameter(execute, p, is_last=p is positional[-1]) for p in positional]
    except ConfigError as error:
        raise ConfigError(f"{_place(execute)}: {error}") from None
    return Arguments(tuple(parameters), frozenset(HANDED) & named)


def _is_bare(parameter: inspect.Parameter) -> bool:
    """``*args`` without a type: it says nothing, as where one function wraps another."""
    return parameter.kind is parameter.VAR_POSITIONAL and parameter.annotation in (parameter.empty, Any, "Any")


def _place(execute: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(execute), "__code__", None)
    name = getattr(execute, "__qualname__", "execute")
    return f"{code.co_filename}:{code.co_firstlineno}: {name}" if code is not None else name


def _parameter(execute: Callable[..., Any], p: inspect.Parameter, *, is_last: bool) -> Parameter:
    kind = _kind(execute, p)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        kinds = [each for each in typing.get_args(kind) if each is not type(None)]
        kind = kinds[0] if len(kinds) == 1 else kind
    if typing.get_origin(kind) is Literal:
        choices = {str(choice).casefold(): choice for choice in typing.get_args(kind)}
        shown, wanted, read = "|".join(choices), f"one of {', '.join(choices)}", _chosen(choices)
    elif kind is bool:
        shown, wanted, read = "on|off", "on or off", _chosen(_SWITCH)
    elif kind in _KINDS:
        shown = p.name.strip("_").replace("_", "-").upper()
        wanted, read = _KINDS[kind]
    else:
        known = ", ".join(kind.__name__ for kind in _KINDS)
        raise ConfigError(f"'{p.name}' cannot be read from a line as {kind!r}; take {known}, bool or Literal")
    is_many = p.kind is p.VAR_POSITIONAL
    return Parameter(
        shown=shown,
        wanted=wanted,
        read=read,
        default=None if p.default is p.empty else p.default,
        is_needed=p.default is p.empty and not is_many,
        is_many=is_many,
        is_rest=is_last and kind is str and not is_many,
    )


def _kind(execute: Callable[..., Any], p: inspect.Parameter) -> Any:
    if p.annotation is p.empty:  # as its default is
        return type(p.default) if type(p.default) in (bool, *_KINDS) else str
    if not isinstance(p.annotation, str):
        return p.annotation
    # One by one: another parameter may name what is there for type checkers only.
    holder = types.SimpleNamespace(__annotations__={p.name: p.annotation})
    try:
        return typing.get_type_hints(holder, globalns=getattr(inspect.unwrap(execute), "__globals__", {}))[p.name]
    except (NameError, AttributeError, SyntaxError) as error:
        raise ConfigError(f"'{p.name}': {error}") from None


# --- words of a line


def _next_word(text: str) -> tuple[str, str]:
    """The first word, or text in quotes, and what stands after it. ``text`` begins with no white space."""
    quoted = _quoted(text)
    if quoted is not None:
        return quoted, text[len(quoted) + 2 :].lstrip()
    word, *rest = text.split(None, 1)
    return word, rest[0] if rest else ""


def _all_words(text: str) -> tuple[str, str]:
    quoted = _quoted(text)
    return (quoted if quoted is not None and len(quoted) + 2 == len(text) else text), ""


def _quoted(text: str) -> str | None:
    """What stands in the quotes the text begins with; None where they are none: ``5" long``, ``"a"b``."""
    end = _QUOTES.get(text[:1])
    closing = text.find(end, 1) if end is not None else -1
    if closing < 0 or text[closing + 1 : closing + 2].strip():
        return None
    return text[1:closing]


# --- what a word means


def _value(parameter: Parameter, word: str, usage: str) -> Any:
    try:
        return parameter.read(word)
    except (ValueError, OverflowError):
        text = f"{parameter.shown} is {parameter.wanted}, and not “{plain(word[:40])}”."
        raise UsageError(f"{text} Write: `{usage}`") from None


def _whole(word: str) -> int:
    if not _WHOLE.match(word):
        raise ValueError(word)
    return int(word)


def _number(word: str) -> float:
    number = float(word)
    if not math.isfinite(number):
        raise ValueError(word)
    return number


def _duration(word: str) -> timedelta:
    parts = _PART.findall(word)
    if not parts or _PART.sub("", word):
        raise ValueError(word)
    return sum((timedelta(**{_UNITS[unit.lower()]: float(number)}) for number, unit in parts), timedelta())


def _chosen(choices: Mapping[str, Any]) -> Callable[[str], Any]:
    def read(word: str) -> Any:
        if word.casefold() not in choices:
            raise ValueError(word)
        return choices[word.casefold()]

    return read


_KINDS: dict[Any, tuple[str, Callable[[str], Any]]] = {
    str: ("a text", str),
    int: ("a whole number, such as 3", _whole),
    float: ("a number, such as 2.5", _number),
    date: ("a day, such as 2026-11-20", date.fromisoformat),
    timedelta: ("a time, such as 10m or 2h", _duration),
}
