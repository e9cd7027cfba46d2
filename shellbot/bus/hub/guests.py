"""Other programs on the address: they come in at the door with their queues, leave, and may come again."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from typing import Any

import msgspec

from shellbot.bus.hub.facts import Facts
from shellbot.bus.hub.intake import Intake
from shellbot.bus.hub.rules import Rules
from shellbot.bus.hub.seat import Answer, receive
from shellbot.bus.hub.waiters import Waiters
from shellbot.bus.hub.watching import Watching
from shellbot.bus.page import Page
from shellbot.bus.records import Assembler

logger = logging.getLogger(__name__)


class Guests:
    """The queues that the hub reads, its own among them.

    Args:
        take_over: Called with each queue that was not read here before.
        facts: What is told to those who only look.

    Attributes:
        intakes: By descriptor.
    """

    def __init__(
        self,
        door: socket.socket,
        own: Intake,
        rules: Rules,
        assembler: Assembler,
        watching: Watching,
        waiters: Waiters,
        *,
        take_over: Callable[[Intake], object],
        facts: Callable[[], Facts],
    ) -> None:
        self.intakes: dict[int, Intake] = {}
        self._door = door
        self._rules = rules
        self._assembler = assembler
        self._watching = watching
        self._waiters = waiters
        self._take_over = take_over
        self._facts = facts
        own.assembler = assembler
        take_over(own)
        self._add(own)
        watching.listen(door.fileno(), self._open)

    def are_there(self) -> bool:
        """Whether another program would go on with this address."""
        return any(intake.visitor is not None for intake in self.intakes.values())

    def _open(self) -> None:
        """Somebody has come; what it brings is taken when it is there."""
        try:
            connection, _ = self._door.accept()
        except OSError:
            return
        connection.setblocking(False)
        self._watching.listen(connection.fileno(), lambda: self._let_in(connection))

    def _let_in(self, connection: socket.socket) -> None:
        self._watching.ignore(connection.fileno())
        guest = receive(connection)
        if isinstance(guest, str):
            logger.warning("refused a program at the door: %s", guest)
            self._refuse(connection, guest)
        elif guest.hello.is_look:
            self._watching.listen(connection.fileno(), lambda: self._be_looked_at(connection))
            _send(connection, self._rules.answer(os.getpid()))
        elif not self._rules.covers(guest.hello.guarantee):
            for descriptor in guest.descriptors:
                os.close(descriptor)
            text = f"process {os.getpid()} runs this bus at '{self._rules.guarantee}'"
            self._refuse(connection, text, self._rules.guarantee)
        else:
            reading, page, asked = guest.descriptors
            intake = Intake(reading, Page(page), self._assembler, socket.socket(fileno=asked), connection)
            known = [known for known in self.intakes.values() if known.number == intake.number]
            for one in known:
                # Its process was started again.
                self.remove(one)
            if not known:
                self._take_over(intake)
            self._add(intake)
            self._watching.listen(connection.fileno(), lambda: self._let_go(intake))
            _send(connection, self._rules.answer(os.getpid()))
            logger.info("another program publishes here pid=%d programs=%d", guest.hello.pid, len(self.intakes))

    def _refuse(self, connection: socket.socket, why: str, offered: str = "") -> None:
        _send(connection, Answer(os.getpid(), refused=why, offered=offered))
        connection.close()

    def _add(self, intake: Intake) -> None:
        self.intakes[intake.reading] = intake
        self._watching.listen(intake.reading)
        asked = intake.asked
        if asked is not None:
            self._watching.listen(asked.fileno(), lambda: self._waiters.take(asked))

    def _be_looked_at(self, connection: socket.socket) -> None:
        """Somebody who only looks asks, or goes."""
        try:
            data = connection.recv(16)
        except OSError:
            data = b""
        if data:
            _send(connection, self._facts())
        else:
            self._watching.ignore(connection.fileno())
            connection.close()

    def _let_go(self, intake: Intake) -> None:
        """Its process has gone; what it has queued is still sent, and it may come again with the same queue."""
        if intake.visitor is None:
            return
        try:
            if intake.visitor.recv(16):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._watching.ignore(intake.visitor.fileno())
        intake.part()
        if intake.page.is_over and not intake.waiting_bytes:
            self.remove(intake)

    def remove(self, intake: Intake) -> None:
        """Its queue has ended, or is another's now."""
        del self.intakes[intake.reading]
        self._watching.ignore(intake.reading)
        for end in (intake.visitor, intake.asked):
            if end is not None:
                self._watching.ignore(end.fileno())
        intake.close()

    def close(self) -> None:
        for intake in list(self.intakes.values()):
            intake.tell()
            intake.close()


def _send(connection: socket.socket, answer: Any) -> None:
    try:
        connection.send(msgspec.json.encode(answer))
    except OSError:
        # It has gone meanwhile.
        pass
