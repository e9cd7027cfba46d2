"""Who may ask: which Host, Origin and Sec-Fetch-Site headers are ours, and where one may listen at all. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

UNPRIVILEGED = 1024  # the first port that anybody may listen on
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")  # as a header says it


def needs_privileges(port: int) -> str:
    """Why this port was denied to us, and what to do."""
    return (
        f"port {port} needs privileges, as all below {UNPRIVILEGED}; take one from there on, such as --port 8080, and "
        "where people should not have to type it, put a proxy before it"
    )


def open_to_all(host: str, public_url: str, is_private: bool) -> str:
    """Why pages are not served on this interface, and what to do; ``""`` where they are."""
    if host in LOOPBACK or (public_url and is_private):
        return ""
    return (
        f"on {host!r} anybody on the network could walk in: let people in by link only (--private, or the "
        "setting server.private) and say under which address they reach this server (server.public_url), "
        "or listen on 127.0.0.1"
    )


def only_here(link: str) -> str:
    """What is to be said of a link that nobody elsewhere can open; ``""`` of others."""
    host = urlsplit(link).hostname
    return f"It works on this machine only, as it leads to {host}." if host in LOOPBACK else ""


class Hosts:
    """The allow-list of hosts: loopback with our port or none, and those named by the owner.

    Without it a page of a foreign name that resolves to 127.0.0.1 could read everything (DNS rebinding).
    """

    def __init__(self, port: int, public: Iterable[str] = ()) -> None:
        self._allowed = {*_LOOPBACK, *(f"{host}:{port}" for host in _LOOPBACK)}
        for host in public:
            self._allowed |= {host.lower(), f"{host.lower()}:{port}"}

    def allows(self, host: str) -> bool:
        return host.lower() in self._allowed

    @staticmethod
    def is_foreign(host: str, origin: str | None, fetch_site: str | None) -> bool:
        """Whether a request that may change something was made by a page that is not ours.

        Ports of one host are the same *site* and share cookies, so only the same *origin* will do.
        """
        if fetch_site is not None and fetch_site not in ("same-origin", "none"):
            return True
        return origin is not None and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}")
