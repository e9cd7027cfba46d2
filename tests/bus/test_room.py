"""`bus.room`: how much a connection takes in while its reader is busy with something else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shellbot.bus.options import BusOptions
from shellbot.context import Context
from shellbot.errors import ConfigError
from tests.bus.conftest import Buses

MANY = 6_000
TEXT = "x" * 1_000


@pytest.fixture
def ipc(short_folder: Path) -> Iterator[Buses]:
    made = Buses(f"ipc://{short_folder}/bus")
    yield made
    made.close()


@pytest.mark.parametrize(("room", "is_cut"), [(1_000, True), (10_000, False)])
def test_who_has_room_is_not_cut_off_while_it_does_not_read(ipc: Buses, room: int, is_cut: bool) -> None:
    publisher = ipc.publisher(slow="disconnect")
    busy = ipc.subscriber("a", ready=True, room=room)
    reads = ipc.subscriber("a", ready=True)
    for number in range(MANY):
        publisher.put("a", [number, TEXT])
        reads.get(block=True, timeout=10)
    assert [busy.get(block=True, timeout=10)[0] for _ in range(MANY)] == list(range(MANY))
    assert (busy.replayed > 0) is is_cut


@pytest.mark.parametrize("room", [0, 999, 100_001, "much", True, 1.5])
def test_a_room_that_is_none_is_refused(room: object) -> None:
    with pytest.raises(ConfigError, match=r"bus.room is .*; it should be 1,000 to 100,000 messages"):
        BusOptions.read(Context({"bus": {"room": room}}))
