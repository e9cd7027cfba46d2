"""shellbot: a coordination bus for chat bots, and the chat-bot server on it.

Names are loaded on first use, so that importing shellbot costs nothing that is not needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shellbot.context import Context

__version__ = "26.11.0"

_HOMES = {
    "Context": "shellbot.context",
}

__all__ = ["Context", "__version__"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'shellbot' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOMES))
