"""One story, the same in a terminal, on the web page and on Webex: join, dialog, vote, file, killed in between."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shellbot.testing import FakeWebex
from tests.conftest import missing
from tests.scenarios import everywhere_bot
from tests.scenarios.stages import ROOT, ConsoleStage, Stage, WebexStage, WebStage

BOT = Path(everywhere_bot.__file__)
PLAN = BOT.read_bytes()
A, B = "Person A", "Person B"


async def scenario(stage: Stage) -> None:
    # They come in, and are greeted in the group.
    await stage.join(A)
    await stage.heard(f"Welcome, {A}!")
    await stage.join(B)
    await stage.heard(f"Welcome, {B}!")

    # A dialog in a direct channel; in the middle of it the server is killed.
    await stage.say_direct(A, "order")
    await stage.heard("Which dish?", A)
    await stage.choose(A, "Sushi")
    await stage.heard("How many?", A)
    await stage.kill()
    # What is said while nobody serves is heard when somebody does, and the dialog goes on where it stood.
    await asyncio.gather(stage.say_direct(A, "3"), stage.start())
    await stage.heard("Anything to add?", A)
    await stage.say_direct(A, "without onions")
    await stage.heard("Ordered: 3 Sushi, without onions.", A)

    # A vote, with the server killed between two ballots.
    await stage.say(A, 'poll "Lunch?" Pizza, Salad')
    for name in (A, B):
        await stage.heard("Lunch?", name)
    await stage.choose(A, "Salad")
    await stage.heard("counted: Salad", A)
    await stage.kill()
    await stage.start()
    await stage.choose(B, "Salad")
    result = await stage.heard("Result of vote #1")
    assert "Salad" in result
    assert "2 of 2" in result

    # A file of the bot, and one for it.
    await stage.say(B, "plan")
    assert await stage.received(BOT.name) == PLAN
    if stage.takes_files:
        await stage.send(B, "count", ("notes.txt", b"two\nlines\n"))
        await stage.heard("Counted notes.txt: 10 bytes.", B)
    else:
        await stage.say_direct(B, "count")
        await stage.heard("Nothing to count: no file came with this line.", B)

    # One leaves, and is not asked any more.
    if stage.can_leave:
        await stage.leave(B)
        await stage.heard(f"{B} has left.")
        await stage.say(A, 'poll "Tea?" yes, no')
        await stage.choose(A, "yes")
        assert "1 of 1" in await stage.heard("Result of vote #2")

    # Nothing was said twice over two kills.
    assert sum("Result of vote #1" in text for text in stage.told()) == 1
    assert sum("Ordered: " in text for text in stage.told(A)) == 1
    for name in (A, B):
        assert sum(f"Welcome, {name}!" in text for text in stage.told()) == 1


@pytest.fixture
def fake() -> Iterator[FakeWebex]:
    with FakeWebex() as fake:
        yield fake


@pytest.fixture(scope="session")
def other_sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python of its own with all that shellbot needs and webexpythonsdk: it and webexteamssdk cannot be together."""
    needed, _, _ = (ROOT / "requirements.txt").read_text().partition("# extra:")
    core = [line for line in needed.splitlines() if line and not line.startswith("#")]
    folder = tmp_path_factory.mktemp("webexpythonsdk") / "venv"
    python = folder / "bin" / "python"
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True, timeout=40)
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *core, "webexpythonsdk"]
        subprocess.run(install, check=True, capture_output=True, timeout=80)
    except (subprocess.SubprocessError, OSError) as error:
        told = getattr(error, "stderr", None) or b""
        missing(f"webexpythonsdk ({told.decode()[-200:].strip() or error})", "pip install webexpythonsdk")
    return python


async def test_in_a_terminal(tmp_path: Path) -> None:
    async with ConsoleStage(tmp_path / "instance", BOT) as stage:
        await scenario(stage)


async def test_on_the_web_page(tmp_path: Path) -> None:
    async with WebStage(tmp_path / "instance", BOT) as stage:
        await scenario(stage)


async def test_on_webex_by_webhooks(tmp_path: Path, fake: FakeWebex) -> None:
    async with WebexStage(tmp_path / "instance", BOT, fake, "webhook") as stage:
        await scenario(stage)


async def test_on_webex_by_polling(tmp_path: Path, fake: FakeWebex) -> None:
    async with WebexStage(tmp_path / "instance", BOT, fake, "polling") as stage:
        await scenario(stage)


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_on_webex_with_the_other_sdk(tmp_path: Path, fake: FakeWebex, other_sdk: Path) -> None:
    is_there = "import webexpythonsdk, importlib.util as u; print(u.find_spec('webexteamssdk'))"
    found = await asyncio.to_thread(subprocess.run, [other_sdk, "-c", is_there], capture_output=True, check=True)
    assert found.stdout == b"None\n"
    async with WebexStage(tmp_path / "instance", BOT, fake, "webhook", other_sdk) as stage:
        await scenario(stage)
