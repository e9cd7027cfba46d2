"""Addresses of every transport, and a bus whose ends are closed when the test is over."""

from __future__ import annotations

import socket
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shellbot.bus import Bus, Publisher, Subscriber
from shellbot.context import Context


def free_tcp_address() -> str:
    """An address nobody listens on. The port is not one the system gives to connections that go out."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


class Buses:
    """Makes both ends of one address, and closes them all."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.ends: list[Publisher | Subscriber] = []

    def context(self, **settings: Any) -> Context:
        return Context({"bus": {"address": self.address, "linger": 0.5, **settings}})

    def publisher(self, *, start: bool = True, **settings: Any) -> Publisher:
        publisher = Bus(self.context(**settings)).publish()
        self.ends.append(publisher)
        if start:
            publisher.start()
        return publisher

    def subscriber(self, channels: Any, *, ready: bool = False, **settings: Any) -> Subscriber:
        subscriber = Bus(self.context(**settings)).subscribe(channels)
        self.ends.append(subscriber)
        if ready:
            subscriber.wait_ready(10)
        return subscriber

    def close(self) -> None:
        # Subscribers first: a publisher waits for those that do not read.
        for end in sorted(self.ends, key=lambda end: isinstance(end, Publisher)):
            end.close()


@pytest.fixture
def tcp_address() -> str:
    return free_tcp_address()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="sb-") as folder:
        yield Path(folder)


@pytest.fixture(params=["tcp", "ipc", "memory"])
def address(request: pytest.FixtureRequest, short_folder: Path) -> str:
    """One of each kind. A new transport adds itself here."""
    if request.param == "tcp":
        return free_tcp_address()
    if request.param == "ipc":
        return f"ipc://{short_folder}/bus"
    return f"memory://{uuid.uuid4()}"


@pytest.fixture
def buses(address: str) -> Iterator[Buses]:
    made = Buses(address)
    yield made
    made.close()


@pytest.fixture
def tcp(tcp_address: str) -> Iterator[Buses]:
    made = Buses(tcp_address)
    yield made
    made.close()
