"""Commands: what people can say to a bot."""

from shellbot.commands.base import Command
from shellbot.commands.dialog import Dialog
from shellbot.commands.echo import Echo
from shellbot.commands.help import Help
from shellbot.commands.shell import Call, Shell
from shellbot.commands.version import Version

__all__ = ["Call", "Command", "Dialog", "Echo", "Help", "Shell", "Version"]
