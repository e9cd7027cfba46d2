"""The ring of past messages: what it keeps, and that a kill at any moment loses nothing and doubles nothing."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import pairwise, takewhile
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import shellbot.bus.ring
from shellbot.bus.ring import HEADER_BYTES, SEGMENTS, Record, Ring
from shellbot.errors import StorageFull
from tests.conftest import missing

# The smallest ring: segments of one page.
SIZE = 256 * 1024
FILE_BYTES = 4096 + SIZE
# Records of 32 lines of 64 bytes; 126 of them fill a lap up to 64 bytes.
LINE_BYTES = 64
LINES = 32
ROOM = LINES * LINE_BYTES
LAP = SIZE // (HEADER_BYTES + ROOM)
# With this body a record fills a segment to its last byte.
FILLING = b"x" * (SIZE // SEGMENTS - HEADER_BYTES)

READING = {"_header", "_entries", "_past_wrap", "_lap_end", "_word", "_entry", "_unused", "<listcomp>", "<genexpr>"}

# Forking while another test's thread runs is what is tested here, not a mistake.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


@contextmanager
def opened(path: Path | None, size: int = SIZE) -> Iterator[Ring]:
    ring = Ring(path, size)
    try:
        yield ring
    finally:
        ring.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bus.ring"


def lines(first: int, count: int) -> bytes:
    """Line ``n`` begins with ``n``, so that a hole or a double is seen."""
    return b"".join(
        b"%d " % number + b"x" * (LINE_BYTES - 2 - len(str(number))) + b"\n" for number in range(first, first + count)
    )


def append_lines(ring: Ring, records: int) -> None:
    for _ in range(records):
        ring.append(lines(ring.position + 1, LINES), LINES)


def numbers(body: bytes | memoryview) -> list[int]:
    return [int(line.split()[0]) for line in bytes(body).splitlines()]


def check_lines(ring: Ring, position: int | None = None) -> None:
    """Every message that can be read (from here on) is the line of its number; the leftover begins with the next."""
    position = ring.first if position is None else position
    for record in ring.records(position):
        assert record.first == position
        assert numbers(record.body) == list(range(position + 1, position + record.count + 1))
        position += record.count
    assert position == ring.position
    left = numbers(ring.leftover() or b"")
    assert left == list(range(position + 1, position + len(left) + 1))


# -- what it keeps ------------------------------------------------------------------------------------------------


def test_messages_are_read_again_from_any_position(path: Path) -> None:
    with opened(path) as ring:
        ring.append(b"one\ntwo\n", 2)
        ring.append(b"three\n", 1)
        ring.append(b"four\nfive\n", 2)

        assert (ring.first, ring.position) == (0, 5)
        assert [bytes(record.body) for record in ring.records(0)] == [b"one\ntwo\n", b"three\n", b"four\nfive\n"]
        assert [record.first for record in ring.records(1)] == [0, 2, 3]
        assert [record.first for record in ring.records(2)] == [2, 3]
        assert [(record.first, record.count) for record in ring.records(4)] == [(3, 2)]
        assert list(ring.records(5)) == []


def test_the_next_process_goes_on_with_the_same_ring(path: Path) -> None:
    with opened(path) as ring:
        epoch, reason = ring.epoch, ring.reason
        append_lines(ring, 3)
        last = ring.last
    assert reason == "no file"
    assert 0 < epoch < 2**63

    with opened(path) as ring:
        assert not ring.is_new
        assert (ring.epoch, ring.position, ring.last) == (epoch, 3 * LINES, last)
        append_lines(ring, 1)
        check_lines(ring)
        assert ring.first == 0


def test_many_laps_keep_the_newest_messages_in_order(path: Path) -> None:
    with opened(path) as ring:
        append_lines(ring, 10 * LAP + 7)
        check_lines(ring)
        assert ring.position == (10 * LAP + 7) * LINES
        # At most the segments ahead of the writer are empty.
        assert ring.position - ring.first > 0.9 * LAP * LINES
        held = [(record.offset, record.first) for record in ring.records(ring.first)]
    with opened(path) as ring:
        assert [(record.offset, record.first) for record in ring.records(ring.first)] == held


def test_what_is_read_from_a_pipe_goes_straight_into_the_ring(path: Path, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    with opened(path) as ring:
        os.write(writer, b"one\ntwo\n")
        size = os.readv(reader, [ring.reserve(ROOM)])
        ring.commit(size, 2)
        assert [bytes(record.body) for record in ring.records(0)] == [b"one\ntwo\n"]


def test_a_read_that_gave_nothing_leaves_no_trace(path: Path) -> None:
    with opened(path) as ring:
        append_lines(ring, 1)
        before = ring.position, ring.offset, ring.last
        ring.reserve(ROOM)
        ring.commit(0, 0)
        assert (ring.position, ring.offset, ring.last) == before
        append_lines(ring, 1)
        check_lines(ring)


def test_the_reserved_place_is_zero_in_every_lap() -> None:
    with opened(None) as ring:
        for _ in range(3 * LAP):
            place = ring.reserve(ROOM)
            assert not any(place)
            place[:] = b"y" * ROOM
            ring.commit(ROOM, 1)


def test_pieces_are_records_that_hold_no_message() -> None:
    with opened(None) as ring:
        begun = ring.offset
        ring.append(b"first piece", 0)
        ring.append(b"middle piece", 0, begun)
        ring.append(b"last piece", 1, begun)
        ring.append(b"text\n", 1)

        (ended, text) = ring.records(0)
        assert (bytes(ended.body), ended.since) == (b"last piece", begun)
        assert text.since == text.offset
        pieces = [bytes(record.body) for record in ring.records_from(ended.since)]
        assert pieces == [b"first piece", b"middle piece", b"last piece", b"text\n"]


def test_a_message_whose_beginning_is_gone_cannot_be_read() -> None:
    """Given a text whose first piece is evicted and whose last is not, reading begins with the next whole one."""
    with opened(None) as ring:
        begun = ring.offset
        ring.append(b"first piece", 0)
        for _ in range(LAP - 20):
            ring.append(lines(ring.position + 1, LINES), LINES, begun)
        position = ring.position
        whole = ring.offset
        append_lines(ring, 1)
        assert ring.first == 0

        while ring.holds(begun):
            append_lines(ring, 1)

        assert ring.holds(whole)
        assert ring.first == position
        assert next(ring.records(position)).offset == whole
        with pytest.raises(ValueError, match="is not in the ring"):
            ring.records(position - 1)
        with pytest.raises(ValueError, match="is not in the ring"):
            ring.records_from(begun)


def test_when_an_open_text_outlasts_the_ring_nothing_is_readable_until_it_ends() -> None:
    with opened(None) as ring:
        begun = ring.offset
        ring.append(b"first piece", 0)
        for _ in range(2 * LAP):
            ring.append(lines(ring.position + 1, LINES), LINES, begun)
            assert ring.first == (0 if ring.holds(begun) else ring.position)
        position = ring.position
        append_lines(ring, 2)
        assert ring.first == position
        assert len(list(ring.records(position))) == 2


@pytest.mark.parametrize("records", [0, 1, 5, 3 * LAP])
def test_one_can_look_back_segment_by_segment(records: int) -> None:
    with opened(None) as ring:
        begun = ring.offset
        ring.append(b"first piece", 0)
        ring.append(b"z" * (2 * SIZE // SEGMENTS), 0, begun)
        append_lines(ring, records)

        marks = ring.marks()

        assert marks == sorted(set(marks), reverse=True)
        assert marks[-1] == ring.first
        for newer, older in pairwise([ring.position, *marks]):
            read = takewhile(lambda record, newer=newer: record.first < newer, ring.records(older))
            assert sum(len(record.body) for record in read) <= 2 * SIZE // SEGMENTS


def test_the_reader_sees_what_is_committed_while_it_reads() -> None:
    with opened(None) as ring:
        ring.append(b"one\n", 1)
        reading = ring.records(0)
        assert bytes(next(reading).body) == b"one\n"
        ring.append(b"two\n", 1)
        assert bytes(next(reading).body) == b"two\n"
        assert next(reading, None) is None


def test_a_reader_that_is_overtaken_ends_early() -> None:
    with opened(None) as ring:
        append_lines(ring, 2)
        reading = ring.records(0)
        next(reading)
        append_lines(ring, 2 * LAP)
        assert list(reading) == []


def test_each_record_is_told_once_in_order_before_it_goes() -> None:
    told: list[tuple[int, bool, list[int]]] = []
    with opened(None) as ring:
        ring.on_evict = lambda record: told.append((record.first, ring.holds(record.offset), numbers(record.body)))
        append_lines(ring, 3 * LAP)
        assert ring.first > LAP * LINES
        assert [first for first, _, _ in told] == list(range(0, ring.first, LINES))
        assert all(held and found[0] == first + 1 for first, held, found in told)


def test_bodies_can_be_looked_at_after_close_and_not_changed(path: Path) -> None:
    with opened(path) as ring:
        append_lines(ring, 1)
        body = next(ring.records(0)).body
    assert numbers(body) == list(range(1, LINES + 1))
    with pytest.raises(TypeError, match="read-only"):
        body[0] = 0


def test_a_wrong_call_is_refused_and_changes_nothing() -> None:
    with opened(None) as ring:
        append_lines(ring, 1)
        before = ring.position, ring.offset, ring.last
        with pytest.raises(ValueError, match="more than an eighth"):
            ring.reserve(SIZE // 8 + 1)
        with pytest.raises(ValueError, match=r"reserve\(\) the place"):
            ring.commit(1, 1)
        place = ring.reserve(ROOM)
        with pytest.raises(ValueError, match=r"reserve\(\) the place"):
            ring.commit(ROOM + 1, 1)
        with pytest.raises(ValueError, match="4 bytes"):
            ring.commit(4, 5)
        with pytest.raises(ValueError, match="begins at"):
            ring.commit(4, 1, ring.offset + 1)
        with pytest.raises(ValueError, match="not in the ring"):
            ring.records(ring.position + 1)
        assert (ring.position, ring.offset, ring.last) == before
        place[:] = lines(LINES + 1, LINES)
        ring.commit(ROOM, LINES)
        check_lines(ring)


@pytest.mark.parametrize("body", [b"x", b"x" * 7, b"x" * 8, FILLING, b"x" * 4096, b"x" * (SIZE // 8)], ids=len)
def test_bodies_of_any_size_come_back_over_many_laps(path: Path, body: bytes) -> None:
    with opened(path) as ring:
        for _ in range(3 * SIZE // (len(body) + HEADER_BYTES) + 3):
            ring.append(body, 1)
        assert {bytes(record.body) for record in ring.records(ring.first)} == {body}
        position = ring.position
    with opened(path) as ring:
        assert ring.position == position
        assert {bytes(record.body) for record in ring.records(ring.first)} == {body}


class AgainstAList(RuleBasedStateMachine):
    """The ring beside a plain list of all records ever."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="sb-")
        self.path = Path(self.folder.name, "bus.ring")
        self.random = random.Random(0)
        self.all: list[tuple[int, int, int, int, bytes]] = []
        self.since = 0

    @initialize(path=st.booleans())
    def open(self, path: bool) -> None:
        self.ring = Ring(self.path if path else None, SIZE)
        self.epoch = self.ring.epoch

    @rule(times=st.integers(1, 60), most=st.sampled_from([1, 40, 400, 4096, SIZE // 8]), open_text=st.booleans())
    def append(self, times: int, most: int, open_text: bool) -> None:
        for _ in range(times):
            body = self.random.randbytes(self.random.randint(1, most))
            count = self.random.choice([0, 1, self.random.randint(0, len(body))])
            position = self.ring.position
            place = self.ring.reserve(self.random.randint(len(body), SIZE // 8))
            place[: len(body)] = body
            offset = self.ring.offset
            if not open_text:
                self.since = offset
            self.ring.commit(len(body), count, self.since if open_text else None)
            self.all.append((offset, position, count, self.since, body))
            assert self.ring.position == position + count

    @rule(room=st.integers(0, SIZE // 8))
    def read_nothing(self, room: int) -> None:
        self.ring.reserve(room)
        self.ring.commit(0, 0)

    @rule()
    def reopen(self) -> None:
        if self.path.exists():
            self.ring.close()
            self.ring = Ring(self.path, SIZE)
            assert not self.ring.is_new

    @rule(part=st.floats(0, 1))
    def read(self, part: float) -> None:
        first, last = self.ring.first, self.ring.position
        position = first + round((last - first) * part)
        begin = next((i for i, (_, at, count, _, _) in enumerate(self.all) if at + count > position), len(self.all))
        assert [known(record) for record in self.ring.records(position)] == self.all[begin:]

    @invariant()
    def agree(self) -> None:
        held = [record for record in self.all if self.ring.holds(record[0])]
        assert held == self.all[len(self.all) - len(held) :]
        assert len(held) == len(self.all) or self.ring.offset - held[0][0] > SIZE // 2
        readable = [at for _, at, _, since, _ in held if since >= held[0][0]]
        assert self.ring.first == (readable[0] if readable else self.ring.position)
        assert self.ring.last == (self.all[-1][0] if self.all else None)
        assert self.ring.epoch == self.epoch
        if held:
            assert [known(record) for record in self.ring.records_from(held[0][0])] == held

    def teardown(self) -> None:
        self.ring.close()
        self.folder.cleanup()


def known(record: Record) -> tuple[int, int, int, int, bytes]:
    return record.offset, record.first, record.count, record.since, bytes(record.body)


AgainstAList.TestCase.settings = settings(max_examples=25, stateful_step_count=25)
test_it_does_what_a_list_would = AgainstAList.TestCase


# -- its file -----------------------------------------------------------------------------------------------------


def test_the_file_is_of_this_user_only_and_tells_its_address(path: Path) -> None:
    Ring(path, SIZE, "tcp://127.0.0.1:5555").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"tcp://127.0.0.1:5555\0" in path.read_bytes()[:1024]
    # Every byte has its place on the disk: none can be missing later.
    assert path.stat().st_blocks * 512 >= FILE_BYTES


def test_a_link_in_its_place_is_not_followed(path: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    path.symlink_to(precious)
    with pytest.raises(OSError) as caught:
        Ring(path, SIZE)
    assert caught.value.errno == errno.ELOOP
    assert precious.read_text() == "keep me"


def test_the_size_is_rounded_up_and_another_size_is_another_ring(path: Path) -> None:
    with opened(path, 1) as ring:
        assert ring.size == SIZE
        append_lines(ring, 5)
        epoch = ring.epoch
    with opened(path, SIZE + 1) as ring:
        assert ring.size == 2 * SIZE
        assert (ring.is_new, ring.reason) == (True, f"the ring had {SIZE} bytes")
        assert ring.epoch != epoch
        assert (ring.first, ring.position, ring.last) == (0, 0, None)
        append_lines(ring, 3 * LAP)
        check_lines(ring)
    with opened(path) as ring:
        assert ring.is_new
        append_lines(ring, 3 * LAP)
        check_lines(ring)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 256 KiB, in which a ring of 256 KiB and its header find no room."""
    if os.geteuid():
        missing("the right to mount a small file system", "run the tests as root")
    with tempfile.TemporaryDirectory(prefix="sb-") as folder:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True).returncode:
            missing("the right to mount a small file system", "docker run --privileged")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def test_a_full_file_system_is_told_at_once_and_nothing_is_left(small_disk: Path) -> None:
    with pytest.raises(
        StorageFull, match=f"{small_disk} is full, the bus needs {FILE_BYTES} bytes .* SHELLBOT_RUNTIME"
    ):
        Ring(small_disk / "bus.ring", SIZE)
    assert list(small_disk.iterdir()) == []


# -- killed -------------------------------------------------------------------------------------------------------


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe of 8 KiB; only the test's end of the writing side is kept open by whoever forks."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 8192)
    yield reader, writer
    for end in (reader, writer):
        with suppress(OSError):
            os.close(end)


def forked(run: Callable[[], object]) -> int:
    """Run this in a process of its own, which ends with 0, or 1 where it raised."""
    if pid := os.fork():
        return pid
    try:
        run()
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def ended(pid: int) -> int:
    """How it ended: 0, or the negative number of the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill_me() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_me_before_step(step: int) -> None:
    """From now on this process counts the lines it runs of the ring, and kills itself before that one.

    Lines of functions that only read are not counted: a kill there is one before the next store.
    """
    left = step

    def on_line(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        code = frame.f_code
        if code.co_filename != shellbot.bus.ring.__file__ or code.co_name in READING:
            return None
        if event == "line":
            left -= 1
            if not left:
                kill_me()
        return on_line

    sys.settrace(on_line)


def carry_on(path: Path, reader: int, room: int = ROOM, most: int | None = None) -> None:
    """What a hub does: commit what the last one left, then read lines until there are none (or at most so often)."""
    with opened(path) as ring:
        if (left := ring.leftover()) is not None:
            ring.commit(len(left), bytes(left).count(b"\n"))
        while most != 0:
            try:
                place = ring.reserve(room)
                size = os.readv(reader, [place])
            except BlockingIOError:
                return
            if not size:
                return
            ring.commit(size, bytes(place[:size]).count(b"\n"))
            most = None if most is None else most - 1


def read_and_die(path: Path, reader: int) -> None:
    with opened(path) as ring:
        data = os.read(reader, ROOM)
        kill_me()
        ring.append(data, LINES)


def read_into_the_ring_and_die(path: Path, reader: int) -> None:
    with opened(path) as ring:
        os.readv(reader, [ring.reserve(ROOM)])
        kill_me()


@pytest.mark.parametrize(
    ("hub", "survives"),
    [(read_and_die, False), (read_into_the_ring_and_die, True)],
    ids=["into memory", "into the ring"],
)
@pytest.mark.parametrize("records", [0, 3, LAP, 3 * LAP - 1])
def test_what_was_read_and_not_committed_survives_only_in_the_ring(
    path: Path, pipe: tuple[int, int], hub: Callable[[Path, int], None], survives: bool, records: int
) -> None:
    """The harm, and the repair: killed between reading from the pipe and the commit."""
    reader, writer = pipe
    with opened(path) as ring:
        append_lines(ring, records)
        epoch, position = ring.epoch, ring.position
    os.write(writer, lines(position + 1, LINES))

    assert ended(forked(lambda: hub(path, reader))) == -signal.SIGKILL

    with opened(path) as ring:
        assert (ring.epoch, ring.position) == (epoch, position)
        left = ring.leftover()
        if not survives:
            assert left is None
            return
        assert left is not None
        assert bytes(left) == lines(position + 1, LINES)
        ring.commit(len(left), LINES)
        assert ring.leftover() is None
        append_lines(ring, 1)
        check_lines(ring)
        assert ring.position == position + 2 * LINES


def test_half_a_line_behind_the_leftover_is_still_in_the_pipe_and_not_taken(path: Path) -> None:
    with opened(path) as ring:
        ring.reserve(100)[:14] = b"one\ntwo\nthree "
    with opened(path) as ring:
        left = ring.leftover()
        assert left is not None
        assert bytes(left) == b"one\ntwo\n"
        with pytest.raises(ValueError, match="reserve"):
            ring.commit(4, 1)
        ring.commit(len(left), 2)
    with opened(path) as ring:
        assert (ring.position, ring.leftover(), ring.is_new) == (2, None, False)


def test_a_leftover_that_is_not_committed_is_dropped_by_the_next_record(path: Path) -> None:
    with opened(path) as ring:
        append_lines(ring, 1)
        ring.reserve(ROOM)[:] = b"y" * (ROOM - 1) + b"\n"
    with opened(path) as ring:
        assert ring.leftover() is not None
        assert not any(ring.reserve(ROOM))
        assert ring.leftover() is None
    with opened(path) as ring:
        assert ring.leftover() is None
        append_lines(ring, 1)
        check_lines(ring)


def test_a_kill_while_the_leftover_is_dropped_leaves_all_of_it_or_nothing(path: Path) -> None:
    left = lines(1, 4 * LINES)
    with opened(path) as ring:
        ring.reserve(len(left))[:] = left
    before = path.read_bytes()

    def hub(step: int) -> None:
        with opened(path) as ring:
            kill_me_before_step(step)
            ring.reserve(ROOM)

    found = []
    step, code = 0, -signal.SIGKILL
    while code == -signal.SIGKILL:
        step += 1
        path.write_bytes(before)
        code = ended(forked(partial(hub, step)))
        with opened(path) as ring:
            found.append(bytes(ring.leftover() or b""))

    assert code == 0
    assert set(found) == {left, b""}


def test_a_kill_after_the_wrap_mark_goes_on_in_the_next_lap(path: Path) -> None:
    with opened(path) as ring:
        append_lines(ring, LAP)
        assert ring.offset < SIZE
        ring.reserve(ROOM)
        assert ring.offset == SIZE
    with opened(path) as ring:
        assert (ring.offset, ring.position, ring.is_new) == (SIZE, LAP * LINES, False)
        append_lines(ring, 1)
        check_lines(ring)


# What the ring holds before the process that is killed opens it: records, and whether a read is not committed.
STATES = {
    "no file": None,
    "empty": (0, False),
    "first lap": (3, False),
    "first lap, leftover": (3, True),
    "before the wrap": (LAP - 1, False),
    "before the wrap, leftover": (LAP - 1, True),
    "at the wrap": (LAP, False),
    "at the wrap, leftover": (LAP, True),
    "third lap": (2 * LAP + 10, False),
    "third lap, leftover": (2 * LAP + 10, True),
}


def make_state(path: Path, state: tuple[int, bool] | None) -> int:
    """Gives the number of the next line in the pipe."""
    if state is None:
        return 1
    records, leftover = state
    with opened(path) as ring:
        append_lines(ring, records)
        if leftover:
            ring.reserve(ROOM)[:] = lines(ring.position + 1, LINES)
        return ring.position + 1 + LINES * leftover


# Before every line, or before some of them, at most so many apart.
APART = [
    pytest.param(40, id="some"),
    pytest.param(1, id="all", marks=[pytest.mark.long, pytest.mark.timeout(120)]),
]


def drawn_steps(apart: int) -> Iterator[int]:
    """Growing numbers without end, each at most so much above the one before."""
    seed = int.from_bytes(os.urandom(4))
    print(f"random.Random({seed}), at most {apart} apart")
    chance = random.Random(seed)
    step = 0
    while True:
        step += chance.randint(1, apart)
        yield step


@pytest.mark.parametrize("apart", APART)
@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_a_kill_before_any_line_of_the_ring_loses_nothing(
    path: Path, pipe: tuple[int, int], state: tuple[int, bool] | None, apart: int
) -> None:
    """A hub opens the ring, takes over, and reads twice. It is killed before one line it runs of the ring, then before
    a later one, until it comes to its end; each time the next one goes on."""
    reader, writer = pipe
    os.set_blocking(reader, False)
    number = make_state(path, state)
    before = path.read_bytes() if state else None
    epoch = None if before is None else Ring(path, SIZE).epoch

    def hub(step: int) -> None:
        kill_me_before_step(step)
        carry_on(path, reader, most=2)

    for step in drawn_steps(apart):
        if before is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(before)
        os.write(writer, lines(number, 2 * LINES))

        code = ended(forked(partial(hub, step)))
        carry_on(path, reader)

        with opened(path) as ring:
            assert ring.position == number - 1 + 2 * LINES, step
            assert epoch in (ring.epoch, None), step
            assert ring.leftover() is None, step
            check_lines(ring, ring.first if code == 0 else number - 1)
        if code != -signal.SIGKILL:
            break
    assert code == 0
    assert step > 100


@pytest.mark.parametrize("apart", APART)
def test_kills_during_one_recovery_after_the_other_lose_nothing(path: Path, pipe: tuple[int, int], apart: int) -> None:
    """Each hub gets a little further than the one before, and all are killed."""
    reader, writer = pipe
    os.set_blocking(reader, False)
    number = make_state(path, (2 * LAP - 1, True))
    os.write(writer, lines(number, 3 * LINES))

    def hub(step: int) -> None:
        kill_me_before_step(step)
        carry_on(path, reader)

    for step in drawn_steps(apart):
        code = ended(forked(partial(hub, step)))
        with opened(path) as ring:
            check_lines(ring, number - 1 - LINES)
        if code != -signal.SIGKILL:
            break
    assert code == 0
    with opened(path) as ring:
        assert ring.position == number - 1 + 3 * LINES
        check_lines(ring)


@pytest.mark.parametrize("kills", [60, pytest.param(1500, marks=[pytest.mark.long, pytest.mark.timeout(120)])])
def test_kills_at_any_moment_lose_nothing_and_double_nothing(path: Path, pipe: tuple[int, int], kills: int) -> None:
    """Lines come through a pipe without end; whoever reads them is killed and replaced again and again."""
    reader, writer = pipe
    chance = random.Random(kills)
    number = 1
    # A read with more room than the pipe has empties it, so each ends with a whole line.
    room = 16_384

    def hub() -> None:
        os.close(writer)
        carry_on(path, reader, room)

    pids: list[int] = []
    try:
        for _ in range(kills):
            pids.append(forked(hub))
            # The pipe is short: the reader is at work by the time most of these are written.
            for _ in range(chance.randrange(60)):
                count = chance.randrange(1, 60)
                os.write(writer, lines(number, count))
                number += count
            os.kill(pids[-1], signal.SIGKILL)
            assert ended(pids.pop()) == -signal.SIGKILL
            if path.exists() and path.stat().st_size:
                with opened(path) as ring:
                    check_lines(ring)
        pids.append(forked(hub))
        os.close(writer)
        assert ended(pids.pop()) == 0
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            ended(pid)

    with opened(path) as ring:
        assert not ring.is_new
        assert ring.position == number - 1
        assert ring.offset > kills // 20 * SIZE
        check_lines(ring)


def test_opening_walks_a_segment_and_not_the_ring(path: Path) -> None:
    with opened(path, 16 * 1024 * 1024) as ring:
        records = ring.size // 128 - SEGMENTS
        for _ in range(records):
            ring.append(b"x" * 95 + b"\n", 1)
    walked = 0

    def on_call(frame: FrameType, event: str, _: Any) -> None:
        nonlocal walked
        walked += event == "call" and frame.f_code is Ring._header.__code__

    sys.setprofile(on_call)
    try:
        ring = Ring(path, 16 * 1024 * 1024)
    finally:
        sys.setprofile(None)
    assert ring.position == records > 100_000
    ring.close()
    # One for each segment's entry, and the records of the newest segment.
    assert walked < SEGMENTS + 1.1 * records / SEGMENTS


# -- damaged ------------------------------------------------------------------------------------------------------


class Image:
    """The bytes of a ring, and what is in it."""

    def __init__(self, records: int, leftover: bool) -> None:
        chance = random.Random(records)
        with tempfile.TemporaryDirectory(prefix="sb-") as folder:
            path = Path(folder, "bus.ring")
            with opened(path) as ring:
                for _ in range(records):
                    body = lines(ring.position + 1, chance.randrange(1, 60))
                    ring.append(body, chance.choice([0, body.count(b"\n")]))
                self.lengths = {record.offset: len(record.body) for record in ring.records(ring.first)}
                self.end = ring.offset
                self.epoch = ring.epoch
                if leftover:
                    ring.reserve(ROOM)[:] = lines(ring.position + 1, LINES)
            self.data = path.read_bytes()


IMAGES = [Image(0, False), Image(2, False), Image(20, True), Image(300, False), Image(333, True), Image(500, True)]


@st.composite
def damaged(draw: st.DrawFn, most: int) -> tuple[Image, bytes]:
    """One of the images with other bytes in one place: in the header, near the end of the ring, or anywhere."""
    image = draw(st.sampled_from(IMAGES))
    end = 4096 + image.end % SIZE
    near = st.integers(max(0, end - 5000), min(FILE_BYTES - 1, end + 5000))
    place = draw(
        st.integers(0, 2048)
        | near
        | st.sampled_from(sorted(image.lengths) or [0]).map(lambda offset: 4096 + offset % SIZE)
        | st.integers(0, FILE_BYTES - 1)
    )
    size = draw(st.integers(1, most))
    old = image.data[place : place + size]
    new = draw(st.binary(min_size=len(old), max_size=len(old)) | st.just(bytes(len(old))))
    return image, image.data[:place] + new + image.data[place + len(old) :]


def read_all(path: Path) -> tuple[int, dict[int, int]]:
    """The epoch, and the length of each record that can be read. Then the ring is gone on with."""
    with opened(path) as ring:
        lengths = {record.offset: len(record.body) for record in ring.records(ring.first)}
        assert len(lengths) <= SIZE // HEADER_BYTES
        for offset in list(lengths)[::50]:
            assert [record.offset for record in ring.records_from(offset)] == [o for o in lengths if o >= offset]
        ring.leftover()
        epoch, position = ring.epoch, ring.position
        ring.append(b"next\n", 1)
    with opened(path) as ring:
        assert (ring.epoch, ring.position) == (epoch, position + 1)
        assert bytes(next(ring.records(position)).body) == b"next\n"
    return epoch, lengths


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "bus.ring"


@settings(max_examples=300)
@given(damaged(1))
def test_a_wrong_byte_makes_a_new_ring_or_hides_records_and_never_shows_others(
    scratch: Path, damage: tuple[Image, bytes]
) -> None:
    image, data = damage
    scratch.write_bytes(data)
    epoch, lengths = read_all(scratch)
    if epoch == image.epoch:
        assert lengths.items() <= image.lengths.items()
    else:
        assert lengths == {}


@settings(max_examples=300)
@given(damaged(500))
def test_wrong_bytes_never_crash_the_reader(scratch: Path, damage: tuple[Image, bytes]) -> None:
    scratch.write_bytes(damage[1])
    read_all(scratch)


@settings(max_examples=50)
@given(st.sampled_from(IMAGES), st.integers(0, FILE_BYTES - 1) | st.integers(0, 4200))
@example(IMAGES[1], 8)
def test_a_file_cut_short_is_a_new_ring(scratch: Path, image: Image, size: int) -> None:
    scratch.write_bytes(image.data[:size])
    epoch, lengths = read_all(scratch)
    assert epoch != image.epoch
    assert lengths == {}
    assert scratch.stat().st_size == FILE_BYTES


def header(offset: int) -> int:
    """Where in the file the words of the record at this offset are, counted in words."""
    return (4096 + offset % SIZE) // 8


def commit_word(length: int) -> int:
    return (0xFF524543 ^ length) << 32 | length


Damage = Callable[[memoryview, int, int], None]


def set_word(number: int, value: int) -> Damage:
    """Another value in a word of a record."""

    def damage(words: memoryview, offset: int, _: int) -> None:
        words[header(offset) + number] = value

    return damage


def no_end(words: memoryview, _: int, end: int) -> None:
    words[header(end)] = 1


def too_much_is_zero(words: memoryview, _: int, end: int) -> None:
    words[127] += SIZE // SEGMENTS


def another_entry(words: memoryview, newest: int, _: int) -> None:
    words[128 + newest // (SIZE // SEGMENTS) % SEGMENTS * 2] += 8


def an_entry_beyond_all_bounds(words: memoryview, newest: int, _: int) -> None:
    words[128 + newest // (SIZE // SEGMENTS) % SEGMENTS * 2] += 2**64 - 2 * SIZE


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (set_word(0, commit_word(SIZE)), "its end is not to be found"),
        (set_word(1, 5), "its positions do not continue"),
        (set_word(2, 3), "its end is not to be found"),
        (set_word(3, 2 * SIZE), "its end is not to be found"),
        (no_end, "its end is not to be found"),
        (too_much_is_zero, "records are held where all is zero"),
        (another_entry, "an entry is not that of a record"),
        (an_entry_beyond_all_bounds, "an entry is not that of a record"),
    ],
    ids=["length", "first", "count", "since", "end", "zero", "entry", "large entry"],
)
def test_a_new_ring_says_what_was_wrong_with_the_old(path: Path, damage: Damage, reason: str) -> None:
    with opened(path) as ring:
        append_lines(ring, LAP + 50)
        for _ in range(3):
            ring.append(b"a\n", 1)
        assert ring.last is not None
        data = bytearray(path.read_bytes())
        damage(memoryview(data).cast("Q"), ring.last, ring.offset)
        epoch = ring.epoch
    path.write_bytes(data)
    with opened(path) as ring:
        assert ring.reason == f"the ring is damaged: {reason}"
        assert ring.epoch != epoch
        assert (ring.first, ring.position, ring.offset) == (0, 0, 0)


def test_records_in_a_circle_are_not_walked_for_ever(path: Path) -> None:
    with opened(path) as ring:
        ring.append(FILLING, 0)
        data = path.read_bytes()
    path.write_bytes(data[:4096] + data[4096:8192] * SEGMENTS)
    with opened(path) as ring:
        assert ring.reason == "the ring is damaged: its positions do not continue"


@pytest.mark.parametrize("damage", [set_word(0, commit_word(SIZE)), set_word(1, 5)], ids=["length", "first"])
def test_reading_ends_before_a_damaged_record(path: Path, damage: Damage) -> None:
    with opened(path) as ring:
        append_lines(ring, 10)
        data = bytearray(path.read_bytes())
        damage(memoryview(data).cast("Q"), list(ring.records(0))[5].offset, ring.offset)
    path.write_bytes(data)
    with opened(path) as ring:
        assert [record.first for record in ring.records(0)] == [number * LINES for number in range(5)]
        assert ring.position == 10 * LINES
