"""Who begins with the last messages: those in the answer, and those that came while it was waited for."""

from __future__ import annotations

from collections.abc import Collection

from shellbot.bus.frames import covers


class Latest:
    """The first messages of a subscriber, until the end of the answer shows their order.

    Args:
        wanted: How many of the last are wanted.
    """

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self.kept: list[bytes] = []
        self.answer: list[bytes] = []

    def keep(self, frame: bytes) -> bool:
        """Keep what came by itself; whether that alone is enough now."""
        self.kept.append(frame)
        return len(self.kept) >= self._wanted

    def together(self, asked_for: Collection[bytes]) -> list[bytes]:
        """All in the order they were put; both end at the end of the answer.

        Either may have what the other has not: channels whose subscription was not in force yet, or was sent since.
        """
        answer = list(self.answer)
        backwards: list[bytes] = []
        for frame in reversed(self.kept):
            if covers(asked_for, frame):
                while answer and (text := answer.pop()) != frame:
                    backwards.append(text)
            backwards.append(frame)
        return [*answer, *reversed(backwards)]
