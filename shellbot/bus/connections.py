"""The connections behind ZeroMQ's sockets: it does not show them, and two things need them.

- A connection must not be closed while its reader lags: libzmq (4.3.5) that has stopped reading at its high-water mark
  takes a hang-up for an error then, and never reads what the kernel still holds. So a copy is kept, only the writing
  half is ended, and the reader is waited for.
- A forked child has copies of all connections of its parent. When the parent closes one, the other side sees nothing,
  goes on sending, and waits for ever for a reader that is not there.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import select
import socket
from collections.abc import Iterator
from time import monotonic
from typing import Any

from shellbot.bus.address import Address


def kept_connections(address: Address) -> list[socket.socket]:
    """Copies of the connections that were accepted on this address."""
    found = []
    for number in _descriptors():
        with _borrowed(number) as one:
            if one and _is_at(address, _name(one.getsockname)) and _name(one.getpeername) is not None:
                # Not one.dup(): that makes the connection blocking, also for libzmq, which then waits in recv().
                found.append(socket.socket(fileno=os.dup(number)))
    return found


def finish(connections: list[socket.socket], deadline: float) -> None:
    """End the writing half of each, and wait until the other side has read all and closed, or until the deadline."""
    poller = select.poll()
    waiting: dict[int, socket.socket] = {}
    for one in connections:
        try:
            one.setblocking(False)
            one.shutdown(socket.SHUT_WR)
            waiting[one.fileno()] = one
            poller.register(one, select.POLLIN)
        except OSError:
            # The other side has gone already.
            pass
    while waiting and (left := deadline - monotonic()) > 0:
        for number, _ in poller.poll(left * 1000):
            try:
                is_over = not waiting[number].recv(65536)
            except BlockingIOError:
                continue
            except OSError:
                is_over = True
            if is_over:
                poller.unregister(number)
                del waiting[number]
    for one in connections:
        one.close()


def close_inherited(address: Address) -> None:
    """In a forked child: close the copies of what the parent has on this address, connected or accepted."""
    for number in _descriptors():
        with _borrowed(number) as one:
            is_ours = one and (_is_at(address, _name(one.getpeername)) or _is_at(address, _name(one.getsockname)))
        if is_ours:
            os.close(number)


def _descriptors() -> list[int]:
    for folder in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            return [int(name) for name in os.listdir(folder)]
    return []


@contextlib.contextmanager
def _borrowed(number: int) -> Iterator[socket.socket | None]:
    """A stream socket object on this descriptor, which stays open; None where it is something else."""
    try:
        one = socket.socket(fileno=number)
    except OSError:
        yield None
        return
    try:
        yield one if one.type == socket.SOCK_STREAM else None
    finally:
        one.detach()


def _name(call: Any) -> Any:
    try:
        return call()
    except OSError:
        return None


def _is_at(address: Address, name: Any) -> bool:
    """Whether a socket's name is this address."""
    if address.scheme == "ipc":
        return isinstance(name, str) and name == address.place
    if not isinstance(name, tuple) or name[1] != address.port:
        return False
    host = address.place.strip("[]")
    try:
        return ipaddress.ip_address(name[0].partition("%")[0]) == ipaddress.ip_address(host)
    except ValueError:
        # A name, or '*', which is this machine.
        return host not in ("*", "localhost") or ipaddress.ip_address(name[0]).is_loopback
