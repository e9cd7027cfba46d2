"""``shellbot poll recount``: a vote counted again from its log, while a server runs or when none does."""

from __future__ import annotations

import sys

import click

from shellbot.markup import one_line
from shellbot.polls.log import Log
from shellbot.polls.recount import recount as count_again
from shellbot.polls.tally import bars
from shellbot.tools.kept import looked_at


@click.group("poll")
def polls() -> None:
    """Look at the votes that a server keeps."""


@polls.command()
@click.option("--instance", type=click.Path(file_okay=False), help="Folder of the server.")
@click.option("--key", type=click.Path(dir_okay=False), help="Key of the server, where it is not in that folder.")
@click.argument("name", metavar="ID")
def recount(instance: str | None, key: str | None, name: str) -> None:
    """Count the vote ID (its number, or the id in the store) again from its log.

    Exit code 0: the store says what was voted and announced. 1: it does not, and each line says where.
    """
    with looked_at(instance, key) as (db, seal):
        found = count_again(db, Log(seal), name)
    click.echo(f"Vote #{found.number}: {one_line(found.question)} ({found.state})")
    if found.result is not None:
        click.echo(bars(found.result))
        click.echo(f"{found.result.answered} of {found.result.asked} voted; {found.entries} entries in the log")
    for problem in found.problems:
        click.echo(f"vote #{found.number}: {problem}")
    if found.problems:
        sys.exit(1)
    click.echo("The log is whole, and the store says the same.")
