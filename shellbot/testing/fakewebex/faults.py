"""What goes wrong on purpose: answers, connections, deliveries. Each fault says how often, and where."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal

from shellbot.testing.fakewebex.state import Account

Kind = Literal["reset", "slow", "hold"]
DeliveryKind = Literal["duplicate", "reorder", "lose"]


class Fault:
    """One thing that will go wrong, a number of times.

    Attributes:
        left: How often it is still to come.
    """

    def __init__(
        self,
        kind: int | Kind,
        *,
        path: str,
        method: str,
        count: int,
        headers: Mapping[str, str],
        body: bytes | None,
        when: Literal["before", "after"],
        seconds: float,
        by: Account | None,
    ) -> None:
        self.kind = kind
        self.path = path
        self.method = method.upper()
        self.left = count
        self.headers = dict(headers)
        self.body = body
        self.when = when
        self.seconds = seconds
        self.by = by
        self._is_released = threading.Event()
        self._is_reached = threading.Event()

    def release(self) -> None:
        """Let go on what ``"hold"`` holds, and hold nothing more."""
        self.left = 0
        self._is_released.set()

    def wait_reached(self, timeout: float = 10.0) -> None:
        """Return once a request has met this fault.

        Raises:
            TimeoutError: None did.
        """
        if not self._is_reached.wait(timeout):
            raise TimeoutError(f"no request met the fault {self.kind!r} within {timeout} s")

    def reached(self) -> None:
        self._is_reached.set()

    def wait_released(self) -> None:
        self._is_released.wait()

    def matches(self, method: str, path: str, account: Account | None) -> bool:
        if self.method not in ("", method) or self.by not in (None, account):
            return False
        return not self.path or fnmatchcase(path, self.path) or path.startswith(f"{self.path}/")


class Faults:
    """Switches on faults. They come in the order in which they were asked for, and may be asked for from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._used: list[Fault] = []  # that may still hold something
        self._deliveries: list[tuple[DeliveryKind, str]] = []

    def next(
        self,
        kind: int | Kind,
        *,
        path: str = "",
        method: str = "",
        count: int = 1,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        when: Literal["before", "after"] = "before",
        seconds: float = 1.0,
        by: Account | None = None,
    ) -> Fault:
        """Let the next ``count`` requests go wrong that match.

        Args:
            kind: A status to answer with; ``"reset"`` breaks the connection, ``"slow"`` waits ``seconds`` and
                ``"hold"`` until :meth:`Fault.release`, and then the request goes on.
            path: Below ``/v1/``: ``"messages"`` is that and all below it; also ``"messages/*"``.
            method: E.g. ``"POST"``; all without.
            headers: Of the answer, e.g. ``{"Retry-After": "0"}``.
            body: Of the answer, instead of the platform's JSON.
            when: Whether what was asked for is done (``"after"``) or not, when it goes wrong.
            by: Whose requests; everybody's without.
        """
        if not isinstance(kind, int) and kind not in ("reset", "slow", "hold"):
            raise ValueError(f"a fault is a status, reset, slow or hold: {kind!r}")
        if when not in ("before", "after") or count < 1:
            raise ValueError("a fault comes before or after the effect, once or more often")
        fault = Fault(
            kind,
            path=path.strip("/"),
            method=method,
            count=count,
            headers=headers or {},
            body=body,
            when=when,
            seconds=seconds,
            by=by,
        )
        with self._lock:
            self._faults.append(fault)
        return fault

    def delivery(self, kind: DeliveryKind, *, count: int = 1, resource: str = "") -> None:
        """Let the next ``count`` deliveries of webhooks come twice, be lost, or come after the one behind them.

        Args:
            resource: Of these only, e.g. ``"attachmentActions"``.
        """
        if kind not in ("duplicate", "reorder", "lose") or count < 1:
            raise ValueError(f"a fault of deliveries is duplicate, reorder or lose, once or more often: {kind!r}")
        with self._lock:
            self._deliveries += [(kind, resource)] * count

    def clear(self) -> None:
        """Nothing more goes wrong, and what is held goes on."""
        with self._lock:
            faults = self._faults + self._used
            self._faults, self._used, self._deliveries = [], [], []
        for fault in faults:
            fault.release()

    def take(self, method: str, path: str, account: Account | None) -> Fault | None:
        """The fault that this request meets; it is used up by one."""
        with self._lock:
            self._faults = [fault for fault in self._faults if fault.left > 0]
            fault = next((one for one in self._faults if one.matches(method, path, account)), None)
            if fault is not None:
                fault.left -= 1
                if fault.kind == "hold" and fault not in self._used:
                    self._used.append(fault)
            return fault

    def take_delivery(self, resource: str) -> DeliveryKind | None:
        with self._lock:
            for number, (kind, wanted) in enumerate(self._deliveries):
                if wanted in ("", resource):
                    del self._deliveries[number]
                    return kind
        return None
