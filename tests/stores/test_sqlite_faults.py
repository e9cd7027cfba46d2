"""The SQLite store when the process is killed, the file is taken, damaged or forbidden, and the disk is full."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shellbot.errors import StoreError
from shellbot.stores import SqliteStore

TABLE = "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, text BLOB)"


def rows(path: Path) -> list[int]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [number for (number,) in connection.execute("SELECT id FROM t ORDER BY id")]


def insert(connection: sqlite3.Connection) -> int | None:
    return connection.execute("INSERT INTO t (text) VALUES ('x')").lastrowid


@contextlib.contextmanager
def program(text: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a child program; it is gone when the block ends."""
    child = subprocess.Popen(
        [sys.executable, "-c", text, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


WRITER = """
import asyncio, sys
from shellbot.stores import SqliteStore

async def main():
    store = SqliteStore(sys.argv[1])
    await store.open()
    await store.create("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, text BLOB)")
    job = lambda c: c.execute("INSERT INTO t (text) VALUES ('x')").lastrowid
    async def go():
        while True:
            number = await store.write(job)
            print(number, flush=True)
    await asyncio.gather(*(go() for _ in range(int(sys.argv[2]))))

asyncio.run(main())
"""


def killed_while_writing(path: Path, writers: int, acknowledged: int) -> set[int]:
    with program(WRITER, str(path), str(writers)) as child:
        assert child.stdout is not None
        told = set()
        for _ in range(acknowledged):
            told.add(int(child.stdout.readline()))
        child.send_signal(signal.SIGKILL)
        return told | {int(line) for line in child.stdout.read().split("\n")[:-1]}


@pytest.mark.parametrize("writers", [1, 50])
def test_what_was_acknowledged_before_a_kill_is_there(tmp_path: Path, writers: int) -> None:
    path = tmp_path / "store.db"
    told: set[int] = set()
    for _ in range(3):  # the same file, killed again and again
        told |= killed_while_writing(path, writers, 200)
    assert len(told) >= 600
    assert told <= set(rows(path))


@pytest.mark.long
def test_what_was_acknowledged_before_many_kills_is_there(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    told: set[int] = set()
    for _ in range(20):
        told |= killed_while_writing(path, 20, 500)
    assert told <= set(rows(path))


async def test_closing_keeps_what_was_posted(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    await store.open()
    await store.create(TABLE)
    for _ in range(1000):
        store.post(insert)
    await store.close()
    assert rows(path) == list(range(1, 1001))


async def test_a_second_process_is_refused_with_the_first_one_named(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with program(WRITER, str(path), "1") as child:
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(StoreError, match=rf"in use by process {child.pid}; stop that one"):
            await SqliteStore(path).open()
    # and let in when that one is gone, killed or not
    store = SqliteStore(path)
    await store.open()
    assert (tmp_path / "store.db.lock").read_text() == f"{os.getpid()}\n"
    with pytest.raises(StoreError, match=f"process {os.getpid()}"):
        await SqliteStore(path).open()
    await store.close()


def test_a_forked_child_does_not_keep_the_file_of_a_killed_process(tmp_path: Path) -> None:
    forker = WRITER.replace(
        "await asyncio.gather(",
        "fork(); await asyncio.gather(",
    ).replace(
        "async def main",
        """
import os, time
def fork():
    if not os.fork():
        time.sleep(60)
        os._exit(0)
async def main""",
    )
    path = tmp_path / "store.db"
    with program(forker, str(path), "1") as child:
        assert child.stdout is not None
        child.stdout.readline()
        os.kill(child.pid, signal.SIGKILL)
        child.wait()

        async def take_over() -> None:
            store = SqliteStore(path)
            await store.open()
            await store.close()

        asyncio.run(take_over())


@pytest.mark.parametrize(
    "content", [b"this is not a database, it is a letter" * 100, b"SQLite format 3\0" + b"?" * 500]
)
async def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(content)
    store = SqliteStore(path)
    with pytest.raises(StoreError, match=r"store\.db: (is not a database|is damaged)"):
        await store.open()
    assert path.read_bytes() == content
    path.unlink()
    await store.open()  # the same store, once the file is out of the way
    await store.close()


async def test_a_missing_folder_and_a_folder_for_a_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not there; make it"):
        await SqliteStore(tmp_path / "none" / "store.db").open()
    with pytest.raises(StoreError, match="is a folder"):
        await SqliteStore(tmp_path).open()


OPENER = """
import asyncio, os, sys
from shellbot.stores import SqliteStore
from shellbot.errors import StoreError

async def main():
    if os.geteuid() == 0:  # root may write anywhere
        os.setgid(65534)
        os.setuid(65534)
    try:
        await SqliteStore(sys.argv[1]).open()
    except StoreError as error:
        print(error)

asyncio.run(main())
"""


@pytest.mark.parametrize("forbidden", ["folder", "file"])
def test_a_store_that_may_not_be_written_says_so(forbidden: str) -> None:
    with tempfile.TemporaryDirectory(prefix="sb-") as name:  # pytest's own folder is closed to other users
        folder, path = Path(name), Path(name, "store.db")
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE t (id)")
        path.chmod(0o444)
        folder.chmod(0o555 if forbidden == "folder" else 0o777)
        with program(OPENER, str(path)) as child:
            out, err = child.communicate(timeout=15)
        folder.chmod(0o755)
        remedy = "make it writable" if forbidden == "folder" else "make the file and its folder writable"
        assert remedy in out, err
        assert name in out


FILLER = """
import asyncio, sys
from shellbot.stores import SqliteStore
from shellbot.errors import StoreError

big = lambda c: c.execute("INSERT INTO t (text) VALUES (zeroblob(40000))").lastrowid
small = lambda c: c.execute("INSERT INTO t (text) VALUES ('x')").lastrowid
ids = lambda c: [row[0] for row in c.execute("SELECT id FROM t")]

async def main():
    store = SqliteStore(sys.argv[1])
    await store.open()
    await store.create("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, text BLOB)")
    kept, refused = [], []
    while not refused:
        for outcome in await asyncio.gather(*(store.write(big) for _ in range(5)), return_exceptions=True):
            (refused if isinstance(outcome, BaseException) else kept).append(outcome)
    assert all(isinstance(error, StoreError) for error in refused), refused
    assert await store.read(ids) == kept  # reads go on, what was acknowledged is there, nothing else is
    print(refused[0], flush=True)
    sys.stdin.readline()
    kept.append(await store.write(small))  # there is room again
    assert await store.read(ids) == kept
    await store.close()
    print(len(kept), flush=True)

asyncio.run(main())
"""


def test_a_full_disk_is_told_and_writing_goes_on_when_there_is_room(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs a disk of 512 kB: run as root where mounting is allowed")
    try:
        ballast = folder / "ballast"
        ballast.write_bytes(b"x" * 200_000)
        with program(FILLER, str(folder / "store.db")) as child:
            assert child.stdout is not None
            assert child.stdin is not None
            assert "no space left" in child.stdout.readline()
            ballast.unlink()
            child.stdin.write("\n")
            child.stdin.flush()
            kept = int(child.stdout.readline())
            assert child.wait(10) == 0
        assert len(rows(folder / "store.db")) == kept
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_file_that_may_not_grow_is_told_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """The same by a limit of the process, which works without a disk of one's own."""
    path = tmp_path / "store.db"
    limited = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, {resource.RLIM_INFINITY}))
class Raise:
    def readline(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, ({resource.RLIM_INFINITY}, {resource.RLIM_INFINITY}))
sys.stdin = Raise()
{FILLER}"""
    with program(limited, str(path)) as child:
        out, err = child.communicate(timeout=15)
        assert child.returncode == 0, err
    told, kept = out.splitlines()
    assert "the disk refuses; see whether it is full" in told
    assert len(rows(path)) == int(kept)
