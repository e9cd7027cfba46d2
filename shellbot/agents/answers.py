"""What ``post`` gives: a future that reports, once, an error nobody has taken from it."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Generator
from typing import Any

from shellbot.errors import AgentStopped

Report = Callable[[BaseException, str], None]


class Answer(asyncio.Future[Any]):
    """What a turn gives. An error in it that nobody ever takes is reported when the last reference goes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, report: Report, what: str) -> None:
        super().__init__(loop=loop)
        self._report = report
        self._what = what
        self._is_taken = False

    def result(self) -> Any:
        self._is_taken = self._is_taken or self.done()
        return super().result()

    def exception(self) -> BaseException | None:
        self._is_taken = self._is_taken or self.done()
        return super().exception()

    def __await__(self) -> Generator[Any, None, Any]:
        try:
            return (yield from super().__await__())
        finally:
            self._is_taken = self._is_taken or self.done()

    def __del__(self) -> None:
        if not self._is_taken and self.done() and not self.cancelled():
            error = super().exception()
            if error is not None and not isinstance(error, AgentStopped):  # a stop is no error of the turn
                self._report(error, self._what)


class ThreadAnswer(concurrent.futures.Future[Any]):
    """The same for who waits in another thread."""

    def __init__(self, report: Report, what: str) -> None:
        super().__init__()
        self._report_error = report
        self._what = what
        self._is_taken = False

    def result(self, timeout: float | None = None) -> Any:
        self.exception(timeout)
        return super().result()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        error = super().exception(timeout)
        self._is_taken = True
        return error

    def __del__(self) -> None:
        if not self._is_taken and self.done() and not self.cancelled():
            error = super().exception()
            if error is not None and not isinstance(error, AgentStopped):
                self._report_error(error, self._what)


def hand_over(turn: asyncio.Future[Any], answer: ThreadAnswer) -> None:
    """Give what the turn gave to who waits in another thread."""
    if not answer.set_running_or_notify_cancel():
        return  # nobody waits there any more: the turn's own answer reports an error
    if (error := turn.exception()) is not None:
        answer.set_exception(error)
    else:
        answer.set_result(turn.result())
