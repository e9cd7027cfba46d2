"""Files on their way up: a form with files is taken apart as it comes, each file straight to disk."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from urllib.parse import urlencode

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio import multipart

from shellbot.errors import FileRefused, RateLimited
from shellbot.events import File
from shellbot.files.names import size_text
from shellbot.files.shelf import Draft, Shelf
from shellbot.server.asgi import Receive, Scope, header
from shellbot.server.hosts import Hosts
from shellbot.server.limits import Limits
from shellbot.server.transfers import Transfers

KEY = "shellbot.upload"  # where a view finds the Upload of its request
DRAIN_SECONDS = 3.0
MOST_FIELDS = 20


class Upload:
    """What came with one form. Whoever takes the files sees to it that they come to a message.

    Attributes:
        status: Of the answer, when this was refused; else 0. ``error``: why, for the person.
        retry_after: Seconds until it may be tried again, where that helps.
    """

    def __init__(self, shelf: Shelf | None) -> None:
        self.status = 0
        self.error = ""
        self.retry_after = 0.0
        self.fields: list[tuple[str, str]] = []
        self.files: list[File] = []
        self._shelf = shelf

    def refuse(self, status: int, text: str) -> None:
        """Note the first reason why it cannot be taken."""
        if not self.status:
            self.status, self.error = status, text

    def take(self) -> tuple[File, ...]:
        """The files; they are the caller's now."""
        files, self.files = tuple(self.files), []
        return files

    async def close(self) -> None:
        """Remove what nobody took."""
        if self.files and self._shelf is not None:
            await asyncio.to_thread(self._shelf.discard, self.take())


class Uploads:
    """Takes apart what pages send as ``multipart/form-data``. Runs on the loop; the disk is written in threads.

    Args:
        who: Gives the id of the person who asks, if in the room that is asked about.
    """

    def __init__(
        self,
        *,
        shelf: Shelf | None,
        who: Callable[[Scope], str | None],
        hosts: Hosts,
        limits: Limits,
        transfers: Transfers,
    ) -> None:
        self._shelf = shelf
        self._who = who
        self._hosts = hosts
        self._limits = limits
        self._transfers = transfers

    @staticmethod
    def is_upload(scope: Scope) -> bool:
        """Whether this request may bring files."""
        return scope["method"] == "POST" and (header(scope, b"content-type") or "").startswith("multipart/form-data")

    async def gather(self, scope: Scope, receive: Receive) -> Upload | None:
        """Read the whole form; None when its sender went away. What is wrong with it is noted in it."""
        upload = Upload(self._shelf)
        person_id = self._who(scope)
        origin, site = header(scope, b"origin"), header(scope, b"sec-fetch-site")
        if self._hosts.is_foreign(header(scope, b"host") or "", origin, site):
            upload.refuse(403, "This form was sent by a page that is not ours.")
        elif person_id is None:
            upload.refuse(401, "You are not in this room. Please join it first.")
        else:
            try:
                with self._transfers.of(person_id):
                    async with asyncio.timeout(self._limits.transfer_timeout):
                        return await self._read(scope, receive, upload)
            except RateLimited as error:
                upload.refuse(429, str(error))
                upload.retry_after = error.retry_after
            except TimeoutError:
                await upload.close()
                upload.refuse(408, "The files did not come in time. Please try again.")
                return upload
        await _drain(receive)
        return upload

    async def _read(self, scope: Scope, receive: Receive, upload: Upload) -> Upload | None:
        boundary = parse_options_header(header(scope, b"content-type"))[1].get("boundary", "")
        if not boundary:
            upload.refuse(400, "This form came without a sign of where its parts end.")
        form = _Form(boundary.encode("latin-1", "replace"), upload, self._shelf, self._limits.body_bytes)
        most = self._limits.body_bytes
        if self._shelf is not None:
            most += self._shelf.limits.max_bytes * self._shelf.limits.max_count
        received, more, is_whole = 0, True, True
        try:
            while more:
                async with asyncio.timeout(self._limits.body_timeout):
                    message = await receive()
                if message["type"] == "http.disconnect":
                    form.close()
                    await upload.close()
                    return None
                piece, more = message.get("body", b""), message.get("more_body", False)
                received += len(piece)
                if received > most:
                    is_whole = more = False
                elif piece:
                    await _in_thread(form.feed, piece)
            if not is_whole:
                upload.refuse(413, form.too_much())
                await _drain(receive)
            else:
                await _in_thread(form.feed, None)
        finally:
            form.close()
        if upload.status:
            await upload.close()
        return upload


class _Form:
    """Feeds one body to the parser, in pieces, and what comes out of it to the disk. Blocks."""

    def __init__(self, boundary: bytes, upload: Upload, shelf: Shelf | None, field_bytes: int) -> None:
        most_files = shelf.limits.max_count if shelf is not None else 0
        self._parser = multipart.MultipartDecoder(boundary, field_bytes, max_parts=most_files * 2 + MOST_FIELDS)
        self._upload = upload
        self._shelf = shelf
        self._room = field_bytes
        self._draft: Draft | None = None
        self._name: str | None = None  # of the field whose value is coming
        self._value = bytearray()
        self._count = 0

    def too_much(self) -> str:
        limits = self._shelf.limits if self._shelf is not None else None
        if limits is None or not limits.max_count:
            return "No files can be sent here."
        return (
            f"This is too much for one message: {limits.max_count} files of {size_text(limits.max_bytes)} are the most."
        )

    def feed(self, piece: bytes | None) -> None:
        """Take the next piece, or the end. Once something is refused the rest is only read."""
        if self._upload.status:
            return
        try:
            self._parser.receive_data(piece)
            while not isinstance(event := self._parser.next_event(), multipart.NeedData | multipart.Epilogue):
                self._take(event)
        except FileRefused as error:
            self._refuse(413, str(error))
        except RequestEntityTooLarge:
            self._refuse(413, self.too_much())
        except ValueError:
            self._refuse(400, "This form came in pieces that do not fit together. Please try again.")

    def _refuse(self, status: int, text: str) -> None:
        self._upload.refuse(status, text)
        self.close()

    def close(self) -> None:
        """Give up a file that is not whole."""
        if self._draft is not None:
            self._draft.close()
            self._draft = None

    def _take(self, event: multipart.Event) -> None:
        match event:
            case multipart.Field():
                self._name, self._value = event.name or "", bytearray()
            case multipart.File():
                self._name = None
                if event.filename:  # a field without a file is sent with an empty name
                    self._begin(event)
            case multipart.Data():
                self._add(event)

    def _begin(self, event: multipart.File) -> None:
        self._count += 1
        if self._shelf is None or not self._shelf.limits.max_count:
            raise FileRefused("No files can be sent here.")
        if self._count > self._shelf.limits.max_count:
            raise FileRefused(f"{self._shelf.limits.max_count} files are the most for one message.")
        self._draft = self._shelf.new(event.filename, event.headers.get("content-type", ""))

    def _add(self, event: multipart.Data) -> None:
        if self._draft is not None:
            self._draft.write(event.data)
            if not event.more_data:
                self._upload.files.append(self._draft.finish())
                self._draft = None
        elif self._name is not None:
            self._room -= len(event.data)
            if self._room < 0:
                raise RequestEntityTooLarge
            self._value += event.data
            if not event.more_data:
                self._upload.fields.append((self._name, self._value.decode(errors="replace")))
                self._name = None


def form_of(upload: Upload) -> bytes:
    """The fields without the files, as a plain form sends them."""
    return urlencode(upload.fields).encode()


async def _in_thread(work: Callable[[bytes | None], None], piece: bytes | None) -> None:
    """Have the disk written, and never leave before that is over: the file is closed next."""
    writing = asyncio.ensure_future(asyncio.to_thread(work, piece))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.wait((writing,))
        raise


async def _drain(receive: Receive) -> None:
    """Read on for a moment: closing on unread bytes resets the connection and takes the answer with it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while (await receive()).get("more_body", False):
                pass
