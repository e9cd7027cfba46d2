"""``shellbot backup``: a copy while the server runs, brought back in another folder, where all goes on."""

from __future__ import annotations

import io
import sqlite3
import tarfile

import pytest
from click.testing import CliRunner

from shellbot.cli import cli
from shellbot.engine import Engine
from tests.scenarios.conftest import Party

LUNCH = 'poll "Lunch?" Pizza, Sushi'
SECRET = 'poll anonymous "Secret?" Pizza, Sushi'


@pytest.fixture
def shellbot(tmp_path):
    def run(*arguments, code=0):
        done = CliRunner().invoke(cli, list(map(str, arguments)))
        assert done.exit_code == code, done.output or done.exception
        return done.output if done.exception is None else f"{done.output}{done.exception}"

    return run


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "instance"


def names(file):
    with tarfile.open(file) as tar:
        return tar.getnames()


async def vote(people, name, choice, question="Lunch?"):
    await people.ballot(name, question)
    await people.press(name, choice)
    await people.hears("Your vote is counted", name)


async def test_a_copy_made_in_the_middle_of_a_vote_goes_on_from_there(party, clock, folder, tmp_path, shellbot):
    file, copy = tmp_path / "backup.tar", tmp_path / "copy"
    async with party("Person A", "Person B") as people:
        await people.say("Person A", LUNCH)
        await vote(people, "Person A", "Sushi")
        told = shellbot("backup", file, "--instance", folder)
        await vote(people, "Person B", "Pizza")  # and this goes on, and is not in it
        await people.hears("A tie")
    assert told.startswith(f"{file}: ")
    assert file.stat().st_mode & 0o777 == 0o600
    assert set(names(file)) == {"store.db", "keys/instance"}
    assert "is as it was" in shellbot("backup", "restore", file, "--instance", copy)
    assert {path.stat().st_mode & 0o077 for path in copy.rglob("*")} == {0}
    engine = Engine(type="memory", instance=copy, clock=clock)
    await engine.start()
    try:
        again = Party(engine)
        await again.join("Person A", "Person B")
        await again.say("Person A", "poll list")
        await again.hears("#1 Lunch?: 1 of 2 voted")
        await again.whisper("Person B", "sushi")
        assert "Sushi 2" in await again.hears("Result of vote #1")
        assert "The log is whole" in shellbot("poll", "recount", "1", "--instance", copy)
    finally:
        await engine.stop()


async def test_the_key_of_an_open_anonymous_vote_goes_with_it_and_that_of_a_closed_one_does_not(
    party, folder, tmp_path, shellbot
):
    file = tmp_path / "backup.tar"
    async with party("Person A", "Person B") as people:
        await people.say("Person A", SECRET)
        await vote(people, "Person A", "Sushi", "Secret?")
        told = shellbot("backup", file, "--instance", folder)
        assert "The key of the open anonymous vote #1 is in it: who has this file can tell who voted what." in told
        assert any(name.startswith("keys/poll-") for name in names(file))
        bare = shellbot("backup", "--without-keys", tmp_path / "bare.tar", "--instance", folder)
        assert "Without the keys" in bare
        assert names(tmp_path / "bare.tar") == ["store.db"]
        await people.say("Person A", "poll close")
        await people.hears("Result")
        assert "anonymous" not in shellbot("backup", tmp_path / "later.tar", "--instance", folder)
        assert not any(name.startswith("keys/poll-") for name in names(tmp_path / "later.tar"))
    told = shellbot("backup", "restore", tmp_path / "bare.tar", "--instance", tmp_path / "copy")
    assert "There were no keys in it" in told


async def test_files_and_rolls_go_with_it_and_what_is_of_this_run_does_not(party, folder, tmp_path, shellbot):
    async with party("Person A"):
        (folder / "rolls").mkdir()
        (folder / "rolls" / "board.csv").write_text("name\nPerson A\n")
        (folder / "files" / ("a" * 32)).write_bytes(b"picture")
        (folder / "link").symlink_to("/etc/hostname")
        shellbot("backup", tmp_path / "backup.tar", "--instance", folder)
    assert set(names(tmp_path / "backup.tar")) == {
        "store.db",
        "keys/instance",
        "rolls/board.csv",
        f"files/{'a' * 32}",
    }


async def test_nothing_is_overwritten(party, folder, tmp_path, shellbot):
    file = tmp_path / "backup.tar"
    async with party("Person A"):
        shellbot("backup", file, "--instance", folder)
        assert "is there already" in shellbot("backup", file, "--instance", folder, code=1)
        told = shellbot("backup", "restore", file, "--instance", folder, code=1)
        assert f"serves {folder}; stop it" in told
    assert "is not empty, and nothing is overwritten" in shellbot(
        "backup", "restore", file, "--instance", folder, code=1
    )
    (tmp_path / "empty").mkdir()
    shellbot("backup", "restore", file, "--instance", tmp_path / "empty")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.tar", "empty", "instance"]


def test_a_file_of_another_kind_is_said_to_be_no_backup(tmp_path, shellbot):
    file = tmp_path / "roll.csv"
    file.write_text("id,name\n")
    told = shellbot("backup", "restore", file, "--instance", tmp_path / "copy", code=1)
    assert told == f"{file} is no backup of shellbot; name a file that shellbot backup has written"
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("name", ["../escaped", "/escaped", "keys/../../escaped", "."])
def test_a_file_that_would_write_elsewhere_is_refused(tmp_path, shellbot, name):
    evil = tmp_path / "evil.tar"
    with tarfile.open(evil, "w") as tar:
        member = tarfile.TarInfo(name)
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    assert "no backup" in shellbot("backup", "restore", evil, "--instance", tmp_path / "copy", code=1)
    assert [path.name for path in tmp_path.iterdir()] == ["evil.tar"]


def test_a_link_in_it_is_refused(tmp_path, shellbot):
    evil = tmp_path / "evil.tar"
    with tarfile.open(evil, "w") as tar:
        member = tarfile.TarInfo("keys")
        member.type, member.linkname = tarfile.SYMTYPE, "/"
        tar.addfile(member)
    assert "no backup" in shellbot("backup", "restore", evil, "--instance", tmp_path / "copy", code=1)


async def test_what_is_cut_short_or_damaged_is_refused(party, folder, tmp_path, shellbot):
    file, copy = tmp_path / "backup.tar", tmp_path / "copy"
    async with party("Person A"):
        shellbot("backup", file, "--instance", folder)
    data = file.read_bytes()
    for broken in (data[: len(data) // 2], b"no tar", data.replace(b"CREATE TABLE polls", b"CREATE TABLE p\x00lls")):
        file.write_bytes(broken)
        told = shellbot("backup", "restore", file, "--instance", copy, code=1)
        assert "no backup" in told or "damaged" in told
        assert not copy.exists()


def test_where_there_is_no_store_it_says_so(tmp_path, shellbot):
    assert "there is no store in" in shellbot("backup", tmp_path / "b.tar", "--instance", tmp_path / "none", code=1)
    assert not (tmp_path / "b.tar").exists()


async def test_a_disk_that_refuses_is_told(party, folder, shellbot):
    async with party("Person A"):
        assert "cannot write /proc/b.tar" in shellbot("backup", "/proc/b.tar", "--instance", folder, code=1)
        with sqlite3.connect(folder / "store.db") as db:
            assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)
        db.close()
