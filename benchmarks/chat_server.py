"""A chat server for a trial, in a process of its own; and beside it the barest one that answers a form, to compare."""

from __future__ import annotations

import asyncio
import secrets
import socket
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import uvicorn
from flask import Flask, Response, jsonify, request

from shellbot.clocks import AsyncioClock
from shellbot.engine import Engine
from shellbot.server.asgi import Receive, Scope, Send
from shellbot.server.bodies import gather
from shellbot.server.bridge import Bridge
from shellbot.server.chat import THREADS, ChatServer
from shellbot.server.limits import Limits
from shellbot.spaces.web import WebSpace
from shellbot.stores.sqlite import SqliteStore

# Everybody comes from one address, and faster than people type.
_LIMITS = Limits(
    message_rate=1e6, message_burst=10**6, joins_per_minute=10**6, streams_per_address=10**4, streams=10**4
)


def serve(connection: Connection) -> None:
    """Serve the web chat until something is said on the connection; tells its URL there."""
    with TemporaryDirectory(prefix="sb-") as folder:
        asyncio.run(_serve(connection, Path(folder)))


async def _serve(connection: Connection, folder: Path) -> None:
    store = SqliteStore(folder / "store.db")
    space = WebSpace(store=store, clock=AsyncioClock())
    async with Engine(space=space, store=store, instance=folder / "instance", settings={"bot.burst": 0}):
        server = ChatServer(space=space, secret=secrets.token_bytes(32), port=0, limits=_LIMITS)
        await server.start()
        connection.send(server.url)
        await asyncio.to_thread(connection.recv)
        await server.stop()


def serve_bare(connection: Connection) -> None:
    """Flask behind the same bridge and server, with one view that reads a form and answers; nothing is kept."""
    asyncio.run(_serve_bare(connection))


async def _serve_bare(connection: Connection) -> None:
    app = Flask("bare")

    @app.post("/say")
    def say() -> Response:
        return jsonify(ok=bool(request.form["text"]))

    bridge = Bridge(cast(Any, app), THREADS)

    async def pages(scope: Scope, receive: Receive, send: Send) -> None:
        body = await gather(scope, receive, send, _LIMITS)
        if body is not None:
            await bridge(scope, body, send)

    config = uvicorn.Config(
        pages, http="h11", loop="none", ws="none", lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        task = asyncio.create_task(server.serve(sockets=[listener]))
        # It listens already: who asks before it serves waits.
        connection.send(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        await asyncio.to_thread(connection.recv)
        server.should_exit = True
        await task
