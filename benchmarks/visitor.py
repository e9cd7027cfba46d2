"""A visitor of the web chat, for trials: joins by the form, says things by POST, reads the event stream. Blocking."""

from __future__ import annotations

import re
import socket
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from types import TracebackType
from typing import Self
from urllib.parse import urlencode, urlsplit

from shellbot.testing import pages

_TIMEOUT = 30.0


class Visitor:
    """One person with one browser: a connection for forms that stays open, and one for the stream.

    Args:
        name: To join under; nobody joins without.
    """

    def __init__(self, url: str, name: str = "") -> None:
        where = urlsplit(url)
        self._host, self._port = where.hostname or "", where.port or 80
        self._forms = HTTPConnection(self._host, self._port, timeout=_TIMEOUT)
        self._cookies: dict[str, str] = {}
        self._token = ""
        self._cursor = ""
        self._stream: socket.socket | None = None
        self._unread = b""
        if name:
            self._token = pages.read(self._ask("GET", "/")).token
            self._ask("POST", "/join", {"name": name})
            page = pages.read(self._ask("GET", "/"))
            self._token, self._cursor = page.token, page.cursor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._forms.close()
        if self._stream is not None:
            self._stream.close()

    def say(self, text: str, key: str, side: str = "direct") -> None:
        """Returns when the server has it for certain."""
        self._ask("POST", "/say", {"text": text, "side": side, "key": key})

    @property
    def asking_for_events(self) -> bytes:
        """The request that opens this person's stream where the page ends."""
        lines = (
            f"GET /events?since={self._cursor} HTTP/1.1",
            f"Host: {self._host}:{self._port}",
            f"Cookie: {self._cookie}",
            "Accept: text/event-stream",
        )
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def open(self) -> None:
        """Open the stream; returns when the server has answered that it is open."""
        self._stream = socket.create_connection((self._host, self._port), _TIMEOUT)
        self._stream.sendall(self.asking_for_events)
        self.read_until(re.compile(rb"event: people\n"))

    def read_until(self, pattern: re.Pattern[bytes]) -> None:
        """Read the stream until this has come; what came before is forgotten."""
        assert self._stream is not None
        while (found := pattern.search(self._unread)) is None:
            part = self._stream.recv(65536)
            if not part:
                raise EOFError(f"the stream has ended, after {self._unread[-500:]!r}")
            self._unread += part
        self._unread = self._unread[found.end() :]

    @property
    def _cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self._cookies.items())

    def _ask(self, method: str, path: str, fields: dict[str, str] | None = None) -> str:
        headers = {"Accept": "text/html" if method == "GET" or path == "/join" else "application/json"}
        if self._cookies:
            headers["Cookie"] = self._cookie
        body = None
        if fields is not None:
            body = urlencode({**fields, "token": self._token})
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers["Origin"] = f"http://{self._host}:{self._port}"
        self._forms.request(method, path, body, headers)
        answer = self._forms.getresponse()
        text = answer.read().decode()
        if answer.status >= 400:
            raise OSError(f"{method} {path} was answered {answer.status}: {text[:500]}")
        for cookie in SimpleCookie("; ".join(answer.headers.get_all("Set-Cookie", []))).values():
            self._cookies[cookie.key] = cookie.value
        return text


def bot_says(text: str) -> re.Pattern[bytes]:
    """What stands in a stream where the bot says this."""
    return re.compile(rb'"who": "", "key": "", [^\n]*' + re.escape(text.encode()))
