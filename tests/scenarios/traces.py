"""Looks through all that lies on the disk for who voted what."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path

BESIDE = 250  # bytes: choices that stand so near each other are a list, as on a ballot; a person so near is told
NEAR = 700


def files_in(*folders: Path) -> dict[Path, bytes]:
    """All bytes of all files, those of a running program's mapped ones included."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                found[path] = path.read_bytes()
    return found


def links(people: Iterable[str], choices: Iterable[str], files: dict[Path, bytes]) -> list[str]:
    """Places at which a person stands beside one choice and not beside all; empty: nothing tells who voted what.

    Args:
        people: Names and ids. choices: Words that stand nowhere else.
    """
    who, what = tuple(people), tuple(choices)
    found = []
    for path, data in files.items():
        found += [f"{path.name} at {place}" for place in _in_bytes(who, what, data)]
        if path.name == "store.db":
            found += [f"{path.name}: {row}" for row in _in_rows(who, what, path)]
    return found


def _in_bytes(people: tuple[str, ...], choices: tuple[str, ...], data: bytes) -> list[int]:
    marks = [choice.encode() for choice in choices]
    alone = []
    for mark in marks:
        for hit in re.finditer(re.escape(mark), data):
            around = data[max(0, hit.start() - BESIDE) : hit.end() + BESIDE]
            if all(other in around for other in marks):
                continue
            near = data[max(0, hit.start() - NEAR) : hit.end() + NEAR]
            if any(person.encode() in near for person in people):
                alone.append(hit.start())
    return alone


def _in_rows(people: tuple[str, ...], choices: tuple[str, ...], path: Path) -> list[str]:
    """Rows with a person, in which not all choices stand equally often."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        found = []
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in db.execute(f"SELECT * FROM {table}").fetchall():
                text = " ".join(cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell) for cell in row)
                times = {text.count(choice) for choice in choices}
                if len(times) > 1 and any(person in text for person in people):
                    found.append(f"{table} {text[:300]}")
        return found
    finally:
        db.close()
