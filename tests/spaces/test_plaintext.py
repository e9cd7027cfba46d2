"""Markdown and hostile text as plain lines."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.spaces.plaintext import from_markdown, lines_of


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("**bold** and *slanted*, __so__ and _so_", ["bold and slanted, so and so"]),
        ("***both***, **a** *b*", ["both, a b"]),
        ("`code` and ``co`de``", ["code and co`de"]),
        ("snake_case_name, 2 * 3 * 4, a*b*c", ["snake_case_name, 2 * 3 * 4, a*b*c"]),
        ("[docs](https://x.org/a_b_c) <https://y.org/_z_>", ["docs (https://x.org/a_b_c) https://y.org/_z_"]),
        ("[https://x.org](https://x.org)", ["https://x.org"]),
        ("# Title #\n- one\n- *two*\n1. three", ["Title", "- one", "- two", "1. three"]),
        ("| a | b |\n|---|:-:|\n| 1 | 2 |", ["| a | b |", "| 1 | 2 |"]),
        ("```python\nx = **y**\n```\nafter", ["x = **y**", "after"]),
        (r"\*not slanted\* \[x\](y) \`z\` \\ a\b", [r"*not slanted* [x](y) `z` \ a\b"]),
        (r"**\*\***", ["**"]),
        ("", [""]),
        ("a\n\nb\n", ["a", "", "b"]),
    ],
)
def test_light_markdown_reads_as_text(text: str, lines: list[str]) -> None:
    assert from_markdown(text) == lines


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("\x1b[31mred\x1b[0m", ["^[[31mred^[[0m"]),
        ("\x1b]0;title\x07", ["^[]0;title^G"]),
        ("\x9b31m", ["\\x9b31m"]),
        ("a\rb\x0bc\x0cd\x1ce\x85f\u2028g\u2029h", ["a", "b", "c", "d", "e", "f", "g", "h"]),
        ("abc\b\b\bxyz\x7f", ["abc^H^H^Hxyz^?"]),
        ("\u202egnp.exe\u2066x\u200f\u061c", ["gnp.exex"]),
        ("a\u200bb\u200dc\ufeffd\u2060e\u00ad", ["abcde"]),
        ("\ud800 \U000f0041", ["\ufffd \ufffd"]),
        ("a\tb", ["a    b"]),
        ("Grüße, 日本語 🎉", ["Grüße, 日本語 🎉"]),
    ],
)
def test_nothing_steers_the_terminal_or_hides(text: str, lines: list[str]) -> None:
    assert lines_of(text) == lines


@pytest.mark.parametrize("part", ["`a", "**a ", "*a ", "[a](", "\\\\`", "_", "|-", "# ", "<http:a", "*`_["])
def test_a_hostile_text_is_read_in_no_time(part: str) -> None:
    lines = [(part * 2000)[:size] for size in (1999, 2001, 100_000)]
    assert len(from_markdown("\n".join(lines * 20))) >= 20


@given(st.text())
def test_no_text_at_all_leaves_anything_but_plain_characters(text: str) -> None:
    for line in [*lines_of(text), *from_markdown(text)]:
        assert line.splitlines() in ([line], [])
        assert not [char for char in line if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")]
