"""A roll: who is asked in a vote, whether in the room or not. Read from a sheet, and matched with those known. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from shellbot.events import Person
from shellbot.polls.sheet import SheetError, decoded, rows, written

MAX_PEOPLE = 10_000
_HEADS = {
    "id": ("id", "person id", "personid", "user id", "userid"),
    "address": ("address", "mail", "email", "e mail", "mail address", "email address", "e mail address"),
    "name": ("name", "full name", "display name", "displayname", "person"),
}
_COLUMNS = {head: column for column, heads in _HEADS.items() for head in heads}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a roll. At least one of the three is there; of two that are, ``id`` tells more than ``address``."""

    line: int
    id: str = ""
    address: str = ""
    name: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """The same for two lines that plainly are one person; an id is never the same as an address or a name."""
        if self.id:
            return "id", self.id
        return ("address", folded(self.address)) if self.address else ("name", folded(self.name))

    def __str__(self) -> str:
        more = self.address or self.id
        return f"{self.name} <{more}>" if self.name and more else self.name or more


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with a line, and what to do; ``line`` is 0 where it is the whole file."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Roll:
    """The lines that can be read, and what is wrong with the others."""

    entries: tuple[Entry, ...]
    mistakes: tuple[Mistake, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody this server has met: ``direct`` is the id of the direct channel, or empty; ``rooms`` are ids."""

    person: Person
    direct: str
    rooms: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Match:
    """A line with whom it means.

    ``why`` there is nobody: ``unknown``; ``ambiguous``, it fits several; ``torn``, its id is of one person and
    its address of another. ``first`` is the line in which the same person stands before, or 0.
    """

    entry: Entry
    known: Known | None = None
    why: Literal["", "unknown", "ambiguous", "torn"] = ""
    first: int = 0


def read(data: bytes) -> Roll:
    """Read a sheet with the columns id, address and name, or some of them.

    The first row names the columns. Without such a row there is one column of addresses, names or ids, or one of
    addresses and one of names.
    """
    try:
        found = rows(decoded(data))
    except SheetError as error:
        return Roll((), (Mistake(error.line, str(error)),))
    columns = [_COLUMNS.get(_head(cell)) for cell in found[0].cells] if found else []
    has_head = any(columns)
    entries, mistakes = [], []
    if has_head and (twice := {name for name in columns if name and columns.count(name) > 1}):
        return Roll((), (Mistake(found[0].line, f"two columns are called {', '.join(sorted(twice))}; keep one"),))
    for row in found[1:] if has_head else found:
        try:
            entries.append(_with_head(row.line, row.cells, columns) if has_head else _bare(row.line, row.cells))
        except SheetError as error:
            mistakes.append(Mistake(error.line, str(error)))
    if not entries and not mistakes:
        mistakes.append(Mistake(0, "there is nobody in it; write a line for each person: id, address or name"))
    if len(entries) > MAX_PEOPLE:
        mistakes.append(Mistake(entries[MAX_PEOPLE].line, f"{MAX_PEOPLE:,} people are the most"))
    return Roll(tuple(entries[:MAX_PEOPLE]), tuple(mistakes))


def write(entries: Iterable[Entry]) -> str:
    """A sheet that :func:`read` reads."""
    return written([("id", "address", "name"), *((entry.id, entry.address, entry.name) for entry in entries)])


def doubles(entries: Iterable[Entry]) -> dict[int, int]:
    """Lines that plainly stand for a person of an earlier one: both lines, the later first."""
    first: dict[tuple[str, str], int] = {}
    return {entry.line: first[entry.key] for entry in entries if first.setdefault(entry.key, entry.line) != entry.line}


def match(entries: Iterable[Entry], people: Iterable[Known]) -> list[Match]:
    """Find whom each line means among those who are known: by id, then address, then name.

    A line that has only a name may have an id or an address there; where that fits several people, it is ambiguous.
    """
    book = _Book(people)
    seen: dict[tuple[str, str], int] = {}
    found = []
    for entry in entries:
        matched = book.look_up(entry)
        is_one = ("person", matched.known.person.id) if matched.known else entry.key
        found.append(Match(entry, matched.known, matched.why, seen.get(is_one, 0)))
        for key in (is_one, entry.key):
            seen.setdefault(key, entry.line)
    return found


def problems(matches: Iterable[Match]) -> Iterator[Mistake]:
    """What is wrong with a roll before a vote is opened, a line each, with what to do."""
    for each in matches:
        entry, who = each.entry, str(each.entry)
        if each.first:
            text = f"{who} is on it twice: line {each.first} is the same person; take one of them out"
        elif each.why == "ambiguous":
            meant = "the id or the address of the one who is meant, under a head of that name"
            text = f"{who}: several people are called so; write {meant}"
        elif each.why == "torn":
            text = f"{who}: the id is of one person, the address of another; correct one of them"
        elif each.known is None:
            text = f"{who} is unknown: no such person has met the bot; correct it, or ask them to write to the bot once"
        elif not each.known.direct:
            text = f"{who} cannot be reached: there is no direct channel; ask them to write to the bot once"
        else:
            continue
        yield Mistake(entry.line, text)


def folded(text: str) -> str:
    """For comparing ids, addresses and names as people write them."""
    return " ".join(text.split()).casefold()


@dataclass
class _Book:
    people: Iterable[Known]
    ids: dict[str, Known] = field(default_factory=dict)
    addresses: dict[str, Known] = field(default_factory=dict)
    names: dict[str, list[Known]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for known in self.people:
            self.ids[known.person.id] = known
            if known.person.address:
                self.addresses[folded(known.person.address)] = known
            self.names[folded(known.person.name)].append(known)

    def look_up(self, entry: Entry) -> Match:
        by_id, by_address = self.ids.get(entry.id), self.addresses.get(folded(entry.address))
        if by_id and by_address and by_id is not by_address:
            return Match(entry, why="torn")
        if (known := by_id or by_address) is not None:
            return Match(entry, known)
        if entry.id or entry.address or not entry.name:  # a name does not stand in for an id that is wrong
            return Match(entry, why="unknown")
        name = folded(entry.name)
        found = [self.ids.get(entry.name), self.addresses.get(name), *self.names.get(name, [])]
        meant = list({known.person.id: known for known in found if known is not None}.values())
        if len(meant) > 1:
            return Match(entry, why="ambiguous")
        return Match(entry, meant[0]) if meant else Match(entry, why="unknown")


def _head(cell: str) -> str:
    return folded(cell.replace("_", " ").replace("-", " "))


def _with_head(line: int, cells: tuple[str, ...], columns: list[str | None]) -> Entry:
    if any(cells[len(columns) :]):
        raise SheetError(f"it has {len(cells)} cells, and the first row names {len(columns)}", line)
    values = {name: cell for name, cell in zip(columns, cells, strict=False) if name}
    if not any(values.values()):
        raise SheetError("it has neither id, nor address, nor name", line)
    return Entry(line, **values)


def _bare(line: int, cells: tuple[str, ...]) -> Entry:
    given = [cell for cell in cells if cell]
    addresses = [cell for cell in given if "@" in cell]
    others = [cell for cell in given if "@" not in cell]
    if len(given) > 2 or len(addresses) > 1 or len(others) > 1:
        raise SheetError("it has several cells; name the columns in a first row: id, address, name", line)
    return Entry(line, address="".join(addresses), name="".join(others))
