"""A small HTTP client on asyncio: pages, forms, cookies and event streams, as a browser has them."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode, urlsplit

_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered; names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    text: str


@dataclass(frozen=True, slots=True)
class Told:
    """One event of a stream."""

    name: str
    id: str
    data: Any


class Browser:
    """Speaks with one server and keeps its cookies. A connection for each request: they are few, and none is stale.

    Args:
        address: Address of this machine to come from, e.g. ``127.0.0.7``, where people are to be told apart by it.
        timeout: Seconds for one request.
    """

    def __init__(self, url: str, *, address: str = "", timeout: float = 10.0) -> None:
        where = urlsplit(url)
        self._host = where.hostname or "127.0.0.1"
        self._port = where.port or 80
        self._netloc = where.netloc
        self._address = address
        self._timeout = timeout
        self.cookies: dict[str, str] = {}

    async def get(self, path: str = "/") -> Answer:
        """Fetch a page. Raises OSError when the server is not there, or goes away meanwhile."""
        return await self._ask("GET", path, "text/html")

    async def post(self, path: str, fields: Mapping[str, str], files: Sequence[tuple[str, bytes]] = ()) -> Answer:
        """Send a form, as the page's script does: errors are answered as JSON. Raises OSError as :meth:`get`.

        Args:
            files: Name and content of each file to go with it.
        """
        kind, body = _with_files(fields, files) if files else (_FORM, urlencode(fields).encode())
        return await self._ask("POST", path, "application/json", body, kind)

    async def fetch(self, path: str) -> tuple[int, Mapping[str, str], bytes]:
        """Fetch what is no text: status, headers, content. Raises OSError as :meth:`get`."""
        return await self._whole("GET", path, "*/*")

    @asynccontextmanager
    async def events(self, path: str, last_id: str = "") -> AsyncIterator[AsyncIterator[Told] | Answer]:
        """Open an event stream; gives the answer instead when there is none. The stream ends when the server does."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        async with self._sent("GET", path, headers) as (reader, status, answered):
            if status != 200:
                async with asyncio.timeout(self._timeout):
                    yield Answer(status, answered, b"".join([part async for part in _body(reader, answered)]).decode())
            else:
                yield _told(_body(reader, answered))

    async def _ask(self, method: str, path: str, accept: str, body: bytes = b"", kind: str = "") -> Answer:
        status, headers, content = await self._whole(method, path, accept, body, kind)
        return Answer(status, headers, content.decode())

    async def _whole(
        self, method: str, path: str, accept: str, body: bytes = b"", kind: str = ""
    ) -> tuple[int, Mapping[str, str], bytes]:
        sent = {"Accept": accept} | ({"Content-Type": kind} if kind else {})
        try:
            async with asyncio.timeout(self._timeout):
                async with self._sent(method, path, sent, body) as (reader, status, headers):
                    return status, headers, b"".join([part async for part in _body(reader, headers)])
        except (EOFError, TimeoutError) as error:
            raise ConnectionError(f"no whole answer to {method} {path}") from error

    @asynccontextmanager
    async def _sent(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> AsyncIterator[tuple[asyncio.StreamReader, int, dict[str, str]]]:
        local = (self._address, 0) if self._address else None
        reader, writer = await asyncio.open_connection(self._host, self._port, local_addr=local)
        try:
            sent = {"Host": self._netloc, **headers, "Connection": "close"}
            if self.cookies:
                sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            if method == "POST":
                sent["Origin"] = f"http://{self._netloc}"
                sent["Content-Length"] = str(len(body))
            lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
            writer.write("\r\n".join(lines).encode() + body)
            yield reader, *self._head((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
        finally:
            writer.close()
            try:
                await writer.wait_closed()
            except OSError:
                pass  # it was closed already, by the other side

    def _head(self, text: str) -> tuple[int, dict[str, str]]:
        first, *lines = text.strip().split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
            if name.lower() == "set-cookie":
                self.cookies |= {cookie.key: cookie.value for cookie in SimpleCookie(value).values()}
        return int(first.split()[1]), headers


def _with_files(fields: Mapping[str, str], files: Sequence[tuple[str, bytes]]) -> tuple[str, bytes]:
    """Content type and body of a form with files, as a browser writes it."""
    boundary = secrets.token_hex(16)
    parts = [(f'name="{name}"', value.encode()) for name, value in fields.items()]
    for name, content in files:
        shown = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        parts.append((f'name="files"; filename="{shown}"\r\nContent-Type: application/octet-stream', content))
    pieces = [
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"
        for head, content in parts
    ]
    return f"multipart/form-data; boundary={boundary}", b"".join(pieces) + f"--{boundary}--\r\n".encode()


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            yield (await reader.readexactly(size + 2))[:-2]
    elif "content-length" in headers:
        yield await reader.readexactly(int(headers["content-length"]))
    else:
        while part := await reader.read(65536):
            yield part


async def _told(parts: AsyncIterator[bytes]) -> AsyncIterator[Told]:
    """Cut a stream into its events; what is no event (comments, ``retry``) is left out."""
    rest = b""
    fields: dict[str, str] = {}
    async for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            name, _, value = line.decode().partition(": ")
            if name:
                fields[name] = value
            else:
                if "event" in fields:
                    yield Told(fields["event"], fields.get("id", ""), json.loads(fields.get("data", "null")))
                fields = {}
