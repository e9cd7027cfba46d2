"""What an updater is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from shellbot.events import Message


class Updater(ABC):
    """Takes what was said in an audited group."""

    @abstractmethod
    def put(self, message: Message) -> None:
        """Write it down. Called in a worker thread, so it may block, one at a time for each group.

        Called again with the same ``message.id`` where a crash came between. What it raises is logged, and the message
        is dealt with all the same.
        """
