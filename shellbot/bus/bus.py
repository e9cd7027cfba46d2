"""Bus: the two ends of one address."""

from __future__ import annotations

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
        return Subscriber(self.context, channels, last)

    def publish(self) -> Publisher:
        """A publisher, not started yet; use it with ``with``, or call start() and close().

        Raises:
            BadAddress: Other machines could connect. Or as check().
        """
        self.check()
        _ = BusOptions.read(self.context).address.to_bind
        return Publisher(self.context)
