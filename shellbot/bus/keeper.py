"""The keeper: a thread beside a publisher that starts its process again when that dies."""

from __future__ import annotations

import logging
import select
import threading
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from shellbot.bus.lifeline import Waker
from shellbot.errors import ShellbotError

logger = logging.getLogger(__name__)

# A process that dies as soon as it is there is started again after a pause that doubles.
_YOUNG = 0.1
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 2.0
# Where no descriptor tells of the end.
_LOOK_EVERY = 0.5


class Kept(Protocol):
    """The process, as its keeper sees it."""

    @property
    def pid(self) -> int | None: ...
    @property
    def exitcode(self) -> int | None: ...
    @property
    def sentinel(self) -> int: ...


class Keeper:
    """Watches one process until it ends as it should.

    Args:
        process: What pid, exit code and sentinel are read of, always the newest.
        start_again: Starts it; raises what start() raises.
        over: Called when it has ended for good.

    Attributes:
        is_wanted: False once it is not to be started again.

    Runs in: a thread of its own; stop() and wait() from any.
    """

    def __init__(self, process: Kept, start_again: Callable[[], object], over: Callable[[], object]) -> None:
        self.restarts = 0
        self._process = process
        self._start_again = start_again
        self._over = over
        self._ended = threading.Event()
        self._waker = Waker()
        self.is_wanted = True
        self._thread = threading.Thread(target=self._run, name="publisher-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def hurry(self) -> None:
        """Start it now, if that is waited for: somebody waits for what it has to do."""
        self._waker.set()

    def let_end(self) -> None:
        """Do not start it again."""
        self.is_wanted = False
        self._waker.set()

    def wait(self, timeout: float | None) -> bool:
        """Whether the process has ended for good within this time."""
        return self._ended.wait(timeout)

    def has_ended(self) -> bool:
        return self._ended.is_set()

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        try:
            while True:
                since = monotonic()
                self._wait_ended()
                code = self._process.exitcode
                if code == 0 or self._is_over():
                    return
                logger.warning("the publisher process died, starting it again pid=%s exit=%s", self._process.pid, code)
                is_young = monotonic() - since < _YOUNG
                pause = min(2 * pause, _LONGEST_PAUSE) if is_young else _FIRST_PAUSE
                while not self._try(pause if is_young else 0.0):
                    if self._is_over():
                        return
                    pause, is_young = min(2 * pause, _LONGEST_PAUSE), True
        except Exception:
            logger.exception("the publisher process cannot be kept alive")
        finally:
            self._over()
            self._ended.set()

    def _is_over(self) -> bool:
        return not self.is_wanted

    def _try(self, pause: float) -> bool:
        """Start it after a pause; whether that went well, and was wanted."""
        if pause:
            select.select([self._waker], [], [], pause)
            self._waker.clear()
        if self._is_over():
            return False
        try:
            self._start_again()
        except (ShellbotError, OSError) as error:
            self.restarts += 1
            logger.error("the publisher process could not be started again, trying on: %s", error)
            return False
        self.restarts += 1
        return True

    def _wait_ended(self) -> None:
        poller = select.poll()
        poller.register(self._process.sentinel, select.POLLIN)
        while self._process.exitcode is None:
            poller.poll(_LOOK_EVERY * 1000 if not self.is_wanted else None)
