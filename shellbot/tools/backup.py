"""``shellbot backup``: a copy of a server's folder as it is at one moment, while the server runs, and back again."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import shutil
import sqlite3
import stat
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath

import click

from shellbot.errors import StoreError
from shellbot.instance import Instance, read_facts
from shellbot.tools.places import folder_of, instance_option

STORE, KEYS = "store.db", "keys"
# What a server makes anew at each start, and the store with what belongs to it, which is copied in another way.
_PASSING = {"lock", f"{STORE}-wal", f"{STORE}-shm", f"{STORE}.lock", STORE, KEYS}
_OPEN_ONES = "SELECT id, number FROM polls WHERE state NOT IN ('closed', 'cancelled')"


class _Backup(click.Group):
    """``backup FILE`` is ``backup make FILE``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, "-h", "--help"}:
            args = ["make", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Backup, subcommand_metavar="FILE | restore FILE")
def backup() -> None:
    """Copy all that a server keeps into one file, while it runs or when it does not, and bring it back.

    \b
    shellbot backup FILE             the server's store, keys, files and rolls as one tar file
    shellbot backup restore FILE --instance DIR
    """


@backup.command(hidden=True)
@instance_option
@click.option("--without-keys", is_flag=True, help="Leave out the keys: nobody can count again or log in with it.")
@click.argument("file", type=click.Path(path_type=Path))
def make(instance: str | None, without_keys: bool, file: Path) -> None:
    """Copy all that the server keeps into FILE, which only this user can read."""
    folder = folder_of(instance)
    if not Instance(folder).store_path.exists():
        raise StoreError(f"there is no store in {folder}; name the folder of the server with --instance DIR")
    if file.exists():
        raise StoreError(f"{file} is there already; name another file, or take it away first")
    try:
        with tempfile.TemporaryDirectory(prefix=".shellbot-backup-", dir=file.absolute().parent) as place:
            copy, packed = Path(place) / STORE, Path(place) / "packed"
            # the keys first: that of a vote which closes meanwhile is destroyed, and must not be in here
            keys = {} if without_keys else _keys_in(folder / KEYS)
            _copy_store(folder / STORE, copy)
            open_ones = _open_votes(copy)
            keys = {name: key for name, key in keys.items() if _is_needed(name, open_ones)}
            with os.fdopen(os.open(packed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                with tarfile.open(fileobj=out, mode="w") as tar:
                    _pack(tar, folder, copy, keys)
                out.flush()
                os.fsync(out.fileno())
            os.link(packed, file)  # whole, or not at all, and over nothing
    except FileExistsError as error:
        raise StoreError(f"{file} is there already; name another file, or take it away first") from error
    except OSError as error:
        raise StoreError(f"cannot write {file}: {error.strerror or error}; name another file") from error
    click.echo(f"{file}: {file.stat().st_size / 2**20:.1f} MiB, to be read by you only.")
    sealed = [number for poll, number in open_ones.items() if _key_of(poll) in keys]
    if sealed:
        votes = ", ".join(f"#{number}" for number in sorted(sealed))
        click.echo(
            f"The key of the open anonymous vote {votes} is in it: who has this file can tell who voted what. "
            "Remove it once the vote is closed, and make another."
        )
    if without_keys:
        click.echo("Without the keys: votes cannot be counted again from it, and open anonymous ones are lost.")


@backup.command()
@click.option(
    "--instance", required=True, type=click.Path(file_okay=False), help="Folder to make; not there, or empty."
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def restore(instance: str, file: Path) -> None:
    """Bring back what is in FILE, as the folder DIR of a server that does not run."""
    folder = Path(instance).expanduser().absolute()
    _must_be_free(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as place:
            new = Path(place) / "new"
            new.mkdir(mode=0o700)
            with _opened(file) as tar:
                _unpack(tar, new)
            _must_be_whole(new / STORE, file)
            with contextlib.suppress(FileNotFoundError):
                folder.rmdir()  # it is empty
            new.rename(folder)
    except tarfile.TarError as error:
        raise StoreError(f"{file} is no backup, or cut short: {error}") from error
    except OSError as error:
        raise StoreError(f"cannot bring it back to {folder}: {error.strerror or error}") from error
    click.echo(f"{folder} is as it was. Start its server with: shellbot run --instance {folder}")
    if not (folder / KEYS / "instance").exists():
        click.echo("There were no keys in it; the server makes new ones, and votes of before cannot be counted again.")


def _copy_store(source: Path, copy: Path) -> None:
    """The store as it is at one moment; who writes it meanwhile is not held up."""
    os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, timeout=10)) as here:
            with closing(sqlite3.connect(copy, isolation_level=None)) as there:
                here.backup(there)
                there.execute("PRAGMA journal_mode=DELETE")  # one file, and no log of writes beside it
    except sqlite3.Error as error:
        raise StoreError(f"cannot copy {source}: {error}; see what is wrong with: shellbot doctor") from error


def _open_votes(store: Path) -> dict[str, int]:
    with closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)) as db:
        if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'polls'").fetchone():
            return {}
        return dict(db.execute(_OPEN_ONES))


def _keys_in(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted(folder.glob("[!.]*")):
        with contextlib.suppress(FileNotFoundError):  # a vote was closed just now
            found[path.name] = path.read_bytes()
    return found


def _key_of(poll: str) -> str:
    return f"poll-{hashlib.sha256(poll.encode()).hexdigest()[:16]}"


def _is_needed(key: str, open_ones: dict[str, int]) -> bool:
    return not key.startswith("poll-") or key in map(_key_of, open_ones)


def _pack(tar: tarfile.TarFile, folder: Path, store: Path, keys: dict[str, bytes]) -> None:
    tar.add(store, STORE, filter=_bare)
    for name, key in keys.items():
        member = tarfile.TarInfo(f"{KEYS}/{name}")
        member.size, member.mode, member.mtime = len(key), 0o600, int(time.time())
        tar.addfile(member, io.BytesIO(key))
    for path in _others_in(folder):
        with contextlib.suppress(FileNotFoundError):  # taken away just now
            tar.add(path, path.relative_to(folder).as_posix(), recursive=False, filter=_bare)


def _others_in(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in _PASSING or path.name.startswith((".", "instance.json")):
            continue
        for each in [path, *sorted(path.rglob("*"))] if path.is_dir() and not path.is_symlink() else [path]:
            if each.is_file() and not each.is_symlink() and not each.name.startswith("."):
                yield each


def _bare(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without who made it."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o600
    return member


def _opened(file: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(file)
    except tarfile.ReadError as error:
        raise StoreError(f"{file} is no backup of shellbot; name a file that shellbot backup has written") from error


def _unpack(tar: tarfile.TarFile, folder: Path) -> None:
    for member in tar:
        name = PurePosixPath(member.name)
        if not member.isreg() or name.is_absolute() or ".." in name.parts or not name.parts:
            raise StoreError(f"this is no backup of shellbot: {member.name!r} is in it")
        path = folder.joinpath(*name.parts)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = tar.extractfile(member)
        assert data is not None
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            shutil.copyfileobj(data, file)
            file.flush()
            os.fsync(file.fileno())


def _must_be_free(folder: Path) -> None:
    if facts := read_facts(folder):
        raise StoreError(f"process {facts.get('pid')} serves {folder}; stop it, and name a folder that is not there")
    lock = folder / "lock"
    if lock.exists():
        with lock.open() as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StoreError(f"a server runs in {folder}; stop it, and name a folder that is not there") from error
    if folder.exists() and any(folder.iterdir()):
        raise StoreError(f"{folder} is not empty, and nothing is overwritten; move it away, or name another folder")


def _must_be_whole(store: Path, file: Path) -> None:
    if not store.exists() or not stat.S_ISREG(store.stat().st_mode):
        raise StoreError(f"{file} is no backup of shellbot: there is no {STORE} in it")
    try:
        with closing(sqlite3.connect(store)) as db:
            told = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        told = str(error)
    if told != "ok":
        raise StoreError(f"the store in {file} is damaged: {told}; take an earlier backup")
