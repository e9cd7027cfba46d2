"""The zone in which people's times of day are read and shown: the setting ``polls.timezone``, or the machine's."""

from __future__ import annotations

import os
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from shellbot.context import Context
from shellbot.errors import ConfigError

_MACHINE = Path("/etc/localtime")


def read_zone(context: Context) -> tzinfo:
    """The zone of this program.

    Raises:
        ConfigError: There is no zone of the name in the setting, or no database of zones.
    """
    name = context.check("polls.timezone")
    if name is None:
        return _of_machine()
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(
            f"polls.timezone: there is no zone {name!r}; write it as Europe/Paris or UTC "
            "(if no name works: pip install tzdata)",
            key="polls.timezone",
        ) from error


def _of_machine() -> tzinfo:
    """What ``TZ`` names, else what the machine is set to: with its changes of clocks, not only today's offset."""
    try:
        if name := os.environ.get("TZ", "").removeprefix(":"):
            return ZoneInfo(name)
        target = _MACHINE.resolve()
        with target.open("rb") as file:
            return ZoneInfo.from_file(file, key=str(target).partition("zoneinfo/")[2] or None)
    except (KeyError, ValueError, OSError):
        return datetime.now().astimezone().tzinfo or UTC  # without its changes of clocks: nothing here tells them
