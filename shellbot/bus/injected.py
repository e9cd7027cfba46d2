"""A socket that a program has put in the place of a subscriber's own."""

from __future__ import annotations

import errno
import inspect
from typing import Any


class NoFrame(Exception):
    """An injected socket has no frame now."""


class Injected:
    """A socket that was put in the place of ours; it needs only ``recv``."""

    blocked: type[Exception] = NoFrame

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        try:
            parameters = inspect.signature(socket.recv).parameters.values()
        except (TypeError, ValueError):
            parameters = {}.values()
        self._takes_flags = any(one.name == "flags" or one.kind is one.VAR_KEYWORD for one in parameters)

    def recv(self, flags: int) -> bytes:
        try:
            data = self.socket.recv(flags=flags) if self._takes_flags else self.socket.recv()
        except Exception as error:
            if getattr(error, "errno", None) == errno.EAGAIN:
                raise NoFrame from error
            raise
        if data is None:
            raise NoFrame
        return data.encode(errors="surrogateescape") if isinstance(data, str) else bytes(data)

    def adapt(self, now: float) -> None:
        """Its threads are not ours."""

    def send(self, frame: bytes) -> None:
        """Nobody is there to subscribe at."""

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        close = getattr(self.socket, "close", None)
        if close:
            close()
