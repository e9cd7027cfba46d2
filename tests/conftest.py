"""What all tests share: async tests without a plugin, a runtime folder of their own, skips that say what to install."""

from __future__ import annotations

import asyncio
import inspect
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest

# Examples are many, machines are slow: no property fails for want of time. A failure prints what repeats it.
hypothesis.settings.register_profile(
    "shellbot", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], print_blob=True
)
hypothesis.settings.load_profile("shellbot")

# A shell that starts the tests in the background has them ignore Ctrl-C, and their programs inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Set by `scripts/test --all`: there everything can be installed, so what is missing is a failure.
ALL = os.environ.get("SHELLBOT_TEST_ALL") == "1"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run ``async def test_...`` on an event loop of its own, which is gone when the test ends."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


def missing(what: str, command: str) -> NoReturn:
    """Skip this test for want of ``what``, which ``command`` would install; with ``--all`` it fails instead."""
    text = f"needs {what}; to install: {command}"
    if ALL:
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The browser of the machine. Playwright drives this one, by ``executable_path``, and never installs its own."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return Path(path)
    missing("a Chromium browser", "apt-get install -y chromium")


@pytest.fixture(scope="session", autouse=True)
def runtime_folder() -> Iterator[Path]:
    """No test sees the settings, sockets, locks and cells of a server that runs on this machine."""
    # Not under pytest's own folder: the path of a socket ends at 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="sb-"))
    kept = {name: value for name, value in os.environ.items() if name.startswith("SHELLBOT_")}
    for name in kept.keys() - {"SHELLBOT_TEST_ALL"}:
        del os.environ[name]
    os.environ["SHELLBOT_RUNTIME"] = str(folder)
    yield folder
    del os.environ["SHELLBOT_RUNTIME"]
    os.environ.update(kept)
    shutil.rmtree(folder)
