"""A publisher whose every frame is sent by the test: a plain XPUB socket, as the hub has one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import zmq

from shellbot.bus.frames import Ask, parse_ask, reply_begin, reply_end, reply_missed, welcome
from tests.bus.watching import wait_until


class Scripted:
    """Listens on an address.

    Attributes:
        held: What is subscribed to on the connections there are now.
    """

    def __init__(self, address: str, epoch: int = 7) -> None:
        self.address = address
        self.held: set[bytes] = set()
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket = self._listen(epoch)

    def _listen(self, epoch: int) -> Any:
        socket = self._context.socket(zmq.XPUB)
        socket.set(zmq.XPUB_NODROP, 1)
        socket.set(zmq.XPUB_WELCOME_MSG, welcome(epoch))
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.RCVTIMEO, 5000)
        socket.set(zmq.SNDTIMEO, 5000)
        # The one before is closed by a thread of ZeroMQ, in a moment.
        wait_until(lambda: self._has_bound(socket))
        return socket

    def _has_bound(self, socket: Any) -> bool:
        try:
            socket.bind(self.address)
        except zmq.ZMQError as error:
            if error.errno == zmq.EADDRINUSE:
                return False
            raise
        return True

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self._socket.send(frame)

    def hear(self) -> bytes:
        """The next frame from upstream."""
        frame: bytes = self._socket.recv()
        if frame[0] == 1:
            self.held.add(frame[1:])
        elif frame[0] == 0:
            self.held.discard(frame[1:])
        return frame

    def question(self) -> Ask:
        """The next question, of a subscriber in another thread."""
        while (question := parse_ask(self.hear())) is None:
            pass
        return question

    def has_heard(self) -> bool:
        """Whether there is something to hear now."""
        return bool(self._socket.poll(0))

    def answer(
        self,
        question: Ask,
        position: int,
        texts: Iterable[bytes] = (),
        *,
        epoch: int = 7,
        gap: bytes = b"-",
        table: int = 0,
        count: int = 0,
    ) -> None:
        self.send(reply_begin(question, epoch, gap))
        if missed := b"\n".join(texts):
            self.send(reply_missed(question, missed))
        self.send(reply_end(question, epoch, position, table, count))

    def break_off(self, epoch: int = 7) -> None:
        """End all connections, and listen again."""
        self._socket.close()
        self.held.clear()
        self._socket = self._listen(epoch)

    def close(self) -> None:
        self._socket.close()
        self._context.destroy(linger=0)
