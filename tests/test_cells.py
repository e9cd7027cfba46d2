"""One switch and many counters, seen by all processes, exact whoever is killed."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import random
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot import cells as cells_module
from shellbot.cells import NAMES, WRITERS, Cells, is_alive, process_tag
from shellbot.context import Context
from shellbot.errors import ConfigError

METHODS = ["fork", "spawn", "forkserver"]

# Forking while another test's thread runs is what is tested here, not a mistake.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

Start = Callable[..., tuple[BaseProcess, Connection]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start ``target(pipe, *args)`` in a child that cannot outlive the test."""
    children: list[tuple[BaseProcess, Connection]] = []

    def start(method: str, target: Callable[..., None], *args: Any) -> tuple[BaseProcess, Connection]:
        context = multiprocessing.get_context(method)
        here, there = context.Pipe()
        child = context.Process(target=target, args=(there, *args), daemon=True)
        child.start()
        there.close()
        children.append((child, here))
        return child, here

    yield start
    for child, pipe in children:
        pipe.close()
        child.kill()
        child.join()
        child.close()


def count(pipe: Connection, context: Context, name: str, times: int) -> None:
    pipe.recv()
    for _ in range(times):
        context.increment(name)
    pipe.send(context.get("general.switch"))
    pipe.recv()


@pytest.mark.parametrize("method", METHODS)
def test_three_processes_count_exactly(start: Start, method: str) -> None:
    context = Context({"general": {"switch": "on"}})
    children = [start(method, count, context, "gauge", 10_000) for _ in range(3)]
    for _, pipe in children:
        pipe.send("go")
    context.increment("gauge", 5)

    assert [pipe.recv() for _, pipe in children] == ["on"] * 3
    assert context.get("gauge") == 30_005


def watch(pipe: Connection, context: Context) -> None:
    pipe.send("ready")
    while context.get("general.switch") == "on":
        if pipe.poll(0.001):
            return
    pipe.send(context.get("general.switch"))
    context.set("general.switch", "seen")
    pipe.send("changed")


@pytest.mark.parametrize("method", METHODS)
def test_the_switch_is_seen_by_all_sides(start: Start, method: str) -> None:
    context = Context({"general": {"switch": "on"}})
    _, pipe = start(method, watch, context)
    assert pipe.recv() == "ready"

    context.set("general.switch", "off")

    assert pipe.recv() == "off"
    assert pipe.recv() == "changed"
    assert context.get("general.switch") == "seen"


def count_for_ever(pipe: Connection, cells: Cells, name: str) -> None:
    while True:
        pipe.send(cells.add(name, 1))


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_process_leaves_its_count_and_no_lock(start: Start, method: str) -> None:
    cells = Cells()
    child, pipe = start(method, count_for_ever, cells, "gauge")
    told = 0
    while told < 200:
        told = pipe.recv()

    child.kill()
    child.join()
    while pipe.poll():
        try:
            told = pipe.recv()
        except EOFError:
            break

    left = cells.read("gauge")
    assert left in (told, told + 1)  # the last one may not have been told any more
    assert cells.add("gauge", 1) == left + 1


def add_names(pipe: Connection, cells: Cells, number: int) -> None:
    pipe.send("ready")
    pipe.recv()
    for name in random.Random(number).sample(range(40), 40):
        cells.add(f"name {name}", 1)
    pipe.send("done")
    pipe.recv()


@pytest.mark.parametrize("method", METHODS)
def test_names_that_many_begin_at_once_get_one_row_each(start: Start, method: str) -> None:
    cells = Cells()
    pipes = [start(method, add_names, cells, number)[1] for number in range(4)]
    assert [pipe.recv() for pipe in pipes] == ["ready"] * 4
    for pipe in pipes:
        pipe.send("go")
    assert [pipe.recv() for pipe in pipes] == ["done"] * 4

    assert sorted(cells.names()) == sorted(f"name {number}" for number in range(40))
    assert {cells.read(name) for name in cells.names()} == {4}


def test_threads_of_one_process_count_exactly() -> None:
    cells = Cells()

    def work() -> None:
        for _ in range(2_000):
            cells.add("gauge", 1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert cells.read("gauge") == 16_000


def test_a_fork_while_another_thread_counts_does_not_hang() -> None:
    cells = Cells()
    is_over = threading.Event()

    def work() -> None:
        while not is_over.is_set():
            cells.add("gauge", 1)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(50):
            child = os.fork()
            if child == 0:
                cells.add("forked", 1)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        is_over.set()
        thread.join()

    assert cells.read("forked") == 50


def test_what_is_stored_is_counted_on() -> None:
    cells = Cells()
    other = pickle.loads(pickle.dumps(cells))
    cells.add("gauge", 7)
    other.add("gauge", 4)

    cells.store("gauge", 100)
    other.add("gauge", 1)
    assert (cells.read("gauge"), other.read("gauge")) == (101, 101)

    other.store("gauge", None)
    assert cells.read("gauge") is None
    assert "gauge" not in cells.names()
    assert cells.add("gauge", 2) == 2


steps = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from("abc"),
        st.sampled_from(["add", "add", "store", "remove"]),
        st.integers(-(2**40), 2**40),
    ),
    max_size=30,
)


@given(steps)
def test_several_copies_count_like_one_dictionary(steps: list[tuple[int, str, str, int]]) -> None:
    cells = Cells()
    copies = [cells, Cells(cells.path), pickle.loads(pickle.dumps(cells))]
    model: dict[str, int] = {}
    for number, name, step, value in steps:
        if step == "add":
            model[name] = model.get(name, 0) + value
            assert copies[number].add(name, value) == model[name]
        elif step == "store":
            model[name] = value
            copies[number].store(name, value)
        else:
            model.pop(name, None)
            copies[number].store(name, None)
        for copy in copies:
            assert {name: copy.read(name) for name in copy.names()} == model


def test_more_names_than_rows_are_refused_and_nothing_is_lost() -> None:
    cells = Cells()
    for number in range(NAMES):
        cells.add(f"counter {number}", number)

    with pytest.raises(ConfigError, match="128 counters are shared already"):
        cells.add("one more", 1)

    assert cells.read("one more") is None
    assert [cells.read(f"counter {number}") for number in range(NAMES)] == list(range(NAMES))


def test_more_writers_than_slots_are_refused_until_one_goes() -> None:
    cells = Cells()
    writers = [pickle.loads(pickle.dumps(cells)) for _ in range(WRITERS)]
    for writer in writers:
        writer.add("gauge", 1)

    with pytest.raises(ConfigError, match="63 living processes"):
        cells.add("gauge", 1)
    assert cells.read("gauge") == WRITERS

    del writers[10], writer
    gc.collect()
    assert cells.add("gauge", 1) == WRITERS + 1


def add_once(cells: Cells) -> None:
    cells.add("gauge", 1)


def test_the_slots_of_dead_processes_are_used_again() -> None:
    cells = Cells()
    for _ in range(WRITERS + 5):
        child = os.fork()
        if child == 0:
            cells.add("gauge", 1)
            os._exit(0)  # leaves its name on its slot, as one that is killed does
        assert os.waitpid(child, 0)[1] == 0

    assert cells.add("gauge", 1) == WRITERS + 6


def test_a_worker_that_gets_the_cells_again_and_again_needs_one_slot(start: Start) -> None:
    cells = Cells()
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        pool.map(add_once, [cells] * (2 * WRITERS), chunksize=1)
        pool.close()
        pool.join()
    assert cells.read("gauge") == 2 * WRITERS


def test_a_pid_given_away_again_is_not_the_old_process() -> None:
    tag = process_tag()
    assert is_alive(tag)
    assert not is_alive(tag ^ 1 << 33)
    assert not is_alive(0)


def test_the_switch_holds_a_word() -> None:
    cells = Cells()
    assert cells.switch is None
    for word in ("on", "off", "ünïx", "12345678"):
        cells.switch = word
        assert cells.switch == word
    for wrong in ("", "123456789", "a\0b", "a\0"):
        with pytest.raises(ConfigError, match="the switch is 'on', 'off'"):
            cells.switch = wrong


def test_names_are_any_text_of_255_bytes() -> None:
    cells = Cells()
    other = Cells(cells.path)
    for name in ("é" * 127, "*", "a b\nc", "x" * 255):
        cells.add(name, 3)
        assert other.read(name) == 3
    for wrong in ("", "x" * 256):
        with pytest.raises(ConfigError, match="1 to 255 bytes"):
            cells.add(wrong, 1)


def test_the_file_is_private_and_goes_with_its_owner() -> None:
    cells = Cells()
    path = Path(cells.path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700

    del cells
    gc.collect()
    assert not path.exists()


def make_and_tell(pipe: Connection) -> None:
    cells = Cells()
    pickle.dumps(cells)
    pipe.send(cells.path)
    pipe.recv()


@pytest.mark.parametrize("method", METHODS)
def test_the_file_goes_when_the_process_ends(start: Start, method: str) -> None:
    child, pipe = start(method, make_and_tell)
    path = Path(pipe.recv())
    assert path.exists()
    pipe.send("end")
    child.join()
    assert not path.exists()


def test_the_file_of_a_killed_owner_is_swept_away_by_the_next(start: Start) -> None:
    child, pipe = start("spawn", make_and_tell)
    path = Path(pipe.recv())
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join()
    assert path.exists()

    Cells()
    assert not path.exists()


def test_cells_given_away_last_although_nobody_here_keeps_them(start: Start) -> None:
    _, pipe = start("spawn", count, Context({"general": {"switch": "on"}}), "gauge", 1)
    gc.collect()
    pipe.send("go")
    assert pipe.recv() == "on"


def outlive(pipe: Connection, cells: Cells) -> None:
    pipe.send("ready")
    pipe.recv()
    pipe.send(cells.add("late", 1))
    pipe.recv()


def test_a_child_counts_on_when_the_file_is_gone(start: Start) -> None:
    cells = Cells()
    _, pipe = start("spawn", outlive, cells)
    assert pipe.recv() == "ready"
    os.unlink(cells.path)
    pipe.send("go")
    assert pipe.recv() == 1
    assert cells.read("late") == 1


def test_attaching_to_a_file_that_is_gone_says_so() -> None:
    with pytest.raises(ConfigError, match="has ended"):
        Cells("/nonexistent/cells")


def test_a_folder_open_to_others_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.setenv("SHELLBOT_RUNTIME", str(tmp_path))
    with pytest.raises(ConfigError, match="mode 0700"):
        Cells()


def test_without_room_for_the_file_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELLBOT_RUNTIME", str(tmp_path / "file" / "below"))
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ConfigError, match="SHELLBOT_RUNTIME"):
        Cells()

    folder = tmp_path / "own"
    monkeypatch.setenv("SHELLBOT_RUNTIME", str(folder))
    monkeypatch.setattr(cells_module.os, "write", lambda descriptor, block: 4096)
    with pytest.raises(ConfigError, match="no space left"):
        Cells()
    assert list(folder.iterdir()) == []
