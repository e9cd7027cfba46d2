"""Serving: one ASGI application on a port of its own, on a loop that others use too."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Generator
from ipaddress import ip_address
from typing import cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from shellbot.errors import ConfigError
from shellbot.server.asgi import App
from shellbot.server.hosts import UNPRIVILEGED, needs_privileges

PORTS_TRIED = 100
_LATE = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Serving:
    """A port that is bound, and later the server on it. All of it on one loop.

    Args:
        host: Interface.
        port: First port to try; when it is taken the next free one is used. 0 takes any.
        header_timeout: Seconds that the head of a request may take.

    Attributes:
        port: The one that was free.
        url: Where it is reached from this machine.

    Raises:
        ConfigError: No port is free, or nobody can listen on that host.
    """

    def __init__(self, host: str, port: int, header_timeout: float) -> None:
        host = "127.0.0.1" if host == "localhost" else host
        self._listener = _bind(host, port)
        self.port: int = self._listener.getsockname()[1]
        reached = host
        if ip_address(self._listener.getsockname()[0].partition("%")[0]).is_unspecified:
            reached = "::1" if ":" in host else "127.0.0.1"
        self.url = f"http://{f'[{reached}]' if ':' in reached else reached}:{self.port}/"
        self._header_timeout = header_timeout
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, app: App) -> None:
        """Serve; returns once requests are answered."""
        config = uvicorn.Config(
            app,
            http=type("Protocol", (_Protocol,), {"header_timeout": self._header_timeout}),
            loop="none",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener]), name="web server")
        waiting = asyncio.create_task(self._server.is_ready.wait())
        await asyncio.wait({waiting, self._task}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._task.done():
            await self._task

    async def refuse_more(self) -> None:
        """Take no more connections. Those that were taken are served."""
        if self._server is None:
            self._listener.close()
            return
        loop = asyncio.get_running_loop()
        for server in self._server.servers:
            for listener in server.sockets:
                loop.remove_reader(listener.fileno())
        # asyncio accepts in one turn of the loop and hands over in the next: what a closed server is handed is
        # dropped without an answer, and reported by Python 3.13.0 as an error of ours
        await asyncio.sleep(0)
        for server in self._server.servers:
            server.close()

    async def stop(self) -> None:
        """End; within 2 s also when readers are stuck."""
        if self._server is not None and self._task is not None:
            self._server.ask_exit()
            await self._task
        self._server = None


class _Server(uvicorn.Server):
    """uvicorn as a task among others: signals stay with the engine."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_ready = asyncio.Event()
        self._exit_asked = asyncio.Event()

    def ask_exit(self) -> None:
        self.should_exit = True
        self._exit_asked.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_ready.set()

    async def main_loop(self) -> None:
        # once a second, for the Date header; uvicorn's own loop wakes ten times as often and ends later
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._exit_asked.wait()


class _Protocol(H11Protocol):
    """h11 with a time-out for unfinished headers, and a way to cut off a connection that is not read."""

    header_timeout: float = 10.0
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        connection = cast(asyncio.Transport, transport)
        super().connection_made(connection)
        self.app_state = {**self.app_state, "abort": connection.abort}
        self._late = self.loop.call_later(self.header_timeout, self._on_late)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_headers()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._late is not None:
            self._late.cancel()

    def _watch_headers(self) -> None:
        is_unfinished = self.cycle is None or (self.cycle.response_complete and bool(self.conn.trailing_data[0]))
        if not is_unfinished and self._late is not None:
            self._late.cancel()
            self._late = None
        elif is_unfinished and self._late is None:
            self._late = self.loop.call_later(self.header_timeout, self._on_late)

    def _on_late(self) -> None:
        self._late = None
        if not self.transport.is_closing():
            self.transport.write(_LATE)
            self.transport.close()


def _bind(host: str, port: int) -> socket.socket:
    """Bind the port, or the next free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in range(port, port + PORTS_TRIED) if port else (0,):
        # asyncio turns Nagle off only where the protocol is named: else head and body of a page are 40 ms apart
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                # accepted sockets inherit it: who vanished without a word is found 30 s after the next heart-beat
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
            listener.bind((host, candidate))
            # SO_REUSEADDR lets two sockets bind one port as long as none listens
            listener.listen(1024)
        except OSError as error:
            listener.close()
            if error.errno == errno.EACCES and candidate < UNPRIVILEGED:
                raise ConfigError(needs_privileges(candidate), key="server.port") from error
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise ConfigError(
                    f"cannot listen on {host} port {candidate}: {error.strerror}", key="server.address"
                ) from error
        else:
            listener.setblocking(False)
            return listener
    raise ConfigError(
        f"no port from {port} to {port + PORTS_TRIED - 1} is free on {host}; choose another --port", key="server.port"
    )
