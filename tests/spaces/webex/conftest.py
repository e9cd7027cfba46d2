"""A platform for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shellbot.testing import FakeWebex


@pytest.fixture
def fake() -> Iterator[FakeWebex]:
    with FakeWebex() as fake:
        yield fake
