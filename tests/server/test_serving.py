"""A server that ends answers whom it has let in."""

from __future__ import annotations

import asyncio
import socket

from shellbot.server.asgi import refuse
from shellbot.server.serving import Serving


async def test_who_was_accepted_at_the_very_end_is_answered() -> None:
    async def app(scope, receive, send):
        await refuse(send, 200, "here you are")

    serving = Serving("127.0.0.1", 0, header_timeout=5)
    await serving.start(app)
    with socket.create_connection(("127.0.0.1", serving.port)) as browser:
        browser.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        browser.setblocking(False)
        # in the first turn the connection is accepted, in the second it would be handed to the server
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        await serving.refuse_more()

        answer = await asyncio.get_running_loop().sock_recv(browser, 1024)
    await serving.stop()
    assert answer.startswith(b"HTTP/1.1 200 ")
