"""What the group's side keeps of its polls: the instruction, the roll, one ballot a voter, the result."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from shellbot.errors import UsageError
from shellbot.events import Person
from shellbot.polls.ballot import Vote, from_text, to_text
from shellbot.polls.log import SCHEMA as LOG
from shellbot.polls.log import Entry, Log
from shellbot.polls.numbers import SCHEMA as NUMBERS
from shellbot.polls.numbers import next_number
from shellbot.polls.sealing import Urn
from shellbot.polls.spec import Spec, restored
from shellbot.polls.tally import Result, count
from shellbot.roster import Member
from shellbot.stores.base import Row, Store

State = Literal["planned", "opening", "open", "closing", "closed", "cancelled"]
Reached = Literal["", "shown", "unreachable"]
Halt = Literal["", "stopped", "resumed"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS polls (
    id TEXT PRIMARY KEY, group_id TEXT NOT NULL, number INTEGER NOT NULL, question TEXT NOT NULL, choices BLOB NOT NULL,
    opener_id TEXT NOT NULL, opener TEXT NOT NULL, opened_at REAL NOT NULL, closes_at REAL,
    state TEXT NOT NULL, result BLOB
);
CREATE TABLE IF NOT EXISTS poll_roll (
    poll TEXT NOT NULL, person_id TEXT NOT NULL, name TEXT NOT NULL, direct TEXT NOT NULL,
    reached TEXT NOT NULL DEFAULT '', closed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (poll, person_id)
);
CREATE INDEX IF NOT EXISTS poll_roll_direct ON poll_roll (poll, direct);
CREATE TABLE IF NOT EXISTS poll_ballots (
    poll TEXT NOT NULL, direct TEXT NOT NULL, n INTEGER NOT NULL, choice TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (poll, direct)
);
"""
CREATE_ORDERS = "CREATE TABLE IF NOT EXISTS poll_orders (id TEXT PRIMARY KEY, answer TEXT NOT NULL, at REAL NOT NULL);"
# What came later, for stores made before; the defaults are what those polls were: plain, and never extended.
ADDED = {
    "polls": {
        "rules": "BLOB",
        "opens_at": "REAL",
        "remind_at": "REAL",
        "version": "INTEGER NOT NULL DEFAULT 0",
        "reopened": "INTEGER NOT NULL DEFAULT 0",
        "reminders": "INTEGER NOT NULL DEFAULT 0",
        "note": "BLOB",
        "halt": "TEXT NOT NULL DEFAULT ''",
        "ended_at": "REAL",  # when it was closed or cancelled
    },
    "poll_orders": {"poll": "TEXT NOT NULL DEFAULT ''"},
    "poll_roll": {
        "told": "INTEGER NOT NULL DEFAULT 0",
        "reminded": "INTEGER NOT NULL DEFAULT 0",
        "n": "INTEGER NOT NULL DEFAULT 0",  # this and the next are for anonymous polls
        "has_voted": "INTEGER NOT NULL DEFAULT 0",
        "refused": "INTEGER NOT NULL DEFAULT 0",  # number of the last ballot that came too late
    },
    "poll_ballots": {"is_done": "INTEGER NOT NULL DEFAULT 1"},
}
_COLUMNS = (
    "id, group_id, number, question, choices, opener_id, opener, opened_at, closes_at, state, result, rules, "
    "opens_at, remind_at, version, reopened, reminders, note, halt"
)


@dataclass(slots=True)
class Seat:
    """One person on the roll.

    ``reached``: what the direct channel reported of the ballot paper; ``has_closed``: it reported that it takes no
    more; ``has_voted``: a ballot of it is counted; ``is_done``: and nothing is to be added to it. Set them by
    :meth:`Round.mark`. ``n``: number of the ballot that counts, 0 before the first; ``counting``: of one on its way to
    the disk; ``told``: version of the poll that the channel reported, ``reminded``: number of the last reminder it did;
    ``is_gone``: the person has left the group, so that nobody waits for the vote any more, though it would count.
    """

    member: Member
    reached: Reached = ""
    has_closed: bool = False
    has_voted: bool = False
    is_done: bool = False
    n: int = 0
    counting: int = 0
    is_gone: bool = False
    told: int = 0
    reminded: int = 0


@dataclass(slots=True)
class Round:
    """A poll as the group bot works with it. The roll is frozen when it is made, of a planned one when it opens.

    ``version`` grows with each extension and reopening, ``reopened`` with the latter, ``reminders`` with each reminder;
    ``remind_at`` is when the next comes by itself; ``note`` is what only who opened it is yet to be told; ``urn`` opens
    the votes of an anonymous one that is not over; ``halt`` is ``stopped`` where no further ballots go out, and
    ``resumed`` once that was taken back.
    """

    id: str
    group: str
    number: int
    spec: Spec
    opener: Person
    opened_at: datetime
    closes_at: datetime | None
    state: State
    seats: dict[str, Seat] = field(default_factory=dict)  # by direct channel
    absent: list[Person] = field(default_factory=list)  # on the roll, without a direct channel
    result: Result | None = None
    opens_at: datetime | None = None
    remind_at: datetime | None = None
    version: int = 0
    reopened: int = 0
    reminders: int = 0
    note: dict[str, Any] | None = None
    halt: Halt = ""
    urn: Urn | None = None
    unseen: set[str] = field(default_factory=set)  # channels that have not reported on their ballot
    unvoted: set[str] = field(default_factory=set)  # channels from which a vote may come and none has, or not all
    unclosed: set[str] = field(default_factory=set)  # channels that have not reported the close
    untold: set[str] = field(default_factory=set)  # channels with the ballot that do not know of the latest version
    unreminded: set[str] = field(default_factory=set)  # of those who have not voted, that did not do the last reminder

    def __post_init__(self) -> None:
        self.look_again()

    def look_again(self) -> None:
        """Make the sets anew, after a change that is not of one channel."""
        for channel in self.seats:
            self.mark(channel)

    @property
    def is_over(self) -> bool:
        """Whether it is closed or cancelled."""
        return self.state in ("closed", "cancelled")

    @property
    def owner(self) -> str | None:
        """Direct channel of who opened it, if on the roll."""
        found = (channel for channel, seat in self.seats.items() if seat.member.person.id == self.opener.id)
        return next(found, None)

    def mark(
        self,
        channel: str,
        *,
        reached: Reached | None = None,
        has_voted: bool | None = None,
        is_done: bool | None = None,
        has_closed: bool | None = None,
        is_gone: bool = False,
        told: int = 0,
        reminded: int = 0,
    ) -> Seat:
        """Note what a channel reported; keeps the sets, so that ten thousand people cost no search per vote."""
        seat = self.seats[channel]
        seat.reached = reached or seat.reached
        seat.has_voted = seat.has_voted if has_voted is None else has_voted
        seat.is_done = seat.is_done if is_done is None else is_done
        seat.has_closed = seat.has_closed if has_closed is None else has_closed
        seat.is_gone |= is_gone
        seat.told, seat.reminded = max(seat.told, told), max(seat.reminded, reminded)
        has_paper = seat.reached == "shown"
        is_lost = seat.reached == "unreachable"
        for open_ones, is_open in (
            (self.unseen, not seat.reached),
            (self.unvoted, not ((seat.has_voted and seat.is_done) or is_lost or seat.is_gone)),
            (self.unclosed, not seat.has_closed and not is_lost),
            (self.untold, has_paper and seat.told < self.version),
            (self.unreminded, has_paper and not (seat.has_voted or seat.is_gone) and seat.reminded < self.reminders),
        ):
            (open_ones.add if is_open else open_ones.discard)(channel)
        return seat

    @property
    def asked(self) -> int:
        """People on the roll."""
        return len(self.seats) + len(self.absent)

    def is_shown_to(self, person: str) -> bool:
        """Whether this person may see what the votes come to, or came to. None sees it of an anonymous one before."""
        if self.state in ("planned", "cancelled") or (self.spec.anonymous and self.state != "closed"):
            return False
        if self.spec.results == "owner":
            return person == self.opener.id
        return self.state == "closed" or self.spec.results == "live"

    def unreachable(self) -> list[Person]:
        """Those on the roll who, as far as we know now, were not shown a ballot."""
        return [*(seat.member.person for seat in self.seats.values() if seat.reached != "shown"), *self.absent]

    def lost(self) -> list[Person]:
        """Those on the roll who will not be shown a ballot: they have no direct channel, or it cannot be reached."""
        lost = [seat.member.person for seat in self.seats.values() if seat.reached == "unreachable"]
        return [*lost, *self.absent]

    def have_all_voted(self) -> bool:
        """Whether everybody who can vote has; false while nobody has, and once reopened: a time or a word closes."""
        return not self.reopened and not self.unvoted and any(seat.has_voted for seat in self.seats.values())


async def prepare(store: Store) -> None:
    """Make the tables, and in those of an older version the columns that came later."""
    await store.create(SCHEMA + NUMBERS + CREATE_ORDERS + LOG)
    await store.write(lambda db: add_columns(db, ADDED))


def add_columns(db: sqlite3.Connection, added: Mapping[str, Mapping[str, str]]) -> None:
    """Add to each table the columns it has not; rows that are there get their defaults."""
    for table, columns in added.items():
        here = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
        for name in columns.keys() - here:
            db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {columns[name]}")


def insert(db: sqlite3.Connection, log: Log, new: Round) -> Round:
    """Keep a new poll, giving it its number; one that is here already is left as it is."""
    number = next_number(db)
    row = (
        new.id,
        new.group,
        number,
        new.spec.question,
        orjson.dumps(new.spec.choices),
        new.opener.id,
        new.opener.name,
        new.opened_at.timestamp(),
        _stamp(new.closes_at),
        new.state,
        orjson.dumps(new.spec.rules),
        _stamp(new.opens_at),
        _stamp(new.remind_at),
        orjson.dumps(new.note) if new.note else None,
    )
    columns = (
        "id, group_id, number, question, choices, opener_id, opener, opened_at, closes_at, state, rules, "
        "opens_at, remind_at, note"
    )
    places = ", ".join("?" * len(row))
    if db.execute(f"INSERT OR IGNORE INTO polls ({columns}) VALUES ({places})", row).rowcount:
        put_roll(db, log, new)
        new.number = number
        return new
    return next(found for found in select(db, new.group, "polls.id = ?", new.id))


def put_roll(db: sqlite3.Connection, log: Log, round: Round) -> None:
    """Keep who is on the roll; of one that is planned there is none yet."""
    if round.state == "planned":
        return
    people = [(round.id, s.member.person.id, s.member.person.name, s.member.direct) for s in round.seats.values()]
    people += [(round.id, person.id, person.name, "") for person in round.absent]
    db.executemany("INSERT INTO poll_roll (poll, person_id, name, direct) VALUES (?, ?, ?, ?)", people)
    roll = [(person, direct) for _, person, _, direct in people]
    spec = {"question": round.spec.question, "choices": round.spec.choices, "rules": round.spec.rules}
    log.add(db, round.id, {"do": "open", **spec, "roll": roll})


def select(db: sqlite3.Connection, group: str, where: str, *values: object) -> list[Round]:
    """Read the polls of a group, with roll and who has voted, oldest first."""
    query = f"SELECT {_COLUMNS} FROM polls WHERE group_id = ? AND {where} ORDER BY number"
    rounds = []
    for row in db.execute(query, (group, *values)).fetchall():
        (id_, group_id, number, question, choices, opener_id, opener, opened_at, closes_at, state, result, rules,
         opens_at, remind_at, version, reopened, reminders, note, halt) = row  # fmt: skip
        found = Round(
            id=id_,
            group=group_id,
            number=number,
            spec=restored(question, tuple(orjson.loads(choices)), orjson.loads(rules or b"{}")),
            opener=Person(opener_id, opener),
            opened_at=datetime.fromtimestamp(opened_at, UTC),
            closes_at=_time(closes_at),
            state=state,
            result=_result(result),
            opens_at=_time(opens_at),
            remind_at=_time(remind_at),
            version=version,
            reopened=reopened,
            reminders=reminders,
            note=orjson.loads(note) if note else None,
            halt=halt,
        )
        roll = db.execute(
            "SELECT person_id, name, poll_roll.direct, reached, closed, max(poll_roll.n, coalesce(poll_ballots.n, 0)), "
            "choice, is_done, told, reminded, has_voted "
            "FROM poll_roll LEFT JOIN poll_ballots "
            "ON poll_ballots.poll = poll_roll.poll AND poll_ballots.direct = poll_roll.direct "
            "WHERE poll_roll.poll = ? ORDER BY poll_roll.rowid",
            (id_,),
        )
        for person_id, name, direct, reached, closed, n, choice, is_done, told, reminded, has_sealed in roll:
            person = Person(person_id, name)
            if direct:
                has_voted = bool(has_sealed or from_text(choice or "", found.spec))
                member = Member(person, direct)
                seat = Seat(member, reached, bool(closed), has_voted, bool(is_done or has_sealed), n)
                seat.told, seat.reminded = told, reminded
                found.seats[direct] = seat
                found.mark(direct)
            else:
                found.absent.append(person)
        rounds.append(found)
    return rounds


def set_state(db: sqlite3.Connection, poll: str, state: State) -> None:
    """Note how far a poll is."""
    db.execute("UPDATE polls SET state = ? WHERE id = ?", (state, poll))


def seat_row(poll: str, seat: Seat) -> tuple[str, Row]:
    """What notes, put into the store, what a direct channel has reported."""
    row = (seat.reached, int(seat.has_closed), seat.told, seat.reminded, poll, seat.member.person.id)
    return "UPDATE poll_roll SET reached = ?, closed = ?, told = ?, reminded = ? WHERE poll = ? AND person_id = ?", row


def save(db: sqlite3.Connection, round: Round) -> None:
    """Note all of a poll that its owner's orders change."""
    db.execute(
        "UPDATE polls SET state = ?, closes_at = ?, remind_at = ?, version = ?, reopened = ?, reminders = ?, note = ?, "
        "halt = ? WHERE id = ?",
        (
            round.state, _stamp(round.closes_at), _stamp(round.remind_at), round.version, round.reopened,
            round.reminders, orjson.dumps(round.note) if round.note else None, round.halt, round.id,
        ),
    )  # fmt: skip


def reopen(db: sqlite3.Connection, log: Log, round: Round) -> None:
    """Take the result back, and forget who has reported the close. UsageError: it is kept no more."""
    if not db.execute("UPDATE polls SET result = NULL WHERE id = ?", (round.id,)).rowcount:
        raise UsageError(f"Vote #{round.number} was forgotten just now.")
    save(db, round)
    log.add(db, round.id, {"do": "reopen"})
    db.execute("UPDATE poll_roll SET closed = 0 WHERE poll = ?", (round.id,))


def answered(db: sqlite3.Connection, order: str) -> str | None:
    """What was answered to an order that was carried out, or None."""
    row = db.execute("SELECT answer FROM poll_orders WHERE id = ?", (order,)).fetchone()
    return row[0] if row else None


def put_answer(db: sqlite3.Connection, order: str, poll: str, answer: str, at: datetime) -> None:
    """Note that an order was carried out, in the transaction of its effect: its repeat then does nothing."""
    row = (order, answer, at.timestamp(), poll)
    db.execute("INSERT OR IGNORE INTO poll_orders (id, answer, at, poll) VALUES (?, ?, ?, ?)", row)


def forget_answers(db: sqlite3.Connection, before: datetime) -> None:
    """Drop the answers to orders of long ago."""
    db.execute("DELETE FROM poll_orders WHERE at < ?", (before.timestamp(),))


def has_ended(db: sqlite3.Connection, poll: str) -> bool:
    """Whether a poll takes no more votes, as the store has it."""
    state = db.execute("SELECT state FROM polls WHERE id = ?", (poll,)).fetchone()
    return state is None or state[0] in ("closed", "cancelled")


def put_ballot(
    db: sqlite3.Connection, round: Round, direct: str, n: int, vote: Vote, at: float, *, is_done: bool = True
) -> Entry | None:
    """Count a ballot of a poll that has not ended: per voter the highest number stands, a lower one changes nothing.

    Returns:
        What is to be added to the log, or None where nothing has changed.
    """
    choice = to_text(vote, round.spec)
    is_news = db.execute(
        "INSERT INTO poll_ballots (poll, direct, n, choice, at, is_done) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET n = excluded.n, choice = excluded.choice, at = excluded.at, "
        "is_done = excluded.is_done WHERE excluded.n > n",
        (round.id, direct, n, choice, at, is_done),
    ).rowcount
    return {"do": "vote", "direct": direct, "n": n, "choice": choice, "at": at} if is_news else None


def has_counted(db: sqlite3.Connection, round: Round, direct: str, n: int) -> bool:
    """Whether this ballot counted in time, or one that took its place."""
    query = "SELECT 1 FROM poll_ballots WHERE poll = ? AND direct = ? AND n >= ?"
    return db.execute(query, (round.id, direct, n)).fetchone() is not None


def refuse(db: sqlite3.Connection, round: Round, direct: str, n: int) -> None:
    """Note that a ballot came too late."""
    query = "UPDATE poll_roll SET refused = max(refused, ?) WHERE poll = ? AND direct = ?"
    db.execute(query, (n, round.id, direct))


def was_refused(db: sqlite3.Connection, round: Round, direct: str, n: int) -> bool:
    """Whether this ballot came too late before."""
    query = "SELECT 1 FROM poll_roll WHERE poll = ? AND direct = ? AND refused >= ?"
    return db.execute(query, (round.id, direct, n)).fetchone() is not None


def vote_of(db: sqlite3.Connection, round: Round, direct: str) -> Vote:
    """What counts of the votes of one channel in a poll with names."""
    row = db.execute("SELECT choice FROM poll_ballots WHERE poll = ? AND direct = ?", (round.id, direct)).fetchone()
    return from_text(row[0], round.spec) if row else ()


def votes(db: sqlite3.Connection, round: Round) -> list[Vote]:
    """What was voted so far in a poll with names."""
    ballots = db.execute("SELECT choice FROM poll_ballots WHERE poll = ?", (round.id,))
    return [from_text(row[0], round.spec) for row in ballots]


def tally(round: Round, votes: list[Vote]) -> Result:
    """What the votes come to."""
    # before the close there is nothing to confirm
    asked = round.seats.values() if round.is_over else ()
    silent = [seat.member.person.name for seat in asked if seat.reached == "shown" and not seat.has_closed]
    return count(round.spec, votes, round.asked, [person.name for person in round.unreachable()], silent)


def end(db: sqlite3.Connection, round: Round, at: datetime) -> None:
    """Note when it was closed or cancelled."""
    db.execute("UPDATE polls SET ended_at = ? WHERE id = ?", (at.timestamp(), round.id))


def close(db: sqlite3.Connection, log: Log, round: Round, votes: list[Vote], at: datetime) -> Result:
    """Count and close in the running transaction, in which the votes were read: no ballot can come between."""
    result = tally(round, votes)
    db.execute("UPDATE polls SET state = 'closed', result = ? WHERE id = ?", (orjson.dumps(asdict(result)), round.id))
    end(db, round, at)
    log.add(db, round.id, {"do": "close", "result": asdict(result)})
    return result


def _stamp(at: datetime | None) -> float | None:
    return at.timestamp() if at is not None else None


def _time(stamp: float | None) -> datetime | None:
    return datetime.fromtimestamp(stamp, UTC) if stamp is not None else None


def _result(body: bytes | None) -> Result | None:
    if body is None:
        return None
    fields = orjson.loads(body)
    return Result(**{**fields, "unreachable": tuple(fields["unreachable"]), "silent": tuple(fields["silent"])})
