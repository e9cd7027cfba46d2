"""``shellbot config``: what is set and from where, and every mistake in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from shellbot.errors import ConfigError
from shellbot.instance import default_folder
from shellbot.settings import DECLARED, is_secret, masked, variable
from shellbot.sources import Source, from_environment, is_reference, keys_in, mistakes_in, parse_file, slips_in

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Row:
    """One setting as it may be shown, and where it comes from."""

    key: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Survey:
    """Settings that are set, in the order of their names, and what is wrong with them, one line each."""

    rows: tuple[Row, ...]
    mistakes: tuple[str, ...]
    values: Mapping[str, Any]


def survey(file: Path | None, environ: Mapping[str, str]) -> Survey:
    """Look at all settings; a mistake in one does not hide the others."""
    mistakes: list[str] = []
    rows: dict[str, Row] = {}
    values: dict[str, Any] = {}
    source = Source("", {}, {})
    if file is not None:
        try:
            source = parse_file(file)
        except ConfigError as error:
            mistakes.append(str(error))
        mistakes += [str(error) for error in mistakes_in(source)]
    for key, value in source.settings.items():
        origin = source.place(key)
        if is_reference(value) and value[1:] not in environ:
            name = "its variable" if is_secret(key) else value[1:]  # a password may begin with '$', too
            origin += f", and {name} is not set in the environment"
        rows[key] = Row(key, _shown(key, value), origin)
        values[key] = environ.get(value[1:]) if is_reference(value) else value
    for key in keys_in(environ):
        try:
            values[key] = from_environment(key, environ)
        except ConfigError as error:
            mistakes.append(str(error))
            continue
        over = f", over {rows[key].origin}" if key in rows else ""
        rows[key] = Row(key, _shown(key, values[key]), variable(key) + over)
    mistakes += [f"{name}: no setting is read from it; did you mean {meant}?" for name, meant in slips_in(environ)]
    return Survey(tuple(rows[key] for key in sorted(rows)), tuple(mistakes), values)


def defaults(without: Mapping[str, Any]) -> Iterator[Row]:
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


@click.command()
@click.option(
    "--settings", type=click.Path(path_type=Path, dir_okay=False), help="As of shellbot run: a YAML or TOML file."
)
@click.option("--all", "is_all", is_flag=True, help="Also what has its default, and what each key is for.")
def config(settings: Path | None, is_all: bool) -> None:
    """Show what is set and where, with every mistake; secrets are not shown."""
    found = survey(settings, os.environ)
    rows = [*found.rows, *(defaults(found.values) if is_all else ())]
    width = max((len(row.key) for row in rows), default=0)
    for row in sorted(rows, key=lambda row: row.key):
        click.echo(f"{row.key:<{width}}  {row.value}  ({row.origin})")
        if is_all and row.key in DECLARED:
            click.echo(f"{'':<{width}}    {DECLARED[row.key].doc}")
    if not is_all:
        click.echo(f"{len(found.rows)} set; the others have their defaults: shellbot config --all")
    for mistake in found.mistakes:
        click.echo(f"shellbot: {mistake}", err=True)
    sys.exit(1 if found.mistakes else 0)
