"""Cells: one switch and up to 128 counters in a mapped file, seen by every process that has its path.

::

    byte      0  the switch: up to 8 bytes of UTF-8, zero when absent
              8  version of this layout
             16  how many names are in use      24  how many slots are in use
             32  63 owners, one per slot: pid and start time of the process that writes it
           4096  128 names of up to 255 bytes, each after its length
          36864  128 rows of 64 words: what ``store`` said, then one slot per writing process

Every word is 8 bytes, aligned, and written by one machine instruction, so a reader sees the old or the new value and
nothing between. A counter is the sum of its row. Each process adds in a slot of its own: no lock is taken to count, so
none is left behind by a process that is killed; what it added stays, and a later process goes on in its slot.

Two things happen once and do need order between processes: giving a name its row and giving a process its slot. They
hold ``flock`` on the file for some microseconds; the kernel takes it back from a process that dies.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.util import Finalize
from pathlib import Path

from shellbot.errors import ConfigError
from shellbot.runtime import runtime_folder

NAMES = 128
WRITERS = 63
VERSION = 1
SWITCH_BYTES = 8
NAME_BYTES = 255

_SWITCH, _VERSION, _NAMES_USED, _SLOTS_USED, _OWNERS = range(5)
_NAMES_AT = 4096
_ROWS_AT = _NAMES_AT + NAMES * (NAME_BYTES + 1)
_ROW_WORDS = WRITERS + 1
SIZE_BYTES = _ROWS_AT + NAMES * _ROW_WORDS * 8

# In the first word of a row: this counter was taken away.
_ABSENT = -(2**63)


class _Forks:
    """What this process knows of forks: how many it made, and how many it came out of since the interpreter started.

    A fact of the process, hence one per process. After a fork a lock may be held by a thread that is not there, so
    cells look here before they use theirs.
    """

    def __init__(self) -> None:
        self.made = 0
        self.depth = 0
        self.lock = threading.Lock()
        os.register_at_fork(after_in_parent=self._in_parent, after_in_child=self._in_child)

    def _in_parent(self) -> None:
        self.made += 1

    def _in_child(self) -> None:
        self.depth += 1
        self.lock = threading.Lock()


_forks = _Forks()


class Cells:
    """One mapped file. Pickled as its path; the copy sees and changes the same numbers.

    Args:
        path: File to attach to; without it a new one is made, and removed when this process drops the cells or ends.

    Raises:
        ConfigError: No room for the file, or the process that made it is gone.

    Runs in: any process and thread.
    Source: one slot per writer, as in the per-thread counters of the Linux kernel.
    """

    def __init__(self, path: str | None = None) -> None:
        self.path = path or _create()
        self._remove = Finalize(self, _unlink, args=(self.path,), exitpriority=-100) if path is None else None
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise ConfigError("the process that shared these settings has ended; start it first") from error
        weakref.finalize(self, os.close, descriptor).atexit = False
        self._file = descriptor
        self._map = mmap.mmap(descriptor, SIZE_BYTES)
        self.words = memoryview(self._map).cast("q")
        if self.words[_VERSION] != VERSION:
            raise ConfigError(f"{self.path} was not written by this version of shellbot; remove it")
        self._rows: dict[str, int] = {}
        self._made = _forks.made
        self._is_pickled = False
        self._renew()

    def _renew(self) -> None:
        self._depth = _forks.depth
        self._slot = 0
        self._lock = threading.RLock()

    def __del__(self) -> None:
        if getattr(self, "_slot", 0) and self._depth == _forks.depth:
            self.words[_OWNERS + self._slot - 1] = 0

    def __reduce__(self) -> tuple[type[Cells], tuple[str]]:
        if not self._is_pickled and self._remove is not None:
            # The receiver opens the path later, perhaps when this object is gone here: the file stays until we end.
            self._remove.cancel()
            self._remove = Finalize(None, _unlink, args=(self.path,), exitpriority=-100)
        self._is_pickled = True
        return Cells, (self.path,)

    @property
    def is_shared(self) -> bool:
        """Whether another process may have a copy of what lies beside these cells: they were pickled, or we forked."""
        return self._is_pickled or self._made != _forks.made

    @property
    def lock(self) -> threading.RLock:
        """Held while this process changes something; never by two processes."""
        if self._depth != _forks.depth:
            with _forks.lock:
                if self._depth != _forks.depth:
                    self._renew()
        return self._lock

    @property
    def switch(self) -> str | None:
        """The one word that all sides watch. Setting it touches the file."""
        word = self.words[_SWITCH]
        return word.to_bytes(SWITCH_BYTES, "little", signed=True).rstrip(b"\0").decode() if word else None

    @switch.setter
    def switch(self, value: str | None) -> None:
        self.words[_SWITCH] = switch_word(value)
        # Whoever watches the file is woken; it has no other way to know.
        os.utime(self._file)

    @property
    def count(self) -> int:
        """How many names were ever counted under; it only grows."""
        return self.words[_NAMES_USED]

    def names(self) -> list[str]:
        """The counters that have a value now."""
        self._learn()
        return [name for name, row in list(self._rows.items()) if self.words[row] != _ABSENT]

    def read(self, name: str) -> int | None:
        """What all processes together counted, or None where nobody did."""
        row = self._rows.get(name)
        if row is None:
            if len(self._rows) == self.words[_NAMES_USED]:
                return None
            self._learn()
            row = self._rows.get(name)
            if row is None:
                return None
        words = self.words
        base = words[row]
        return None if base == _ABSENT else base + sum(words[row + 1 : row + 1 + words[_SLOTS_USED]])

    def add(self, name: str, delta: int, start: int = 0) -> int:
        """Add to a counter and give its new sum.

        Args:
            start: What it counts from when nobody has counted under this name.

        Returns:
            The sum as seen from here. Other processes count meanwhile, so two may see the same: these are no ids.

        Raises:
            ConfigError: 128 names or 63 living processes count already; nothing was added.
        """
        with self.lock:
            row = self._row(name, start)
            if not self._slot:
                self._slot = self._claim()
            words = self.words
            if words[row] == _ABSENT:
                words[row] = _word(name, start - self._slots(row))
            words[row + self._slot] = _word(name, words[row + self._slot] + delta)
            return words[row] + self._slots(row)

    def store(self, name: str, value: int | None) -> None:
        """Make a counter say ``value`` now, or take it away with None. What others add from now on comes on top."""
        with self.lock:
            if value is None:
                self._learn()
                if name in self._rows:
                    self.words[self._rows[name]] = _ABSENT
                return
            row = self._row(name, value)
            self.words[row] = _word(name, value - self._slots(row))

    def _slots(self, row: int) -> int:
        return sum(self.words[row + 1 : row + 1 + self.words[_SLOTS_USED]])

    def _learn(self) -> None:
        """Take in names that another process, or another thread, has added. Names are never moved or removed."""
        for number in range(len(self._rows), self.words[_NAMES_USED]):
            at = _NAMES_AT + number * (NAME_BYTES + 1)
            name = self._map[at + 1 : at + 1 + self._map[at]].decode()
            self._rows[name] = _ROWS_AT // 8 + number * _ROW_WORDS

    def _row(self, name: str, start: int) -> int:
        row = self._rows.get(name)
        if row is not None:
            return row
        encoded = name.encode()
        if not 0 < len(encoded) <= NAME_BYTES:
            raise ConfigError(f"a counter's name has 1 to {NAME_BYTES} bytes, not {len(encoded)}", key=name)
        with self._ordered():
            self._learn()
            if name not in self._rows:
                number = self.words[_NAMES_USED]
                if number == NAMES:
                    raise ConfigError(f"{NAMES} counters are shared already; keep '{name}' in a store", key=name)
                at = _NAMES_AT + number * (NAME_BYTES + 1)
                self._map[at : at + 1 + len(encoded)] = bytes([len(encoded)]) + encoded
                self.words[_ROWS_AT // 8 + number * _ROW_WORDS] = _word(name, start)
                # Last: until here nobody looks at it, and whoever is killed before this line has done nothing.
                self.words[_NAMES_USED] = number + 1
                self._learn()
        return self._rows[name]

    def _claim(self) -> int:
        """A slot that no living process writes; its sum stays in it."""
        words = self.words
        with self._ordered():
            used = words[_SLOTS_USED]
            owners = list(words[_OWNERS : _OWNERS + used])
            if 0 in owners:
                number = owners.index(0)
            elif used < WRITERS:
                number = used
            else:
                number = next((n for n, owner in enumerate(owners) if not is_alive(owner)), WRITERS)
            if number < WRITERS:
                words[_OWNERS + number] = process_tag()
                words[_SLOTS_USED] = max(used, number + 1)
                return number + 1
        raise ConfigError(f"{WRITERS} living processes count in these settings already; let some of them only read")

    @contextmanager
    def _ordered(self) -> Iterator[None]:
        """One process at a time, and one thread.

        flock belongs to an open file, and those are shared after a fork; hence one opened for this, by way of /proc
        because the path is gone once the owner has ended.
        """
        again = f"/proc/self/fd/{self._file}"
        descriptor = os.open(again if os.path.exists(again) else self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            # Said, not left to close(): a child forked meanwhile has this descriptor too and would keep the lock.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


def switch_word(value: str | None) -> int:
    """The word under which the switch holds this value.

    Raises:
        ConfigError: It does not fit.
    """
    if value is None:
        return 0
    encoded = value.encode() if isinstance(value, str) else b""
    if not 0 < len(encoded) <= SWITCH_BYTES or b"\0" in encoded:
        raise ConfigError(
            f"the switch is 'on', 'off' or another word of up to {SWITCH_BYTES} bytes", key="general.switch"
        )
    return int.from_bytes(encoded.ljust(SWITCH_BYTES, b"\0"), "little", signed=True)


def _word(name: str, value: int) -> int:
    if not _ABSENT < value < 2**63:
        raise ConfigError(f"'{name}' has grown past the 64 bits of a shared counter", key=name)
    return value


def process_tag(pid: int | None = None) -> int:
    """Pid and start time in one word, so that a pid given away again is not taken for the old process.

    Returns:
        0 when that process is gone, also while its parent has not yet noticed.
    """
    pid = os.getpid() if pid is None else pid
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        # No /proc on this system, or no such process.
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return 0
        except PermissionError:
            pass
        return pid
    state, start = fields[0], int(fields[19])
    return 0 if state in "ZX" else (start & 0x7FFFFFFF) << 32 | pid


def is_alive(tag: int) -> bool:
    """Whether the process that made this tag still runs."""
    return tag != 0 and process_tag(tag & 0xFFFFFFFF) == tag


def _create() -> str:
    try:
        folder = runtime_folder()
        _sweep(folder)
        descriptor, path = tempfile.mkstemp(prefix=f"cells-{process_tag()}-", dir=folder)
        try:
            # Written, not truncated to size: on a full disk this fails here, and not by a signal at the first count.
            block = bytearray(SIZE_BYTES)
            block[_VERSION * 8] = VERSION
            if os.write(descriptor, block) != SIZE_BYTES:
                raise OSError("no space left for 100 kB")
        except OSError:
            os.unlink(path)
            raise
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ConfigError(
            f"cannot make the file of shared settings: {error}; name a folder in SHELLBOT_RUNTIME"
        ) from error
    return path


def _sweep(folder: Path) -> None:
    """Take away what owners left that were killed."""
    for path in folder.glob("cells-*-*"):
        tag = path.name.split("-")[1]
        if tag.isdecimal() and not is_alive(int(tag)):
            _unlink(str(path))


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
