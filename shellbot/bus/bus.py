"""Bus: the two ends of one address."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from shellbot.bus.counters import added, counted_of_subscriber
from shellbot.bus.options import DEFAULT_ADDRESS, BusOptions, ContextFace
from shellbot.bus.publisher import Publisher
from shellbot.bus.subscriber import Subscriber


class Bus:
    """A coordination bus: publish to channels, subscribe to channels.

    Args:
        context: Settings; those of the bus are under ``bus.``.

    Source: shellbot 2017.
    """

    DEFAULT_ADDRESS = DEFAULT_ADDRESS

    def __init__(self, context: ContextFace) -> None:
        self.context = context
        self._ends: WeakKeyDictionary[Publisher | Subscriber, None] = WeakKeyDictionary()

    def check(self) -> None:
        """Make sure of the settings; ``bus.address`` is filled in where it is absent.

        Raises:
            BadAddress, ConfigError: A setting cannot be used; the text says why.
            GuaranteeUnavailable: More was asked for than this version promises.
        """
        self.context.check("bus.address", self.DEFAULT_ADDRESS)
        BusOptions.read(self.context)

    def subscribe(self, channels: str | list[str] | tuple[str, ...], last: int = 0) -> Subscriber:
        """A subscriber, not connected before it is first used.

        Args:
            channels: One name, or several; ``''`` is all channels.
            last: Begin with so many messages from before, where the bus still has them; 0 to 1,000,000.

        Raises:
            InvalidChannel: No channel, or one that is not valid. Or as check().
            ConfigError: ``last`` is no such number.
        """
        self.check()
        subscriber = Subscriber(self.context, channels, last)
        self._ends[subscriber] = None
        return subscriber

    def publish(self) -> Publisher:
        """A publisher, not started yet; use it with ``with``, or call start() and close().

        Raises:
            BadAddress: Other machines could connect. Or as check().
        """
        self.check()
        _ = BusOptions.read(self.context).address.to_bind
        publisher = Publisher(self.context)
        self._ends[publisher] = None
        return publisher

    def counters(self) -> dict[str, int]:
        """What all ends that were made here have counted; those that exist no more count no more.

        ================  ===========================================================================================
        ``put``           Messages handed over, by all threads and processes of the publishers' families; one for each
                          channel. It is what was sent, is queued, or was given up.
        ``sent``          Those that were sent to whoever subscribed.
        ``delivered``     Messages that the subscribers gave out.
        ``replayed``      Those of them that came after all: missed while a connection was broken, or put before it.
        ``gaps``          How often something was gone for good at a subscriber.
        ``dropped``       What was put and will not be sent: given up at a stop because no subscriber took it (with
                          ``replay``, what was read is still there for those who come back), and long messages whose
                          writer was killed in the middle. The latter also of other programs, while ours was the hub.
        ``dead_letters``  Frames that came and could not be read.
        ``reconnects``    Connections of the subscribers after the first.
        ``depth``         Messages that are queued now, or in the hands of the hub, which has no room for them yet.
                          Where the system cannot look into a pipe (Linux can), only the latter.
        ``restarts``      Publisher processes that died and were started again.
        ================  ===========================================================================================

        While messages are on their way ``put`` and ``depth`` may miss, for a moment, what the hub has just read. They
        are looked up at each call, which copies at most 1 MiB for each publisher: once a second is cheap.

        Runs in: any thread.
        """
        ends = [end for reference in self._ends.keyrefs() if (end := reference()) is not None]
        return added(end.counters if isinstance(end, Publisher) else counted_of_subscriber(end) for end in ends)

    def __getstate__(self) -> dict[str, Any]:
        """Ends belong to the process that made them."""
        return {name: value for name, value in self.__dict__.items() if name != "_ends"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._ends = WeakKeyDictionary()
