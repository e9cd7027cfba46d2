"""``shellbot run`` as a process: where it is found, how it ends, and what it says when it cannot begin."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from shellbot.testing.people import ScriptedPerson
from shellbot.testing.servers import PORTS, PRODUCT, Server, ServerEnded, wait_gone
from tests.conftest import missing


def members(group: int) -> list[int]:
    """Processes of this process group that are not dead."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, process_group, *_ = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(process_group) == group and state not in "ZX":
            found.append(int(path.parent.name))
    return found


async def refused(server: Server) -> str:
    """What a server says that ends with exit code 1; one line, and nothing of it is left."""
    with pytest.raises(ServerEnded, match="exit code 1"):
        await server.start()
    lines = server.stderr.splitlines()
    assert len(lines) == 1, server.stderr
    assert lines[0].startswith("shellbot: ")
    assert members(server.pid) == []
    return lines[0]


@contextmanager
def small_disk():
    """A file system of 2 MB; mounting takes root."""
    folder = Path(tempfile.mkdtemp(prefix="sb-disk-"))
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], capture_output=True)
        if mounted.returncode:
            missing("to mount a small disk", "run the tests as root, where mounting is allowed")
        try:
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)
    finally:
        folder.rmdir()


def make_read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass  # full


# --- it begins


async def test_its_address_stands_alone_on_a_line_and_in_the_instance_file(tmp_path):
    async with Server(tmp_path / "instance", program=PRODUCT) as server:
        assert re.fullmatch(r"shellbot: http://127\.0\.0\.1:\d+/\n", server.stdout)
        assert server.stdout == f"shellbot: {server.url}\n"
        assert set(server.facts) >= {"pid", "publisher_pid", "bus", "web"}
        assert server.facts["bus"].startswith("ipc://")
        assert (tmp_path / "instance").stat().st_mode & 0o777 == 0o700


async def test_its_port_is_none_that_the_system_gives_to_others_while_it_is_down(tmp_path):
    async with Server(tmp_path / "instance", program=PRODUCT) as server:
        assert int(server.url.rstrip("/").rpartition(":")[2]) in range(PORTS.start, PORTS.stop + 100)
    assert PORTS.stop + 100 <= 32_768  # where Linux begins, unless told otherwise


async def test_where_the_port_is_taken_it_takes_the_next_free_one_and_says_so(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with Server(tmp_path / "instance", program=PRODUCT, port=port) as server:
            assert int(server.url.rstrip("/").rpartition(":")[2]) > port
            assert f"shellbot: {server.url}" in server.stdout.splitlines()


async def test_a_restart_gets_the_same_port_and_its_people_are_still_signed_in(tmp_path):
    async with Server(tmp_path / "instance", program=PRODUCT) as server:
        async with ScriptedPerson(server.url, "Person A") as person:
            await person.say("before")
            await server.restart(kill=True)
            await person.say("after the kill")
            await server.restart()
            await person.say("after the stop")
            await person.catch_up()
            assert [post.text for post in person.posts("group")] == ["before", "after the kill", "after the stop"]


# --- it ends


@pytest.mark.alone
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 0)])
async def test_a_signal_ends_it_within_3_s_and_leaves_no_orphan(tmp_path, number, code):
    async with Server(tmp_path / "instance", program=PRODUCT) as server:
        async with ScriptedPerson(server.url, "Person A") as person:  # with a page that is open
            await person.say('poll "Lunch?" Pizza, Sushi')
            await person.ballot()
            asked = time.monotonic()
            await server.signal(number)
            assert await server.wait() == code
            assert time.monotonic() - asked < 3
        assert members(server.pid) == []
        assert not (tmp_path / "instance" / "instance.json").exists()
        assert server.stderr == ""


async def test_ctrl_c_at_a_terminal_reaches_the_publisher_too_and_nothing_is_lost(tmp_path):
    async with Server(tmp_path / "instance", program=PRODUCT) as server:
        os.killpg(server.pid, signal.SIGINT)
        assert await server.wait() == 0
        assert server.stderr == ""
        assert members(server.pid) == []


async def test_killed_it_takes_its_publisher_along(tmp_path):
    async with Server(tmp_path / "instance", program=PRODUCT) as server:
        publisher = server.facts["publisher_pid"]
        assert publisher in members(server.pid)
        await server.kill()
        assert publisher not in members(server.pid)


async def test_its_publisher_is_started_again_and_the_vote_goes_on(tmp_path):
    async with Server(tmp_path / "instance", program=PRODUCT) as server:
        async with ScriptedPerson(server.url, "Person A") as person:
            await person.say('poll "Lunch?" Pizza, Sushi')
            await person.ballot()
            before = server.publisher_pid
            os.kill(before, signal.SIGKILL)
            await person.press("Sushi")
            assert "Sushi 1" in await person.heard("Result")
            assert server.publisher_pid != before
            assert await server.stop() == 0
            assert members(server.pid) == []


# --- it cannot begin


async def test_a_second_server_on_the_same_folder_is_refused(tmp_path):
    async with Server(tmp_path / "instance", program=PRODUCT) as first:
        said = await refused(Server(tmp_path / "instance", program=PRODUCT, output=tmp_path / "second"))
        assert str(first.pid) in said
        assert "--instance" in said
        async with ScriptedPerson(first.url, "Person A") as person:
            await person.say("still here")


async def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    if os.getuid() == 0:
        with small_disk() as disk:
            (disk / "instance").mkdir()
            make_read_only(disk)
            server = Server(disk / "instance", program=PRODUCT, output=tmp_path / "output")
            assert "can only be read" in await refused(server)
    else:
        (tmp_path / "instance").mkdir(mode=0o500)
        assert "--instance" in await refused(Server(tmp_path / "instance", program=PRODUCT))


async def test_a_store_that_is_no_store_is_told(tmp_path):
    (tmp_path / "instance").mkdir(mode=0o700)
    (tmp_path / "instance" / "store.db").write_text("these are my notes" * 1000)
    assert "store.db" in await refused(Server(tmp_path / "instance", program=PRODUCT))


async def test_a_full_disk_is_told(tmp_path):
    with small_disk() as disk:
        fill(disk / "filling")
        server = Server(disk / "instance", program=PRODUCT, output=tmp_path / "output")
        said = await refused(server)
        assert "room" in said or "space" in said


async def talk(person: ScriptedPerson, said: list[str]) -> None:
    """Say long things until one is refused."""
    for number in range(100):
        await person.say(f"{number} {'x' * 6000}")
        said.append(str(number))


async def test_a_disk_that_fills_up_refuses_what_it_cannot_keep_and_goes_on_when_there_is_room(tmp_path):
    with small_disk() as disk:
        server = Server(disk / "instance", program=PRODUCT, output=tmp_path / "output")
        async with server, ScriptedPerson(server.url, "Person A", patience=1) as person:
            await person.say("there is room")
            fill(disk / "filling")
            said: list[str] = []
            with pytest.raises(TimeoutError, match="did not work just now"):
                await talk(person, said)
            (disk / "filling").unlink()
            await person.say("there is room again")
            await person.catch_up()
            texts = [post.text for post in person.posts("group")]
            assert [text.split()[0] for text in texts] == ["there", *said, "there"]
            assert await server.stop() == 0


async def test_nothing_is_left_of_a_server_that_could_not_begin(tmp_path):
    server = Server(tmp_path / "instance", "--bus", "gopher://127.0.0.1:70", program=PRODUCT)
    await refused(server)
    await wait_gone(server.pid)
    assert not (tmp_path / "instance" / "instance.json").exists()
