"""What bots say as Webex shows it: within its limit of bytes, tables as text, and calling nobody. Pure."""

from __future__ import annotations

import re
import unicodedata

from shellbot.markup import unescape

LIMIT_BYTES = 7_439  # of UTF-8 in one message
MARK = "(again)"  # at the end of what is sent once more, because nobody knows whether it was shown
ROOM_BYTES = LIMIT_BYTES - len(MARK) - 2
FARTHEST = 64  # characters that a cut goes back so as not to part what is one character for its reader
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_RULE = re.compile(r"(?:\| *)?:?-+:?(?: *\| *:?-+:?)*(?: *\|)?\Z")  # of a line without the spaces around it
_WIDEST = 100  # characters that a cell is filled up to: each line of a table would be as long as its longest cell
_CELLS = re.compile(r"(?<!\\)\|")
# What Webex takes for a call: <@all>, <@personId:...>, also with a backslash before the @, and the element of its HTML
_CALL = re.compile(r"<(?=\\*@|\\*/?\s*spark-mention)", re.IGNORECASE)
BOLD = "**"
_BOLD = re.compile(r"(?<!\\)\*\*")
_NOTHING = "\u200b"  # zero width, so that it is read as it was written


def calm(markdown: str) -> str:
    """The same for the eye, and calling nobody: no bot of ours calls people by Webex's own marks."""
    return _CALL.sub(f"<{_NOTHING}", markdown)


def fenced(text: str) -> str:
    """Text whose columns line up, as a block of code that nothing in it can end."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}\n{text}\n{marks}"


def with_mark(markdown: str) -> str:
    """What is sent once more, with the mark at its end."""
    last = markdown.rpartition("\n")[2]
    return f"{markdown}{chr(10) if _FENCE.match(last) else ' '}{MARK}".strip()


def without_tables(markdown: str) -> str:
    """Tables, which Webex does not know, as blocks of code with their columns lined up."""
    lines, shown, number = markdown.split("\n"), [], 0
    fence = ""
    while number < len(lines):
        fence = _fence_after(fence, lines[number])
        is_table = (
            not fence
            and number + 1 < len(lines)
            and "|" in lines[number]
            and "|" in lines[number + 1]
            and _RULE.match(lines[number + 1].strip(" "))
        )
        if not is_table:
            shown.append(lines[number])
            number += 1
            continue
        rows = [lines[number]]
        number += 2
        while number < len(lines) and "|" in lines[number]:
            rows.append(lines[number])
            number += 1
        shown.append(fenced(_lined_up(rows)))
    return "\n".join(shown)


def _lined_up(rows: list[str]) -> str:
    cells = [
        [unescape(cell.strip()).replace("**", "") for cell in _CELLS.split(row.strip().removeprefix("|"))]
        for row in (row.rstrip().removesuffix("|") for row in rows)
    ]
    longest = [max(len(row[n]) if n < len(row) else 0 for row in cells) for n in range(max(map(len, cells)))]
    widths = [min(width, _WIDEST) for width in longest]
    lines = ["  ".join(cell.ljust(widths[n]) for n, cell in enumerate(row)).rstrip() for row in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def split(markdown: str, limit: int = ROOM_BYTES) -> list[str]:
    """Cut into messages of at most ``limit`` bytes, at least 64: at ends of lines, else at spaces, else anywhere but
    inside of a character. A block of code that is cut ends in one message and begins again in the next, and so does
    what is bold.

    Returns:
        None that is empty; joined they hold all that was there, but for white space and marks where it was cut.
    """
    pieces: list[str] = []
    current: list[str] = []
    size = 0
    fence = ""  # the line that opened the block we are in

    def flush() -> None:
        nonlocal current, size
        kept = current
        if fence and kept and kept[-1] == fence:
            kept = kept[:-1]  # begins again in the next
        elif fence and kept:
            kept = [*kept, _closing(fence)]
        if piece := "\n".join(kept).strip("\n"):
            pieces.append(piece)
        current = [fence] if fence else []
        size = _size(fence) if fence else 0

    for line in _readable(markdown).split("\n"):
        after = _fence_after(fence, line)
        spare = _size(_closing(after)) + 1 if after else 0
        rest = line
        while size + bool(current) + _size(rest) + spare > limit:
            head = limit - size - bool(current) - (spare if after else len(BOLD))
            if _size(rest) + (_size(fence) + 1 if fence else 0) + spare <= limit and current not in ([], [fence]):
                flush()
                continue
            cut = _cut(rest, head) if head >= FARTHEST // 4 else 0
            if not cut:
                if current in ([], [fence]):
                    cut = 1  # a fence longer than the limit; go on rather than not end
                else:
                    flush()
                    continue
            piece, rest = (rest[:cut], rest[cut:]) if fence else _bold(rest[:cut], rest[cut:])
            current.append(piece)
            flush()
        size += bool(current) + _size(rest)
        current.append(rest)
        fence = after
    fence = ""
    flush()
    return pieces


def _fence_after(fence: str, line: str) -> str:
    """The line that opened the block we are in behind ``line``, or nothing."""
    found = _FENCE.match(line)
    if not found:
        return fence
    if not fence:
        # A long word behind the marks would be repeated in each message.
        return line if _size(line) <= 40 else found[1]
    opened = _closing(fence)
    is_end = found[1][0] == opened[0] and len(found[1]) >= len(opened) and not line[found.end() :].strip()
    return "" if is_end else fence


def _closing(fence: str) -> str:
    found = _FENCE.match(fence)
    return found[1] if found else "```"


def _cut(text: str, room: int) -> int:
    """How many characters to take of a text that does not fit in ``room`` bytes: behind a space if there is one."""
    most = len(text.encode()[:room].decode(errors="ignore"))
    space = text.rfind(" ", 0, most)
    if space > 0 and text[:space].strip():
        return space + 1
    for cut in range(most, max(0, most - FARTHEST), -1):
        if not _is_inside(text, cut):
            return cut
    return most


def _bold(head: str, rest: str) -> tuple[str, str]:
    """A line that is cut, with what is bold at the cut ended before it and begun again behind it."""
    marks = [found.start() for found in _BOLD.finditer(head)]
    if len(marks) % 2 == 0:
        return head, rest
    inside = head[marks[-1] + len(BOLD) :]
    if not inside.strip():  # it only begins here; where nothing else is in the line it stays as it is
        return (head[: marks[-1]], BOLD + inside + rest) if head[: marks[-1]].strip() else (head, rest)
    return head.rstrip() + BOLD, BOLD + rest.lstrip(" ")


def _is_inside(text: str, cut: int) -> bool:
    """Whether a cut here would part what is one character for its reader, or one and the backslash before it."""
    if cut >= len(text):
        return False
    before, behind = text[cut - 1], text[cut]
    if before == "\u200d" or behind == "\u200d" or unicodedata.category(behind).startswith("M"):
        return True
    if "\U0001f3fb" <= behind <= "\U0001f3ff":  # a colour of skin
        return True
    if _is_flag(before) and _is_flag(behind):
        count = 0
        while count < cut and _is_flag(text[cut - 1 - count]):
            count += 1
        return count % 2 == 1
    slashes = len(text[:cut]) - len(text[:cut].rstrip("\\"))
    return slashes % 2 == 1


def _is_flag(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _size(text: str) -> int:
    return len(text.encode())


def _readable(text: str) -> str:
    """Half characters cannot be sent."""
    return text.encode(errors="replace").decode().replace("\r\n", "\n").replace("\r", "\n")
