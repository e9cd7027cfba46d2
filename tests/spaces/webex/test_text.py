"""Text on its way to Webex: cut by bytes, tables as text, and calling nobody."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.spaces.webex import text as webex_text
from shellbot.spaces.webex.text import (
    LIMIT_BYTES,
    MARK,
    ROOM_BYTES,
    calm,
    fenced,
    split,
    with_mark,
    without_tables,
)

LIMITS = st.integers(64, 400)
# what is cut where it should not be, if anything is
PIECES = st.sampled_from(
    [
        "word ",
        "é",
        "日本",
        "\U0001f469\u200d\U0001f680",
        "\U0001f1eb\U0001f1f7",
        "e\u0301",
        "\\*",
        "\n",
        "x" * 70,
        "**bold** ",
        " ",
    ]
)
TEXTS = st.lists(PIECES, max_size=120).map("".join)


def words(text):
    """Without white space, and marks of what is bold."""
    return re.sub(r"[\s\x1c-\x1f\x85]|\*\*", "", text)


@given(st.text() | TEXTS, LIMITS)
def test_no_message_is_too_long_and_no_word_is_lost(text, limit):
    pieces = split(text, limit)
    assert all(0 < len(piece.encode()) <= limit for piece in pieces)
    if "```" not in text and "~~~" not in text:
        assert words("".join(pieces)) == words(text.encode(errors="replace").decode())


@given(TEXTS, LIMITS)
def test_what_is_one_character_for_its_reader_is_not_parted(text, limit):
    for piece in split(text, limit):
        assert not piece.startswith(("\u0301", "\u200d", "\U0001f680"))
        assert not piece.endswith("\u200d")
        assert len(re.findall("[\U0001f1e6-\U0001f1ff]", piece)) % 2 == 0
        assert (len(piece) - len(piece.rstrip("\\"))) % 2 == 0


@given(st.lists(st.text("ab `~", max_size=30), max_size=40), LIMITS)
def test_a_block_of_code_that_is_cut_ends_and_begins_again(lines, limit):
    body = [line for line in lines if not re.match(r" {0,3}(`{3,}|~{3,})", line)]
    pieces = split("\n".join(["before", "```python", *body, "```", "after"]), limit)
    shown = []
    for piece in pieces:
        inside = False
        for line in piece.split("\n"):
            if line in ("```python", "```"):
                inside = not inside
            elif inside:
                shown.append(line)
            else:
                assert line in ("before", "after", "")
        assert not inside
    assert "".join(shown) == "".join(body)


def test_it_is_cut_at_ends_of_lines_then_at_spaces():
    assert split("a" * 40 + "\n" + "b" * 40, 64) == ["a" * 40, "b" * 40]
    assert split("a" * 40 + " " + "b" * 40, 64) == ["a" * 40 + " ", "b" * 40]
    assert split("a" * 100, 64) == ["a" * 62, "a" * 38]  # room for what may be bold
    assert split("", 64) == split("\n\n", 64) == []
    assert split("short") == ["short"]


def test_what_is_bold_goes_on_bold():
    pieces = split("before **" + "bold words " * 20 + "end** after", 100)
    assert len(pieces) > 2
    assert all(piece.count("**") % 2 == 0 for piece in pieces)
    assert pieces[1].startswith("**bold")
    assert pieces[1].endswith(("words**", "bold**"))
    assert pieces[-1].endswith("end** after")


def test_the_limit_counts_bytes_and_leaves_room_for_the_mark():
    pieces = split("é" * 20_000)
    assert len(pieces) == 6
    assert all(len(with_mark(piece).encode()) <= LIMIT_BYTES for piece in pieces)
    assert len(pieces[0].encode()) > ROOM_BYTES - 4


def test_half_a_character_is_a_question_mark():
    assert split("a\udc80b") == ["a?b"]


@pytest.mark.parametrize(
    "words",
    [
        "<@all>",
        r"\<@all\>",
        "<@personId:abc|Person A>",
        r"\<\@all>",
        "<@personEmail:a@example.com>",
        '<spark-mention data-object-type="groupMention" data-group-type="all">All</spark-mention>',
        "<SPARK-MENTION>",
    ],
)
def test_marks_that_call_people_call_nobody_and_read_as_before(words):
    calmed = calm(words)
    assert "<@" not in calmed
    assert "<spark" not in calmed.lower()
    assert calmed.replace("\u200b", "") == words


def test_other_angles_stay_as_they_are():
    assert calm("1 < 2 <https://example.com>") == "1 < 2 <https://example.com>"


@given(st.text())
def test_nothing_in_a_block_of_code_can_end_it(text):
    shown = fenced(text)
    marks = shown.split("\n", 1)[0]
    assert marks not in text
    assert shown == f"{marks}\n{text}\n{marks}"


def test_a_table_is_a_block_of_code_with_its_columns_lined_up():
    table = "Before\n\n| Choice | Votes |\n|:---|---:|\n| **Pizza** | 3 |\n| Ham \\| Corn | 12 |\n\nAfter"
    assert without_tables(table) == (
        "Before\n\n```\nChoice      Votes\n----------  -----\nPizza       3\nHam | Corn  12\n```\n\nAfter"
    )
    code = "```\n| a |\n|---|\n```"
    assert without_tables(code) == code


@given(st.text("ab|-: \n`", max_size=200))
def test_no_text_breaks_the_look_for_tables(text):
    assert isinstance(without_tables(text), str)


def test_the_mark_stands_at_the_end_outside_of_a_block():
    assert with_mark("hello") == f"hello {MARK}"
    assert with_mark("```\ncode\n```") == f"```\ncode\n```\n{MARK}"
    assert with_mark("") == MARK


def test_twice_the_lines_take_twice_the_work(monkeypatch):
    def looked_at(lines: int) -> int:
        count = 0

        def counting(text: str) -> int:
            nonlocal count
            count += 1
            return len(text.encode())

        monkeypatch.setattr(webex_text, "_size", counting)
        split("a\n" * lines)
        return count

    assert looked_at(2000) < 3 * looked_at(1000)


def test_a_wide_cell_does_not_widen_all_others():
    table = "\n".join(["|a|b|", "|-|-|", "|" + "x" * 3000 + "|y|", *["|1|2|"] * 500])
    assert len(without_tables(table)) < 3000 + 502 * 120


def test_a_line_of_spaces_is_no_table():
    assert without_tables("a|b\n|" + " " * 7000 + "x") == "a|b\n|" + " " * 7000 + "x"
