"""What the process behind a publisher does while another one is the hub: it has handed over its queue, and waits."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from time import monotonic

from shellbot.bus.fan import Fan, bytes_in
from shellbot.bus.hub.life import Life
from shellbot.bus.hub.local import BLIND_SECONDS, Local
from shellbot.errors import QueueFull

# How often it is looked whether the hub has emptied the queue, when that is all that is waited for.
_DRAIN_MS = 2


class HubGone(Exception):
    """The hub has ended."""


class Feeder:
    """Waits beside a hub.

    Args:
        hub: The connection over which the queue was handed.
        fan: The queue that the hub reads.
        local: Where the texts come from, when not from that queue; then they are put into it here.
        count: Called when the hub has told how far it is.
    """

    def __init__(
        self, hub: socket.socket, fan: Fan, life: Life, count: Callable[[], object], local: Local | None = None
    ) -> None:
        self._hub = hub
        self._fan = fan
        self._life = life
        self._count = count
        self._local = local
        self._poller = select.poll()
        self._poller.register(hub, select.POLLIN)
        self._serving = dict(life.watched())
        for descriptor in self._serving:
            self._poller.register(descriptor, select.POLLIN)
        if local is not None and local.reading >= 0:
            self._poller.register(local.reading, select.POLLIN)
        hub.setblocking(False)

    def run(self) -> bool:
        """Until this program ends: True; or the hub does: False."""
        try:
            self._run()
            return True
        except HubGone:
            return False
        finally:
            self._count()
            self._hub.close()

    def _run(self) -> None:
        page = self._fan.page
        left, since = -1, 0.0
        while not page.has_ended:
            is_local_over = False
            if self._local is not None:
                self._local.work()
                is_local_over = self._local.has_ended
            now = monotonic()
            must_stop = self._life.must_stop(now)
            is_over = is_local_over or (page.is_closing and self._local is None) or must_stop
            if is_over:
                before, left = left, bytes_in(self._fan.reading)
                since = now if left != before else since
                # A hub that is stopped takes nothing; whoever stops us does not wait for ever.
                if not left or (must_stop and now - since > self._life.drain_limit):
                    return
            self._sleep(is_over)

    def _sleep(self, is_draining: bool) -> None:
        patience = self._life.patience(None)
        if is_draining:
            patience = _DRAIN_MS
        elif self._local is not None and self._local.reading < 0:
            patience = BLIND_SECONDS * 1000
        for descriptor, _ in self._poller.poll(patience):
            if descriptor == self._hub.fileno():
                self._hear()
            elif action := self._serving.get(descriptor):
                action()

    def _hear(self) -> None:
        """What the hub says: how far it is, or that the queue has ended; its end is the end of the connection."""
        try:
            data = self._hub.recv(64)
        except BlockingIOError:
            return
        except OSError as error:
            raise HubGone from error
        if not data:
            raise HubGone
        self._count()

    def put(self, text: bytes) -> None:
        """Into the queue that the hub reads; waits while that is full.

        Raises:
            HubGone: It took nothing, and has ended.
        """
        while True:
            try:
                self._fan.put_text(b"", text, 0.0)
                return
            except QueueFull:
                poller = select.poll()
                poller.register(self._fan.fileno(), select.POLLOUT)
                poller.register(self._hub, select.POLLIN)
                for descriptor, _ in poller.poll():
                    if descriptor == self._hub.fileno():
                        self._hear()
