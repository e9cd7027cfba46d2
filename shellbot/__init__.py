"""shellbot: a coordination bus for chat bots, and the chat-bot server on it.

Names are loaded on first use, so that importing shellbot costs nothing that is not needed.
"""

from importlib import import_module

# Known to type checkers by this name; typing itself is not loaded.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from shellbot.bot import ShellBot
    from shellbot.bus.bus import Bus
    from shellbot.bus.frames import Frame, Gap
    from shellbot.bus.publisher import Publisher
    from shellbot.bus.subscriber import Subscriber
    from shellbot.commands.base import Command
    from shellbot.commands.dialog import Dialog
    from shellbot.context import Context
    from shellbot.engine import Engine
    from shellbot.events import Channel
    from shellbot.machines.factory import MachineFactory

__version__ = "26.11.0"

_HOMES = {
    "Bus": "shellbot.bus.bus",
    "Channel": "shellbot.events",
    "Command": "shellbot.commands.base",
    "Context": "shellbot.context",
    "Dialog": "shellbot.commands.dialog",
    "Engine": "shellbot.engine",
    "Frame": "shellbot.bus.frames",
    "Gap": "shellbot.bus.frames",
    "MachineFactory": "shellbot.machines.factory",
    "Publisher": "shellbot.bus.publisher",
    "ShellBot": "shellbot.bot",
    "Subscriber": "shellbot.bus.subscriber",
}

__all__ = [
    "Bus",
    "Channel",
    "Command",
    "Context",
    "Dialog",
    "Engine",
    "Frame",
    "Gap",
    "MachineFactory",
    "Publisher",
    "ShellBot",
    "Subscriber",
    "__version__",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'shellbot' has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOMES))
