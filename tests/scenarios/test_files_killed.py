"""Files on a server in a process of its own: killed in the middle, large ones, and what a bot sends to people."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from shellbot.testing.people import ScriptedPerson

BOT = """
from shellbot import Command


class Back(Command):
    keyword = "back"

    async def execute(self, bot, *, files):
        bot.say("As it came:", file=files)


commands = [Back()]
"""


@pytest.fixture
def dialogue_options(tmp_path):
    (tmp_path / "bot.py").write_text(BOT)
    return [str(tmp_path / "bot.py")]


def kept(tmp_path: Path) -> list[bytes]:
    return sorted(file.read_bytes() for file in (tmp_path / "instance" / "files").iterdir())


def shown(person: ScriptedPerson) -> list[str]:
    return sorted(file.name for post in person.posts("group") for file in post.files)


async def test_files_survive_a_kill_whole_or_not_at_all(dialogue, tmp_path):
    await dialogue.group("Person A", "Person B")
    writer, reader = dialogue.person("Person A"), dialogue.person("Person B")
    contents = {f"{number}.bin": os.urandom(300_000 + number) for number in range(12)}
    names = list(contents)
    for start in range(0, len(names), 4):
        sending = [
            asyncio.create_task(writer.say("", files=[(name, contents[name])])) for name in names[start : start + 4]
        ]
        for _ in range(random.Random(start).randrange(1, 40)):
            await asyncio.sleep(0)  # the kill comes somewhere on their way
        await dialogue.restart(kill=True)
        await asyncio.gather(*sending)
    await dialogue.restart(kill=True)
    await reader.until(lambda: True if len(shown(reader)) >= len(names) else None, "all files")
    assert shown(reader) == sorted(names)
    assert {name: await reader.received(name) for name in names} == contents
    assert kept(tmp_path) == sorted(contents.values())


async def test_a_bot_sends_back_what_came_and_a_restart_changes_nothing(dialogue, tmp_path):
    group = await dialogue.group("Person A")
    assert "a.bin" in await group.say("Person A", "back", files=[("a.bin", b"\0\1\2"), ("b.txt", b"b")])
    assert "c.txt" in await dialogue.direct("Person A").say("back", files=[("c.txt", b"c")])
    await dialogue.restart(kill=True)
    assert await group.received("a.bin") == b"\0\1\2"
    assert await dialogue.direct("Person A").received("c.txt") == b"c"
    assert kept(tmp_path) == sorted([b"\0\1\2", b"b", b"c"] * 2)


def memory_bytes(pid: int) -> int:
    """The most that a process has had in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


async def test_a_large_file_takes_no_memory_on_its_way(dialogue, tmp_path, monkeypatch):
    monkeypatch.setenv("SHELLBOT_FILES_MAX_BYTES", "80000000")
    group = await dialogue.group("Person A")
    person = dialogue.person("Person A")
    await person.say("", files=[("small", b"x" * 100_000)])
    await person.received("small")
    before = memory_bytes(dialogue.server.pid)
    large = os.urandom(1_000_000) * 60
    await person.say("", files=[("large", large)])
    assert await group.received("large") == large
    assert memory_bytes(dialogue.server.pid) - before < 15_000_000
