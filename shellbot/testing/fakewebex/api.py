"""The API over HTTP: who asks, which endpoint answers, errors and pages as Webex writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from io import BytesIO
from itertools import islice
from typing import IO, Any
from urllib.parse import urlencode

import orjson
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from shellbot.testing.fakewebex import rules
from shellbot.testing.fakewebex.door import Request, Response
from shellbot.testing.fakewebex.ids import make_id, make_tracking_id
from shellbot.testing.fakewebex.platform import Platform
from shellbot.testing.fakewebex.rules import Refused
from shellbot.testing.fakewebex.state import Account, File

PREFIX = "/v1/"
MAX_PAGE = 1_000
_BEARER = re.compile(r"Bearer\s+(\S+)\s*", re.IGNORECASE)


class Call:
    """One request of somebody known, with what endpoints need of it.

    Attributes:
        viewer: Who asks.
        values: Fields of the body, of JSON and of forms.
        files: What was uploaded.
    """

    def __init__(self, request: Request, path: str, viewer: Account, platform: Platform) -> None:
        self.request = request
        self.path = path
        self.viewer = viewer
        self.platform = platform
        self.query = request.query
        self.values: dict[str, Any] = {}
        self.files: tuple[File, ...] = ()
        if request.method in ("POST", "PUT", "PATCH"):
            self._read()

    def text(self, name: str) -> str | None:
        """A field of the body that holds a text; None where it is not there."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, str):
            raise Refused(400, f"{name} is a text.")
        return value

    def flag(self, name: str) -> bool:
        return self.values.get(name) in (True, "true", "True")

    def page(
        self, items: Iterable[Any], show: Callable[[Any], Any], cursor: Callable[[Any], dict[str, str]]
    ) -> Response:
        """A page of the items, and a link to the next where there are more.

        Args:
            cursor: Of the last item on this page, what the next page is asked for with.
        """
        wanted = self.query.get("max", "100" if self.path != "messages" else "50")
        if not wanted.isdecimal() or int(wanted[-9:]) < 1:
            raise Refused(400, "max is a number above 0.")
        size = MAX_PAGE if len(wanted) > 4 else min(int(wanted), MAX_PAGE)
        found = list(islice(items, size + 1))
        response = answer({"items": [show(item) for item in found[:size]]})
        if len(found) > size:
            query = urlencode({**self.query, "max": str(size), **cursor(found[size - 1])})
            response.headers.append(("Link", f'<{self.platform.base()}{self.path}?{query}>; rel="next"'))
        return response

    def rest(self, items: list[Any], show: Callable[[Any], Any]) -> Response:
        """A page of a list that has no cursor of its own."""
        at = self.query.get("cursor", "0")
        start = int(at) if at.isdecimal() and len(at) < 10 else 0
        numbered = list(enumerate(items))[start:]
        return self.page(numbered, lambda item: show(item[1]), lambda item: {"cursor": str(item[0] + 1)})

    def _read(self) -> None:
        kind, options = parse_options_header(self.request.header("Content-Type"))
        if kind == "multipart/form-data" or kind == "application/x-www-form-urlencoded":
            self._read_form(kind, options)
        elif self.request.body:
            try:
                values = orjson.loads(self.request.body)
            except ValueError as error:
                raise Refused(400, "The body is not JSON.") from error
            if not isinstance(values, dict):
                raise Refused(400, "The body is a JSON object.")
            self.values = _shallow(values)

    def _read_form(self, kind: str, options: dict[str, str]) -> None:
        parser = FormDataParser(stream_factory=_in_memory, silent=False)
        try:
            _, form, files = parser.parse(BytesIO(self.request.body), kind, len(self.request.body), options)
        except ValueError as error:
            raise Refused(400, "The form cannot be read.") from error
        self.values = dict(form.items())
        self.files = tuple(
            File(make_id("CONTENT"), part.filename or "file", part.mimetype or "application/octet-stream", part.read())
            for part in files.getlist("files")
        )
        if isinstance(self.values.get("attachments"), str):
            try:
                self.values["attachments"] = _shallow(orjson.loads(self.values["attachments"]))
            except ValueError as error:
                raise Refused(400, "attachments is not JSON.") from error
        if any(len(file.data) > rules.MAX_FILE_BYTES for file in self.files):
            raise Refused(413, "A file may have 100 MB at most.")


Endpoint = Callable[[Call, str], Response]


class Api:
    """Finds the endpoint of a request: ``people/me`` before ``people/*``."""

    def __init__(self, platform: Platform, endpoints: dict[tuple[str, str], Endpoint]) -> None:
        self._platform = platform
        self._endpoints = endpoints
        self._known = {path for _, path in endpoints}

    def who(self, request: Request) -> Account | None:
        """Whose token the request bears."""
        match = _BEARER.fullmatch(request.header("Authorization"))
        return None if match is None else self._platform.state.tokens.get(match[1])

    def handle(self, request: Request, path: str, viewer: Account | None) -> Response:
        """The answer, also to what is wrong."""
        if viewer is None:
            return refusal(401, "The request requires a valid access token set in the Authorization request header.")
        head, _, last = path.rpartition("/")
        method = "GET" if request.method == "HEAD" else request.method
        try:
            for pattern in (path, f"{head}/*"):
                if endpoint := self._endpoints.get((method, pattern)):
                    call = Call(request, path, viewer, self._platform)
                    with self._platform.state.lock:
                        return endpoint(call, last)
        except Refused as refused:
            return refusal(refused.status, str(refused))
        if self._known & {path, f"{head}/*"}:
            return refusal(405, "Method not allowed.")
        return refusal(404, "The requested resource could not be found.")


def _shallow(value: Any) -> Any:
    """The same value, of which we know that it can be given back: deeper ones can be read but not written."""
    try:
        orjson.dumps([[[[[[value]]]]]])
    except TypeError as error:
        raise Refused(400, "The JSON is too deep.") from error
    return value


def _in_memory(
    total_content_length: int | None, content_type: str | None, filename: str | None, content_length: int | None = None
) -> IO[bytes]:
    return BytesIO()


def answer(value: Any, status: int = 200) -> Response:
    body = orjson.dumps(value)
    headers = [("Content-Type", "application/json;charset=UTF-8"), ("trackingid", make_tracking_id())]
    return Response(status, body, headers)


def empty() -> Response:
    return Response(204, headers=[("trackingid", make_tracking_id())])


def refusal(status: int, text: str) -> Response:
    """An error as Webex writes it."""
    tracking_id = make_tracking_id()
    body = orjson.dumps({"message": text, "errors": [{"description": text}], "trackingId": tracking_id})
    return Response(status, body, [("Content-Type", "application/json;charset=UTF-8"), ("trackingid", tracking_id)])
