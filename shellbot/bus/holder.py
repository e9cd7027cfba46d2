"""Whether somebody listens on an address, and who: told in words, where the system lets us know."""

from __future__ import annotations

import ipaddress
import os
import pwd
import socket
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from shellbot.bus.address import Address

UNKNOWN = "another program"
_PATIENCE = 0.2
# The first byte that ZeroMQ says to whoever connects, and seconds until it has come, also from afar.
_GREETING, _GREETING_PATIENCE = b"\xff", 1.0

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_LISTENS = "0A"
_LOCAL, _STATE, _UID, _INODE = 1, 3, 7, 9


def is_held(address: Address) -> bool:
    """Whether somebody listens there, even one that answers nobody. Blocks for 0.2 s at most."""
    return _look(address)[0]


def is_stranger(address: Address) -> bool:
    """Whether somebody takes us in there, but does not speak first as a bus does. Blocks for 1.2 s at most."""
    return _look(address, len(_GREETING))[1] not in (None, _GREETING)


def _look(address: Address, count: int = 0) -> tuple[bool, bytes | None]:
    """Whether somebody listens there, and the first ``count`` bytes that it says by itself; None is not known."""
    if address.scheme == "memory":
        return False, None
    place = address.place.strip("[]")
    family = socket.AF_UNIX if address.scheme == "ipc" else socket.AF_INET6 if ":" in place else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PATIENCE)
        try:
            probe.connect(place if address.scheme == "ipc" else (place.replace("*", "127.0.0.1"), address.port))
        except (TimeoutError, BlockingIOError):  # nobody takes us in, but there is who should
            return True, None
        except OSError:
            return False, None
        probe.settimeout(_GREETING_PATIENCE)
        try:
            return True, probe.recv(count) if count else None
        except OSError:
            return True, b""


def holder_of(address: Address) -> str:
    """``process 123 (python3) of user ann``; less where less can be known, and for what is not TCP nothing.

    Processes of other users show their sockets to root only; of those the user is told.
    """
    if address.scheme != "tcp":
        return UNKNOWN
    for table in _TABLES:
        for fields in _rows(table):
            if fields[_STATE] == _LISTENS and _is_taken(address, fields[_LOCAL]):
                of_user = f"of user {_user(int(fields[_UID]))}"
                process = _process(int(fields[_INODE]))
                return f"{process} {of_user}" if process else f"{UNKNOWN} {of_user}"
    return UNKNOWN


def _rows(table: str) -> list[list[str]]:
    try:
        return [line.split() for line in Path(table).read_text().splitlines()[1:]]
    except OSError:
        return []


def _is_taken(address: Address, local: str) -> bool:
    """Whether who listens there leaves no room for us. The kernel writes addresses in words of its own byte order."""
    digits, _, port = local.partition(":")
    if int(port, 16) != address.port:
        return False
    words = [bytes.fromhex(digits[start : start + 8]) for start in range(0, len(digits), 8)]
    held = ipaddress.ip_address(b"".join(word[::-1] if sys.byteorder == "little" else word for word in words))
    wanted = ipaddress.ip_address("127.0.0.1" if address.place in ("*", "localhost") else address.place.strip("[]"))
    return held.is_unspecified or wanted in (held, getattr(held, "ipv4_mapped", None))


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


@lru_cache(maxsize=16)  # a look at every descriptor of the machine, by one who may try the address again and again
def _process(inode: int) -> str:
    """The process that has this socket open, or ''."""
    wanted = f"socket:[{inode}]"
    # A child has what its parent opened, and so perhaps have we: the parent is meant.
    for pid in sorted(map(int, filter(str.isdigit, os.listdir("/proc"))), key=lambda pid: (pid == os.getpid(), pid)):
        # It may be another user's, or be gone by now.
        with suppress(OSError):
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{descriptor}") == wanted:
                        return f"process {pid} ({_shown(Path(f'/proc/{pid}/comm').read_text())})"
    return ""


def _shown(name: str) -> str:
    """A process names itself as it likes, also with what steers a terminal."""
    return "".join(character if character.isprintable() else "?" for character in name.strip())
