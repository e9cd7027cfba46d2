"""What a server keeps, looked at from outside: while it runs, or when none does. Nothing is written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shellbot.context import Context
from shellbot.envelope import Seal
from shellbot.errors import ConfigError, StoreError
from shellbot.instance import Instance, default_folder, read_key


@contextmanager
def looked_at(instance: str | None, key: str | None) -> Iterator[tuple[sqlite3.Connection, Seal]]:
    """The store of a server as it is at one moment, and what its logs are sealed with.

    Args:
        instance: Its folder; without it, that of the settings.
        key: Its key, where that is not in the folder.

    Raises:
        ConfigError: There is no key, without which no log can be read.
        StoreError: The store cannot be read.
    """
    context = Context()
    context.apply_environment()
    folder = Path(instance or context.get("instance.folder") or default_folder()).expanduser()
    sealed = Path(key) if key else folder / "keys" / "instance"
    if not sealed.exists():
        raise ConfigError(f"there is no key {sealed}, without which no log can be read; name the server's --instance")
    seal = Seal(read_key(sealed))
    store = Instance(folder).store_path
    try:
        db = sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True)
        try:
            db.execute("BEGIN")
            yield db, seal
        finally:
            db.close()
    except sqlite3.Error as error:
        raise StoreError(f"cannot read {store}: {error}") from error
