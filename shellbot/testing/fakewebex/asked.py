"""What was asked of the platform."""

from __future__ import annotations

from typing import NamedTuple

from shellbot.testing.fakewebex.state import Account


class Asked(NamedTuple):
    """One request. ``path`` is below ``/v1/``; ``status`` is 0 where the connection was broken instead of an answer."""

    method: str
    path: str
    status: int
    who: Account | None
