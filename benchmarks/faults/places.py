"""Rows of what happens to the files of a bus, and of bytes that change on their way."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import monotonic

from benchmarks.faults.row import REPLAY, NotRun, Outcome, Row
from benchmarks.faults.scenes import CALM, halt, judged, pause, put_on
from benchmarks.scene.stage import Stage, wait_until
from shellbot.runtime import runtime_folder
from shellbot.testing import FaultProxy

_NO_HARM = (
    "no harm is repaired: TCP finds flips, and here they are made behind it, so what was spoiled is spoiled for a plain"
    " socket too; shown is that nothing crashes, that others get all, and that what is put afterwards comes"
)


def rows() -> list[Row]:
    return [
        Row("disk full, without a look before", "none", _sparse, is_harm=True),
        Row("disk full, runtime folder of 1 MiB", REPLAY, _full),
        Row("disk: ring file damaged between two hubs", REPLAY, partial(_ring, _damage), is_gap_due=True),
        Row("disk: ring file removed between two hubs", REPLAY, partial(_ring, Path.unlink), is_gap_due=True),
        Row("flip, 1 bit in 100,000 for 2 s, then reset", REPLAY, _flips, why_no_harm=_NO_HARM),
    ]


@contextmanager
def _small_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sb-") as place:
        command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", place]
        if os.getuid() or subprocess.run(command, capture_output=True, check=False).returncode:
            raise NotRun("needs root, and the right to mount a file system")
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", "-l", place], check=True)


def _sparse(scale: int = 1) -> Outcome:
    """A file that was only made long, on a full disk: whoever writes to it is killed."""
    code = (
        "import mmap, os, sys\n"
        "number = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)\n"
        "os.ftruncate(number, 16 << 20)\n"
        "mapped = mmap.mmap(number, 16 << 20)\n"
        "for at in range(0, 16 << 20, 4096): mapped[at] = 1\n"
    )
    with _small_disk() as place:
        ended = subprocess.run([sys.executable, "-c", code, str(place / "ring")], check=False).returncode
    return Outcome(broken=["killed by a signal"] if ended < 0 else [], notes=[f"exit code {ended}"])


def _full(scale: int = 1) -> Outcome:
    before = runtime_folder()
    with _small_disk() as place:
        os.environ["SHELLBOT_RUNTIME"] = str(place)
        try:
            with Stage() as stage:
                said = stage.sender("a").said
        finally:
            os.environ["SHELLBOT_RUNTIME"] = str(before)
    found = Outcome(notes=[f"told at start: {said.get('error')}"])
    if said.get("error") != "StorageFull":
        found.broken.append("StorageFull was not told")
    with Stage() as stage:
        sender = stage.sender("a")
        reader = stage.reader()
        put_on([sender], 5000)
        pause(CALM)
        halt([sender], [reader])
        found.add(judged(stage, [reader]))
    return found


def _damage(ring: Path) -> None:
    with ring.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)


def _ring(spoil: Callable[[Path], object], scale: int = 1) -> Outcome:
    """All programs are killed; the file is spoiled; another program begins."""
    found = Outcome()
    for _ in range(3 * scale):
        for old in runtime_folder().glob("*.ring"):
            old.unlink()
        with Stage() as stage:
            first = stage.sender("a")
            reader = stage.reader()
            first.put(2000).finish()
            reader.wait_for(stage.sent)
            first.kill()
            wait_until(lambda: stage.hub() is None)
            for ring in runtime_folder().glob("*.ring"):
                spoil(ring)
            second = stage.sender("b")
            back = monotonic()
            put_on([second], 5000)
            pause(CALM)
            halt([second], [reader])
            found.add(judged(stage, [reader], [back], healed=back))
    return found


def _flips(scale: int = 1) -> Outcome:
    """What is spoiled on the way is TCP's to find, and here it is made behind TCP. Judged is what is put after it."""
    found = Outcome()
    for _ in range(scale):
        with Stage() as stage, FaultProxy(stage.address) as proxy:
            spoiled, sender = stage.sender("spoiled"), stage.sender("a")
            reader, other = stage.reader(address=proxy.address), stage.reader()
            put_on([spoiled], 5000)
            proxy.flip(probability=1e-5)
            pause(2.0)
            proxy.heal()
            proxy.reset()
            back = monotonic()
            halt([spoiled], [reader, other])
            put_on([sender], 5000)
            pause(CALM)
            halt([sender], [reader, other])
            found.add(judged(stage, [other], []))
            told = reader.judge({"a": sender.sent}, [back])
            if told["verdict"]["lost"]:
                found.broken.append("what was put after the flips did not come")
            found.recoveries += told["pauses"]
    return found
