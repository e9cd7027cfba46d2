"""A small client of websockets for tests, which can also do what no good client does."""

from __future__ import annotations

import json
import os
import socket
import struct
from base64 import b64encode
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit


class Socket:
    """``with Socket(url) as client``; ``client.status`` is what the handshake was answered with."""

    def __init__(self, url: str, *, buffer_bytes: int = 0) -> None:
        target = urlsplit(url)
        self._socket = socket.socket()
        self._socket.settimeout(5)
        if buffer_bytes:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        self._socket.connect((target.hostname or "", target.port or 80))
        key = b64encode(os.urandom(16)).decode()
        lines = [f"GET {target.path} HTTP/1.1", f"Host: {target.netloc}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
        self._socket.sendall("\r\n".join(lines).encode())
        self._file = self._socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        while self._file.readline().strip():
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._socket.close()

    def send(self, value: Any) -> None:
        self.frame(0x81, json.dumps(value).encode())

    def frame(self, head: int, data: bytes) -> None:
        length = struct.pack("!B", 0x80 | len(data)) if len(data) < 126 else struct.pack("!BH", 0xFE, len(data))
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[number % 4] for number, byte in enumerate(data))
        self._socket.sendall(bytes([head]) + length + mask + masked)

    def raw(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> tuple[int, bytes]:
        """Kind and data of the next frame; an error when the connection is gone."""
        head = self._file.read(2)
        if len(head) < 2:
            raise ConnectionError("ended")
        length = head[1]
        if length == 126:
            (length,) = struct.unpack("!H", self._file.read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._file.read(8))
        return head[0] & 0x0F, self._file.read(length)

    def event(self) -> Any:
        kind, data = self.receive()
        assert kind == 1, (kind, data)
        return json.loads(data)

    def closed(self) -> int:
        """The code of the close that comes now; it is answered."""
        kind, data = self.receive()
        assert kind == 8, (kind, data)
        self.frame(0x88, data)
        return int(struct.unpack("!H", data[:2])[0])
