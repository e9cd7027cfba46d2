"""A TCP proxy on this machine that does to connections what networks do: hold, lose, cut, delay and spoil."""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Literal, Self

from shellbot.bus.address import parse_address
from shellbot.errors import BadAddress, NotRunning
from shellbot.testing.relay import Counts, Relay
from shellbot.testing.ways import Way, random_gaps

Direction = Literal["up", "down", "both"]

PATIENCE = 10.0  # seconds for the proxy's thread to carry something out
BUFFER_BYTES = 4 * 1024 * 1024


class FaultProxy:
    """Stands between clients and one server: ``with FaultProxy("tcp://127.0.0.1:5555") as proxy: proxy.address``.

    Faults are switched on at any moment, add up, and last until :meth:`heal`. ``"up"`` is from client to server,
    ``"down"`` from server to client. A method returns when what it says is in force. All work is done in a thread of
    its own, so that tests plain and async may use it; forked children let go of its sockets.

    While nobody listens at the target, connections are taken and reset at once.

    Args:
        target: Where the server listens: ``tcp://HOST:PORT`` or ``ipc://PATH``. It may come and go.
        port: Where to listen on 127.0.0.1; 0 takes any. It is kept also while connections are refused.
        buffer_bytes: For what waits in one direction of one connection. Once it is full nothing more is read, and the
            sender feels that. Latency passes at most this much in its length.

    Raises:
        BadAddress: The target is neither ``tcp://`` nor ``ipc://``.
    """

    def __init__(self, target: str, *, port: int = 0, buffer_bytes: int = BUFFER_BYTES) -> None:
        self._target = parse_address(target)
        if self._target.scheme not in ("tcp", "ipc"):
            text = f"the address {target!r} has no socket to stand before; a proxy takes tcp:// and ipc://"
            raise BadAddress(text, address=target)
        self._ways = {"up": Way(), "down": Way()}
        self._port = port
        self._buffer_bytes = buffer_bytes
        self._relay: Relay | None = None
        self._thread: threading.Thread | None = None
        self._healed_at = 0.0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Listen; ``with`` does it.

        Raises:
            OSError: The port is taken.
        """
        assert self._relay is None, "a proxy is started once"
        relay = Relay(self._target, port=self._port, buffer_bytes=self._buffer_bytes, **self._ways)
        os.register_at_fork(after_in_child=_releaser(weakref.ref(relay)))
        self._relay, self._healed_at = relay, time.monotonic()
        self._thread = threading.Thread(target=relay.run, name=f"fault proxy {relay.port}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Reset what is still connected and listen no more. Again does nothing."""
        if self._relay is not None and self._thread is not None:
            self._relay.close()
            self._thread.join(PATIENCE)

    @property
    def address(self) -> str:
        """What clients connect to."""
        return f"tcp://127.0.0.1:{self._running.port}"

    @property
    def counts(self) -> Counts:
        """What has gone through so far, a copy; readable after the close."""
        relay, thread = self._running, self._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            self._do(lambda: None)  # what somebody has already received has been counted then
        return replace(relay.counts)

    @property
    def healed_at(self) -> float:
        """``time.monotonic()`` of the last heal, of the start before any."""
        return self._healed_at

    # --- faults

    def heal(self, direction: Direction = "both") -> None:
        """End every fault of this direction; with ``"both"`` also :meth:`refuse`. What was held goes on."""
        ways = self._chosen(direction)

        def heal() -> None:
            for way in ways:
                way.clear()
            if direction == "both":
                self._running.listen()
            self._healed_at = time.monotonic()

        self._do(heal)

    def pass_(self, direction: Direction = "both") -> None:
        """The same as :meth:`heal`."""
        self.heal(direction)

    def hold(self, direction: Direction = "both") -> None:
        """Bytes wait, and so does the end of a connection; nothing is lost."""
        self._change(direction, is_held=True)

    def blackhole(self, direction: Direction = "both") -> None:
        """Swallow what comes, as a router does that forgot the connections.

        Those of now stay open and dead for ever in this direction, after a heal as well, and so do those that are
        made before it; those made after it work. Of a connection that is made while ``"up"`` is swallowed, the server
        sees nothing.
        """
        ways = self._chosen(direction)

        def swallow() -> None:
            for way in ways:
                way.swallows = True
                self._running.swallow(way)

        self._do(swallow)

    def refuse(self) -> None:
        """Nobody listens: who connects is refused. The connections of now are not touched; :meth:`reset` cuts them."""
        self._do(self._running.refuse)

    def reset(self) -> None:
        """Cut all connections of now with RST to both sides; what was held or on its way is lost. New ones work.

        A server behind ``ipc://`` sees an end, as there is no RST there.
        """

        def cut_all() -> None:
            for pair in list(self._running.pairs):
                self._running.cut(pair)

        self._do(cut_all)

    def slice(self, size_bytes: int, direction: Direction = "both") -> None:
        """Send on at most so many bytes at a time."""
        _check(size_bytes >= 1, "a slice has 1 byte or more")
        self._change(direction, slice_bytes=size_bytes)

    def latency(self, seconds: float, direction: Direction = "both") -> None:
        """Everything leaves so much later than it came."""
        _check(0 <= seconds < math.inf, "latency is a number of seconds, 0 or more")
        self._change(direction, latency=seconds)

    def rate(self, bytes_per_second: float, direction: Direction = "both") -> None:
        """All connections together pass no more than this in a direction."""
        _check(0 < bytes_per_second < math.inf, "a rate is a number of bytes per second above 0; hold() stops all")
        self._change(direction, rate=bytes_per_second)

    def flip(
        self, at: int | None = None, *, probability: float = 0.0, seed: int = 0, direction: Direction = "both"
    ) -> None:
        """Turn bits over in what comes from now on, over all connections.

        Args:
            at: Number of the one bit, from 0: the lowest of the next byte.
            probability: Of each bit instead, below 1. The same seed takes the same bits.
        """
        _check((at is not None and at >= 0) != (0 < probability < 1), "say at=BIT, or a probability between 0 and 1")
        for name in _names(direction):
            gaps = iter((at,)) if at is not None else random_gaps(probability, f"{seed} {name}")
            self._change(name, flip_at=next(gaps), gaps=gaps)

    def cut_after(self, size_bytes: int, direction: Literal["up", "down"] = "down") -> None:
        """Pass exactly so many more bytes, over all connections, then reset the one that brought the last of them.

        The receiver's system has them all before the reset comes; 0 resets the connection that would bring the next.
        It happens once, other connections go on.
        """
        _check(size_bytes >= 0 and direction in ("up", "down"), "cut_after takes 0 bytes or more, up or down")
        self._change(direction, cut_after=size_bytes)

    def wait_until(self, condition: Callable[[], object], timeout: float = 5.0) -> None:
        """Return once this is true of the counts, e.g. ``lambda: proxy.counts.resets``; the proxy's thread asks it.

        Raises:
            TimeoutError: It did not become true.
        """
        self._running.when(condition).result(timeout)

    # --- how they get to the thread

    @property
    def _running(self) -> Relay:
        if self._relay is None:
            raise NotRunning("the proxy has not been started; use it inside: with FaultProxy(target) as proxy")
        return self._relay

    def _do(self, order: Callable[[], object]) -> None:
        self._running.order(order).result(PATIENCE)

    def _chosen(self, direction: Direction) -> list[Way]:
        return [self._ways[name] for name in _names(direction)]

    def _change(self, direction: Direction, **values: object) -> None:
        ways = self._chosen(direction)

        def change() -> None:
            for way in ways:
                for key, value in values.items():
                    setattr(way, key, value)

        self._do(change)


def _names(direction: Direction) -> tuple[Direction, ...]:
    _check(direction in ("up", "down", "both"), "a direction is up, down or both")
    return ("up", "down") if direction == "both" else (direction,)


def _check(is_right: bool, text: str) -> None:
    if not is_right:
        raise ValueError(text)


def _releaser(relay: weakref.ref[Relay]) -> Callable[[], None]:
    def release() -> None:
        if (alive := relay()) is not None:
            alive.release()

    return release
