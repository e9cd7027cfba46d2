"""What every store promises; a new one is added to the fixture."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shellbot.errors import StoreError
from shellbot.stores import MemoryStore, SqliteStore, Store
from shellbot.stores import base as base_module

SCHEMA = "CREATE TABLE IF NOT EXISTS said (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)"
Make = Callable[..., Store]


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    if request.param == "memory":
        return MemoryStore
    return lambda **settings: SqliteStore(tmp_path / "store.db", **settings)


@asynccontextmanager
async def opened(make: Make, **settings: Any) -> AsyncIterator[Store]:
    store = make(**settings)
    await store.open()
    try:
        await store.create(SCHEMA)
        yield store
    finally:
        await store.close()
        assert not [thread for thread in threading.enumerate() if thread.name == "shellbot-store"]


def say(text: str | None) -> Callable[[sqlite3.Connection], int | None]:
    return lambda connection: connection.execute("INSERT INTO said (text) VALUES (?)", (text,)).lastrowid


def all_said(connection: sqlite3.Connection) -> list[str]:
    return [text for (text,) in connection.execute("SELECT text FROM said ORDER BY id")]


class Stopper:
    """Holds the writer thread, so that what comes after it is one group."""

    def __init__(self, store: Store) -> None:
        self.statements: list[str] = []
        self._go = threading.Event()
        self._held = threading.Event()
        store.post(self._hold)

    def _hold(self, connection: sqlite3.Connection) -> None:
        self._held.set()
        self._go.wait(10)
        connection.set_trace_callback(self.statements.append)

    async def held(self) -> None:
        await asyncio.to_thread(self._held.wait, 10)

    def let_go(self) -> None:
        self._go.set()

    def commits(self) -> int:
        return sum(statement.startswith("COMMIT") for statement in self.statements)


async def test_a_job_writes_and_its_result_comes_back(make: Make) -> None:
    async with opened(make) as store:
        assert await store.write(say("hello")) == 1
        assert await store.read(all_said) == ["hello"]


async def test_a_read_sees_all_that_was_put_before_it(make: Make) -> None:
    async with opened(make) as store:
        for number in range(100):
            store.post(say(str(number)))
        assert await store.read(all_said) == [str(number) for number in range(100)]


async def test_jobs_run_in_the_order_they_came_from_all_ways(make: Make) -> None:
    async with opened(make) as store:
        writes = []
        for number in range(300):
            if number % 3:
                store.post(say(str(number)))
            else:
                writes.append(asyncio.ensure_future(store.write(say(str(number)))))
                await asyncio.sleep(0)
        await asyncio.gather(*writes)
        assert await store.read(all_said) == [str(number) for number in range(300)]


async def test_what_waits_is_committed_together_and_answered_after(make: Make) -> None:
    async with opened(make) as store:
        stopper = Stopper(store)
        await stopper.held()
        jobs = [asyncio.ensure_future(store.write(say(str(number)))) for number in range(200)]
        await asyncio.sleep(0)
        stopper.let_go()
        await asyncio.gather(*jobs)
        assert stopper.commits() <= 2  # the stopper's own, and one for all of them


async def test_a_failing_job_is_undone_alone(make: Make) -> None:
    def two_and_fail(connection: sqlite3.Connection) -> None:
        say("half")(connection)
        raise LookupError("as asked")

    async with opened(make) as store:
        stopper = Stopper(store)
        await stopper.held()
        jobs = [
            asyncio.ensure_future(store.write(job))
            for job in (say("before"), two_and_fail, say("before"), say(None), say("after"))
        ]
        await asyncio.sleep(0)
        stopper.let_go()
        before, failed, twice, empty, after = await asyncio.gather(*jobs, return_exceptions=True)
        assert (before, after) == (1, 2)
        assert isinstance(failed, LookupError)
        assert isinstance(twice, sqlite3.IntegrityError)
        assert isinstance(empty, sqlite3.IntegrityError)
        assert await store.read(all_said) == ["before", "after"]


@pytest.mark.parametrize("raised", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
async def test_whatever_a_job_raises_the_thread_lives_on(make: Make, raised: BaseException) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        say("half")(connection)
        raise raised

    told: list[BaseException] = []
    async with opened(make, on_error=told.append) as store:
        store.post(fail)
        await store.write(say("after"))
        assert await store.read(all_said) == ["after"]
    assert told == [raised]


@pytest.mark.parametrize("kind", [StopIteration, asyncio.CancelledError])
async def test_an_error_that_would_be_taken_for_something_else_is_wrapped(
    make: Make, kind: type[BaseException]
) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        raise kind

    async with opened(make) as store:
        with pytest.raises(RuntimeError, match=kind.__name__):
            await store.write(fail)


async def test_an_error_of_a_posted_job_is_logged_once_and_handed_over(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[BaseException] = []
    async with opened(make, on_error=told.append) as store:
        store.post(say(None))
        store.post(say("fine"))
        assert await store.read(all_said) == ["fine"]
    assert [type(error) for error in told] == [sqlite3.IntegrityError]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.mark.parametrize(
    "job",
    [
        lambda connection: connection.commit(),
        lambda connection: connection.rollback(),
        lambda connection: connection.execute("COMMIT"),
        lambda connection: connection.executescript("SELECT 1"),
        lambda connection: connection.execute("BEGIN"),
    ],
)
async def test_a_job_cannot_end_the_transaction_it_shares(make: Make, job: Callable[[sqlite3.Connection], Any]) -> None:
    async with opened(make) as store:
        stopper = Stopper(store)
        await stopper.held()
        jobs = [asyncio.ensure_future(store.write(each)) for each in (say("before"), job, say("after"))]
        await asyncio.sleep(0)
        stopper.let_go()
        before, refused, after = await asyncio.gather(*jobs, return_exceptions=True)
        assert (before, after) == (1, 2)
        assert isinstance(refused, StoreError)
        assert "neither begins nor commits" in str(refused)


async def test_a_read_does_not_write(make: Make) -> None:
    async with opened(make) as store:
        with pytest.raises(StoreError, match="give it to write"):
            await store.read(say("sneaked in"))
        assert await store.read(all_said) == []
        await store.write(say("by the door"))


async def test_a_schema_is_made_whole_or_not_at_all(make: Make) -> None:
    async with opened(make) as store:
        script = """
            CREATE TABLE a (x); -- a comment; with a semicolon
            CREATE TABLE b (y TEXT DEFAULT ';');
            CREATE TRIGGER t AFTER INSERT ON a BEGIN INSERT INTO b VALUES (';'); DELETE FROM b; END;
            CREATE INDEX i ON a (x)
        """
        await store.create(script)
        with pytest.raises(sqlite3.OperationalError):
            await store.create("CREATE TABLE c (x); CREATE TABLE a (x);")
        tables = await store.read(lambda c: c.execute("SELECT name FROM sqlite_schema ORDER BY name").fetchall())
        assert [name for (name,) in tables if not name.startswith("sqlite_")] == ["a", "b", "i", "said", "t"]


async def test_giving_up_a_write_gives_up_the_answer_only(make: Make) -> None:
    async with opened(make) as store:
        stopper = Stopper(store)
        await stopper.held()
        writing = asyncio.ensure_future(store.write(say("kept")))
        await asyncio.sleep(0)
        writing.cancel()
        stopper.let_go()
        assert await store.read(all_said) == ["kept"]


async def test_any_thread_may_post(make: Make) -> None:
    async with opened(make) as store:

        def pour(name: str) -> None:
            for number in range(50):
                store.post(say(f"{name}{number}"))

        await asyncio.gather(*(asyncio.to_thread(pour, name) for name in "abcd"))
        said = await store.read(all_said)
        assert len(said) == 200
        for name in "abcd":
            assert [text for text in said if text[0] == name] == [f"{name}{number}" for number in range(50)]


async def test_close_runs_what_was_posted_and_refuses_what_comes_after(make: Make) -> None:
    done: list[int] = []
    async with opened(make) as store:
        stopper = Stopper(store)
        await stopper.held()
        for number in range(1000):
            store.post(lambda connection, number=number: done.append(number))
        closing = [asyncio.ensure_future(store.close()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(StoreError, match="not open"):
            store.post(say("too late"))
        stopper.let_go()
        await asyncio.gather(*closing)
        assert done == list(range(1000))
        with pytest.raises(StoreError):
            await store.read(all_said)
        await store.close()


async def test_it_is_open_once_and_may_be_opened_again(make: Make) -> None:
    async with opened(make) as store:
        with pytest.raises(StoreError, match="open already"):
            await store.open()
    async with opened(make):
        pass


async def test_a_flood_is_refused_before_it_fills_the_memory(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_module, "MOST_WAITING", 10)
    async with opened(make) as store:
        stopper = Stopper(store)
        await stopper.held()
        for number in range(10):
            store.post(say(str(number)))
        with pytest.raises(StoreError, match="does not keep up"):
            store.post(say("one more"))
        stopper.let_go()


async def test_a_group_that_cannot_be_committed_is_tried_one_by_one(make: Make) -> None:
    """A deferred constraint fails only at the commit: here one job breaks the group, and only it is refused."""

    def orphan(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO child VALUES (99)")

    async with opened(make) as store:
        await store.create(
            "CREATE TABLE child (parent INTEGER REFERENCES said (id) DEFERRABLE INITIALLY DEFERRED)",
        )
        stopper = Stopper(store)
        await stopper.held()
        jobs = [asyncio.ensure_future(store.write(job)) for job in (say("before"), orphan, say("after"))]
        await asyncio.sleep(0)
        stopper.let_go()
        before, refused, after = await asyncio.gather(*jobs, return_exceptions=True)
        assert isinstance(refused, sqlite3.IntegrityError)
        assert (before, after) == (1, 2)
        assert await store.read(all_said) == ["before", "after"]


PUT = "INSERT INTO said (text) VALUES (?)"


async def test_rows_that_wait_are_written_together_where_the_first_of_them_stands(make: Make) -> None:
    async with opened(make) as store:
        stopper = Stopper(store)
        await stopper.held()
        store.put(PUT, ("row 1",))
        store.post(say("job"))
        store.put(PUT, ("row 2",))
        store.put("INSERT INTO said (text) VALUES (upper(?))", ("other",))
        stopper.let_go()
        assert await store.read(all_said) == ["row 1", "row 2", "job", "OTHER"]
        store.put(PUT, ("row 3",))  # the others are written, so this one stands in the line anew
        assert (await store.read(all_said))[-1] == "row 3"


async def test_rows_are_written_once_also_where_another_job_of_their_group_fails(make: Make) -> None:
    async with opened(make) as store:
        stopper = Stopper(store)
        await stopper.held()
        store.put(PUT, ("row 1",))
        failing = asyncio.ensure_future(store.write(say(None)))
        await asyncio.sleep(0)  # it stands in the line
        store.put(PUT, ("row 2",))
        stopper.let_go()
        with pytest.raises(sqlite3.IntegrityError):
            await failing
        assert await store.read(all_said) == ["row 1", "row 2"]


async def test_very_many_rows_are_several_jobs(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_module, "GROUP", 3)
    async with opened(make) as store:
        stopper = Stopper(store)
        await stopper.held()
        for number in range(10):
            store.put(PUT, (f"row {number}",))
        stopper.let_go()
        assert await store.read(all_said) == [f"row {number}" for number in range(10)]


async def test_rows_put_to_a_closed_store_are_refused(make: Make) -> None:
    async with opened(make) as store:
        pass
    with pytest.raises(StoreError, match="not open"):
        store.put(PUT, ("late",))
