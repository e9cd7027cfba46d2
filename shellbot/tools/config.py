"""``shellbot config``: what is set and from where, and every mistake in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from shellbot.bus.options import BusOptions
from shellbot.commands.access import mistakes as mistaken_rules
from shellbot.commands.loading import load_commands
from shellbot.context import Context
from shellbot.errors import ConfigError, GuaranteeUnavailable
from shellbot.instance import default_folder
from shellbot.polls.zone import read_zone
from shellbot.server.hosts import LOOPBACK, open_to_all
from shellbot.settings import DECLARED, convert, declared, is_counter, is_secret, masked, unset, variable
from shellbot.sources import Source, from_environment, is_reference, keys_in, mistakes_in, parse_file, slips_in
from shellbot.spaces_by_type import KINDS, no_such

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as it may be shown, and where it comes from."""

    key: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Survey:
    """Settings that are set, in the order of their names; what is wrong with them, one line each; the values that can
    be used."""

    rows: tuple[Row, ...]
    mistakes: tuple[str, ...]
    values: Mapping[str, Any]


def survey(file: Path | None, environ: Mapping[str, str], commands: Collection[str] = ()) -> Survey:
    """Look at all settings; a mistake in one does not hide the others.

    Args:
        commands: Keywords of the bot's own, for the rules on who may use which.
    """
    mistakes: list[ConfigError] = []
    rows: dict[str, Row] = {}
    values: dict[str, Any] = {}
    wrong: set[str] = set()
    source = Source("", {}, {})
    if file is not None:
        try:
            source = parse_file(file)
        except ConfigError as error:
            mistakes.append(error)
        mistakes += mistakes_in(source)
        wrong = {error.key for error in mistakes}
    for key, value in source.settings.items():
        origin = source.place(key)
        if is_reference(value) and value[1:] not in environ:
            name = "its variable" if is_secret(key) else value[1:]  # a password may begin with '$', too
            origin += f", and {name} is not set in the environment"
            if declared(key) is not None and not is_secret(key):
                mistakes.append(ConfigError(f"{source.place(key)}: {key}: {unset(value)}", key=key))
        if key.startswith("general.") and key not in source.lines and declared(key) is None and not is_counter(key):
            origin += ", read by your own code if at all"
        rows[key] = Row(key, _shown(key, value), origin)
        if key not in wrong:
            try:
                values[key] = _looked_up(key, value, environ)
            except ConfigError as error:
                mistakes.append(ConfigError(f"{source.place(key)}: {error}", key=key))
    for key in keys_in(environ):
        try:
            values[key] = from_environment(key, environ)
        except ConfigError as error:
            mistakes.append(error)
            continue
        over = f", over {rows[key].origin}" if key in rows else ""
        rows[key] = Row(key, _shown(key, values[key]), variable(key) + over)
    for key, text in mistaken_rules(values, commands):
        place = source.place(key) if key in source.lines else variable(key)
        mistakes.append(ConfigError(f"{place}: {key}: {text}", key=key))
    for key, text in _refused(values, {error.key for error in mistakes}):
        place = variable(key) if variable(key) in environ else source.place(key)
        mistakes.append(ConfigError(f"{place}: {text}", key=key))
    slips = [f"{name}: no setting is read from it; did you mean {meant}?" for name, meant in slips_in(environ)]
    return Survey(tuple(rows[key] for key in sorted(rows)), (*map(str, mistakes), *slips), values)


def _refused(values: Mapping[str, Any], mistaken: Set[str | None]) -> Iterator[tuple[str, str]]:
    """What ``shellbot run`` would not start with though each value is of its kind: each time the key, and why.

    Of an address where no bus can be, the doctor's look at the bus tells.
    """
    kind = values.get("space.type") or KINDS[0]
    if kind not in KINDS:
        yield "space.type", f"space.type: {no_such(kind)}"
    keys = ("server.address", "server.public_url", "server.private")
    if kind == "web" and not mistaken & set(keys):
        address, public_url, is_private = map(values.get, keys)
        if problem := open_to_all(address or LOOPBACK[0], public_url or "", bool(is_private)):
            yield keys[0], f"{keys[0]}: {problem}"
    try:
        read_zone(Context({key: value for key, value in values.items() if key == "polls.timezone"}))
    except ConfigError as error:
        yield "polls.timezone", str(error)
    rules = {key: value for key, value in values.items() if key.startswith("bus.")}
    try:
        BusOptions.read(Context({**rules, "bus.address": "memory://any"}))
    except GuaranteeUnavailable as error:
        yield "bus.guarantee", str(error)
    except ConfigError as error:
        if error.key and error.key not in mistaken:
            yield error.key, str(error)


def _looked_up(key: str, value: Any, environ: Mapping[str, str]) -> Any:
    if not is_reference(value) or value[1:] not in environ:
        return None if is_reference(value) else value
    text = environ[value[1:]]
    setting = declared(key)
    return convert(key, text, setting.kind, is_text=True) if setting is not None else text


def defaults(without: Container[str]) -> Iterator[Row]:
    """What the server takes where nothing is said."""
    own = {
        "bus.address": "a socket of the server's own",
        "bus.slow": "disconnect",
        "instance.folder": str(default_folder()),
    }
    for key, setting in sorted(DECLARED.items()):
        value = own.get(key) or ("-" if setting.default is None else _shown(key, setting.default))
        if key not in without:
            yield Row(key, value, DEFAULT)


def _shown(key: str, value: Any) -> str:
    text = str(masked(key, value))
    return "".join(character if character.isprintable() else "?" for character in text)


def bot_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option ``--bot``."""
    path = click.Path(exists=True, dir_okay=False)
    return click.option("--bot", type=path, help="The bot's file: rules of access may name its commands.")(command)


def keywords_of(bot: str | None) -> list[str]:
    """Keywords of the commands in this file."""
    return [command.keyword for command in load_commands(bot)] if bot else []


@click.command()
@click.option(
    "--settings", type=click.Path(path_type=Path, dir_okay=False), help="As of shellbot run: a YAML or TOML file."
)
@bot_option
@click.option("--all", "is_all", is_flag=True, help="Also what has its default, and what each key is for.")
def config(settings: Path | None, bot: str | None, is_all: bool) -> None:
    """Show what is set, and from where. Every mistake in it is told; secrets are not shown."""
    found = survey(settings, os.environ, keywords_of(bot))
    rows = [*found.rows, *(defaults({row.key for row in found.rows}) if is_all else ())]
    width = max((len(row.key) for row in rows), default=0)
    for row in sorted(rows, key=lambda row: row.key):
        click.echo(f"{row.key:<{width}}  {row.value}  ({row.origin})")
        if is_all and (setting := declared(row.key)) is not None:
            click.echo(f"{'':<{width}}    {setting.doc}")
    if not is_all:
        click.echo(f"{len(found.rows)} set; the others have their defaults: shellbot config --all")
    for mistake in found.mistakes:
        click.echo(f"shellbot: {mistake}", err=True)
    sys.exit(1 if found.mistakes else 0)
