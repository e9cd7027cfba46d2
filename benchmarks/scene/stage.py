"""The programs on one address: started, told, killed, and counted."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from time import monotonic, sleep
from typing import Any, Self

from benchmarks.scene.listener import Listener
from benchmarks.scene.talk import Program
from shellbot.bus.hub.facts import Facts, Look
from shellbot.context import Context
from shellbot.errors import BusError

_LOOK_EVERY = 0.002


class SenderProgram(Program):
    """A program that publishes; see sender.py.

    Attributes:
        said: What it said first: the pid of its publisher, or an error.
        sent: How many messages it has put, as far as it has said.
    """

    def __init__(
        self,
        address: str,
        name: str,
        *,
        crash: list[Any] | None = None,
        environment: Mapping[str, str] | None = None,
        **bus: Any,
    ) -> None:
        first = {"address": address, "name": name, "bus": bus, "crash": crash or []}
        super().__init__("benchmarks.scene.sender", first, environment)
        self.name = name
        self.sent = 0
        self.said: dict[str, Any] = {}

    def wait_started(self) -> Self:
        self.said = self.hear()
        return self

    @property
    def publisher(self) -> int:
        """Pid of the process behind its publisher now. Not while it puts."""
        self.tell({"pid": True})
        return int(self.hear()["pid"])

    def put(self, count: int, *, rate: float = 0, size: int = 0, is_stamped: bool = False) -> Self:
        """Let it put so many; 0 until it is told something else. finish() waits."""
        self.tell({"put": count, "rate": rate, "bytes": size, "stamp": is_stamped})
        return self

    def finish(self, timeout: float = 15.0) -> dict[str, Any]:
        """Wait until it has put all; it is told to stop where it was told no number."""
        found: dict[str, Any] = self.hear(timeout)
        self.sent = found["sent"]
        return found

    def halt(self, timeout: float = 15.0) -> dict[str, Any]:
        """End a put(0)."""
        self.tell({"pid": True})
        found = self.finish(timeout)
        self.hear(timeout)
        return found

    def end(self, timeout: float = 15.0) -> float:
        """Close its publisher; seconds that took."""
        self.tell({"close": True})
        return float(self.hear(timeout)["closed"])


class ReaderProgram(Program):
    """A program that reads; see reader.py."""

    def __init__(self, address: str, channels: str | list[str] = "", *, last: int = 0, **bus: Any) -> None:
        super().__init__(
            "benchmarks.scene.reader", {"address": address, "channels": channels, "last": last, "bus": bus}
        )
        self.hear()

    def ask(self, what: dict[str, Any], timeout: float = 40.0) -> Any:
        self.tell(what)
        return self.hear(timeout)

    def next(self) -> dict[str, int]:
        """The number after the last one that came, of each sender."""
        found: dict[str, int] = self.ask({"next": True})
        return found

    def wait_for(self, sent: dict[str, int], timeout: float = 15.0) -> bool:
        """Whether the last of these has come in time, of each sender."""
        return bool(self.ask({"wait": sent, "timeout": timeout}, timeout + 5))

    def judge(self, sent: dict[str, int], events: list[float]) -> dict[str, Any]:
        """What became of these numbers of messages, and the longest pause after each of these moments."""
        found: dict[str, Any] = self.ask({"judge": sent, "events": events})
        return found

    def delays(self, since: float, until: float) -> dict[str, float]:
        """``p50``, ``p99`` and ``max`` of the seconds that stamped messages took which were put in this time."""
        found: dict[str, float] = self.ask({"delays": [since, until]})
        return found


class Stage:
    """All that is on one address; gone at the end."""

    def __init__(self, address: str | None = None, **bus: Any) -> None:
        self.address = address or free_address()
        self.senders: list[SenderProgram] = []
        self._bus = bus
        self._stack = ExitStack()

    def sender(self, name: str, **options: Any) -> SenderProgram:
        """A program that has started; one that has not says why in ``said``."""
        made = self._stack.enter_context(SenderProgram(self.address, name, **self._bus | options))
        self.senders.append(made)
        return made.wait_started()

    def listener(self, channels: str | list[str] = "", *, address: str = "", last: int = 0, **bus: Any) -> Listener:
        """A reader in this process that is ready; of another address where something lies between."""
        made = Listener(address or self.address, channels, last=last, **self._bus | bus)
        return self._stack.enter_context(made)

    def reader(self, channels: str | list[str] = "", *, address: str = "", last: int = 0, **bus: Any) -> ReaderProgram:
        """A program that reads, and is ready."""
        made = ReaderProgram(address or self.address, channels, last=last, **self._bus | bus)
        return self._stack.enter_context(made)

    @property
    def sent(self) -> dict[str, int]:
        return {sender.name: sender.sent for sender in self.senders}

    def look(self) -> Facts | None:
        """What the hub tells of itself; None while there is none."""
        try:
            with Look(Context({"bus": {"address": self.address}})) as looking:
                return looking.facts()
        except (BusError, OSError):
            return None

    def hub(self) -> int | None:
        """Pid of the hub."""
        found = self.look()
        return found.pid if found else None

    def wait_hub(self, other_than: int = 0, timeout: float = 10.0) -> int:
        wait_until(lambda: self.hub() not in (None, other_than), timeout)
        return self.hub() or 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()


def wait_until(condition: Callable[[], object], timeout: float = 10.0) -> None:
    """Return when the condition holds.

    Raises:
        TimeoutError: It did not in this time.
    """
    deadline = monotonic() + timeout
    while not condition():
        if monotonic() > deadline:
            raise TimeoutError("it did not come true in time")
        sleep(_LOOK_EVERY)


def free_address() -> str:
    """Where nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def is_gone(pid: int) -> bool:
    """Whether a process has ended, waited for or not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def memory_bytes(pid: int) -> int:
    """Resident."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
