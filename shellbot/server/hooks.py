"""The door for what a chat platform posts: signed deliveries, answered once they cannot be lost any more."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from logging import getLogger
from math import ceil
from urllib.parse import urlsplit

from shellbot.errors import ConfigError, RateLimited, SignatureInvalid, SpaceError, StoreError
from shellbot.server.asgi import ASGIMessage, Receive, Scope, Send, header, refuse
from shellbot.server.bodies import gather
from shellbot.server.hosts import Hosts
from shellbot.server.limits import Limits
from shellbot.server.serving import Serving

logger = getLogger(__name__)

Take = Callable[[bytes, str | None], Awaitable[None]]
"""``await take(body, signature)`` returns when the delivery is kept. SignatureInvalid: it is not the platform's.
RateLimited, StoreError: it should come again. SpaceError: it makes no sense."""

AT_ONCE = 64  # deliveries that are being taken; a platform tries again
READING = 512  # deliveries whose bodies are being read; who has no key can hold the door up with no fewer
MAX_BODY_BYTES = 256 * 1024
BODY_TIMEOUT = 3.0  # seconds that a body may take
SIGNATURE = b"x-spark-signature"
_SIGNED = re.compile(r"[0-9a-fA-F]{40}")
_UNSIGNED = "This delivery is not signed as it should be."
_SAFE = [
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
]


class Hooks:
    """Serves one path for deliveries, and at ``/healthz`` and ``/`` whether all is well. No thread, no cookie, no page.

    Args:
        take: Takes a delivery.
        path: Where they are posted.
        is_well: Whether the bot works, for ``/healthz``.
    """

    def __init__(self, take: Take, hosts: Hosts, limits: Limits, path: str, is_well: Callable[[], bool]) -> None:
        self._take = take
        self._hosts = hosts
        self._limits = replace(
            limits,
            body_bytes=min(limits.body_bytes, MAX_BODY_BYTES),
            body_timeout=min(limits.body_timeout, BODY_TIMEOUT),
        )
        self._path = path
        self._is_well = is_well
        self._reading = self._taking = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def safely(message: ASGIMessage) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_SAFE]}
            await send(message)

        if not self._hosts.allows(header(scope, b"host") or ""):
            await refuse(safely, 421, "This server does not answer for that host name.")
        elif scope["path"] in ("/", "/healthz"):
            await self._tell_health(safely)
        elif scope["path"] != self._path:
            await refuse(safely, 404, "There is nothing here.")
        elif scope["method"] != "POST":
            await refuse(safely, 405, "Deliveries are posted here.", (b"allow", b"POST"))
        elif (trouble := _unreadable(scope)) is not None:
            await refuse(safely, 415, trouble)
        elif not _SIGNED.fullmatch(header(scope, SIGNATURE) or ""):
            await refuse(safely, 401, _UNSIGNED)
        elif self._reading >= READING:
            await _refuse_for_now(safely)
        else:
            self._reading += 1
            try:
                body = await gather(scope, receive, safely, self._limits)
            finally:
                self._reading -= 1
            if body is not None:
                await self._answer(body, header(scope, SIGNATURE), safely)

    async def _answer(self, body: bytes, signature: str | None, send: Send) -> None:
        if self._taking >= AT_ONCE:
            await _refuse_for_now(send)
            return
        self._taking += 1
        try:
            await self._take(body, signature)
        except SignatureInvalid:
            # Without a word of what was wrong with it.
            await refuse(send, 401, _UNSIGNED)
        except RateLimited as error:
            await refuse(send, 503, "Try again later.", (b"retry-after", str(ceil(error.retry_after)).encode()))
        except StoreError as error:
            logger.error("a delivery could not be kept: %s", error)
            await refuse(send, 503, "It cannot be kept now; try again.", (b"retry-after", b"5"))
        except SpaceError as error:
            await refuse(send, 400, str(error))
        except Exception:
            logger.exception("a delivery could not be taken")
            await refuse(send, 500, "Something went wrong here; it is in the log.")
        else:
            await _say(send, 200, b"ok\n")
        finally:
            self._taking -= 1

    async def _tell_health(self, send: Send) -> None:
        is_well = self._is_well()
        await _say(send, 200 if is_well else 503, b"ok\n" if is_well else b"the bot does not work; see its log\n")


class HookServer:
    """A :class:`Hooks` on a port.

    Args:
        public_url: Address under which the platform reaches this server; its host may ask, besides loopback.

    Raises:
        ConfigError: It listens where others reach it, and nobody said under which address they do.
    """

    def __init__(
        self,
        take: Take,
        *,
        host: str,
        port: int,
        path: str,
        public_url: str,
        is_well: Callable[[], bool] = lambda: True,
        limits: Limits | None = None,
    ) -> None:
        if not path.startswith("/") or path in ("/", "/healthz") or path != urlsplit(path).path:
            raise ConfigError(f"server.hook is {path!r}; it should be a path such as /hook", key="server.hook")
        self.url = ""
        self._take = take
        self._host, self._port, self._path = host, port, path
        self._public = tuple(filter(None, [urlsplit(public_url).netloc]))
        self._is_well = is_well
        self._limits = limits or Limits()
        self._serving: Serving | None = None

    async def start(self) -> None:
        """Listen; returns once deliveries are taken.

        Raises:
            ConfigError: No port is free.
        """
        self._serving = Serving(self._host, self._port, self._limits.header_timeout)
        hosts = Hosts(self._serving.port, self._public)
        await self._serving.start(Hooks(self._take, hosts, self._limits, self._path, self._is_well))
        self.url = self._serving.url

    async def stop(self) -> None:
        """Take no more, and end."""
        if self._serving is not None:
            await self._serving.refuse_more()
            await self._serving.stop()
            self._serving = None


def _unreadable(scope: Scope) -> str | None:
    """Why nobody looks at this body; None where somebody does."""
    if (header(scope, b"content-type") or "").partition(";")[0].strip().lower() != "application/json":
        return "A delivery is JSON: content-type application/json."
    if (header(scope, b"content-encoding") or "identity").strip().lower() != "identity":
        return "A delivery is not compressed."
    return None


async def _refuse_for_now(send: Send) -> None:
    await refuse(send, 503, "Too much comes at once; try again.", (b"retry-after", b"2"))


async def _say(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
