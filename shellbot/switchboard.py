"""The bus as the bots of one process see it: one subscriber, one way out, an envelope opened once.

Nothing here waits for the bus: what cannot be put at once stands in a bounded line and goes out when the queue to the
publisher takes it again, in the order it was said. What is said first in a step of the loop goes out at once, and the
rest of it together in the next: a write costs more than what is written. Of very much only a slice goes out in each
step, so that what comes back is read in between: our own reader would else be cut off as one that takes nothing. What
is said on a channel before the publisher knows that we listen there would reach nobody, so it is kept until then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from logging import getLogger
from typing import Any, Protocol

from shellbot.bus.bus import Bus
from shellbot.bus.frames import Frame
from shellbot.bus.subscriber import Subscriber
from shellbot.envelope import Envelope, Seal, Side
from shellbot.errors import AuthenticationFailed, BusClosed, BusTimeout, NotRunning, QueueFull

logger = getLogger(__name__)

Hear = Callable[[str, Envelope], None]
MAX_LINE = 100_000  # messages that may stand in line for a publisher that takes nothing
SLICE = 128  # messages put in one step of the loop; some four slices are on their way to a reader with room for 1,000
PATIENCE = 5.0  # seconds for the publisher to answer; then it is asked again
EACH = 10e-6  # seconds that a change of what is listened to waits for others, for each channel: it costs a look at all


class Feed(Protocol):
    """What the switchboard needs of a publisher."""

    def addressed(self, channel: str, text: bytes) -> bytes: ...

    def put_encoded(self, texts: Sequence[bytes]) -> int: ...

    def fileno(self) -> int: ...


class Switchboard:
    """Connects the bots of one process with the bus. Belongs to the engine's loop."""

    def __init__(self, bus: Bus, feed: Feed, seal: Seal) -> None:
        self.seal = seal
        self._bus = bus
        self._feed = feed
        self._line: deque[bytes] = deque()
        self._room = SLICE  # messages that may go out before the loop's next step; untouched, none has
        self._is_waiting = False
        self._hear: dict[tuple[str, Side], list[Hear]] = {}
        self._held: dict[str, int] = {}  # channel -> how many listen
        self._fresh: dict[str, None] = {}  # channels to subscribe to, together
        self._gone: dict[str, None] = {}  # channels to unsubscribe from
        self._unsure: dict[
            str, int
        ] = {}  # channels of which the publisher may not know yet -> number of their listen()
        self._listens = 0
        self._early: list[tuple[str, bytes]] = []  # what is said there meanwhile
        self._assuring: asyncio.Task[None] | None = None
        self._change: asyncio.TimerHandle | None = None
        self._subscriber: Subscriber | None = None
        self._reader: asyncio.Task[None] | None = None
        self.strangers = 0  # frames that looked like ours and carried no valid seal

    def put(self, channel: str, envelope: Envelope) -> None:
        """Say something on a direct channel. Never waits; who listens there by now hears it, and nobody twice.

        Raises:
            QueueFull: 100,000 messages stand in line already; the bus has been stuck for long.
            InvalidMessage: The body cannot travel.
        """
        if len(self._line) + len(self._early) >= MAX_LINE:
            raise QueueFull(f"the bus takes nothing and {MAX_LINE:,} messages wait; look at the publisher process")
        text = self._feed.addressed(channel, self.seal.close(channel, envelope))
        if channel in self._unsure:
            self._early.append((channel, text))
            if self._assuring is None:
                self._assuring = asyncio.create_task(self._assure(), name="switchboard assures")
            return
        self._line.append(text)
        if not self._is_waiting and self._room == SLICE:
            self._pump()

    def listen(self, channel: str, side: Side, hear: Hear) -> None:
        """Call ``hear(channel, envelope)`` for what ``side`` says on ``channel``; see :meth:`in_force`."""
        self._hear.setdefault((channel, side), []).append(hear)
        self._held[channel] = self._held.get(channel, 0) + 1
        if self._held[channel] > 1:
            return
        self._listens += 1
        if channel not in self._gone:
            self._unsure[channel] = self._listens
        if self._subscriber is None:
            self._subscriber = self._bus.subscribe(channel)
            self._reader = asyncio.create_task(self._read(self._subscriber), name="switchboard")
        elif channel in self._gone:
            del self._gone[channel]
        else:
            self._fresh[channel] = None
            self._change_soon()

    def ignore(self, channel: str, side: Side, hear: Hear) -> None:
        """Undo one :meth:`listen`."""
        hears = self._hear.get((channel, side), [])
        if hear not in hears:
            return
        hears.remove(hear)
        if not hears:
            del self._hear[channel, side]
        self._held[channel] -= 1
        if self._held[channel]:
            return
        del self._held[channel]
        if self._unsure.pop(channel, None) is not None:
            self._release()
        if channel in self._fresh:
            del self._fresh[channel]
        else:
            self._gone[channel] = None
            self._change_soon()

    async def in_force(self, timeout: float) -> None:
        """Return once the publisher knows of all we listen to.

        Raises:
            BusTimeout: It did not answer in time; it may be stopped.
        """
        self._subscribe()
        asked = self._listens
        if self._subscriber is None:
            return
        await self._subscriber.aio.wait_ready(timeout)
        self._unsure = {channel: number for channel, number in self._unsure.items() if number > asked}
        self._release()

    async def _assure(self) -> None:
        """See to it that what was said early goes out."""
        try:
            while self._early:
                try:
                    await self.in_force(PATIENCE)
                except BusTimeout as error:
                    logger.warning("what is said to who has just come waits, messages=%d: %s", len(self._early), error)
        except BusClosed:
            pass
        finally:
            self._assuring = None

    def _release(self) -> None:
        """What waited for its channel to be listened to goes out."""
        if not self._early:
            return
        early, self._early = self._early, []
        for channel, text in early:
            if channel in self._unsure:
                self._early.append((channel, text))
            else:
                self._line.append(text)
        if not self._is_waiting:
            self._pump()

    async def stop(self) -> None:
        """Hear nothing more, and let the line go out as far as the queue takes it at once."""
        if self._change is not None:
            self._change.cancel()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._subscriber is not None:
            self._subscriber.close()
        if self._assuring is not None:
            self._assuring.cancel()
        self._unsure.clear()
        self._room = MAX_LINE + 1
        self._release()
        self._pump()
        self._rest()
        if self._line:
            logger.warning(
                "bus stopped with %d messages not handed over; they are said again after a restart", len(self._line)
            )

    def _change_soon(self) -> None:
        if self._change is None:
            loop = asyncio.get_running_loop()
            self._change = loop.call_later(len(self._held) * EACH, self._subscribe)

    def _subscribe(self) -> None:
        """Tell the subscriber what has changed."""
        if self._change is not None:
            self._change.cancel()
            self._change = None
        fresh, self._fresh = self._fresh, {}
        gone, self._gone = self._gone, {}
        if self._subscriber is None or self._subscriber.is_closed:
            return
        if fresh:
            self._subscriber.add(list(fresh))
        if gone:
            self._subscriber.remove(list(gone))

    def _pump(self) -> None:
        if self._room == SLICE and self._line:
            asyncio.get_running_loop().call_soon(self._go_on)
        while texts := list(islice(self._line, self._room)):
            try:
                taken = self._feed.put_encoded(texts)
            except QueueFull:
                if not self._is_waiting:
                    self._is_waiting = True
                    asyncio.get_running_loop().add_writer(self._feed.fileno(), self._pump)
                return
            except (NotRunning, BusClosed) as error:
                logger.error("what is said cannot be put, messages=%d: %s", len(self._line), error)
                self._line.clear()
            else:
                self._room -= taken
                for _ in range(taken):
                    self._line.popleft()
        self._rest()

    def _go_on(self) -> None:
        self._room = SLICE
        if not self._is_waiting:
            self._pump()

    def _rest(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            asyncio.get_running_loop().remove_writer(self._feed.fileno())

    async def _read(self, subscriber: Subscriber) -> None:
        async for item in subscriber.aio.frames():
            if isinstance(item, Frame):
                try:
                    self._dispatch(item.channel, item.message)
                except Exception:  # one frame must not end the hearing of all others
                    logger.exception("frame was not dealt with channel=%s", item.channel)

    def _dispatch(self, channel: str, message: Any) -> None:
        try:
            envelope = self.seal.open(channel, message)
        except AuthenticationFailed as error:
            self.strangers += 1
            if self.strangers & (self.strangers - 1) == 0:  # the 1st, 2nd, 4th, 8th ...: a flood must not fill the log
                logger.warning("ignored %d frames so far: %s", self.strangers, error)
            return
        if envelope is None:
            return
        for hear in tuple(self._hear.get((channel, envelope.side), ())):
            hear(channel, envelope)

    def channels(self) -> Iterable[str]:
        """What is listened to now."""
        return tuple(self._held)
