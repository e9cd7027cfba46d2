"""The settings of the bus, read once into a frozen value, and what a context must be able to do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from shellbot.bus.address import Address, parse_address
from shellbot.errors import ConfigError, GuaranteeUnavailable

DEFAULT_ADDRESS = "tcp://127.0.0.1:5555"
LEVELS = ("fast", "replay", "log", "once")
OFFERED = ("fast", "replay")
POLICIES = ("block", "disconnect", "drop")
SLOW_GRACE, PUT_TIMEOUT, LINGER, PROBE = 0.005, 5.0, 2.0, 0.5
HISTORY = 16 * 1024 * 1024
MIN_HISTORY = 8 * 1024 * 1024
MAX_HISTORY = 1024 * 1024 * 1024
ROOM, MAX_ROOM = 1000, 100_000


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
        guarantee: ``replay`` or ``fast``.
        slow: ``block``, ``disconnect`` or ``drop``: what a reader gets that is too slow.
        slow_grace: Seconds that ``disconnect`` gives it.
        put_timeout: Seconds that put() waits on a full queue.
        linger: Seconds that a stopping publisher waits for readers that take nothing.
        history: Bytes of the ring of past messages.
        room: Messages that a reader's connection takes in before they are read.
        exact_gaps: Whether a gap says exactly how many messages of its channels are gone.
        probe: Seconds of silence after which a waiting subscriber asks whether the bus is there; 0 never.
    """

    address: Address
    guarantee: str = "replay"
    slow: str = "block"
    slow_grace: float = SLOW_GRACE
    put_timeout: float = PUT_TIMEOUT
    linger: float = LINGER
    history: int = HISTORY
    room: int = ROOM
    exact_gaps: bool = False
    probe: float = PROBE

    @classmethod
    def read(cls, context: ContextFace) -> BusOptions:
        """From a context.

        Raises:
            BadAddress, ConfigError: A value cannot be used.
            GuaranteeUnavailable: More was asked for than this version promises.
        """
        guarantee = _one_of(context, "bus.guarantee", LEVELS, "replay")
        if guarantee not in OFFERED:
            text = f"bus.guarantee is {guarantee!r}, but this version promises 'replay' at most; set that, or upgrade"
            raise GuaranteeUnavailable(text, asked=guarantee, offered="replay")
        slow = _one_of(context, "bus.slow", POLICIES, "block")
        if slow == "drop" and guarantee != "fast":
            text = f"bus.slow is 'drop', but bus.guarantee is {guarantee!r}, which loses nothing; set 'fast' with it"
            raise ConfigError(text, key="bus.slow")
        return cls(
            address=parse_address(context.check("bus.address", DEFAULT_ADDRESS)),
            guarantee=guarantee,
            slow=slow,
            slow_grace=_seconds(context, "bus.slow_grace", SLOW_GRACE),
            put_timeout=_seconds(context, "bus.put_timeout", PUT_TIMEOUT),
            linger=_seconds(context, "bus.linger", LINGER),
            history=_whole(context, "bus.history", HISTORY, MIN_HISTORY, MAX_HISTORY, "bytes"),
            room=_whole(context, "bus.room", ROOM, ROOM, MAX_ROOM, "messages"),
            exact_gaps=_is_on(context, "bus.exact_gaps"),
            probe=_seconds(context, "bus.probe", PROBE),
        )


def _one_of(context: ContextFace, key: str, known: tuple[str, ...], default: str) -> str:
    value = context.check(key, default)
    if value not in known:
        raise ConfigError(f"{key} is {value!r}; it can be one of {', '.join(known)}", key=key)
    found: str = value
    return found


def _is_on(context: ContextFace, key: str) -> bool:
    value = context.check(key, False)
    if value in (True, "true", "on", "yes", "1"):
        return True
    if value in (False, None, "false", "off", "no", "0"):
        return False
    raise ConfigError(f"{key} is {value!r}; it should be true or false", key=key)


def _whole(context: ContextFace, key: str, default: int, least: int, most: int, unit: str) -> int:
    value = context.check(key, default)
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if type(value) is not int or not least <= value <= most:
        raise ConfigError(f"{key} is {value!r}; it should be {least:,} to {most:,} {unit}", key=key)
    return value


def _seconds(context: ContextFace, key: str, default: float) -> float:
    value = context.check(key, default)
    try:
        seconds = float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key} is {value!r}; it should be a number of seconds", key=key) from error
    if not math.isfinite(seconds) or seconds < 0:
        raise ConfigError(f"{key} is {value!r}; it should be 0 or more seconds", key=key)
    return seconds
