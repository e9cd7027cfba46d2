"""The bus: publish to channels, subscribe to channels, over one address."""

from shellbot.bus.bus import Bus
from shellbot.bus.frames import Frame, Gap
from shellbot.bus.publisher import Publisher
from shellbot.bus.subscriber import Subscriber

__all__ = ["Bus", "Frame", "Gap", "Publisher", "Subscriber"]
