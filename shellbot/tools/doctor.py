"""``shellbot doctor``: whether a server can run here; each thing is fine, or it says what is wrong and what to do."""

from __future__ import annotations

import errno
import importlib.metadata
import os
import re
import shutil
import socket
import sqlite3
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import click

from shellbot.bus.address import parse_address
from shellbot.bus.holder import holder_of
from shellbot.bus.hub.facts import Look
from shellbot.context import Context
from shellbot.errors import BusError, BusTimeout, ShellbotError
from shellbot.instance import own_folder, read_facts, usual_folder
from shellbot.runtime import runtime_folder
from shellbot.server.hosts import UNPRIVILEGED, needs_privileges
from shellbot.tools.config import Survey, bot_option, keywords_of, survey

OLDEST = (3, 11)
LEAST_ROOM = 100 * 2**20  # bytes
LARGEST_LOOK = 200 * 2**20  # bytes of a store that is read through
SLACK = 60.0  # seconds by which a file may seem to come from the future


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. A ``note`` is worth knowing and stops nothing."""

    what: str
    state: Literal["ok", "note", "wrong"]
    text: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server would run: its folder, what one writes there that runs now, and the settings."""

    folder: Path
    facts: dict[str, Any] | None
    found: Survey

    def setting(self, key: str, default: Any) -> Any:
        value = self.found.values.get(key)
        return default if value is None else value


def examine(place: Place) -> Iterator[Finding]:
    """All checks; one that fails in an unforeseen way says so, and the others go on."""
    for what, check in CHECKS.items():
        try:
            yield from (Finding(what, state, text) for state, text in check(place))
        except (OSError, ShellbotError, sqlite3.Error) as error:
            yield Finding(what, "wrong", str(error))


Said = Iterator[tuple[Literal["ok", "note", "wrong"], str]]


def _python(place: Place) -> Said:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST:
        yield "wrong", f"{version} is too old; install Python {OLDEST[0]}.{OLDEST[1]} or newer"
    else:
        yield "ok", f"{version}, {sys.executable}"


def _libraries(place: Place) -> Said:
    try:
        needed = importlib.metadata.requires("shellbot") or []
    except importlib.metadata.PackageNotFoundError:
        yield "note", "shellbot is not installed, but run from its folder; so nobody knows which versions it needs"
        return
    wanted = [
        found for line in needed if "extra ==" not in line and (found := re.match(r"([\w.-]+)\s*>=\s*([\d.]+)", line))
    ]
    count = 0
    for name, least in (found.groups() for found in wanted):
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield "wrong", f"{name} is missing; run: pip install '{name}>={least}'"
            continue
        if _numbers(version) < _numbers(least):
            yield "wrong", f"{name} {version} is too old; run: pip install '{name}>={least}'"
        else:
            count += 1
    if count == len(wanted):
        yield "ok", f"{count} are there and new enough"


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)[:3]]


def _settings(place: Place) -> Said:
    for mistake in place.found.mistakes:
        yield "wrong", mistake
    if not place.found.mistakes:
        yield "ok", f"{len(place.found.rows)} set; see them with: shellbot config"


def _folder(place: Place) -> Said:
    folder = place.folder
    if not folder.exists():
        above = next(path for path in folder.parents if path.exists())
        if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
            yield "ok", f"{folder} will be made at the first start"
        else:
            yield "wrong", f"{folder} cannot be made in {above}; name another with --instance DIR"
        return
    if not folder.is_dir():
        yield "wrong", f"{folder} is no folder; name another with --instance DIR"
        return
    found = folder.stat()
    if found.st_uid != os.getuid():
        yield "wrong", f"{folder} belongs to somebody else; name another with --instance DIR"
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield "wrong", f"{folder} cannot be written; run: chmod 700 {folder}"
        return
    is_fine = True
    if stat.S_IMODE(found.st_mode) & 0o077:
        is_fine = False
        yield "note", f"{folder} can be read by others; the next start closes it, or run: chmod 700 {folder}"
    for key in sorted((folder / "keys").glob("[!.]*")):
        if stat.S_IMODE(key.stat().st_mode) & 0o077:
            is_fine = False
            yield "wrong", f"the key {key} can be read by others; run: chmod 600 {key}"
    room = shutil.disk_usage(folder).free
    if room < LEAST_ROOM:
        is_fine = False
        yield "wrong", f"only {room // 2**20} MiB are free for {folder}; make room"
    if is_fine:
        yield "ok", f"{folder}, {room // 2**20:,} MiB free"


def _server(place: Place) -> Said:
    if place.facts is None:
        yield "ok", "none runs in this folder"
    else:
        yield "ok", f"process {place.facts.get('pid')} serves this folder, {place.facts.get('web') or 'without a page'}"


def _store(place: Place) -> Said:
    path = place.folder / "store.db"
    if not path.exists():
        yield "ok", "will be made at the first start"
        return
    size = path.stat().st_size
    remedy = f"move it away and start with a new one, or bring back a copy: {path}"
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2)
        try:
            if size <= LARGEST_LOOK:
                (told,) = db.execute("PRAGMA quick_check(1)").fetchone()
            else:
                (told,) = ("ok",) if db.execute("SELECT count(*) FROM sqlite_schema").fetchone() else ("nothing in it",)
        finally:
            db.close()
    except sqlite3.OperationalError as error:
        yield "wrong", f"{path} cannot be read: {error}"
    except sqlite3.DatabaseError as error:
        yield "wrong", f"it is damaged: {error}; {remedy}"
    else:
        if told == "ok":
            yield "ok", f"{path}, {size / 2**20:.1f} MiB, whole"
        else:
            yield "wrong", f"it is damaged: {told.splitlines()[0]}; {remedy}"


def _runtime(place: Place) -> Said:
    folder = runtime_folder()  # what is wrong with it, it says itself
    yield "ok", f"{folder}, for sockets and locks"


def _bus(place: Place) -> Said:
    url = place.setting("bus.address", None) or (place.facts or {}).get("bus")
    if url is None:
        yield "ok", "a socket of the server's own, once it runs"
        return
    address = parse_address(url)
    where = address.to_bind  # or it says why nobody can listen there
    try:
        with Look(Context({"bus": {"address": url}})) as look:
            facts = look.facts()
        programs, readers = _counted(len(facts.programs), "program"), _counted(facts.readers, "reader")
        yield "ok", f"process {facts.pid} sends on {where} for {programs}; {readers}"
    except BusTimeout:
        if address.scheme == "tcp" and _refusal(address.place, address.port):
            yield "wrong", f"{holder_of(address)} listens on {where} already; stop it, or set bus.address to another"
        else:
            yield "ok", f"nobody publishes on {where} now"
    except BusError as error:
        yield "wrong", str(error)
    if address.scheme == "tcp":
        yield "note", f"every user of this machine can read along on {where}; on a server's own socket nobody else can"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _port(place: Place) -> Said:
    host, port = place.setting("server.address", "127.0.0.1"), place.setting("server.port", 8080)
    refusal = _refusal(host, port)
    if refusal is None:
        yield "ok", f"{port} of {host} is free" if port else "any that is free"
    elif f":{port}/" in str((place.facts or {}).get("web")):
        yield "ok", f"{port} of {host}, where the server of this folder is"
    elif refusal.errno == errno.EACCES and port < UNPRIVILEGED:
        yield "wrong", needs_privileges(port)
    elif refusal.errno != errno.EADDRINUSE:
        yield (
            "wrong",
            f"cannot listen on {port} of {host}: {refusal.strerror}; set server.address, or choose with --port",
        )
    else:
        holder = holder_of(parse_address(f"tcp://{host}:{port}"))
        free = next((other for other in range(port + 1, min(port + 50, 65536)) if not _refusal(host, other)), None)
        if free is None:
            yield "wrong", f"{port} of {host} is taken by {holder}, and so are the next; choose another with --port"
        else:
            yield "note", f"{port} of {host} is taken by {holder}; the server takes {free}, or choose with --port"


def _refusal(host: str, port: int) -> OSError | None:
    """Why nobody can listen there now; None where one can."""
    place = "127.0.0.1" if host == "*" else host.strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in place else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((place, port))
            probe.listen()
        except OSError as error:
            return error
    return None


def _clock(place: Place) -> Said:
    now = time.time()
    shown = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z (UTC%z)")
    files = [path for path in place.folder.glob("*") if path.is_file()] if place.folder.is_dir() else []
    last = max((path.stat().st_mtime for path in files), default=0.0)
    if last > now + SLACK:
        behind = datetime.fromtimestamp(last).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        yield "wrong", f"it shows {shown}, but the folder was written at {behind}; set the clock, or polls close late"
    else:
        yield "ok", shown


def _webex(place: Place) -> Said:
    if place.setting("space.type", "web") != "webex":
        yield "ok", "not asked for"
    else:
        from shellbot.tools import doctor_webex

        is_served = place.facts is not None
        yield from doctor_webex.examine(place.setting, os.environ.get, place.folder.name, is_served)


def _retention(place: Place) -> Said:
    days = place.setting("retention.days", None)
    if days is None:
        yield "ok", "all is kept until it is forgotten by hand; retention.days would limit that"
    else:
        yield "ok", f"votes that are over, and the history of the web chat, are forgotten after {days} days"


CHECKS: dict[str, Callable[[Place], Said]] = {
    "Python": _python,
    "libraries": _libraries,
    "settings": _settings,
    "folder": _folder,
    "server": _server,
    "store": _store,
    "runtime": _runtime,
    "bus": _bus,
    "port": _port,
    "clock": _clock,
    "webex": _webex,
    "retention": _retention,
}


@click.command()
@click.option(
    "--settings", type=click.Path(path_type=Path, dir_okay=False), help="As of shellbot run: a YAML or TOML file."
)
@click.option("--instance", type=click.Path(path_type=Path), help="As of shellbot run: the folder of the server.")
@click.option("--space", type=click.Choice(["web", "console", "webex"]), help="As of shellbot run: where people chat.")
@click.option("--private", is_flag=True, help="As of shellbot run: people come in by a join link only.")
@bot_option
def doctor(settings: Path | None, instance: Path | None, space: str | None, private: bool, bot: str | None) -> None:
    """Check whether a server can run here. Where it cannot, say what to do."""
    environment = {
        **os.environ,
        **({"SHELLBOT_SPACE_TYPE": space} if space else {}),
        **({"SHELLBOT_SERVER_PRIVATE": "on"} if private else {}),
    }
    found = survey(settings, environment, keywords_of(bot))
    kind = found.values.get("space.type")
    usual = own_folder(kind) if kind else usual_folder()
    folder = Path(instance or found.values.get("instance.folder") or usual).expanduser().absolute()
    is_fine = True
    for finding in examine(Place(folder, read_facts(folder), found)):
        is_fine = is_fine and finding.state != "wrong"
        click.echo(f"{finding.state:<5}  {finding.what:<9}  {finding.text}")
    sys.exit(0 if is_fine else 1)
