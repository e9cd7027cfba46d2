"""``shellbot poll``: its commands, and ``recount``, which counts a vote again from its log."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from shellbot.envelope import Seal
from shellbot.errors import ConfigError
from shellbot.instance import read_key
from shellbot.markup import one_line
from shellbot.polls.log import Log
from shellbot.polls.recount import recount as count_again
from shellbot.polls.tally import bars
from shellbot.tools.forget import forget
from shellbot.tools.places import folder_of, instance_option, reading
from shellbot.tools.rolls import check, roll
from shellbot.tools.votes import export, list_, show


@click.group("poll")
def polls() -> None:
    """Look at the votes that a server keeps."""


@polls.command()
@instance_option
@click.option("--key", type=click.Path(dir_okay=False), help="Key of the server, where it is not in that folder.")
@click.argument("name", metavar="ID")
def recount(instance: str | None, key: str | None, name: str) -> None:
    """Count the vote ID (its number, or the id in the store) again from its log.

    Exit code 0: the store says what was voted and announced. 1: it does not, and each line says where.
    """
    folder = folder_of(instance)
    sealed = Path(key) if key else folder / "keys" / "instance"
    if not sealed.exists():
        raise ConfigError(f"there is no key {sealed}, without which no log can be read; name the server's --instance")
    log = Log(Seal(read_key(sealed)))
    with reading(folder) as db:
        found = count_again(db, log, name)
    click.echo(f"Vote #{found.number}: {one_line(found.question)} ({found.state})")
    if found.result is not None:
        click.echo(bars(found.result))
        click.echo(f"{found.result.answered} of {found.result.asked} voted; {found.entries} entries in the log")
    for problem in found.problems:
        click.echo(f"vote #{found.number}: {problem}")
    if found.problems:
        sys.exit(1)
    click.echo("The log is whole, and the store says the same.")


for command in (list_, show, export, forget, check, roll):
    polls.add_command(command)
