"""The pytest plugin: the fixture ``dialogue`` for ``async def test_...(dialogue)``.

It needs no other plugin; where one runs async tests already (pytest-asyncio, anyio), that one runs these, too.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from shellbot.testing.dialogue import Dialogue

MOST = 10_000  # characters of a log that are shown


@pytest.fixture
def dialogue_options() -> Sequence[str]:
    """Options of ``shellbot run`` for the server of ``dialogue``; override it to name your bot: ``["my_bot.py"]``.

    A file that lies beside the test is found there, wherever pytest was started.
    """
    return ()


@pytest.fixture
def dialogue(request: pytest.FixtureRequest, tmp_path: Path, dialogue_options: Sequence[str]) -> Iterator[Dialogue]:
    """A chat of its own: real bus, engine and store in a process of its own, people over HTTP, a clock to move."""
    made = Dialogue(tmp_path / "instance", _beside(request.path.parent, dialogue_options))
    # Whoever runs the test's coroutine, the people have to close their browsers on its loop.
    request.node.obj = _within(made, request.node.obj)
    yield made
    made.server.end_now()


def _beside(folder: Path, options: Sequence[str]) -> list[str]:
    return [str(folder / option) if (folder / option).is_file() else option for option in options]


def _within(dialogue: Dialogue, test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def whole(*args: Any, **kwargs: Any) -> None:
        async with dialogue:
            await test(*args, **kwargs)

    return whole


@pytest.hookimpl
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run such a test on a loop of its own, unless another plugin has."""
    test = pyfuncitem.obj
    if not isinstance(pyfuncitem.funcargs.get("dialogue"), Dialogue) or not inspect.iscoroutinefunction(test):
        return None
    names = inspect.signature(test).parameters
    asyncio.run(test(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show with a test that failed what its server complained of: a bot's mistake is there with its traceback."""
    outcome: Any = yield
    report: pytest.TestReport = outcome.get_result()
    dialogue = getattr(item, "funcargs", {}).get("dialogue")
    if report.failed and isinstance(dialogue, Dialogue) and (said := dialogue.server.stderr[-MOST:]):
        report.sections.append((f"Log of the server, {report.when}", said))
