"""A poll counted again from its log, and compared with all that the store says of it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from shellbot.markup import one_line
from shellbot.polls.archive import find
from shellbot.polls.ballot import from_text, worded
from shellbot.polls.log import Entry, Log
from shellbot.polls.spec import Spec, restored
from shellbot.polls.tally import Result, count

_POLL = "id, number, question, choices, rules, state, result"


@dataclass(frozen=True, slots=True)
class Recount:
    """What the log of a poll comes to.

    Attributes:
        state: As the store has it.
        result: None if there is no log to count from.
        entries: How many of the log are genuine, from the first on.
        problems: What differs, a line each; none: the store is as it was written.
    """

    number: int
    question: str
    state: str
    result: Result | None
    entries: int
    problems: tuple[str, ...]


def recount(db: sqlite3.Connection, log: Log, name: str) -> Recount:
    """Count the poll with this number or id again. Only reads.

    Raises:
        PollError: There is none.
    """
    row = db.execute(f"SELECT {_POLL} FROM polls WHERE id = ?", (find(db, name).id,)).fetchone()
    poll = dict(zip(_POLL.split(", "), row, strict=True))
    entries, broken = log.read(db, poll["id"])
    problems = [broken] if broken else []
    result = None
    if entries and entries[0]["do"] != "open":
        problems = ["its log begins in the middle: it was opened with an earlier version"]
    elif entries:
        counted = _Counted(db, poll, entries)
        result = counted.result
        if not broken:
            problems = list(counted.differences())
    elif not broken and poll["state"] != "planned":
        problems = ["it has no log: it is of an earlier version, or somebody took the log out"]
    return Recount(poll["number"], poll["question"], poll["state"], result, len(entries), tuple(problems))


class _Counted:
    """The entries of one poll, and the rows to compare them with."""

    def __init__(self, db: sqlite3.Connection, poll: dict[str, Any], entries: list[Entry]) -> None:
        self._db = db
        self._poll = poll
        self._opened, self._last = entries[0], entries[-1]
        self._spec: Spec = restored(
            self._opened["question"], tuple(self._opened["choices"]), self._opened.get("rules", {})
        )
        self._votes = {entry["direct"]: entry for entry in entries if entry["do"] == "vote"}
        told: dict[str, Any] = self._last["result"] if self._last["do"] == "close" else {}
        self.result = count(
            self._spec,
            [from_text(vote["choice"], self._spec) for vote in self._votes.values()],
            len(self._opened["roll"]),
            told.get("unreachable", ()),
            told.get("silent", ()),
        )
        if self._spec.anonymous and told:
            self.result = Result(**told)

    def differences(self) -> Iterator[str]:
        """What the store says otherwise, a line each."""
        asked = {"question": self._spec.question, "choices": self._opened["choices"], "rules": self._opened["rules"]}
        for name, value in asked.items():
            kept = self._poll[name]
            if (kept if name == "question" else _json(kept)) != value:
                yield f"its {name} {'was' if name == 'question' else 'were'} changed: {one_line(str(value))} was asked"
        yield from self._of_the_roll()
        yield from self._of_the_choices() if self._spec.anonymous else self._of_the_ballots()
        if self._poll["state"] != "closed":
            if self._last["do"] == "close":
                yield f"it is said to be {self._poll['state']}, and was closed"
        elif self._last["do"] != "close":
            yield "it is said to be closed, and the close is not in its log"
        else:
            if _json(self._poll["result"]) != self._last["result"]:
                yield f"its result was changed: {_counts(self._last['result'])} was announced"
            if dict(self.result.counts) != self._last["result"]["counts"]:
                yield f"its log comes to {_counts({'counts': self.result.counts})}, and something else was announced"

    def _of_the_roll(self) -> Iterator[str]:
        rows = self._db.execute("SELECT person_id, direct FROM poll_roll WHERE poll = ?", (self._poll["id"],))
        here, then = dict(rows.fetchall()), dict(self._opened["roll"])
        for person in sorted(then.items() - here.items()):
            yield f"{person[0]} was on the roll ({person[1] or 'without a direct channel'}), and is not"
        for person in sorted(here.items() - then.items()):
            yield f"{person[0]} was put on the roll ({person[1] or 'without a direct channel'})"

    def _of_the_ballots(self) -> Iterator[str]:
        rows = self._db.execute("SELECT direct, n, choice FROM poll_ballots WHERE poll = ?", (self._poll["id"],))
        kept = {direct: (n, choice) for direct, n, choice in rows}
        for direct, vote in sorted(self._votes.items()):
            if direct not in kept:
                yield f"the ballot of {direct} is gone: it was {self._worded(vote['choice'])}"
            elif kept[direct] != (vote["n"], vote["choice"]):
                was, now = self._worded(vote["choice"]), self._worded(kept[direct][1])
                yield f"the ballot of {direct} was changed: it was {was}, and is {now}"
        for direct in sorted(kept.keys() - self._votes.keys()):
            yield f"the ballot of {direct} was put in: none came from there"

    def _of_the_choices(self) -> Iterator[str]:
        """Of an anonymous poll the log holds no votes, and after the close only bare choices are left."""
        rows = self._db.execute("SELECT choice FROM poll_choices WHERE poll = ?", (self._poll["id"],))
        kept = Counter(choice for (choice,) in rows)
        if self._last["do"] == "close" and kept != Counter(self._last["result"]["counts"]):
            yield f"its bare choices were changed: there are {_counts({'counts': kept})}"

    def _worded(self, choice: str) -> str:
        return one_line(worded(from_text(choice, self._spec)) or choice) or "nothing"


def _json(body: bytes | str | None) -> Any:
    """What is kept there; None if it is no JSON any more."""
    try:
        return orjson.loads(body or b"{}")
    except ValueError:
        return None


def _counts(result: dict[str, Any]) -> str:
    return ", ".join(f"{one_line(choice)} {number}" for choice, number in result["counts"].items())
