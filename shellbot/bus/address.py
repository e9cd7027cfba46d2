"""The address of a bus, read by ourselves: ZeroMQ binds port 34463 when asked for 99999, and cuts long paths."""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from dataclasses import dataclass

from shellbot.errors import BadAddress

MAX_PATH_BYTES = 107
_TCP = re.compile(r"(\*|\[[0-9A-Fa-f:.%\w]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*)):([0-9]{1,5})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """A checked address.

    Attributes:
        url: As it was given.
        scheme: ``tcp``, ``ipc`` or ``memory``.
        place: Host, path or name.
        port: Of ``tcp``, else 0.
    """

    url: str
    scheme: str
    place: str
    port: int = 0

    @property
    def to_connect(self) -> str:
        """Where a subscriber goes; ``*`` is this machine.

        Raises:
            BadAddress: It says on which of its addresses a machine listens, and no machine.
        """
        if self.scheme == "tcp":
            if self._ip is not None and self._ip.is_unspecified:
                raise _bad(
                    self.url,
                    "is one to listen on, and none to connect to; take that of the machine where somebody publishes: "
                    f"tcp://127.0.0.1:{self.port} for this one",
                )
            return f"tcp://{'127.0.0.1' if self.place in ('*', 'localhost') else self.place}:{self.port}"
        return f"{self.scheme}://{self.place}"

    @property
    def to_bind(self) -> str:
        """Where a publisher listens.

        Raises:
            BadAddress: Others than this machine could connect.
        """
        if self.scheme == "tcp":
            if not self.is_loopback:
                text = (
                    f"{self.url} can be reached from other machines, and whoever reaches it could read along; that"
                    " needs keys, which come with a later version. Use tcp://127.0.0.1:PORT or an ipc:// address now"
                )
                raise BadAddress(text, address=self.url)
            return self.to_connect
        return f"{self.scheme}://{self.place}"

    @property
    def is_loopback(self) -> bool:
        if self.scheme != "tcp" or self.place == "localhost":
            return True
        return self._ip is not None and self._ip.is_loopback

    @property
    def _ip(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        try:
            return ipaddress.ip_address(self.place.strip("[]"))
        except ValueError:
            return None


def parse_address(url: object) -> Address:
    """Read the address of a bus.

    Raises:
        BadAddress: It cannot be used; the text says why.
    """
    if not isinstance(url, str):
        raise _bad(url, f"is of type {type(url).__name__}; it should be a text like tcp://127.0.0.1:5555")
    scheme, mark, rest = url.partition("://")
    if not mark:
        raise _bad(url, "has no scheme; it should be like tcp://127.0.0.1:5555")
    if scheme == "tcp":
        return _tcp(url, rest)
    if scheme == "ipc":
        return _ipc(url, rest)
    if scheme == "memory":
        if not rest or re.search(r"\s", rest):
            raise _bad(url, "should name a bus, like memory://lunch")
        return Address(url, scheme, rest)
    raise _bad(url, f"begins with {scheme!r}; this version knows tcp://, ipc:// and memory://")


def _tcp(url: str, rest: str) -> Address:
    found = _TCP.fullmatch(rest)
    if not found:
        raise _bad(url, "should be tcp://HOST:PORT, like tcp://127.0.0.1:5555")
    host, port = found[1], int(found[2])
    if not 1 <= port <= 65535:
        raise _bad(url, f"has port {port}; ports are 1 to 65535")
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host.strip("[]").partition("%")[0])
        except ValueError as error:
            raise _bad(url, "has no valid IPv6 address in its brackets") from error
    return Address(url, "tcp", host, port)


def _ipc(url: str, rest: str) -> Address:
    if not rest or rest == "*":
        raise _bad(url, "should name a file, like ipc:///run/user/1000/lunch")
    if rest.startswith("@"):
        raise _bad(url, "is an abstract name, to which every user of this machine may connect; name a file instead")
    if "\0" in rest:
        raise _bad(url, "holds a NUL character")
    path = os.path.abspath(rest)
    size = len(os.fsencode(path))
    if size > MAX_PATH_BYTES:
        raise _bad(url, f"has a path of {size} bytes, at most {MAX_PATH_BYTES} work; take a shorter folder")
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise _bad(url, f"lies in {folder}, which is no folder; make it first")
    if os.path.isdir(path):
        raise _bad(url, "is a folder; name a file in it")
    if os.path.exists(path) and not stat.S_ISSOCK(os.stat(path).st_mode):
        # ZeroMQ takes away whatever is there
        raise _bad(url, "is a file, and no socket; it is left alone: name a path that is free")
    return Address(url, "ipc", path)


def _bad(url: object, why: str) -> BadAddress:
    return BadAddress(f"the address {url!r} {why}", address=url)
