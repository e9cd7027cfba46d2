"""A program with publishers, told by its arguments how it ends: ``METHOD WHAT ADDRESS...``, or
``METHOD locked ADDRESS COUNT``.

It prints the pids of its publishers once they listen.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from contextlib import ExitStack

from shellbot.bus import Bus, Publisher
from shellbot.context import Context
from shellbot.errors import NotRunning, QueueFull


def say(*words: object) -> None:
    print(*words, flush=True)


def put_some(publisher: Publisher, count: int = 1000) -> None:
    for number in range(count):
        publisher.put("room-1", number)


def sleep() -> None:
    while True:
        signal.pause()


def main(what: str, addresses: list[str]) -> int:
    if what == "locked":
        address, count = addresses
        for _ in range(int(count)):
            start_while_logging(address)
        say("done")
        return 0
    publishers = [Bus(Context({"bus": {"address": address}})).publish() for address in addresses]
    for publisher in publishers:
        publisher.start()
    first = publishers[0]
    say(*[publisher.pid for publisher in publishers])
    if what == "sleep":
        sleep()
    elif what == "interrupt":
        # Puts when told to, and is interrupted while it waits.
        signal.signal(signal.SIGUSR1, lambda *_: (put_some(first), say("queued")))
        try:
            with ExitStack() as stack:
                for publisher in publishers:
                    stack.enter_context(publisher)
                sleep()
        except KeyboardInterrupt:
            return 130
    elif what in ("close", "forget", "exit"):
        first.wait_ready("room-1", 10)
        put_some(first)
        if what == "close":
            first.close()
        elif what == "exit":
            os._exit(0)
    elif what == "outlive":
        os.kill(first.pid or 0, signal.SIGSTOP)
        try:
            while True:
                first.put_nowait("room-1", "x" * 1000)
        except QueueFull:
            pass
        first.kill()
        try:
            first.put("room-1", "x" * 1000)
        except NotRunning:
            say("told")
    return 0


def start_while_logging(address: str) -> None:
    """Fork while another thread holds the lock of logging, and log in the child."""
    handler = logging.StreamHandler(open(os.devnull, "w"))  # noqa: SIM115
    handler.acquire()
    held = threading.Event()
    done = threading.Event()

    def hold() -> None:
        with logging._lock:  # type: ignore[attr-defined]
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    # The fork waits for the lock of logging: it is given back while that goes on.
    threading.Timer(0.001, done.set).start()
    with Publisher(Context({"bus": {"address": address}})) as publisher:
        publisher.put("room-1", 1)
    thread.join()
    handler.release()
    handler.stream.close()


if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    sys.exit(main(sys.argv[2], sys.argv[3:]))
