"""``shellbot run --space webex --fake``: a Webex to be played, without an account."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from shellbot.testing.servers import PAUSE


class Running:
    """The command as a process, with what it says."""

    def __init__(self, process: asyncio.subprocess.Process, output: Path) -> None:
        self.process = process
        self.output = output

    async def page(self) -> str:
        async with asyncio.timeout(15):
            while (found := re.search(r"^shellbot: (http://\S+)$", self.output.read_text(), re.MULTILINE)) is None:
                assert self.process.returncode is None, self.output.read_text()
                await asyncio.sleep(PAUSE)
        return found[1]


async def start(folder: Path, *options: str) -> Running:
    output = folder / "output"
    arguments = ["-m", "shellbot", "run", *options, "--instance", str(folder / "instance"), "--port", "0"]
    with output.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    return Running(process, output)


async def end(running: Running) -> None:
    try:
        os.killpg(running.process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    await running.process.wait()


async def test_a_vote_is_played_on_the_page(tmp_path: Path, chromium: Path) -> None:
    running = await start(tmp_path, "--space", "webex", "--fake")
    try:
        page = await running.page()
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            tab = await browser.new_page()
            await tab.goto(page)
            await tab.get_by_text("Team").first.wait_for()
            await browser.close()
        os.kill(running.process.pid, signal.SIGTERM)
        assert await asyncio.wait_for(running.process.wait(), 10) == 0, running.output.read_text()
    finally:
        await end(running)


@pytest.mark.parametrize("options", [("--fake",), ("--fake", "--space", "web")])
async def test_only_webex_is_played(tmp_path: Path, options: tuple[str, ...]) -> None:
    running = await start(tmp_path, *options)
    try:
        assert await asyncio.wait_for(running.process.wait(), 15) == 2
        assert "--fake goes with --space webex" in running.output.read_text()
    finally:
        await end(running)
