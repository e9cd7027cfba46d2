"""The body of a request, gathered on the loop before anybody works on it, within bounds of size and time."""

from __future__ import annotations

import asyncio
import contextlib

from shellbot.server.asgi import ASGIMessage, Receive, Scope, Send, header, refuse
from shellbot.server.limits import Limits

DRAIN_SECONDS = 1.0


async def gather(scope: Scope, receive: Receive, send: Send, limits: Limits) -> bytes | None:
    """All of it; None where it was refused, and answered, or nobody is there any more."""
    limit = limits.body_bytes
    declared = header(scope, b"content-length") or "0"
    if declared.isdecimal() and int(declared) > limit:
        await _too_large(receive, send, limit)
        return None
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_timeout):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > limit:
                    await _too_large(receive, send, limit)
                    return None
    except TimeoutError:
        await refuse(send, 408, "The rest of this request did not come in time.")
        return None
    return bytes(body)


async def _too_large(receive: Receive, send: Send, limit: int) -> None:
    async def before_the_end(message: ASGIMessage) -> None:
        if message["type"] == "http.response.body":
            # Closing on unread bytes resets the connection and takes the answer with it: read on for a moment.
            await send({**message, "more_body": True})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    while (await receive()).get("more_body", False):
                        pass
            message = {"type": "http.response.body"}
        await send(message)

    await refuse(before_the_end, 413, f"At most {limit:,} bytes can be sent here.")
