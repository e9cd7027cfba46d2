"""Programs that publish what a test tells them to, as real processes: forked by a nursery, so that one costs little.

Run as a module this is the nursery. It lives as long as the connection on its standard input, and takes all its
programs with it when that ends, however the test does.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from shellbot.bus import Bus, Publisher
from shellbot.context import Context
from shellbot.testing import kill
from tests.bus.watching import ROOT, is_gone, wait_until

_BYTES = 64 * 1024


# -- in the test


class Nursery:
    """Makes programs."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.settimeout(15)
        command = [sys.executable, "-m", __name__]
        self._read = 0
        number, name = tempfile.mkstemp(prefix="sb-")
        self._errors = Path(name)
        with theirs, open(number, "w") as errors:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=theirs.fileno(), stderr=errors, start_new_session=True
            )

    def program(self) -> Program:
        """One that does nothing yet, in a process group of its own."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self._ours, [b"!"], [theirs.fileno()])
        return Program(int(self._ours.recv(_BYTES)), ours)

    def errors(self) -> str:
        """What programs have said to standard error since the last call."""
        said = self._errors.read_text()[self._read :]
        self._read += len(said)
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._ours.close()
        try:
            self._process.wait(10)
        finally:
            self._process.kill()
            self._process.wait()
            self._errors.unlink()


class Program:
    """One of them, as the test sees it."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self._connection = connection

    def tell(self, *order: Any) -> None:
        """Let it do something, see :func:`_serve`."""
        self._connection.send(json.dumps(order).encode())

    def hear(self, timeout: float = 15.0) -> Any:
        """The next it says; None when it has ended, or says nothing in this time."""
        self._connection.settimeout(timeout)
        try:
            data = self._connection.recv(_BYTES)
        except (BlockingIOError, TimeoutError, ConnectionError):
            return None
        return json.loads(data) if data else None

    def kill(self, *, whole: bool = True) -> None:
        """-9, with all its processes or alone; returns when it has ended. What it said can still be heard."""
        if whole:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            kill(self.pid)

    def close(self) -> None:
        """Kill it, and whatever it has left behind."""
        self.kill()
        self._connection.close()
        wait_until(lambda: not any(is_of_group(self.pid)))


def is_of_group(group: int) -> Sequence[int]:
    """Processes of a group that are still there."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(ProcessLookupError):
                if os.getpgid(int(name)) == group and not is_gone(int(name)):
                    found.append(int(name))
    return found


# -- in the processes


def main() -> None:
    """Be the nursery."""
    orders = socket.socket(fileno=os.dup(0))
    # Whoever is killed leaves nothing to be waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    pids = []
    while True:
        data, descriptors, _, _ = socket.recv_fds(orders, 16, 1)
        if not data:
            break
        pid = os.fork()
        if pid == 0:
            orders.close()
            _begin(descriptors[0])
        os.close(descriptors[0])
        pids.append(pid)
        orders.send(b"%d" % pid)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _begin(descriptor: int) -> None:
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with open(os.devnull) as nothing:
            os.dup2(nothing.fileno(), 0)
        _serve(socket.socket(fileno=descriptor))
        code = 0
    finally:
        os._exit(code)


def _serve(orders: socket.socket) -> None:
    """Do what is told until nobody is there to tell.

    ==============================================================  ====================================================
    ``start FOLDER SETTINGS``                                       publish; says ``true``, or what went wrong
    ``put CHANNELS SENDER FIRST [LENGTH of each padding, ..]``      says the number of each message when it is put
    ``pid``                                                         says that of the publisher process now
    ``close``                                                       says ``true`` when it is closed
    ==============================================================  ====================================================
    """
    publisher: Publisher | None = None
    while data := orders.recv(_BYTES):
        name, *arguments = json.loads(data)
        try:
            if name == "start":
                os.environ["SHELLBOT_RUNTIME"], settings = arguments
                publisher = Bus(Context({"bus": settings})).publish()
                publisher.start()
                _say(orders, True)
                continue
            assert publisher is not None
            if name == "put":
                channels, sender, first, lengths = arguments
                for number, length in enumerate(lengths, first):
                    publisher.put(channels, message(sender, number, length))
                    _say(orders, number)
            elif name == "pid":
                _say(orders, publisher.pid)
            else:
                publisher.close()
                _say(orders, True)
        except Exception as error:
            _say(orders, f"{type(error).__name__}: {error}")


def message(sender: str, number: int, length: int) -> dict[str, Any]:
    """With a padding that shows where it comes from, so that no piece of another can be taken for it."""
    mark = f"{sender}.{number}."
    return {"from": sender, "n": number, "pad": (mark * (length // len(mark) + 1))[:length]}


def _say(orders: socket.socket, what: object) -> None:
    orders.send(json.dumps(what).encode())


if __name__ == "__main__":
    main()
