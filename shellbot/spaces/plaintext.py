"""What bots and people write, as lines that a terminal shows as text and nothing else."""

from __future__ import annotations

import re
import unicodedata

# Of plane 15 (private use), where a sign of markdown that means itself hides while markdown is read
_HIDDEN = 0xF0000
_LITERAL = re.compile(r"\\([!-/:-@\[-`{-~])|(?<!`)(`+)(?!`)(.+?)(?<!`)\2(?!`)")  # escaped, or a span of code
_LINK = re.compile(r"!?\[([^\[\]]*)\]\(([^()\s]+)\)")
_AUTOLINK = re.compile(r"<((?:https?|mailto):[^<>\s]+)>")
_HEADING = re.compile(r"^ {0,3}#{1,6} +(.*?)(?: +#+)?$")
_STRONG = re.compile(r"(?<![\w*])(\*\*|__)(?=[^\s*_]|[*_][^\s*_])(.+?)(?<=[^\s])\1(?!\w)")
_EMPHASIS = re.compile(r"(?<![\w*])([*_])(?=[^\s*_])([^*_]+?)(?<=[^\s])\1(?![\w*])")
_RULE_OF_TABLE = re.compile(r"^ *\|? *:?-+:? *(\| *:?-+:? *)*\|? *$")
LONGEST = 2000  # characters of a line in which signs are looked for; the search takes the square of it


def lines_of(text: str) -> list[str]:
    """The lines of ``text``, without what would move the cursor, hide, or turn the direction of reading.

    Whatever some program takes for the end of a line ends one here. Control characters show as ``^[`` and the like;
    bidi controls, zero width and other invisible characters are taken out.
    """
    return ["".join(map(_shown, line)).rstrip() for line in text.splitlines()] or [""]


def from_markdown(text: str) -> list[str]:
    """Light markdown as plain lines: emphasis, code and links without their signs, lists and tables as written."""
    shown = []
    in_fence = False
    for line in lines_of(text):
        if line.lstrip().startswith("```"):
            in_fence = not in_fence
        elif in_fence or len(line) > LONGEST:
            shown.append(line)
        elif "|" in line and _RULE_OF_TABLE.match(line):
            continue
        else:
            shown.append(_without_signs(line))
    return shown or [""]


def _without_signs(line: str) -> str:
    line = _LITERAL.sub(lambda found: _hide(found[1] or found[3]), line)
    line = _AUTOLINK.sub(lambda found: _hide(found[1]), line)
    line = _LINK.sub(lambda found: found[1] if found[1] == found[2] else f"{found[1]} ({_hide(found[2])})", line)
    if heading := _HEADING.match(line):
        line = heading[1]
    for _ in range(3):  # emphasis within emphasis
        line = _EMPHASIS.sub(r"\2", _STRONG.sub(r"\2", line))
    return "".join(chr(ord(char) - _HIDDEN) if _HIDDEN <= ord(char) < _HIDDEN + 128 else char for char in line)


def _hide(text: str) -> str:
    return "".join(chr(ord(char) + _HIDDEN) if "!" <= char <= "~" else char for char in text)


def _shown(char: str) -> str:
    if " " <= char <= "~":
        return char
    if char == "\t":
        return "    "
    code = ord(char)
    if code < 32 or code == 127:
        return "^" + chr(code ^ 64)
    match unicodedata.category(char):
        case "Cc":
            return f"\\x{code:02x}"
        case "Cf":
            return ""
        case "Cs" | "Co":  # private use: nobody knows how a terminal shows it, and plane 15 is taken above
            return "\ufffd"
    return char
