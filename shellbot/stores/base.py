"""What all stores share: one thread that owns the database, and group commit.

Jobs of all rooms go to the thread in one line. It takes all that wait, up to :data:`GROUP`, into one transaction, and
answers them when that is committed: under load many jobs share one write to the disk, and a lone one does not wait for
company. Where one of them fails they are run again, each in a savepoint of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, TypeVar, cast

from shellbot.errors import StoreError

logger = logging.getLogger(__name__)
T = TypeVar("T")
Job = Callable[[sqlite3.Connection], object]
Row = tuple[str | bytes | int | float | None, ...]
Kind = Literal["write", "erase", "read", "end"]
GROUP = 500  # jobs in one transaction
MOST_WAITING = 100_000  # jobs; more are refused: the disk does not keep up


class Store(ABC):
    """A database with one owner: its writer thread. Knows no table of the rooms.

    A job is a plain function of the connection, and uses nothing else: it is run again when another in its group
    fails, and alone when the group could not be committed. It neither begins nor commits (both are refused), and
    returns values, not cursors.

    Args:
        on_error: Called, in the writer thread, with the error of a job that came by ``post``.
    """

    name = ""  # for the reader of an error

    def __init__(self, *, on_error: Callable[[BaseException], None] | None = None) -> None:
        self._on_error = on_error
        self._line: queue.SimpleQueue[_Entry] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._end: _Entry | None = None
        self._gate = threading.Lock()  # so that nothing is put into the line behind its end
        self._is_open = False
        self._in_job = False  # of the writer thread
        self._rows: dict[str, _Rows] = {}  # by statement: the latest

    async def open(self) -> None:
        """Start the writer thread, and with it the database.

        Raises:
            StoreError: It cannot be used; the text says why and what to do.
        """
        if self._writer is not None:
            raise StoreError(f"the store {self.name} is open already")
        first = _Entry("read", lambda connection: None, asyncio.get_running_loop().create_future())
        self._line = queue.SimpleQueue()
        self._line.put(first)
        self._end = None
        self._is_open = True
        self._writer = threading.Thread(target=self._run, name="shellbot-store", daemon=True)
        self._writer.start()
        try:
            await first.wait()
        except BaseException:
            await self.close()
            raise

    async def create(self, schema: str) -> None:
        """Run the script for the tables of one room (``CREATE TABLE IF NOT EXISTS ...``), all of it or nothing."""
        await self.write(lambda connection: _run_script(connection, schema))

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``job`` in the writer thread, in a transaction of its own. Returns when that is committed.

        Cancelling the call gives up the answer, not the job.

        Raises:
            StoreError: It could not be stored: no space, closed, and the like. Nothing of it was.
            Exception: Whatever the job raised; nothing of it was stored, and no other job is touched.
        """
        return cast(T, await self._put("write", job))

    async def erase(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """:meth:`write`, for a job that deletes what nobody may find: on return it is in no log of writes either.

        In the database itself all that is deleted is overwritten.
        """
        return cast(T, await self._put("erase", job))

    def post(self, job: Job) -> None:
        """Run ``job`` as ``write`` does, in order with all others, without waiting. May be called from any thread.

        An error in it is logged once and handed to ``on_error``.

        Raises:
            StoreError: The store is closed, or too much waits.
        """
        self._accept(_Entry("write", job, None))

    def put(self, statement: str, row: Row) -> None:
        """:meth:`post` of one statement. Rows of one statement that wait for the disk are written together, where the
        first of them stands in the line: before jobs that were given meanwhile, and after all that are on disk by now.

        Raises:
            StoreError: The store is closed, or too much waits.
        """
        rows = self._rows.get(statement)
        if rows is None or not rows.add(row):
            rows = _Rows(statement)
            rows.add(row)
            self.post(rows.write)
            self._rows[statement] = rows

    async def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a job that only reads. It sees all that was written before, and nothing that may yet be undone."""
        return cast(T, await self._put("read", job))

    async def close(self) -> None:
        """End the thread and close the database; all that was posted is committed first. May be called again."""
        with self._gate:
            if self._writer is None:
                return
            self._is_open = False
            if self._end is None:
                self._end = _Entry("end", lambda connection: None, asyncio.get_running_loop().create_future())
                self._line.put(self._end)
            end, writer = self._end, self._writer
        await asyncio.shield(end.wait())
        writer.join()  # answering was the last it had to do
        self._writer = None

    @abstractmethod
    def _connect(self) -> sqlite3.Connection:
        """Open the database, with ``isolation_level=None``. Called in the writer thread, as all below."""

    def _release(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Called when the database is closed, or could not be opened."""

    def _put(self, kind: Kind, job: Job) -> asyncio.Future[object]:
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._accept(_Entry(kind, job, answer))
        return answer

    def _accept(self, entry: _Entry) -> None:
        with self._gate:
            if not self._is_open:
                raise StoreError(f"the store {self.name} is not open")
            if self._line.qsize() >= MOST_WAITING:
                raise StoreError(
                    f"{MOST_WAITING} jobs wait for {self.name}: the disk does not keep up; try again later"
                )
            self._line.put(entry)

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        trouble: BaseException | None = None
        try:
            connection = self._connect()
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA secure_delete=ON")
            connection.set_authorizer(self._authorize)
        except BaseException as error:
            trouble = self._explained(error)
            self._release()
        while True:
            group = self._next_group()
            end = group.pop() if group[-1].kind == "end" else None
            if connection is None:
                outcomes: list[Outcome] = [(entry, None, trouble) for entry in group]
            else:
                outcomes = self._work(connection, group)
                if group and group[-1].kind == "erase":
                    self._empty_log(connection)
            self._answer(outcomes)
            if end is not None:
                break
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error:
                logger.exception(
                    "the store was not closed cleanly; it is repaired when it is opened path=%s", self.name
                )
            self._release()
        self._answer([(end, None, None)])

    def _next_group(self) -> list[_Entry]:
        group = [self._line.get()]
        while len(group) < GROUP and group[-1].kind not in ("erase", "end"):
            try:
                group.append(self._line.get_nowait())
            except queue.Empty:
                break
        return group

    def _work(self, connection: sqlite3.Connection, group: list[_Entry]) -> list[Outcome]:
        """Run a group in one transaction; when that comes to nothing, each of it alone."""
        try:
            return self._transaction(connection, group)
        except BaseException as error:
            if len(group) == 1:
                return [(group[0], None, self._explained(error))]
        # one that needs too much space, say, must not take the others with it
        return [outcome for entry in group for outcome in self._work(connection, [entry])]

    def _transaction(self, connection: sqlite3.Connection, group: list[_Entry]) -> list[Outcome]:
        if len(group) > 1:
            # Savepoints cost two statements a job, and each of these a wait for the interpreter's lock.
            with contextlib.suppress(_OneFailed):
                return self._attempt(connection, group, self._write_lightly)
        return self._attempt(connection, group, self._write)

    def _attempt(self, connection: sqlite3.Connection, group: list[_Entry], write: Write) -> list[Outcome]:
        outcomes: list[Outcome] = []
        try:
            for entry in group:
                if entry.kind != "read":
                    if not connection.in_transaction:
                        connection.execute("BEGIN IMMEDIATE -- group")
                    outcomes.append(write(connection, entry))
                else:
                    outcomes.append(self._read(connection, entry))
            if connection.in_transaction:
                connection.execute("COMMIT -- group")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK -- group")
            raise
        return outcomes

    def _write_lightly(self, connection: sqlite3.Connection, entry: _Entry) -> Outcome:
        outcome = self._call(connection, entry)
        if outcome[2] is not None:
            raise _OneFailed
        return outcome

    def _write(self, connection: sqlite3.Connection, entry: _Entry) -> Outcome:
        connection.execute("SAVEPOINT shellbot_job")
        outcome = self._call(connection, entry)
        error = outcome[2]
        if not connection.in_transaction:  # SQLite gave up all of it, as it does without space
            raise error or StoreError("the transaction ended within a job")
        if error is not None:
            connection.execute("ROLLBACK TO shellbot_job")
        connection.execute("RELEASE shellbot_job")
        return outcome

    def _read(self, connection: sqlite3.Connection, entry: _Entry) -> Outcome:
        connection.execute("PRAGMA query_only=1")  # a reader that writes would do so outside of any transaction
        try:
            entry, result, error = self._call(connection, entry)
        finally:
            connection.execute("PRAGMA query_only=0")
        cause = None if error is None else error.__cause__
        if isinstance(cause, sqlite3.Error) and cause.sqlite_errorcode == sqlite3.SQLITE_READONLY:
            error = StoreError("a job given to read() writes; give it to write()")
            error.__cause__ = cause
        return entry, result, error

    def _call(self, connection: sqlite3.Connection, entry: _Entry) -> Outcome:
        self._in_job = True
        try:
            return entry, entry.job(connection), None
        except (StopIteration, asyncio.CancelledError) as raised:
            # neither can be handed to who awaits: the one ends iterators, the other would look like his own end
            error = RuntimeError(f"{entry.job!r} raised {type(raised).__name__}")
            error.__cause__ = raised
            return entry, None, error
        except BaseException as raised:
            return entry, None, self._explained(raised)
        finally:
            self._in_job = False

    def _empty_log(self, connection: sqlite3.Connection) -> None:
        try:
            is_busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error as error:
            is_busy, reason = True, str(error)
        else:
            reason = "another program reads it"
        if is_busy:
            logger.warning("the write-ahead log was not emptied: %s path=%s", reason, self.name)

    def _authorize(self, action: int, *names: object) -> int:
        """Keep jobs from ending the transaction that they share; asked when a statement is compiled."""
        return sqlite3.SQLITE_DENY if self._in_job and action == sqlite3.SQLITE_TRANSACTION else sqlite3.SQLITE_OK

    def _answer(self, outcomes: list[Outcome]) -> None:
        answers: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
        for entry, result, error in outcomes:
            if entry.future is not None:
                answers.setdefault(entry.future.get_loop(), []).append((entry, result, error))
            elif error is not None:
                self._report(entry, error)
        for loop, told in answers.items():
            try:
                loop.call_soon_threadsafe(_tell, told)  # once for the whole group
            except RuntimeError:
                pass  # that loop is closed: nobody waits any more

    def _report(self, entry: _Entry, error: BaseException) -> None:
        logger.error("a job was not stored path=%s job=%r", self.name, entry.job, exc_info=error)
        if self._on_error is not None:
            try:
                self._on_error(error)
            except Exception:
                logger.exception("on_error itself failed path=%s", self.name)

    def _explained(self, error: BaseException) -> BaseException:
        """The error in words that help; itself when it is of the job's own making."""
        code = getattr(error, "sqlite_errorcode", None)
        text = None if code is None else _REMEDIES.get(code & 0xFF)
        if text is None:
            return error
        explained = StoreError(f"{self.name}: {text} (SQLite says: {error})")
        explained.__cause__ = error
        return explained


class _OneFailed(Exception):
    """A job of a group raised; nothing of the group is stored."""


class _Rows:
    """Rows of one statement. More may be added until it is run, which is in another thread."""

    def __init__(self, statement: str) -> None:
        self._statement = statement
        self._rows: list[Row] = []
        self._is_begun = False
        self._lock = threading.Lock()

    def add(self, row: Row) -> bool:
        """Take it in; False if it is too late for that."""
        with self._lock:
            if self._is_begun or len(self._rows) >= GROUP:
                return False
            self._rows.append(row)
            return True

    def write(self, db: sqlite3.Connection) -> None:
        with self._lock:
            self._is_begun = True
        db.executemany(self._statement, self._rows)


class _Entry:
    """One job in the line; ``future`` is None where nobody waits for it."""

    __slots__ = ("future", "job", "kind")

    def __init__(self, kind: Kind, job: Job, future: asyncio.Future[object] | None) -> None:
        self.kind = kind
        self.job = job
        self.future = future

    async def wait(self) -> object:
        assert self.future is not None
        return await self.future


Outcome = tuple[_Entry, object, BaseException | None]
Write = Callable[[sqlite3.Connection, _Entry], Outcome]

_REMEDIES = {
    sqlite3.SQLITE_FULL: "no space left, so nothing of this was stored; free some and try again",
    sqlite3.SQLITE_IOERR: "the disk refuses; see whether it is full, over its quota or failing",
    sqlite3.SQLITE_READONLY: "cannot be written; make the file and its folder writable, or name another",
    sqlite3.SQLITE_PERM: "cannot be written; make the file and its folder writable, or name another",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; see that its folder is there and writable",
    sqlite3.SQLITE_NOTADB: "is not a database; move it away, or name another file",
    sqlite3.SQLITE_CORRUPT: "is damaged; put a backup in its place, or move it away to begin anew",
    sqlite3.SQLITE_BUSY: "another program holds it; close it there",
    sqlite3.SQLITE_LOCKED: "another program holds it; close it there",
    sqlite3.SQLITE_AUTH: "a job neither begins nor commits; the store does, also for executescript() and 'with'",
}


def _tell(outcomes: list[Outcome]) -> None:
    for entry, result, error in outcomes:
        if entry.future is None or entry.future.done():
            continue
        if error is None:
            entry.future.set_result(result)
        else:
            entry.future.set_exception(error)


def _run_script(connection: sqlite3.Connection, script: str) -> None:
    """``executescript`` without the commit that it begins with."""
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
    if statement.strip(" \t\r\n;"):
        connection.execute(statement)
