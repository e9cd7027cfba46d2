"""Numbered messages, and what went wrong in a row of them."""

from __future__ import annotations

from time import monotonic_ns
from typing import Any, NamedTuple

import orjson

CHANNEL = "room"
# Messages are numbered from here, so that each has the same size; smaller numbers are probes.
FIRST = 1_000_000
PROBE, START = 0, 1


def message(size: int) -> dict[str, Any]:
    """A flat message of so many bytes of JSON, as long as its number has seven digits."""
    found = {"n": FIRST, "person": "person-1", "text": ""}
    found["text"] = "x" * (size - len(orjson.dumps(found)))
    return found


class Counted(NamedTuple):
    """What a reader saw of a row of numbered messages; ``ended`` is the monotonic clock in ns at its last one."""

    ended: int
    lost: int
    disordered: int
    doubled: int


class Tally:
    """Follows a row of numbers. The reader compares each with ``wanted`` itself, and asks only where they differ."""

    def __init__(self) -> None:
        self._missing: set[int] = set()
        self._disordered = 0
        self._doubled = 0

    def judge(self, number: int, wanted: int) -> int:
        """Note a number that is not the wanted one; gives the number that is wanted next."""
        if number > wanted:
            self._missing.update(range(wanted, number))
            return number + 1
        if number in self._missing:
            self._missing.discard(number)
            self._disordered += 1
        else:
            self._doubled += 1
        return wanted

    def counted(self) -> Counted:
        """To be called when the last one has come."""
        return Counted(monotonic_ns(), len(self._missing), self._disordered, self._doubled)


def worst(rows: list[Counted]) -> Counted:
    """Several rows as one: when the last of them ended, and all that went wrong."""
    return Counted(
        max(row.ended for row in rows),
        sum(row.lost for row in rows),
        sum(row.disordered for row in rows),
        sum(row.doubled for row in rows),
    )
