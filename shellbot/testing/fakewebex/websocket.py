"""The server's end of a websocket (RFC 6455), from the answered handshake on: texts, pings, the close."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import BinaryIO

MAX_TEXT_BYTES = 1024 * 1024
SEND_WITHIN = 5  # seconds
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUED, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10

GOING_AWAY, PROTOCOL_ERROR, UNSUPPORTED, BAD_TEXT, TOO_BIG, FAILED = 1001, 1002, 1003, 1007, 1009, 1011


def accept_key(key: str) -> str | None:
    """What a handshake with this key is answered with; None where it is no key."""
    try:
        if len(b64decode(key, validate=True)) != 16:
            return None
    except ValueError:
        return None
    return b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()  # noqa: S324 - as the protocol says


class WebSocket:
    """One connection. One thread reads; any may send."""

    def __init__(self, connection: socket.socket, reader: BinaryIO) -> None:
        # Who sends waits no longer for a client that reads nothing.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_WITHIN, 0))
        self._connection = connection
        self._reader = reader
        self._sending = threading.Lock()
        self._is_closing = False

    def send(self, text: str) -> None:
        """Send one text.

        Raises:
            OSError: The other side is gone.
        """
        self._send(_TEXT, text.encode())

    def texts(self, on_text: Callable[[str], object]) -> None:
        """Give each text that comes to ``on_text``; returns when the connection has ended."""
        try:
            self._read(on_text)
        except _Broken as broken:
            self.close(broken.code)
        except OSError:
            pass

    def close(self, code: int = 1000) -> None:
        """Say good-bye; the other side ends the connection then. Again does nothing."""
        with self._sending:
            if self._is_closing:
                return
            self._is_closing = True
            try:
                self._connection.sendall(_frame(_CLOSE, struct.pack("!H", code)))
            except OSError:
                pass

    def hush(self) -> None:
        """Send nothing more, no answer to a ping and no good-bye, as where the network in between has gone."""
        with self._sending:
            self._is_closing = True

    def drop(self) -> None:
        """Break the connection with RST, without a word."""
        try:
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._connection.shutdown(socket.SHUT_RD)  # its thread stops to read, and closes
        except OSError:
            pass

    def _read(self, on_text: Callable[[str], object]) -> None:
        parts: list[bytes] = []
        size = 0
        is_text = False
        while True:
            head = self._take(2)
            is_last, kind, is_masked, length = head[0] & 0x80, head[0] & 0x0F, head[1] & 0x80, head[1] & 0x7F
            if head[0] & 0x70 or not is_masked or (kind >= _CLOSE and (length > 125 or not is_last)):
                raise _Broken(PROTOCOL_ERROR)
            if length == 126:
                (length,) = struct.unpack("!H", self._take(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", self._take(8))
            size += length
            if size > MAX_TEXT_BYTES:
                raise _Broken(TOO_BIG)
            mask = self._take(4)
            data = _unmask(self._take(length), mask)
            if kind == _CLOSE:
                self.close(1000)
                return
            if kind in (_PING, _PONG):
                size -= length
                if kind == _PING:
                    self._send(_PONG, data)
                continue
            if (kind == _CONTINUED) != bool(parts) or kind not in (_CONTINUED, _TEXT, _BINARY):
                raise _Broken(PROTOCOL_ERROR)
            is_text = kind == _TEXT or (kind == _CONTINUED and is_text)
            parts.append(data)
            if is_last:
                if not is_text:
                    raise _Broken(UNSUPPORTED)
                try:
                    text = b"".join(parts).decode()
                except UnicodeDecodeError:
                    raise _Broken(BAD_TEXT) from None
                parts, size = [], 0
                on_text(text)

    def _take(self, length: int) -> bytes:
        data = self._reader.read(length)
        if len(data) < length:
            raise ConnectionError("the other side is gone")
        return data

    def _send(self, kind: int, data: bytes) -> None:
        with self._sending:
            if not self._is_closing:
                self._connection.sendall(_frame(kind, data))


class _Broken(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _frame(kind: int, data: bytes) -> bytes:
    length = len(data)
    if length < 126:
        head = struct.pack("!BB", 0x80 | kind, length)
    elif length < 65536:
        head = struct.pack("!BBH", 0x80 | kind, 126, length)
    else:
        head = struct.pack("!BBQ", 0x80 | kind, 127, length)
    return head + data


def _unmask(data: bytes, mask: bytes) -> bytes:
    repeated = (mask * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(data), "big")
