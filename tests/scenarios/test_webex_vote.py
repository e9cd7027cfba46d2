"""A whole vote on Webex: the server with its door for webhooks, the platform, people with cards, and a kill -9."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shellbot.instance import read_facts
from shellbot.testing import FakeWebex
from shellbot.testing.servers import PAUSE


@asynccontextmanager
async def server(fake: FakeWebex, folder: Path, way: str, *, bot: str = "Shelly") -> AsyncIterator[int]:
    """``shellbot run --space webex`` as a process; gives its pid. Ended with -9, as by a power cut."""
    environment = {
        **os.environ,
        "WEBEX_TEAMS_ACCESS_TOKEN": fake.bot(bot).token,
        "SHELLBOT_WEBEX_API_URL": fake.url,
        "SHELLBOT_WEBEX_WAY": way,
        "SHELLBOT_WEBEX_CATALOG_URL": fake.catalog,
        "SHELLBOT_WEBEX_POLL_EVERY": "0.1",
    }
    arguments = [sys.executable, "-m", "shellbot", "run", "--space", "webex", "--instance", str(folder), "--port", "0"]
    output = folder.with_suffix(".log")
    with output.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    try:
        async with asyncio.timeout(15):
            while (facts := read_facts(folder)) is None or facts["pid"] != process.pid:
                assert process.returncode is None, output.read_text()
                await asyncio.sleep(PAUSE)
        yield process.pid
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@pytest.mark.parametrize("way", ["webhook", "polling", "websocket"])
async def test_a_vote_with_cards_and_words_goes_on_where_the_server_was_killed(tmp_path: Path, way: str) -> None:
    folder = tmp_path / "instance"
    with FakeWebex() as fake:
        bot, a, b = fake.bot("Shelly"), fake.person("Person A"), fake.person("Person B")
        room = fake.room("Team", [a, b], bots=[bot])
        async with server(fake, folder, way):
            a.say(room, 'poll "Lunch?" Pizza, Sushi', mention=bot)
            for person in (a, b):
                await fake.aio.wait_for((bot, person), lambda message: "Lunch?" in message.text)
            if way != "polling":
                a.press(bot, label="Sushi")
            else:
                a.say(bot, "2")  # buttons cannot be polled
            await fake.aio.wait_for((bot, a), lambda message: "counted: Sushi" in message.text)
        # Said while nobody serves: found in the room afterwards.
        b.say(bot, "sushi")
        async with server(fake, folder, way):
            result = await fake.aio.wait_for(room, lambda message: "Result" in message.text, timeout=20)
            assert "Sushi" in result.text
            results = [message for message in fake.messages(room) if "Result" in message.text]
            assert len(results) == 1
            ballots = [m for m in fake.messages(fake.direct(bot, b)) if m.cards and not m.is_deleted]
            assert len(ballots) <= 1
