"""What the ends of a bus have counted, under the names of one dictionary."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from shellbot.bus.fan import Fan
from shellbot.bus.hub.local import COUNTER
from shellbot.bus.options import ContextFace

if TYPE_CHECKING:
    from shellbot.bus.subscriber import Subscriber

NAMES = (
    "put",
    "sent",
    "delivered",
    "replayed",
    "gaps",
    "dropped",
    "dead_letters",
    "reconnects",
    "depth",
    "restarts",
)


def counted_of_publisher(fan: Any, context: ContextFace, restarts: int) -> dict[str, int]:
    """Of one publisher, by its queue, whoever reads that."""
    if type(fan) is not Fan:
        sent, depth = context.get(COUNTER, 0), _queued(fan)
        return {"put": sent + depth, "sent": sent, "dropped": 0, "depth": depth, "restarts": restarts}
    page = fan.page
    queued = _queued(fan)
    if queued and page.is_closing and not page.has_ended:
        # The mark of the end is in the queue too.
        queued -= 1
    taken, sent = page.taken, page.sent
    # Where nobody will ever read again, what is queued is lost.
    lost = queued if page.is_over else 0
    return {
        "put": taken + page.given_up + queued,
        "sent": sent,
        "dropped": page.given_up + page.unfinished + lost,
        "depth": max(0, taken - sent) + queued - lost,
        "restarts": restarts,
    }


def counted_of_subscriber(subscriber: Subscriber) -> dict[str, int]:
    """Of one subscriber."""
    return {
        "delivered": subscriber.delivered,
        "replayed": subscriber.replayed,
        "gaps": subscriber.gaps,
        "dead_letters": subscriber.broken,
        "reconnects": subscriber.reconnects,
    }


def added(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    """All names, each the sum of what these have of it."""
    total = dict.fromkeys(NAMES, 0)
    for part in parts:
        for name, count in part.items():
            total[name] += count
    return total


def _queued(fan: Any) -> int:
    try:
        found: int = fan.qsize()
    except NotImplementedError:
        # The system cannot look into a pipe.
        return 0
    return found
