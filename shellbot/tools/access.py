"""``shellbot access``: the rules on who may do what, as they are in force, and the log of who did."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from shellbot.commands.access import DEFAULT, Access
from shellbot.commands.audit import Audit
from shellbot.commands.base import Command
from shellbot.commands.close import Close
from shellbot.commands.default import Default
from shellbot.commands.echo import Echo
from shellbot.commands.empty import Empty
from shellbot.commands.help import Help
from shellbot.commands.input import Input
from shellbot.commands.link import Link
from shellbot.commands.loading import load_commands
from shellbot.commands.noop import Noop
from shellbot.commands.sleep import Sleep
from shellbot.commands.start import Start
from shellbot.commands.step import Step
from shellbot.commands.update import Update
from shellbot.commands.upload import Upload
from shellbot.commands.uploaded import Uploaded
from shellbot.commands.version import Version
from shellbot.commands.whomay import WhoMay
from shellbot.context import Context
from shellbot.envelope import Seal
from shellbot.errors import ConfigError
from shellbot.events import Channel, Person
from shellbot.instance import read_key
from shellbot.markup import one_line
from shellbot.polls.commands import PollCommand
from shellbot.tools.config import Survey, bot_option, survey
from shellbot.tools.numbers import number_of
from shellbot.tools.places import folder_of, instance_option, reading
from shellbot.trail import read

KINDS: tuple[type[Command], ...] = (
    Audit,
    Close,
    Default,
    Echo,
    Empty,
    Help,
    Input,
    Link,
    Noop,
    PollCommand,
    Sleep,
    Start,
    Step,
    Update,
    Upload,
    Uploaded,
    Version,
    WhoMay,
)


@click.group()
def access() -> None:
    """Who may do what, and who did."""


def _rules_options(command: Callable[..., None]) -> Callable[..., None]:
    path = click.Path(path_type=Path, dir_okay=False)
    where = click.option("--settings", type=path, help="As of shellbot run: a YAML or TOML file.")
    return where(bot_option(command))


@access.command("list")
@_rules_options
def listed(settings: Path | None, bot: str | None) -> None:
    """Say the rules in words, as they are in force. Exit code 2: they cannot be meant as they are written."""
    rules, _ = _rules(settings, _commands(bot))
    for line in rules.described():
        click.echo(line)


@access.command()
@click.argument("person")
@click.argument("command")
@click.option("--room", help="Id of the room; without it, in the direct channel.")
@click.option("--address", default="", help="The person's address, where PERSON is the id.")
@_rules_options
def check(person: str, command: str, room: str | None, address: str, settings: Path | None, bot: str | None) -> None:
    """Say whether PERSON (id or address) may use COMMAND, and which rule says so.

    COMMAND may have words behind it, in quotes: "audit on". Exit code 0: may, 1: may not, 2: nobody knows.
    """
    commands = _commands(bot)
    rules, found = _rules(settings, commands)
    keyword, _, arguments = command.strip().partition(" ")
    if (known := commands.get(keyword.casefold())) is None:
        near = difflib.get_close_matches(keyword.casefold(), commands, n=1, cutoff=0.8)
        hint = f"did you mean {near[0]}?" if near else "name the file of the bot that has it with --bot"
        raise click.UsageError(f"there is no command {keyword}; {hint}")
    who = Person(person, person, address or (person if "@" in person else ""))
    where = Channel(room or "direct", "", is_direct=room is None)
    use = known.use_of(arguments.strip())
    decision = rules.decide(who, where, keyword, use.right)
    may = "may" if decision.is_allowed else "may not"
    origins = {row.key: row.origin for row in found.rows}
    if decision.rule == DEFAULT:
        why = "no rule is set for it" if decision.is_allowed else "it administers, and no rule is set for it"
    else:
        why = " and ".join(f"{key}, {origins[key]}" for key in decision.rule.split(" and ") if key in origins)
    in_room = f"in {one_line(room)}" if room else "in the direct channel"
    own = ", where it is about what is this person's own" if decision.is_allowed and use.right == "own" else ""
    click.echo(f"{one_line(person)} {may} say '{one_line(command)}' {in_room}{own}: {why or decision.rule}")
    sys.exit(0 if decision.is_allowed else 1)


@access.command()
@instance_option
@click.option("--key", type=click.Path(dir_okay=False), help="Key of the server, where it is not in that folder.")
@click.option("--last", type=number_of(int, 0), help="Only so many entries, the latest.")
@click.option("--verify", "is_short", is_flag=True, help="Only say whether the log is whole.")
def log(instance: str | None, key: str | None, last: int | None, is_short: bool) -> None:
    """Print what was allowed and refused, oldest first. All of the log is verified.

    Exit code 0: it is whole. 1: it was touched, and the entry is named up to which it is genuine.
    """
    folder = folder_of(instance)
    sealed = Path(key) if key else folder / "keys" / "instance"
    if not sealed.exists():
        raise ConfigError(f"there is no key {sealed}, without which no log can be read; name the server's --instance")
    seal = Seal(read_key(sealed))
    with reading(folder) as db:
        found = read(db, seal)
    count = len(found.entries)
    begin = count if is_short else max(0, count - last) if last is not None else 0
    for number, entry in enumerate(found.entries[begin:], begin + 1):
        words = [entry["at"], entry["outcome"], entry["person"], entry["channel"], f"'{entry['deed']}'"]
        click.echo(one_line(" ".join([f"{number}", *words, f"({entry['way']}, by {entry['rule']})"])))
    if found.problem:
        click.echo(f"shellbot: {found.problem}; {count} before it are genuine", err=True)
        sys.exit(1)
    click.echo(f"{count} {'entry' if count == 1 else 'entries'}, and the log is whole.")


def _commands(bot: str | None) -> dict[str, Command]:
    """By keyword, those that come along and those of the bot. Only their words are asked, so they need nothing."""
    along = [kind.__new__(kind) for kind in KINDS]
    return {command.keyword.casefold(): command for command in [*along, *(load_commands(bot) if bot else ())]}


def _rules(settings: Path | None, commands: Mapping[str, Command]) -> tuple[Access, Survey]:
    found = survey(settings, os.environ, commands)
    if found.mistakes:
        for mistake in found.mistakes:
            click.echo(f"shellbot: {mistake}", err=True)
        sys.exit(2)
    context = Context.from_file(settings) if settings else Context()
    context.apply_environment()
    return Access.read(context, commands), found
