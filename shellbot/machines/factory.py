"""Which machine goes with a channel."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from shellbot.errors import MachineError
from shellbot.machines.base import Machine


class MachineFactory:
    """Makes the machine of a bot. Override one of its methods, or name a class.

    It is asked again at each step and after a restart, and has to give the same machine then.

    Args:
        module, name: A subclass of :class:`Machine`, and the module it is in.
        kwargs: For that class.
    """

    def __init__(self, module: str | None = None, name: str | None = None, **kwargs: Any) -> None:
        self.module = module
        self.name = name
        self.kwargs = kwargs

    def get_machine(self, bot: Any) -> Machine | None:
        """The machine for this bot's channel, None if it has none."""
        if bot.is_direct:
            return self.get_machine_for_direct_channel(bot)
        return self.get_machine_for_group_channel(bot)

    def get_machine_for_direct_channel(self, bot: Any) -> Machine | None:
        """The machine for one person's channel."""
        return self.get_default_machine(bot)

    def get_machine_for_group_channel(self, bot: Any) -> Machine | None:
        """The machine for a group's channel."""
        return self.get_default_machine(bot)

    def get_default_machine(self, bot: Any) -> Machine | None:
        """The machine of the class that was named, if any."""
        if self.module is None:
            return None
        return self.get_machine_from_class(bot, self.module, self.name, **self.kwargs)

    def get_machine_from_class(self, bot: Any, module: str, name: str | None, **kwargs: Any) -> Machine:
        """A machine of a class by its name; without, of the one with the module's last name, capitalised.

        Raises:
            MachineError: There is no such class.
        """
        name = name or module.rpartition(".")[2].capitalize()
        try:
            found = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise MachineError(f"no machine {module}.{name}: {error}") from error
        if not (isinstance(found, type) and issubclass(found, Machine)):
            raise MachineError(f"{module}.{name} is no class of machines")
        return found(bot=bot, **kwargs)
