"""``shellbot test FILE``: play conversations written as text, and say which line did not come true."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from shellbot.errors import ConfigError

if TYPE_CHECKING:
    from shellbot.testing.conversation import Scene

PATIENCE = 5.0  # seconds of real time for what must be heard: a deed was dealt with by then, but for slow commands
MOST_LOG = 2_000  # characters of the bot's log that are shown with a failure


@click.command("test")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--bot", type=click.Path(exists=True, dir_okay=False), help="Play with this bot, whatever FILES name.")
def conversations(files: Sequence[Path], bot: str | None) -> None:
    """Play conversations written as text. Each has a server of its own; the first line that does not come true is told.

    \b
    Ann: hello Bob         said in the group
    Ann> [Pizza]           a button pressed in Ann's direct channel
    [group] Hello, Bob!    must be heard
    (wait 10m) (kill)      time passes; the server is killed and started again
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it, too, leaves nothing behind
    played = failed = 0
    for file in files:
        try:
            scenes = _read(file)
        except ConfigError as error:
            click.echo(f"FAILED  {error}")
            played, failed = played + 1, failed + 1
            continue
        for scene in scenes:
            played += 1
            failed += not _play(file, scene, bot)
    were = "1 conversation" if played == 1 else f"{played} conversations"
    click.echo(f"{were}, {failed} failed" if failed else f"{were}, all came true")
    sys.exit(1 if failed else 0)


def _read(file: Path) -> list[Scene]:
    from shellbot.testing.conversation import read_scenes

    try:
        return read_scenes(file.read_text("utf-8"), str(file))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8 text") from error
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error


def _play(file: Path, scene: Scene, bot: str | None) -> bool:
    from shellbot.testing.dialogue import Dialogue
    from shellbot.testing.rehearsal import Failure, Rehearsal

    program = bot or (str(file.parent / scene.bot) if scene.bot else None)
    if program and not Path(program).is_file():
        click.echo(f"FAILED  {file}:{scene.line}: there is no bot {program}")
        return False

    async def played() -> tuple[Failure | None, str]:
        with TemporaryDirectory(prefix="shellbot-test-") as folder:
            options = [program] if program else []
            async with Dialogue(Path(folder) / "instance", options, patience=PATIENCE) as dialogue:
                failure = await Rehearsal(dialogue, scene).play()
                return failure, dialogue.server.stderr if failure else ""

    failure, log = asyncio.run(played())
    if failure is None:
        click.echo(f"ok      {scene.title}")
        return True
    click.echo(f"FAILED  {file}:{failure.line}: {failure.text}")
    if log.strip() and log.strip()[-200:] not in failure.text:
        click.echo("    the log of the bot says:")
        click.echo("".join(f"    | {line}\n" for line in log[-MOST_LOG:].splitlines()), nl=False)
    return False
