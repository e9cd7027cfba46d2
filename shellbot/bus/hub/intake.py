"""A queue as the hub reads it: its own program's, or one that another program has handed over."""

from __future__ import annotations

import os
import socket

from shellbot.bus.fan import Fan, bytes_in, capacity_of
from shellbot.bus.page import Page
from shellbot.bus.records import Assembler


class Intake:
    """The reading end of one queue.

    Attributes:
        reading: Descriptor, to poll.
        page: What all ends of the queue share.
        asked: Where questions of its program come in (see readiness.py), or None.
        visitor: The connection of the program that handed it over, or None for our own.
        room: Bytes that one read may bring.
        is_gone: Whether its end was read: nobody puts any more.
        is_closed: Whether its descriptors are given back.
    """

    def __init__(
        self,
        reading: int,
        page: Page,
        assembler: Assembler,
        asked: socket.socket | None = None,
        visitor: socket.socket | None = None,
    ) -> None:
        self.reading = reading
        self.page = page
        self.asked = asked
        self.visitor = visitor
        self.room = capacity_of(reading)
        self.is_gone = False
        self.is_closed = False
        self.assembler = assembler
        self._is_own = visitor is None
        self._told = page.sent

    @classmethod
    def of_fan(cls, fan: Fan, asked: socket.socket | None) -> Intake:
        """Our own; the descriptors stay the fan's."""
        return cls(fan.reading, fan.page, Assembler(), asked)

    @property
    def pid(self) -> int:
        """Of the process whose queue it is; 0 while there is none."""
        return max(0, self.page.reader) & 0xFFFFFFFF

    @property
    def number(self) -> int:
        """Names the queue on this machine, however often it is handed over."""
        return os.fstat(self.reading).st_ino

    @property
    def waiting_bytes(self) -> int:
        return bytes_in(self.reading)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes: the end was read, or was announced and all is read."""
        if self.is_gone or self.page.has_ended:
            return True
        return self.page.is_closing and not self.waiting_bytes

    def read_into(self, room: memoryview) -> int:
        """All that is in the pipe, in one system call, so it ends with a whole record; the number of bytes."""
        try:
            size = os.readv(self.reading, [room])
        except BlockingIOError:
            return 0
        if not size:
            self.is_gone = True
        return size

    def understand(self, data: bytes) -> list[bytes]:
        """The texts that are whole with these bytes."""
        texts = self.assembler.feed(data)
        if self.assembler.has_ended:
            self.page.has_ended = self.is_gone = True
            texts += self.assembler.resume_all()
        return texts

    def add_sent(self, count: int) -> None:
        """So many of its texts were sent."""
        self.page.add_sent(count)

    @property
    def has_news(self) -> bool:
        """Whether more was sent than its program was told."""
        return self.page.sent != self._told

    def part(self) -> None:
        """The program that handed it over has gone."""
        visitor, self.visitor = self.visitor, None
        if visitor is not None:
            visitor.close()

    def tell(self) -> None:
        """Let the program that handed it over know that something was sent. Never waits."""
        if self.has_news:
            self._told = self.page.sent
            self.say(b"n")

    def say(self, word: bytes) -> None:
        if self.visitor is not None:
            try:
                self.visitor.send(word, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except OSError:
                # It has gone, or has enough to read; what is said again is no loss.
                pass

    def close(self) -> None:
        """Of one that was handed over; our own stays as it is."""
        if self._is_own or self.is_closed:
            return
        self.is_closed = True
        self.part()
        if self.asked is not None:
            self.asked.close()
        os.close(self.reading)
        self.page.close()
