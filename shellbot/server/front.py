"""The ASGI door: foreign hosts out, security headers on everything, bodies gathered before a thread is taken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from shellbot.server.asgi import App, ASGIMessage, Receive, Scope, Send, header, refuse
from shellbot.server.bodies import gather
from shellbot.server.hosts import Hosts
from shellbot.server.limits import Limits
from shellbot.server.uploads import KEY, Uploads, form_of
from shellbot.spaces.web.rooms import ROOM_ID

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; worker-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types shellbot"
)
# same-origin and not no-referrer: with the latter Chromium sends "Origin: null" with each form, and we refuse that
SECURITY_HEADERS = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]


Pages = Callable[[Scope, bytes, Send], Awaitable[None]]
"""Answers a request, given its whole body."""


class Answering:
    """How many pages and forms are being answered now.

    Attributes:
        count: Of them.
    """

    def __init__(self) -> None:
        self.count = 0


class Front:
    """Everything that comes in over HTTP comes through here first, also static files and ``/events``."""

    def __init__(
        self,
        *,
        pages: Pages,
        events: App,
        files: App,
        uploads: Uploads,
        hosts: Hosts,
        limits: Limits,
        answering: Answering,
    ) -> None:
        self._pages = pages
        self._events = events
        self._files = files
        self._uploads = uploads
        self._hosts = hosts
        self._limits = limits
        self._answering = answering

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def with_headers(message: ASGIMessage) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                # the last one would count, and a page may want to tell less than others do
                has_policy = any(name.lower() == b"referrer-policy" for name, _ in headers)
                headers += [pair for pair in SECURITY_HEADERS if not (has_policy and pair[0] == b"referrer-policy")]
                message = {**message, "headers": headers}
            await send(message)

        if not self._hosts.allows(header(scope, b"host") or ""):
            await refuse(with_headers, 421, "This server does not answer for that host name.")
            return
        scope = in_room(scope)
        if scope["path"] == f"{scope['root_path']}/events":
            await self._events(scope, receive, with_headers)
        elif scope["path"].startswith(f"{scope['root_path']}/files/"):
            await self._files(scope, receive, with_headers)
        elif self._uploads.is_upload(scope):
            await self._with_files(scope, receive, with_headers)
        else:
            await self._with_body(scope, receive, with_headers)

    async def _with_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Eight unfinished bodies would otherwise hold all eight threads, and with them all pages.
        body = await gather(scope, receive, send, self._limits)
        if body is not None:
            await self._show(scope, body, send)

    async def _with_files(self, scope: Scope, receive: Receive, send: Send) -> None:
        upload = await self._uploads.gather(scope, receive)
        if upload is None:
            return
        plain = [pair for pair in scope["headers"] if pair[0] != b"content-type"]
        plain.append((b"content-type", b"application/x-www-form-urlencoded"))
        try:
            await self._show({**scope, "headers": plain, KEY: upload}, form_of(upload), send)
        finally:
            await upload.close()

    async def _show(self, scope: Scope, body: bytes, send: Send) -> None:
        headers = [pair for pair in scope["headers"] if pair[0] not in (b"content-length", b"transfer-encoding")]
        headers.append((b"content-length", str(len(body)).encode()))
        self._answering.count += 1
        try:
            await self._pages({**scope, "headers": headers}, body, send)
        finally:
            self._answering.count -= 1


def in_room(scope: Scope) -> Scope:
    """Tell apart the room, as where these pages are rooted, from the page that is asked for."""
    first, slash, _ = scope["path"][1:].partition("/")
    is_room = bool(ROOM_ID.fullmatch(first))
    path = scope["path"] if slash or not is_room else f"/{first}/"
    return {**scope, "root_path": f"/{first}" if is_room else "", "path": path}
