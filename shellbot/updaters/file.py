"""A file of one line of JSON for each message."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from shellbot.events import Message
from shellbot.updaters.base import Updater


class FileUpdater(Updater):
    """Appends to a file that only this user can read: ``id``, ``time``, ``channel``, ``person``, ``name``, ``text``
    and the names of ``files``.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._gate = threading.Lock()

    def put(self, message: Message) -> None:
        line = json.dumps(
            {
                "id": message.id,
                "time": message.time.isoformat(),
                "channel": message.channel.id,
                "person": message.person.id,
                "name": message.person.name,
                "text": message.text,
                "files": [file.name for file in message.files],
            },
            ensure_ascii=False,
        )
        with self._gate:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            with os.fdopen(os.open(self.path, flags, 0o600), "ab") as file:
                file.write(line.encode("utf-8", "backslashreplace") + b"\n")
