"""Where an audited group is copied to: one place each, behind one method."""

from shellbot.updaters.base import Updater
from shellbot.updaters.file import FileUpdater

__all__ = ["FileUpdater", "Updater"]
