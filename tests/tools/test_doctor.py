"""``shellbot doctor``: a healthy place is ok in every line, and each thing that is wrong is found by its line."""

from __future__ import annotations

import importlib.metadata
import os
import socket
import sqlite3
import subprocess
import sys

import pytest

from shellbot.bus.bus import Bus
from shellbot.context import Context
from shellbot.testing import Server
from shellbot.testing.servers import PRODUCT
from shellbot.tools.config import survey
from shellbot.tools.doctor import CHECKS, Place, examine


def place(folder, facts=None, **environ):
    given = {"SHELLBOT_SERVER_PORT": "0", **{name: str(value) for name, value in environ.items()}}
    return Place(folder, facts, survey(None, given))


def findings(where, what):
    return [(finding.state, finding.text) for finding in examine(where) if finding.what == what]


@pytest.fixture
def folder(tmp_path):
    """A folder of an instance, as a server has left it."""
    folder = tmp_path / "instance"
    (folder / "keys").mkdir(parents=True)
    folder.chmod(0o700)
    return folder


def shellbot(*arguments, **environ):
    return subprocess.run(
        [sys.executable, "-m", "shellbot", "doctor", *arguments],
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
        env={**os.environ, **environ},
    )


def test_a_place_where_no_server_has_been_is_fine_and_nothing_is_made_there(tmp_path):
    done = shellbot("--instance", str(tmp_path / "instance"), SHELLBOT_SERVER_PORT="0")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split(None, 2) for line in done.stdout.splitlines()]
    assert {line[0] for line in lines} <= {"ok", "note"}
    assert [line[1] for line in lines] == list(CHECKS)
    assert not (tmp_path / "instance").exists()


async def test_a_server_that_runs_is_found(tmp_path):
    async with Server(tmp_path / "instance", program=PRODUCT) as server:
        done = shellbot("--instance", str(server.folder), SHELLBOT_SERVER_PORT=str(server.url.split(":")[2].strip("/")))
    assert done.returncode == 0, done.stdout
    assert f"process {server.pid} serves this folder, {server.url}" in done.stdout
    assert f"process {server.facts['publisher_pid']} sends on {server.facts['bus']} for 1 program" in done.stdout
    assert "where the server of this folder is" in done.stdout
    assert "MiB, whole" in done.stdout


def test_mistakes_in_the_settings_are_told(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("bus:\n  adress: x\n  address: 5\nserver:\n  port: http\n")
    done = shellbot("--settings", str(file), "--instance", str(tmp_path / "instance"), SHELLBOT_SERVER_PORT="0")
    assert done.returncode == 1
    assert f"wrong  settings   {file}:2: 'bus.adress' is not a setting; did you mean 'bus.address'?\n" in done.stdout
    assert f"wrong  settings   {file}:5: server.port: " in done.stdout
    assert "ok     bus        a socket of the server's own" in done.stdout


def test_an_address_where_run_would_serve_no_page_is_told_unless_people_come_by_link(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("server:\n  public_url: https://chat.test\n  address: 0.0.0.0\n")
    given = ["--settings", str(file), "--instance", str(tmp_path / "instance")]
    done = shellbot(*given, SHELLBOT_SERVER_PORT="0")
    assert done.returncode == 1
    assert f"wrong  settings   {file}:3: server.address: on '0.0.0.0' anybody on the network" in done.stdout
    assert shellbot(*given, "--private", SHELLBOT_SERVER_PORT="0").returncode == 0


def test_a_folder_that_cannot_be_used(tmp_path, folder):
    (tmp_path / "file").write_text("")
    for wrong in (tmp_path / "file", tmp_path / "file" / "instance"):
        ((state, text),) = findings(place(wrong), "folder")
        assert state == "wrong"
        assert "name another with --instance DIR" in text


def test_what_others_can_read(folder):
    assert [state for state, _ in findings(place(folder), "folder")] == ["ok"]
    folder.chmod(0o755)
    (folder / "keys" / "web").write_text("x" * 32)
    (folder / "keys" / "web").chmod(0o644)
    (open_, key) = findings(place(folder), "folder")
    assert open_ == ("note", f"{folder} can be read by others; the next start closes it, or run: chmod 700 {folder}")
    path = folder / "keys" / "web"
    assert key == ("wrong", f"the key {path} can be read by others; run: chmod 600 {path}")


def test_a_store_that_is_damaged(folder):
    (folder / "store.db").write_bytes(b"no database" * 1000)
    ((state, text),) = findings(place(folder), "store")
    assert state == "wrong"
    assert "damaged: file is not a database; move it away" in text


def test_a_store_in_whose_middle_something_else_was_written(folder):
    path = folder / "store.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE t (x)")
    db.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 100)
    db.commit()
    db.close()
    assert findings(place(folder), "store")[0][0] == "ok"
    data = bytearray(path.read_bytes())
    data[9000:16000] = b"\xff" * 7000
    path.write_bytes(data)
    assert findings(place(folder), "store")[0][0] == "wrong"


def test_a_runtime_folder_of_others(tmp_path, monkeypatch):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    monkeypatch.setenv("SHELLBOT_RUNTIME", str(tmp_path / "open"))
    ((state, text),) = findings(place(tmp_path), "runtime")
    assert state == "wrong"
    assert "must be a folder of your own" in text


def test_a_bus_is_shown_with_who_sends_on_it(tmp_path, runtime_folder):
    address = f"ipc://{runtime_folder}/{os.urandom(4).hex()}"
    assert findings(place(tmp_path, SHELLBOT_BUS_ADDRESS=address), "bus") == [
        ("ok", f"nobody publishes on {address} now")
    ]
    bus = Bus(Context({"bus": {"address": address}}))
    with bus.publish() as publisher, bus.subscribe("room") as subscriber:
        subscriber.wait_ready(10)
        ((state, text),) = findings(place(tmp_path, SHELLBOT_BUS_ADDRESS=address), "bus")
    assert (state, text) == ("ok", f"process {publisher.pid} sends on {address} for 1 program; 1 reader")


@pytest.mark.parametrize(
    ("address", "told"),
    [("tcp://0.0.0.0:5555", "can be reached from other machines"), ("mqtt://here", "begins with 'mqtt'")],
)
def test_a_bus_where_nobody_can_listen(tmp_path, address, told):
    ((state, text),) = findings(place(tmp_path, SHELLBOT_BUS_ADDRESS=address), "bus")
    assert state == "wrong"
    assert told in text


def test_ports_that_a_stranger_has(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        url = f"tcp://127.0.0.1:{port}"
        bus, note = findings(place(tmp_path, SHELLBOT_BUS_ADDRESS=url), "bus")
        ((state, page),) = findings(place(tmp_path, SHELLBOT_SERVER_PORT=port), "port")
    assert bus[0] == "wrong"
    assert f"listens on {url} already; stop it, or set bus.address to another" in bus[1]
    assert note[0] == "note"
    assert state == "note"
    assert f"{port} of 127.0.0.1 is taken by" in page
    assert "the server takes" in page


def test_an_address_that_is_not_of_this_machine(tmp_path):
    ((state, text),) = findings(place(tmp_path, SHELLBOT_SERVER_ADDRESS="192.0.2.1"), "port")
    assert state == "wrong"
    assert "cannot listen on 0 of 192.0.2.1" in text


def test_a_clock_that_went_back(folder):
    (folder / "store.db").touch()
    os.utime(folder / "store.db", (4e9, 4e9))
    ((state, text),) = findings(place(folder), "clock")
    assert state == "wrong"
    assert "set the clock, or polls close late" in text


def test_a_library_that_is_missing_or_old(tmp_path, monkeypatch):
    needs = ["click>=8.1", "nowhere-to-be-found>=1.0", "orjson>=999", "pytest>=999; extra == 'test'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needs)
    said = findings(place(tmp_path), "libraries")
    assert said[0] == ("wrong", "nowhere-to-be-found is missing; run: pip install 'nowhere-to-be-found>=1.0'")
    assert said[1][1].endswith("is too old; run: pip install 'orjson>=999'")
    assert len(said) == 2
    del needs[1:]
    assert findings(place(tmp_path), "libraries") == [("ok", "1 are there and new enough")]
