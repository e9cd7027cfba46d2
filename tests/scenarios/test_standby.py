"""Two servers on one instance: one serves, the other waits for its end, and only one ever answers."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from time import monotonic

import pytest

from shellbot.testing.people import ScriptedPerson
from shellbot.testing.servers import PAUSE, PRODUCT, Server


async def wait_for_line(server: Server, text: str) -> None:
    async with asyncio.timeout(10):
        while text not in server.stdout:
            assert server.is_up, server.stderr
            await asyncio.sleep(PAUSE)


def replies(person: ScriptedPerson) -> list[str]:
    """What the bot said, each message once."""
    shown = {(one.side, one.place): one.text for one in person.shown if one.is_bot}
    return list(shown.values())


@pytest.mark.alone
async def test_c11_the_one_that_stands_by_goes_on_where_the_other_was_killed(tmp_path: Path) -> None:
    folder = tmp_path / "instance"
    async with Server(folder, program=PRODUCT, output=tmp_path / "first") as first:
        port = int(first.url.rsplit(":", 1)[1].strip("/"))
        second = Server(folder, "--standby", program=PRODUCT, port=port, output=tmp_path / "second")
        try:
            await second.launch()
            await wait_for_line(second, f"standing by while process {first.pid} serves")
            async with ScriptedPerson(first.url, "Person A") as person:
                await person.say("echo before")
                await person.until(lambda: "before" in replies(person) or None, "the first answer")
                await first.kill()
                killed = monotonic()
                # It is said while nobody serves: the browser says it again until somebody does.
                await person.say("echo after")
                await person.until(lambda: "after" in replies(person) or None, "the answer")
                assert monotonic() - killed < 5
                await person.say("echo end")
                await person.until(lambda: "end" in replies(person) or None, "the last answer")
                assert replies(person) == ["before", "after", "end"]
            assert second.is_up
            assert await second.stop() == 0
        finally:
            await second.close()


async def test_one_that_is_not_needed_ends_when_it_is_told_to(tmp_path: Path) -> None:
    folder = tmp_path / "instance"
    async with Server(folder, program=PRODUCT, output=tmp_path / "first") as first:
        second = Server(folder, "--standby", program=PRODUCT, output=tmp_path / "second")
        try:
            await second.launch()
            await wait_for_line(second, "standing by")

            os.kill(second.pid, signal.SIGTERM)
            assert await second.wait() == 0
            assert first.is_up
        finally:
            await second.close()
