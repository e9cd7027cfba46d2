"""Questions a bot has open in one channel: asked one at a time, answered by the next line that is no command."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from shellbot.clocks import BaseClock


class Questions:
    """The questions of one channel. Owned by its bot's turns."""

    def __init__(self, clock: BaseClock) -> None:
        self._clock = clock
        self._one = asyncio.Lock()  # first asked, first shown
        self._answer: asyncio.Future[str | None] | None = None
        self.do = ""  # keyword of the command that asks the open one

    async def ask(self, show: Callable[[], None], timeout: float | None, do: str = "") -> str | None:
        """Show a question when its time comes and wait for what is said next.

        Args:
            timeout: Seconds from showing it; None waits for ever.
            do: Keyword of the command that asks.

        Returns:
            The text, or None on time-out.
        """
        async with self._one:
            answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
            self._answer, self.do = answer, do
            timer = self._clock.call_in(timeout, self._give_up, answer) if timeout is not None else None
            try:
                show()
                return await answer
            finally:
                self._answer = None
                if timer is not None:
                    timer.cancel()

    @property
    def is_open(self) -> bool:
        """Whether the next line is an answer."""
        return self._answer is not None and not self._answer.done()

    def answer(self, text: str) -> bool:
        """Answer the open question; False if there is none."""
        if self._answer is None or not self.is_open:
            return False
        self._answer.set_result(text)
        return True

    @staticmethod
    def _give_up(answer: asyncio.Future[str | None]) -> None:
        if not answer.done():
            answer.set_result(None)
