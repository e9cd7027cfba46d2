"""Where the tools look: the folder of a server, and its store as it is at one moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click

from shellbot.context import Context
from shellbot.errors import StoreError
from shellbot.instance import Instance, usual_folder


def instance_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option ``--instance``, as of ``shellbot run``."""
    return click.option("--instance", type=click.Path(file_okay=False), help="Folder of the server.")(command)


def folder_of(instance: str | None) -> Path:
    """The folder that is meant: the option, the settings, or the usual one."""
    context = Context()
    context.apply_environment()
    return Path(instance or context.get("instance.folder") or usual_folder()).expanduser().absolute()


@contextmanager
def reading(folder: Path) -> Iterator[sqlite3.Connection]:
    """The store of a server, to be read, while the server runs or when it does not.

    Raises:
        StoreError: There is none, or it cannot be read.
    """
    store = Instance(folder).store_path
    if not store.exists():
        raise StoreError(f"there is no store {store}; name the folder of the server with --instance DIR")
    try:
        with closing(sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as db:
            db.execute("BEGIN")  # all of it as it was at one moment
            yield db
    except sqlite3.Error as error:
        hint = "; it may be of an earlier version: start its server once" if "no such" in str(error) else ""
        raise StoreError(f"cannot read {store}: {error}{hint}") from error
