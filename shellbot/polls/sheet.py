"""Sheets as people keep them: the rows of a CSV file with the lines they stand in, and cells on the way out. Pure."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shellbot.errors import PollError
from shellbot.markup import one_line

DELIMITERS = ",;\t"
MAX_BYTES = 5_000_000
MAX_CELL = 300  # characters
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# What a spreadsheet would take for a formula when it opens the file; a tab and a line end before it change nothing.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of one row, each on one line, and the line of the file in which it begins, from 1."""

    line: int
    cells: tuple[str, ...]


class SheetError(PollError):
    """A file that is no sheet. ``line`` is where, from 1; 0 where it is all of it."""

    def __init__(self, text: str, line: int = 0) -> None:
        super().__init__(text)
        self.line = line


def decoded(data: bytes) -> str:
    """The text of a file, whatever mark of its encoding stands before it.

    Raises:
        SheetError: It is too large, or neither UTF-8 nor UTF-16.
    """
    if len(data) > MAX_BYTES:
        raise SheetError(f"it has more than {MAX_BYTES:,} bytes; is it the right file?")
    try:
        if data.startswith(_WIDE):
            return data.decode("utf-16")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SheetError("this is no UTF-8; save it as “CSV UTF-8”", line) from error


def rows(text: str) -> list[Row]:
    """Read rows whose cells have commas, semicolons or tabs between; empty ones are left out.

    Quotes, doubled quotes and line ends in them are as spreadsheets write them, and so is ``sep=;`` at the top.

    Raises:
        SheetError: It names the line.
    """
    delimiter, skipped, text = _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    found: list[Row] = []
    while True:
        line = reader.line_num + 1 + skipped
        try:
            cells = next(reader)
        except StopIteration:
            return found
        except csv.Error as error:
            raise SheetError(f"the quotes in it do not match, or a cell has no end ({error})", line) from error
        clean = tuple(_unquoted(one_line(cell)) for cell in cells)
        if any(len(cell) > MAX_CELL for cell in clean):
            raise SheetError(f"a cell has more than {MAX_CELL} characters; does a quote lack its end?", line)
        if any(clean):
            found.append(Row(line, clean))


def written(table: Iterable[Sequence[object]]) -> str:
    """A CSV file of these rows; what a spreadsheet would take for a formula is a text in it, and :func:`rows` knows."""
    file = io.StringIO()
    writer = csv.writer(file)
    for row in table:
        writer.writerow([_plain_cell(cell) if isinstance(cell, str) else cell for cell in row])
    return file.getvalue()


def _plain_cell(text: str) -> str:
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) else text


def _unquoted(text: str) -> str:
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(_FORMULA) else text


def _delimiter(text: str) -> tuple[str, int, str]:
    """What stands between cells, how many lines at the top only say that, and the rest of the text."""
    first, end, rest = text.partition("\n")
    named = first.strip("\r").casefold()
    if named.startswith("sep=") and len(named) == 5 and named[4] in DELIMITERS:
        return named[4], 1 if end else 0, rest
    bare = next((line for line in text.splitlines() if line.strip()), "")
    outside = "".join(bare.split('"')[::2])  # of quotes
    return max(DELIMITERS, key=outside.count), 0, text
