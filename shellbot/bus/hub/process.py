"""The body of the process behind a publisher: become the hub of the address, or hand the queue to the one there is, and
go on from there whenever that one ends."""

from __future__ import annotations

import logging
import select
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any

from shellbot.bus import transports
from shellbot.bus.fan import Fan
from shellbot.bus.frames import welcome
from shellbot.bus.hub.feeder import Feeder
from shellbot.bus.hub.intake import Intake
from shellbot.bus.hub.life import Life
from shellbot.bus.hub.local import COUNTER, Local, Socket
from shellbot.bus.hub.loop import Hub
from shellbot.bus.hub.rules import Rules
from shellbot.bus.hub.seat import Seat, hand_over, is_served
from shellbot.bus.options import BusOptions, ContextFace
from shellbot.bus.page import Page
from shellbot.errors import AddressInUse, BusError, GuaranteeUnavailable

logger = logging.getLogger(__name__)

_AGAIN_MS = 2
# A hub that was killed leaves its port a moment after its lock.
_BIND_PATIENCE = 1.0
# One that has the seat and does not answer for so long is stopped, or broken.
_DOOR_PATIENCE = 10.0


class Process:
    """One publisher's way through the roles of hub and guest.

    Args:
        fan: The queue of the program; any queue that was put in the place of ours.
        asked: Where wait_ready() of the program asks; each hub in turn answers.
        process: In place of sending a text; for a Publisher with a ``process()`` of its own.
        is_again: Another process has begun this and was killed.
        expose: Called with what ``Publisher.socket`` should show.
        begun: Called once, when texts are taken: by this process as the hub, or by another that is.

    Runs in: the publisher process; or the thread that called ``run()``.
    """

    def __init__(
        self,
        options: BusOptions,
        context: ContextFace,
        fan: Any,
        asked: socket.socket,
        life: Life,
        *,
        process: Callable[[str], object] | None,
        is_again: bool,
        expose: Callable[[Any], object],
        begun: Callable[[], object],
    ) -> None:
        self._options = options
        self._rules = Rules.of(options)
        self._context = context
        self._asked = asked
        self._life = life
        self._expose = expose
        self._begun = begun
        self._is_known = False
        self._send: Callable[[bytes], object] = _nowhere
        is_ours = type(fan) is Fan
        self._local: Local | None = None
        if process is not None or not is_ours:
            self._local = Local(fan, process or (lambda text: self._send(text.encode(errors="surrogateescape"))))
        # Others read from our own kind of queue only.
        self._fan: Fan = fan if is_ours and self._local is None else Fan(options.put_timeout)
        self._page: Page = fan.page if is_ours else self._fan.page
        self._counted: int = context.get(COUNTER, 0) if is_again else self._fan.page.sent
        if not is_again:
            context.set(COUNTER, 0)
            self._page.has_ended = False

    def run(self) -> None:
        """Until the program ends.

        Raises:
            AddressInUse: Another program, not of shellbot or not of this user, has the address; or the hub is stuck.
            GuaranteeUnavailable: The bus there promises less than this program asks for.
            BadAddress, StorageFull, BusUnavailable: As they say.
        """
        self._page.begin_reading()
        seat = transports.load(self._options.address).seat(self._options.address)
        since = monotonic()
        try:
            while not self._life.must_stop(monotonic()):
                if seat.claim():
                    self._sit(seat)
                    return
                if self._feed(seat):
                    return
                if self._is_known:
                    self._is_known, since = False, monotonic()
                elif monotonic() - since > _DOOR_PATIENCE:
                    where = self._options.address.url
                    text = f"process {seat.holder} publishes on {where} and does not answer; is it stopped?"
                    raise AddressInUse(text, address=where)
                select.select([], [], [], _AGAIN_MS / 1000)
        finally:
            seat.release()

    # -- the hub

    def _sit(self, seat: Seat) -> None:
        """Be the hub until the program ends."""
        rules, address = self._rules, self._options.address
        ring = seat.ring(rules.history) if rules.keeps_history else None
        end = self._bind(ring.epoch if ring else 0)
        own = Intake.of_fan(self._fan, self._asked)
        hub = Hub(end, seat.open_door(), ring, rules, own, self._life, self._count, self._local)
        self._send = lambda text: hub.accept([text])
        self._expose(end.socket if self._local is None else Socket(self._send, end.socket))
        if ring is not None and not ring.is_new:
            logger.info("went on as the hub of %s at message %d", address.url, ring.position)
        self._tell_begun()
        try:
            hub.accept_early(self._fan)
            hub.run()
        finally:
            # What is in the ring is sent by the next hub.
            is_inherited = hub.has_guests and ring is not None
            end.close(0.0 if is_inherited else self._life.closing_time)
            self._expose(None)
            seat.release(is_last=not hub.has_guests)

    def _bind(self, epoch: int) -> transports.SendingEnd:
        address = self._options.address
        since = monotonic()
        while True:
            try:
                if address.scheme == "ipc" and is_served(address.place):
                    # A second bind would take the path away from it without a word.
                    raise AddressInUse(f"another program listens on {address.url} already", address=address.url)
                return transports.load(address).bind(address, welcome(epoch), self._rules.slow)
            except AddressInUse:
                if monotonic() - since > _BIND_PATIENCE:
                    raise
                select.select([], [], [], _AGAIN_MS / 1000)

    # -- a guest

    def _feed(self, seat: Seat) -> bool:
        """Hand over the queue, and wait; whether the program has ended meanwhile."""
        connection = seat.visit(_DOOR_PATIENCE)
        if connection is None:
            return False
        descriptors = [self._fan.reading, self._fan.page.descriptor, self._asked.fileno()]
        answer = hand_over(connection, self._options.guarantee, descriptors)
        if answer is None:
            connection.close()
            return False
        if answer.refused:
            connection.close()
            self._raise_refused(answer.refused, answer.offered)
        self._rules = self._rules.adopted(answer)
        self._is_known = True
        logger.info("process %d is the hub of %s; it has our queue", answer.pid, self._options.address.url)
        feeder = Feeder(connection, self._fan, self._life, self._count, self._local)
        self._send = feeder.put
        self._expose(Socket(self._send) if self._local is not None else connection)
        self._tell_begun()
        has_ended = feeder.run()
        if not has_ended:
            logger.info("the hub of %s has ended pid=%d", self._options.address.url, answer.pid)
        return has_ended

    def _raise_refused(self, why: str, offered: str) -> None:
        address, asked = self._options.address.url, self._options.guarantee
        if offered:
            text = f"{why}, and this program asks for {asked!r}: set bus.guarantee to '{offered}', or stop that process"
            raise GuaranteeUnavailable(text, asked=asked, offered=offered)
        raise AddressInUse(f"the program that publishes on {address} lets us not in: {why}", address=address)

    def _tell_begun(self) -> None:
        begun, self._begun = self._begun, _nothing
        begun()

    def _count(self) -> None:
        """Let others see how much was sent."""
        sent = self._fan.page.sent
        more, self._counted = sent - self._counted, sent
        if more:
            self._context.increment(COUNTER, more)
            if self._page is not self._fan.page:
                self._page.add_sent(more)


def _nowhere(text: bytes) -> None:
    raise BusError("nothing can be sent before the process runs")


def _nothing() -> None:
    return
