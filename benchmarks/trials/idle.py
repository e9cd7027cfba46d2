"""What a bus costs on which nothing happens: wake-ups and processor time of its process and of a waiting reader."""

from __future__ import annotations

import threading
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic

from benchmarks.peer import begin, reading, sending
from benchmarks.systems import FIRST, FastReader, RawReader, address, message


def run(system: str, settle: float, seconds: float, count: int = 1000) -> dict[str, float]:
    numbers = range(FIRST, FIRST + count)
    with address("tcp") as url, reading(system, url, _wait, numbers) as peer, sending(system, url) as sender:
        begin(sender, peer)
        sender.put_row(message(100), numbers)
        peer.hear()
        # Nothing to wait for but time itself: the figure is "so long after the last message".
        never = threading.Event()
        never.wait(settle)
        watched = {"publisher": sender.pid, "subscriber": peer.pid}
        before, since = {name: _spent(pid) for name, pid in watched.items()}, monotonic()
        never.wait(seconds)
        after, passed = {name: _spent(pid) for name, pid in watched.items()}, monotonic() - since
        sender.put({"n": numbers.stop})
        peer.hear()
    result = {}
    for name in watched:
        result[f"{name} wake-ups"] = (after[name][0] - before[name][0]) / passed
        result[f"{name} cpu"] = (after[name][1] - before[name][1]) / passed / 1e9 * 100
    return result


def _wait(connection: Connection, reader: RawReader | FastReader, numbers: range) -> None:
    reader.count_row(numbers)
    connection.send("taken")
    reader.get()
    connection.send("woken")


def _spent(pid: int) -> tuple[int, int]:
    """How often the threads of a process went to sleep so far, and for how many nanoseconds they ran."""
    sleeps = ran = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        sleeps += int((task / "status").read_text().split("\nvoluntary_ctxt_switches:")[1].split()[0])
        ran += int((task / "schedstat").read_text().split()[0])
    return sleeps, ran
