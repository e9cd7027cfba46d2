"""The HTTP server on 127.0.0.1: connections stay, one thread each, and can be broken as networks do."""

from __future__ import annotations

import os
import socket
import struct
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from logging import getLogger
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

logger = getLogger(__name__)

MAX_BODY_BYTES = 110 * 1024 * 1024
MAX_CONNECTIONS = 1_000
PATIENCE = 10.0  # seconds for the threads to end


@dataclass(frozen=True, slots=True)
class Request:
    """One request, read whole. Names of headers are given in any case."""

    method: str
    path: str
    query: dict[str, str]
    query_string: str
    headers: Message[str, str] = field(repr=False)  # with the token
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        return self.headers.get(name) or ""


@dataclass(slots=True)
class Response:
    status: int
    body: bytes = field(default=b"", repr=False)
    headers: list[tuple[str, str]] = field(default_factory=list)
    take_over: Callable[[socket.socket, Any], None] | None = None  # goes on with the connection, after the answer


class Reset(Exception):
    """Instead of an answer the connection is broken with RST."""


class Door(TCPServer):
    """Answers what comes with ``answer``, called in a thread of the connection.

    Raises:
        OSError: The port is taken.
    """

    allow_reuse_address = True
    request_queue_size = 512

    def __init__(self, port: int, answer: Callable[[Request], Response]) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answer = answer
        self.port: int = self.server_address[1]
        self._lock = threading.Lock()
        self._is_closed = False
        self._open: dict[socket.socket, threading.Thread] = {}
        self._thread = threading.Thread(target=self._accept, name=f"fake webex {self.port}", daemon=True)
        os.register_at_fork(after_in_child=_releaser(weakref.ref(self)))

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Listen no more, end all connections and wait for their threads. Again does nothing."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            connections = dict(self._open)
        _shut(self.socket)  # wakes the thread that accepts
        if self._thread.is_alive():
            self._thread.join(PATIENCE)
        for connection, thread in connections.items():
            _shut(connection)
            thread.join(PATIENCE)
        self.socket.close()

    def release(self) -> None:
        """In a forked child: let go of all sockets, without a word to whom they lead."""
        for connection in (self.socket, *self._open):
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, address = self.socket.accept()
            except OSError:
                return
            with self._lock:
                self._open = {one: thread for one, thread in self._open.items() if thread.is_alive()}
                if self._is_closed or len(self._open) >= MAX_CONNECTIONS:
                    connection.close()
                    continue
                thread = threading.Thread(
                    target=self._serve, args=(connection, address), name=f"fake webex {self.port} <", daemon=True
                )
                self._open[connection] = thread
                thread.start()

    def _serve(self, connection: socket.socket, address: Any) -> None:
        try:
            _Handler(connection, address, self)
        except OSError as error:
            logger.debug("connection broke off: %s", error)
        finally:
            connection.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Door

    def _one(self) -> None:
        body = self._read_body()
        if body is None:
            return
        target = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=target.path,
            query=dict(parse_qsl(target.query, keep_blank_values=True)),
            query_string=target.query,
            headers=self.headers,
            body=body,
        )
        try:
            response = self.server.answer(request)
        except Reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        self._write(response)
        if response.take_over is not None:
            self.close_connection = True
            response.take_over(self.connection, self.rfile)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _one

    def _read_body(self) -> bytes | None:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._read_chunks()
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or len(length) > 15:
            self._refuse(400)
            return None
        if int(length) > MAX_BODY_BYTES:
            self._refuse(413)
            return None
        body = self.rfile.read(int(length))
        if len(body) < int(length):  # who sends is gone
            self.close_connection = True
            return None
        return body

    def _read_chunks(self) -> bytes | None:
        parts: list[bytes] = []
        size = 0
        while True:
            try:
                length = int(self.rfile.readline(100).split(b";")[0], 16)
            except ValueError:
                self._refuse(400)
                return None
            size += length
            if length < 0 or size > MAX_BODY_BYTES:
                self._refuse(413)
                return None
            parts.append(self.rfile.read(length))
            self.rfile.readline(100)
            if length == 0:
                return b"".join(parts)

    def _refuse(self, status: int) -> None:
        self.close_connection = True
        self._write(Response(status))

    def _write(self, response: Response) -> None:
        # All in one piece: head and body apart would wait for each other's acknowledgement.
        has_body = self.command != "HEAD" and response.status not in (101, 204, 304)
        lines = [f"HTTP/1.1 {response.status} {_reason(response.status)}"]
        lines += [f"{name}: {value}" for name, value in response.headers]
        if response.status not in (101, 204):
            lines.append(f"Content-Length: {len(response.body)}")
        if self.close_connection:
            lines.append("Connection: close")
        head = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"
        self.wfile.write(head + (response.body if has_body else b""))

    def log_message(self, format: str, *args: Any) -> None:
        pass  # requests are in FakeWebex.requests


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Locked" if status == 423 else "Unknown"


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def _releaser(door: weakref.ref[Door]) -> Callable[[], None]:
    def release() -> None:
        if (alive := door()) is not None:
            alive.release()

    return release
