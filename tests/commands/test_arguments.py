"""Typed arguments: from parameters to a usage line, from a line to values, and what is said when it does not fit."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.commands.arguments import arguments_of
from shellbot.commands.base import Command
from shellbot.commands.shell import Shell
from shellbot.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from nowhere import ShellBot


def fit(execute, line):
    taken = arguments_of(execute)
    return taken.fit(line, taken.usage("do"))


def usage(execute):
    return arguments_of(execute).usage("do")


async def order(bot: ShellBot, count: int, item: str = "tea", *, person):
    """Names of ``bot`` are there for type checkers only."""


# --- what fits


def test_words_become_values_of_their_types():
    assert fit(order, "3 milk") == [3, "milk"]
    assert fit(order, "3") == [3, "tea"]
    assert usage(order) == "do COUNT [ITEM]"


def test_the_last_text_takes_the_rest_of_the_line_as_it_is_written():
    assert fit(order, "3  green   tea, hot ") == [3, "green   tea, hot"]
    assert fit(order, '3 "green tea"') == [3, "green tea"]
    assert fit(order, '3 "green" tea') == [3, '"green" tea']


def test_a_text_that_is_not_the_last_is_a_word_or_stands_in_quotes():
    def rename(bot, old: str, new: str): ...

    for line in ('"my list" new list', "“my list” new list", "„my list“ new list", "«my list» new list"):
        assert fit(rename, line) == ["my list", "new list"]
    assert fit(rename, '5" 6"') == ['5"', '6"']
    assert fit(rename, '"a"b c') == ['"a"b', "c"]
    assert fit(rename, '"" it\'s') == ["", "it's"]


def test_without_a_type_it_is_that_of_the_default():
    def roll(bot, dice=2, loud=False, what="", where=None): ...

    assert fit(roll, "3 on dice the table") == [3, True, "dice", "the table"]
    assert fit(roll, "") == [2, False, "", None]
    assert usage(roll) == "do [DICE] [on|off] [WHAT] [WHERE]"


def test_many_words():
    def tag(bot, name: str, *labels: str): ...

    assert fit(tag, 'x a "b c" d') == ["x", "a", "b c", "d"]
    assert fit(tag, "x") == ["x"]
    assert usage(tag) == "do NAME [LABELS...]"


@pytest.mark.parametrize(
    ("kind", "word", "value", "shown"),
    [
        (int, "-7", -7, "X"),
        (float, "2.5", 2.5, "X"),
        (date, "2026-11-20", date(2026, 11, 20), "X"),
        (timedelta, "1h30m", timedelta(minutes=90), "X"),
        (bool, "ON", True, "on|off"),
        (bool, "no", False, "on|off"),
        (Literal["red", "Green"], "GREEN", "Green", "red|green"),
        (Literal[1, 2], "2", 2, "1|2"),
        (int | None, "4", 4, "X"),
        ("int | None", "4", 4, "X"),
        ("date", "2026-11-20", date(2026, 11, 20), "X"),
    ],
)
def test_types(kind, word, value, shown):
    def execute(bot, x): ...

    execute.__annotations__["x"] = kind
    assert fit(execute, word) == [value]
    assert usage(execute) == f"do {shown}"


# --- what does not


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "COUNT is missing. Write: `do COUNT [ITEM]`"),
        ("three", "COUNT is a whole number, such as 3, and not “three”. Write: `do COUNT [ITEM]`"),
        ("1e3", "COUNT is a whole number"),
        ("٣", "COUNT is a whole number"),
        ("9" * 101, "COUNT is a whole number"),
        ("*3*", r"and not “\*3\*”."),
    ],
)
def test_a_line_that_does_not_fit_gets_one_line_that_helps(line, told):
    with pytest.raises(UsageError, match=re.escape(told)) as raised:
        fit(order, line)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 150


def test_what_is_too_much_is_told():
    def count(bot, number: int): ...

    with pytest.raises(UsageError, match=r"“or so” is too much\. Write: `do NUMBER`"):
        fit(count, "3 or so")
    with pytest.raises(UsageError, match=r"“now” is too much\. Write: `do`"):
        fit(lambda bot: None, "now")


@pytest.mark.parametrize("word", ["nan", "inf", "1e999", "half"])
def test_a_number_is_finite(word):
    def execute(bot, x: float): ...

    with pytest.raises(UsageError, match="such as 2"):
        fit(execute, word)


@pytest.mark.parametrize("word", ["10", "m", "10x", "9999999999d", "10m or so"])
def test_a_time_has_units_and_an_end(word):
    def execute(bot, x: timedelta): ...

    with pytest.raises(UsageError):
        fit(execute, f'"{word}"')


def no_such_type(bot, x: bytes): ...


def not_there(bot, x: Nothing): ...  # noqa: F821


def two_types(bot, x: int | str): ...


def nobody_gives(bot, x: int, *, colour): ...


@pytest.mark.parametrize(
    ("execute", "told"),
    [
        (no_such_type, "'x' cannot be read from a line as <class 'bytes'>; take str, int"),
        (not_there, "'x': name 'Nothing' is not defined"),
        (two_types, "'x' cannot be read from a line as int | str"),
        (nobody_gives, "nothing is handed to 'colour'; behind the '*' stand person, message, files, arguments"),
    ],
)
def test_what_cannot_be_read_from_a_line_is_told_with_its_place(execute, told):
    line = execute.__code__.co_firstlineno
    with pytest.raises(ConfigError, match=re.escape(f"{__file__}:{line}: {execute.__name__}: {told}")):
        arguments_of(execute)


# --- commands as they were written in 2017, or take the line as it is


def wrapping(*args, **kwargs): ...


@pytest.mark.parametrize(
    ("execute", "handed"),
    [
        (lambda bot, arguments: None, set()),
        (lambda bot, arguments=None, **kwargs: None, {"person", "message", "files"}),
        (lambda bot, arguments="", message=None: None, {"message"}),
        (lambda bot, *args, **kwargs: None, {"person", "message", "files"}),
        (wrapping, {"person", "message", "files"}),
        (Command().execute, {"person", "message", "files"}),
    ],
)
def test_a_command_of_2017_gets_the_line(execute, handed):
    taken = arguments_of(execute)
    assert taken.fit('a  "b" ', "") == ['a  "b" ']
    assert taken.usage("do") == ""
    assert taken.handed == handed


def test_a_usage_is_made_where_none_is_written():
    class Order(Command):
        keyword = "order"

        async def execute(self, bot, count: int, item: str = "tea", *, person): ...

    class Own(Order):
        keyword = "own"
        usage_message = "own it"

    class Old(Command):
        keyword = "old"

        def execute(self, bot, arguments=None, **kwargs): ...

    commands = Shell([Order(), Own(), Old()]).commands
    assert [command.usage_message for command in commands.values()] == ["order COUNT [ITEM]", "own it", ""]
    assert Order.usage_message == ""


# --- whatever is typed

WORDS = st.text(st.characters(exclude_characters='"“”„«»', exclude_categories=["Z", "C"]), min_size=1)
TEXTS = st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"]))


@given(st.lists(WORDS))
def test_words_come_out_as_they_went_in(words):
    def execute(bot, *words: str): ...

    assert fit(execute, " ".join(words)) == words


@given(st.lists(TEXTS))
def test_texts_in_quotes_come_out_as_they_went_in(texts):
    def execute(bot, *texts: str): ...

    assert fit(execute, "  ".join(f'"{text}"' for text in texts)) == texts


@given(st.integers(-(10**99), 10**99), TEXTS.filter(lambda text: text.strip()))
def test_a_number_and_the_rest(count, rest):
    got = fit(order, f"{count} {rest}")
    assert got[0] == count
    assert got[1] == rest.strip() or (got[1] in rest and rest.strip()[0] in "“„«")


EVERY: list[Any] = [str, int, float, bool, date, timedelta, Literal["a", "b"], int | None]


@given(st.text(), st.lists(st.sampled_from(EVERY), max_size=4))
def test_any_line_fits_or_is_told_in_one_line(line, kinds):
    names = [f"p{number}" for number in range(len(kinds))]
    space: dict[str, Any] = {}
    exec(f"def execute(bot, {', '.join(names)}): ...", space)
    space["execute"].__annotations__ = dict(zip(names, kinds, strict=True))
    try:
        told = None
        assert len(fit(space["execute"], line)) == len(kinds)
    except UsageError as error:
        told = str(error)
    assert told is None or ("Write: `do" in told and len(told.splitlines()) == 1)
