"""The settings of the bus, read once into a frozen value, and what a context must be able to do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from shellbot.bus.address import Address, parse_address
from shellbot.errors import ConfigError, GuaranteeUnavailable

DEFAULT_ADDRESS = "tcp://127.0.0.1:5555"
LEVELS = ("fast", "replay", "log", "once")


class ContextFace(Protocol):
    """What the bus needs of a context."""

    def get(self, key: str, default: Any = None) -> Any: ...
    def set(self, key: str, value: Any) -> None: ...
    def check(self, key: str, default: Any = None) -> Any: ...
    def increment(self, key: str, delta: int = 1) -> int: ...


@dataclass(frozen=True, slots=True)
class BusOptions:
    """The settings under ``bus.``.

    Attributes:
        put_timeout: Seconds that put() waits on a full queue.
        linger: Seconds that a stopping publisher waits for readers that take nothing.
    """

    address: Address
    guarantee: str = "fast"
    slow: str = "block"
    put_timeout: float = 5.0
    linger: float = 2.0

    @classmethod
    def read(cls, context: ContextFace) -> BusOptions:
        """From a context.

        Raises:
            BadAddress, ConfigError: A value cannot be used.
            GuaranteeUnavailable: More was asked for than this version promises.
        """
        guarantee = context.check("bus.guarantee", "fast")
        if guarantee not in LEVELS:
            text = f"bus.guarantee is {guarantee!r}; it can be one of {', '.join(LEVELS)}"
            raise ConfigError(text, key="bus.guarantee")
        if guarantee != "fast":
            text = f"bus.guarantee is {guarantee!r}, but this version promises 'fast' only; set that, or upgrade"
            raise GuaranteeUnavailable(text, asked=guarantee, offered="fast")
        slow = context.check("bus.slow", "block")
        if slow != "block":
            text = f"bus.slow is {slow!r}; this version knows 'block' only: put() waits for the slowest reader"
            raise ConfigError(text, key="bus.slow")
        return cls(
            address=parse_address(context.check("bus.address", DEFAULT_ADDRESS)),
            put_timeout=_seconds(context, "bus.put_timeout", 5.0),
            linger=_seconds(context, "bus.linger", 2.0),
        )


def _seconds(context: ContextFace, key: str, default: float) -> float:
    value = context.check(key, default)
    try:
        seconds = float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key} is {value!r}; it should be a number of seconds", key=key) from error
    if not math.isfinite(seconds) or seconds < 0:
        raise ConfigError(f"{key} is {value!r}; it should be 0 or more seconds", key=key)
    return seconds
