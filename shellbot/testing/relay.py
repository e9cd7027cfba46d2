"""Moves bytes between clients and a server as the ways say; the working half of the fault proxy, in its thread."""

from __future__ import annotations

import errno
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal

from shellbot.bus.address import Address
from shellbot.errors import NotRunning
from shellbot.testing.pairs import End, Flow, Pair
from shellbot.testing.ways import PIECE_BYTES, Way

TURNS = 64  # pieces of one connection before the others have their turn
TICK = 0.001  # seconds between looks at whether all has been taken: there is nothing to wait on
_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST and drops what was not sent


@dataclass(slots=True)
class Counts:
    """What has gone through a proxy so far.

    Attributes:
        connections: Taken.
        bytes_up: Handed to the server; ``bytes_down``: to clients.
        bytes_waiting: Taken and not yet handed on, in both directions; this one falls again.
        bytes_swallowed: Gone into a black hole, of both directions.
        flips: Bits turned over.
        resets: Connections cut by ``reset()`` and ``cut_after()``.
    """

    connections: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    bytes_waiting: int = 0
    bytes_swallowed: int = 0
    flips: int = 0
    resets: int = 0


class Relay:
    """Listens from the start; :meth:`run` does all the rest. What others ask goes through :meth:`order`.

    Raises:
        OSError: The port is taken.
    """

    def __init__(self, target: Address, *, port: int, buffer_bytes: int, up: Way, down: Way) -> None:
        self.counts = Counts()
        self.up, self.down = up, down
        self.pairs: set[Pair] = set()
        self._target = target
        self._buffer_bytes = buffer_bytes
        # Bound and never listening: it keeps the port while connections are refused.
        self._keeper = _bound(port)
        self.port: int = self._keeper.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._bell, self._ear = socket.socketpair()
        self._ear.setblocking(False)
        self._selector.register(self._ear, selectors.EVENT_READ, self._carry_out)
        self._listener: socket.socket | None = None
        self.listen()
        self._wakes: dict[Flow, float] = {}
        self._orders: deque[tuple[Callable[[], object], Future[None]]] = deque()
        self._waiters: list[tuple[Callable[[], object], Future[None]]] = []
        self._scratch = memoryview(bytearray(PIECE_BYTES))
        self._gate = threading.Lock()
        self._is_closing = self._is_gone = False

    # --- from other threads

    def order(self, order: Callable[[], object]) -> Future[None]:
        """Have this done in the relay's thread; done when it is in force.

        Raises:
            NotRunning: The relay has been closed.
        """
        done: Future[None] = Future()
        with self._gate:
            if self._is_gone:
                raise NotRunning("the proxy is closed; use it inside: with FaultProxy(target) as proxy")
            self._orders.append((order, done))
            self._bell.send(b"\0")
        return done

    def when(self, condition: Callable[[], object]) -> Future[None]:
        """Done once this is true, which is asked after each thing that happens here."""
        true: Future[None] = Future()
        self.order(lambda: self._waiters.append((condition, true)))
        return true

    def close(self) -> None:
        """Let :meth:`run` end."""
        try:
            self.order(lambda: setattr(self, "_is_closing", True))
        except NotRunning:
            pass

    def release(self) -> None:
        """In a forked child: let go of its copies. A socket that is held there, too, would end for nobody else."""
        self._is_gone = True
        ends = [end for pair in list(self.pairs) for end in (pair.client, pair.server) if end is not None]
        for kept in (*[end.sock for end in ends], self._listener, self._keeper, self._bell, self._ear, self._selector):
            if kept is not None:
                kept.close()

    # --- orders

    def listen(self) -> None:
        """Take connections."""
        if self._listener is None:
            self._listener = _bound(self.port)
            self._listener.listen(1024)
            self._listener.setblocking(False)
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def refuse(self) -> None:
        """Take none any more."""
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def swallow(self, way: Way) -> None:
        """Whatever comes this way in the connections of now is lost, for ever."""
        for flow in [flow for pair in self.pairs for flow in (pair.up, pair.down) if flow.way is way]:
            self._forget(flow)

    def cut(self, pair: Pair) -> None:
        """Reset a connection on both sides."""
        self.counts.resets += 1
        self._drop(pair)

    # --- the loop

    def run(self) -> None:
        """Work until closed."""
        try:
            while not self._is_closing:
                wake = min(self._wakes.values(), default=None)
                pause = None if wake is None else max(0.0, wake - time.monotonic())
                for key, events in self._selector.select(pause):
                    if isinstance(key.data, End):
                        self._serve(key.data, events)
                    else:
                        key.data()
                now = time.monotonic()
                for flow in [flow for flow, at in self._wakes.items() if at <= now]:
                    self._send(flow)
                self._tell_waiters()
        finally:
            with self._gate:
                self._is_gone = True
            for pair in list(self.pairs):
                self._drop(pair)
            self.refuse()
            for kept in (self._selector, self._bell, self._ear, self._keeper):
                kept.close()
            for _, done in (*self._orders, *self._waiters):
                done.set_exception(NotRunning("the proxy was closed meanwhile"))

    def _carry_out(self) -> None:
        self._ear.recv(4096)
        while self._orders:
            order, done = self._orders.popleft()
            try:
                order()
                for flow in [flow for pair in self.pairs for flow in (pair.up, pair.down)]:
                    self._send(flow)
                done.set_result(None)
            except Exception as error:
                done.set_exception(error)

    def _tell_waiters(self) -> None:
        for waiter in list(self._waiters):
            condition, true = waiter
            try:
                if not condition():
                    continue
                true.set_result(None)
            except Exception as error:
                true.set_exception(error)
            self._waiters.remove(waiter)

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.counts.connections += 1
        pair = Pair(End(sock), self._connect(), self.up, self.down)
        self.pairs.add(pair)
        if pair.server is None and not pair.up.swallows:
            self._drop(pair)
        else:
            self._watch(pair)

    def _connect(self) -> End | None:
        """On the way to the server, where one can be reached. It is there when it can be written to."""
        if self.up.swallows:
            return None
        place: str | tuple[str, int] = self._target.place
        family = socket.AF_UNIX
        if self._target.scheme == "tcp":
            host = self._target.to_connect.removeprefix("tcp://").rpartition(":")[0].strip("[]")
            place = host, self._target.port
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
        end = End(socket.socket(family))
        if end.sock.connect_ex(place) in (0, errno.EINPROGRESS):
            end.is_connecting = True
            return end
        end.sock.close()
        return None

    def _serve(self, end: End, events: int) -> None:
        if events & selectors.EVENT_WRITE and not end.is_closed:
            if end.is_connecting and not end.has_connected():
                self._drop(end.pair)
                return
            end.inward.is_blocked = False
            self._send(end.inward)
        if events & selectors.EVENT_READ and not end.is_closed:
            self._read(end.outward)

    def _read(self, flow: Flow) -> None:
        try:
            count = flow.source.sock.recv_into(self._scratch)
        except BlockingIOError:
            return
        except OSError:
            self._end(flow, "reset")
            return
        if not count:
            self._end(flow, "closed")
        elif flow.swallows:
            self.counts.bytes_swallowed += count
        else:
            data = self._scratch[:count]
            self.counts.flips += flow.way.spoil(data)
            self.counts.bytes_waiting += count
            flow.keep(data, time.monotonic())
            self._send(flow)

    def _end(self, flow: Flow, how: Literal["closed", "reset"]) -> None:
        """No more comes from its source. What goes into a black hole tells nobody."""
        flow.ending, flow.ended_at, flow.is_over = how, time.monotonic(), flow.swallows
        if flow.swallows and flow.back.swallows:
            self._close(flow.source)
        if flow.is_over and flow.back.is_over:
            self._drop(flow.pair)
        else:
            self._send(flow)

    def _send(self, flow: Flow) -> None:
        """Send what may go now, and know when to look again."""
        if flow.pair in self.pairs:
            at = self._push(flow)
            if flow.pair in self.pairs:
                self._wakes.pop(flow, None)
                if at is not None:
                    self._wakes[flow] = at
                self._watch(flow.pair)

    def _push(self, flow: Flow) -> float | None:
        way = flow.way
        for _ in range(TURNS):
            sink = flow.sink
            if sink is None or sink.is_connecting or flow.is_blocked or flow.is_over or way.is_held:
                return None
            now = time.monotonic()
            if flow.is_cutting:
                if sink.has_unsent():
                    return now + TICK
                self.cut(flow.pair)
                return None
            if not flow.waiting:
                return self._finish(flow, now)
            came, data = flow.waiting[0]
            if (at := max(came + way.latency, way.next_at)) > now:
                return at
            if size := way.limit(len(data)):
                try:
                    sent = sink.sock.send(data if size == len(data) else data[:size])
                except BlockingIOError:
                    flow.is_blocked = True
                    return None
                except OSError:
                    self._break(flow)
                    return None
                flow.take(sent)
                self.counts.bytes_waiting -= sent
                way.passed(sent, now)
                if flow is flow.pair.up:
                    self.counts.bytes_up += sent
                else:
                    self.counts.bytes_down += sent
            if way.cut_after == 0:
                way.cut_after, flow.is_cutting = None, True
        return 0.0

    def _finish(self, flow: Flow, now: float) -> float | None:
        if not flow.ending:
            return None
        if (at := flow.ended_at + flow.way.latency) > now:
            return at
        flow.is_over = True
        if flow.ending == "reset":
            self._drop(flow.pair)
        elif flow.back.is_over:
            self._drop(flow.pair, is_reset=False)
        elif flow.sink is not None:
            try:
                flow.sink.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it has gone, which is seen when it is read
        return None

    def _break(self, flow: Flow) -> None:
        """Nobody takes this any more; that the other way ends with a reset is told when its turn comes."""
        self._forget(flow)
        self._end(flow.back, "reset")

    def _forget(self, flow: Flow) -> None:
        self.counts.bytes_swallowed += flow.size_bytes
        self.counts.bytes_waiting -= flow.size_bytes
        flow.clear()
        flow.is_blocked, flow.swallows, flow.is_over = False, True, flow.is_over or bool(flow.ending)

    def _drop(self, pair: Pair, *, is_reset: bool = True) -> None:
        self.pairs.discard(pair)
        for flow in (pair.up, pair.down):
            self._wakes.pop(flow, None)
            self.counts.bytes_waiting -= flow.size_bytes
            flow.clear()
        for end in (pair.client, pair.server):
            if end is not None:
                self._close(end, is_reset=is_reset)

    def _close(self, end: End, *, is_reset: bool = False) -> None:
        if not end.is_closed:
            end.is_closed = True
            if end.mask:
                self._selector.unregister(end.sock)
            if is_reset and end.sock.family != socket.AF_UNIX:
                end.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            end.sock.close()

    def _watch(self, pair: Pair) -> None:
        for end in (pair.client, pair.server):
            if end is None or end.is_closed:
                continue
            mask = 0
            if end.outward.wants_more(self._buffer_bytes) and not end.is_connecting:
                mask |= selectors.EVENT_READ
            if end.is_connecting or end.inward.is_blocked:
                mask |= selectors.EVENT_WRITE
            if mask and end.mask and mask != end.mask:
                self._selector.modify(end.sock, mask, end)
            elif mask and not end.mask:
                self._selector.register(end.sock, mask, end)
            elif end.mask and not mask:
                self._selector.unregister(end.sock)
            end.mask = mask


def _bound(port: int) -> socket.socket:
    sock = socket.socket()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
    except BaseException:
        sock.close()
        raise
    return sock
