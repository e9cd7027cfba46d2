"""Files with messages, on a real bus: what commands get, what they send, and what they are told when they cannot."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from shellbot.commands.base import Command
from shellbot.commands.upload import Upload
from shellbot.commands.uploaded import Uploaded
from shellbot.files import shelf
from shellbot.markup import plain

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))


class Count(Command):
    keyword = "count"

    async def execute(self, bot, *, files):
        for file in files:
            content = await bot.home.run_blocking(file.read)
            bot.say(f"{file.name} {file.type} {file.size_bytes} {len(content)}")


class Send(Command):
    """Sends what its test says; what goes wrong is the business of the shell."""

    keyword = "send"
    paths: list[str | Path] = []

    def execute(self, bot, arguments="", **kwargs):
        bot.say("Before.")
        bot.say("Here it is.", file=self.paths)


class SendAsync(Send):
    async def execute(self, bot, arguments="", **kwargs):
        bot.say("Before.")
        bot.say("Here it is.", file=self.paths)
        for path in self.paths:
            os.unlink(path)  # it is open already


def kept(tmp_path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (tmp_path / "instance" / "files").iterdir()}


async def test_a_command_reads_the_files_that_came_with_its_line(party, tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "notes.txt").write_text("two\nlines\n")
    async with party("Person A", commands=[Count()]) as people:
        files = [tmp_path / "a.png", tmp_path / "notes.txt"]
        await (await people.space.say("group", people.people["Person A"], "count", files))
        await people.hears("notes.txt text/plain 10 10")
        assert people.told() == ["a.png image/png 208 208", "notes.txt text/plain 10 10"]


async def test_files_without_a_command_go_to_the_one_for_them_and_answer_no_question(party, tmp_path):
    class Greet(Command):
        keyword = "greet"

        async def execute(self, bot, arguments="", **kwargs):
            bot.say(f"Hello, {await bot.ask('What is your name?')}!")

    (tmp_path / "a.png").write_bytes(PNG)
    async with party("Person A", commands=[Uploaded(), Greet()]) as people:
        person, where = people.people["Person A"], people.direct("Person A")
        asked = asyncio.create_task(people.whisper("Person A", "greet"))
        await people.hears("What is your name?", "Person A")
        await (await people.space.say(where, person, "", [tmp_path / "a.png"]))
        await people.hears("Thank you, I have the file.", "Person A")
        await people.whisper("Person A", "Ann")
        await people.hears("Hello, Ann!", "Person A")
        await asked


@pytest.mark.parametrize("command", [Send, SendAsync])
async def test_a_bot_sends_files_that_may_change_afterwards(party, tmp_path, command):
    first, second = tmp_path / "a.png", tmp_path / "b.txt"
    first.write_bytes(PNG)
    second.write_text("b")
    sender = command()
    sender.paths = [first, second]
    async with party("Person A", commands=[sender]) as people:
        await people.say("Person A", "send")
        await people.hears("Here it is.")
        reply = people.space.heard("group")[-1]
        assert [(file.name, file.type, file.size_bytes) for file in reply.files] == [
            ("a.png", "image/png", 208),
            ("b.txt", "text/plain", 1),
        ]
        first.write_bytes(b"something else")
        assert [file.read() for file in reply.files] == [PNG, b"b"]
        assert all(os.stat(file.path).st_mode & 0o777 == 0o600 for file in reply.files)
        assert kept(tmp_path) == {file.id: file.read() for file in reply.files}
    async with party("Person A"):
        assert len(kept(tmp_path)) == 2  # swept is only what no message has


def hostile(tmp_path: Path) -> dict[str, str]:
    """What cannot be sent, and a word of the answer."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "there.txt").write_text("there")
    (tmp_path / "link.txt").symlink_to(tmp_path / "there.txt")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large.bin").write_bytes(b"x" * 2001)
    with socket.socket(socket.AF_UNIX) as end:
        place = os.getcwd()
        os.chdir(tmp_path)  # an address of a socket is short
        end.bind("socket")
        os.chdir(place)
    return {
        str(tmp_path / "missing.txt"): "missing.txt is not there",
        str(tmp_path / "folder"): "folder is a folder",
        str(tmp_path / "link.txt"): "link.txt is a link",
        str(tmp_path / "pipe"): "pipe is no plain file",
        str(tmp_path / "socket"): "socket is no plain file",
        "/dev/null": "null is no plain file",
        str(tmp_path / "there.txt" / "x"): "x is not there",
        str(tmp_path / "large.bin"): "large.bin is too large: 2 kB are the most",
        "x" * 4000: "is not there: its name is too long",
        "zero\0byte": "zerobyte is no name of a file",
        "\ud800": "is no name of a file",
        "https://example.org/a.png": "a.png is no file on this machine: addresses are not fetched",
        "file:///etc/passwd": "passwd is no file on this machine: addresses are not fetched",
        "../../\u202etxt.exe": "txt.exe is not there",
    }


async def test_what_cannot_be_sent_is_told_to_who_asked_and_nothing_else_is_lost(party, tmp_path, caplog):
    sender = Send()
    limits = {"files.max_bytes": 2000}
    async with party("Person A", commands=[sender], settings=limits) as people:
        for path, answer in hostile(tmp_path).items():
            sender.paths = [path]
            await people.say("Person A", "send")
            said = await people.hears(plain(answer))
            assert str(tmp_path) not in said.replace("\\", ""), path
            assert repr(path) in caplog.text
        await people.say("Person A", "echo still here")
        await people.hears("still here")
        assert people.told().count("Before.") == len(people.told()) // 2
    assert kept(tmp_path) == {}


async def test_too_many_files_and_no_room_are_told(party, tmp_path):
    sender = Send()
    sender.paths = [tmp_path / "a", tmp_path / "b"]
    for path in sender.paths:
        path.write_bytes(b"x" * 600)
    for limits, answer in [
        ({"files.max_count": 1}, "2 files are too many for one message: 1 are the most."),
        ({"files.total_bytes": 1000}, "No more files can be kept here: the room for them is used up."),
    ]:
        async with party("Person A", commands=[sender], settings=limits) as people:
            await people.say("Person A", "send")
            await people.hears(answer)
        assert kept(tmp_path) == {}


async def test_upload_sends_from_its_folder_only(party, tmp_path):
    folder = tmp_path / "handouts"
    folder.mkdir()
    (folder / "Plan für Mai.pdf").write_text("plan")
    (folder / ".hidden").write_text("hidden")
    (folder / "link").symlink_to("/etc/passwd")
    (tmp_path / "secret.txt").write_text("secret")
    async with party("Person A", commands=[Upload(folder)]) as people:
        await people.say("Person A", "upload plan fu\u0308r mai.pdf")
        await people.hears("")
        (reply,) = people.space.heard("group")
        assert [(file.name, file.read()) for file in reply.files] == [("Plan für Mai.pdf", b"plan")]
        names = [
            "../secret.txt",
            str(tmp_path / "secret.txt"),
            ".hidden",
            "link",
            "..",
            "con",
            "\u202egpj.exe",
            "x" * 4000,
        ]
        for name in [*names, ""]:
            await people.say("Person A", f"upload {name}")
        await people.space.wait_for("group", lambda _: len(people.told()) == len(names) + 2)
        *refused, listed = people.told()[1:]
        for name, said in zip(names, refused, strict=True):
            assert said.startswith("There is no file "), name
            assert len(said) < 200, name
        assert listed == "I can send: Plan für Mai.pdf."
        assert [reply.files for reply in people.space.heard("group")[1:]] == [()] * (len(names) + 1)


async def test_a_disk_that_is_full_loses_the_file_and_says_so(party, tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(PNG)
    sender = Send()
    sender.paths = [tmp_path / "a.png"]
    async with party("Person A", commands=[sender]) as people:

        def full(self):
            raise shelf.FileRefused(f"{self.name} cannot be kept: no space is left on the server's disk.")

        monkeypatch.setattr(shelf.Draft, "finish", full)
        await people.say("Person A", "send")
        said = await people.hears("Here it is.")
        assert "a.png cannot be kept: no space is left on the server's disk." in said
    assert kept(tmp_path) == {}


async def test_a_file_that_may_not_be_read_is_told(party, tmp_path, monkeypatch):
    (tmp_path / "private.txt").write_text("private")
    sender = Send()
    sender.paths = [tmp_path / "private.txt"]
    really = os.open

    def refused(path, *args, **kwargs):  # whoever runs the tests may be allowed to read everything
        if str(path).endswith("private.txt"):
            raise PermissionError(13, "Permission denied")
        return really(path, *args, **kwargs)

    async with party("Person A", commands=[sender]) as people:
        monkeypatch.setattr(os, "open", refused)
        await people.say("Person A", "send")
        await people.hears("private.txt may not be read by this program.")
        monkeypatch.undo()
