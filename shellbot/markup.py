"""Text of people made safe to stand inside a bot's markdown, on one line, in a log."""

from __future__ import annotations

import re
import unicodedata

_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~&!])")
_AT_START = re.compile(r"\A(\d{1,9}(?=[.)])|(?=[-+=]))")  # what would begin a list or a line there
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
# Cc control, Cf format (bidi controls, zero width), Cs surrogate, Zl and Zp line separators
_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINER = "\u200d"  # holds emoji together; harmless and common


def one_line(text: str) -> str:
    """The text on one line, without characters that steer a terminal or turn the direction of reading."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    kept = "".join(
        " " if char.isspace() else char
        for char in text
        if char.isspace() or char == _JOINER or unicodedata.category(char) not in _UNSAFE
    )
    return " ".join(kept.split())


def plain(text: str) -> str:
    """The text for use inside markdown: shown as it was written, meaning nothing."""
    return _AT_START.sub(r"\1\\", _MARKDOWN.sub(r"\\\1", one_line(text)))


def sentence(text: str) -> str:
    """The text with a mark at its end: a question has its own, or gets a full stop."""
    return text if text[-1:] in tuple("?!.…。？！") else f"{text}."


def unescape(markdown: str) -> str:
    """Take back the backslashes of :func:`plain`, where markdown is shown as text."""
    return _ESCAPED.sub(r"\1", markdown)
