"""Files on their way down: only to people of their channel, and only pictures are shown; all else is saved."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Callable
from urllib.parse import quote

from shellbot.errors import ChannelNotFound, RateLimited
from shellbot.events import File
from shellbot.files.names import ANY
from shellbot.files.shelf import PIECE_BYTES
from shellbot.server.asgi import Receive, Scope, Send, header, refuse
from shellbot.server.hosts import Hosts
from shellbot.server.limits import Limits
from shellbot.server.transfers import Transfers
from shellbot.spaces.web import WebSpace

logger = logging.getLogger(__name__)


class Downloads:
    """Serves ``/files/ID`` of each room on the loop: a slow reader holds no thread, and no file is in memory whole."""

    def __init__(
        self,
        *,
        space: WebSpace,
        who: Callable[[Scope], str | None],
        hosts: Hosts,
        limits: Limits,
        transfers: Transfers,
    ) -> None:
        self._space = space
        self._who = who
        self._hosts = hosts
        self._limits = limits
        self._transfers = transfers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        person_id = self._who(scope)
        host, origin = header(scope, b"host") or "", header(scope, b"origin")
        if scope["method"] not in ("GET", "HEAD"):
            return await refuse(send, 405, "Files are only fetched here.", (b"allow", b"GET, HEAD"))
        # a link that somebody follows from elsewhere is fine, a page elsewhere that loads our files is not
        if self._hosts.is_foreign(host, origin, header(scope, b"sec-fetch-site")) and not _is_followed(scope):
            return await refuse(send, 403, "Files are only for our own pages.")
        if person_id is None:
            return await refuse(send, 401, "Please join the room first.")
        try:
            file = await self._space.file(person_id, scope["path"].rpartition("/")[2])
            with self._transfers.of(person_id):
                return await self._serve(scope, file, send)
        except ChannelNotFound:
            return await refuse(send, 404, "There is no such file, or it is not for you.")
        except RateLimited as error:
            return await refuse(send, 429, str(error), (b"retry-after", b"2"))

    async def _serve(self, scope: Scope, file: File, send: Send) -> None:
        etag = f'"{file.id}"'.encode()
        if header(scope, b"if-none-match") == etag.decode():
            await send({"type": "http.response.start", "status": 304, "headers": [(b"etag", etag), _ASK_AGAIN]})
            return await send({"type": "http.response.body", "body": b""})
        try:
            descriptor, size = await asyncio.to_thread(_open, file.path)
        except OSError as error:
            logger.error("a file of a message cannot be read id=%s: %s", file.id, error)
            return await refuse(send, 410, "This file is not in the server's folder any more.")
        try:
            async with asyncio.timeout(self._limits.transfer_timeout):
                headers = [*_headers(file), (b"content-length", str(size).encode()), (b"etag", etag), _ASK_AGAIN]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                rest = size if scope["method"] == "GET" else 0
                while rest:
                    piece = await asyncio.to_thread(os.pread, descriptor, min(rest, PIECE_BYTES), size - rest)
                    if not piece:
                        raise TimeoutError  # it was cut short under our hands, and will never be whole
                    rest -= len(piece)
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            scope["state"]["abort"]()
        finally:
            os.close(descriptor)
        return None


# asked about each time, as who left the room may not have it any more
_ASK_AGAIN = (b"cache-control", b"private, no-cache")


def _headers(file: File) -> list[tuple[bytes, bytes]]:
    ascii_name = file.name.encode("ascii", "replace").decode().translate({34: 95, 63: 95, 92: 95})
    how = "inline" if file.is_picture else "attachment"
    named = f"{how}; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(file.name, safe='')}"
    kind = file.type if file.is_picture else ANY
    return [(b"content-type", kind.encode()), (b"content-disposition", named.encode())]


def _is_followed(scope: Scope) -> bool:
    return header(scope, b"sec-fetch-mode") == "navigate" and header(scope, b"sec-fetch-dest") == "document"


def _open(path: str) -> tuple[int, int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise OSError("no plain file")
    return descriptor, found.st_size
