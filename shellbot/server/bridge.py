"""The bridge from the loop to Flask: a thread gets a request whole, and gives its answer back whole.

So a form crosses between loop and thread twice. The middleware of a2wsgi crosses once more for the body of a request,
for the head of its answer and for each piece of that; while 500 pages are told something, each may wait a millisecond
for the interpreter.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from types import TracebackType
from typing import Any, cast

from a2wsgi.asgi_typing import HTTPScope
from a2wsgi.wsgi import Body, build_environ
from a2wsgi.wsgi_typing import Environ, WSGIApp

from shellbot.server.asgi import ASGIMessage, Scope, Send

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class Bridge:
    """Runs a WSGI application.

    Args:
        threads: How many requests it works on at once.
    """

    def __init__(self, app: WSGIApp, threads: int) -> None:
        self._app = app
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="WSGI")

    async def __call__(self, scope: Scope, body: bytes, send: Send) -> None:
        """Answer a request whose body was gathered. Answers are pages: none is so large that it must be streamed."""
        environ = build_environ(cast(HTTPScope, scope), cast(Body, BytesIO(body)))
        for message in await asyncio.get_running_loop().run_in_executor(self._threads, self._run, environ):
            await send(message)

    def close(self) -> None:
        """Wait for the threads to end. Blocks."""
        self._threads.shutdown()

    def _run(self, environ: Environ) -> tuple[ASGIMessage, ASGIMessage]:
        started: list[tuple[str, list[tuple[str, str]]]] = []
        pieces: list[bytes] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: ExceptionInfo | None = None) -> Any:
            started[:] = [(status, headers)]
            return pieces.append

        answer = self._app(environ, cast(Any, start))
        try:
            pieces.extend(answer)
        finally:
            getattr(answer, "close", lambda: None)()
        status, headers = started[0]
        return {
            "type": "http.response.start",
            "status": int(status.partition(" ")[0]),
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        }, {"type": "http.response.body", "body": b"".join(pieces)}
