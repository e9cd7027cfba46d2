"""What ``import shellbot`` gives, and what it costs."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import shellbot

PACKAGES = ["shellbot", *(f"shellbot.{found.name}" for found in pkgutil.iter_modules(shellbot.__path__) if found.ispkg)]


def modules_after(program: str) -> set[str]:
    """Names of the modules that a fresh interpreter has loaded after this program."""
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        timeout=15,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("name", PACKAGES)
def test_public_names_are_sorted_and_there(name: str) -> None:
    package = importlib.import_module(name)
    public = getattr(package, "__all__", None)
    if public is None:
        # A package without public names imports none either; people import its modules.
        tree = ast.parse(Path(package.__file__ or "").read_text("utf-8"))
        assert not [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module != "__future__"]
        return
    # As ruff sorts them: constants, classes, the rest.
    assert public == sorted(public, key=_rank)
    assert len(public) == len(set(public))
    for attribute in public:
        assert getattr(package, attribute) is not None


def _rank(name: str) -> tuple[int, str]:
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2), name


def test_each_lazy_name_is_public_and_known_to_type_checkers() -> None:
    assert sorted([*shellbot._HOMES, "__version__"]) == sorted(shellbot.__all__)
    assert set(shellbot.__all__) <= set(dir(shellbot))
    tree = ast.parse(Path(shellbot.__file__).read_text("utf-8"))
    for_types = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert for_types == shellbot._HOMES


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = shellbot.Nothing


def test_importing_shellbot_loads_nothing_that_is_not_needed() -> None:
    loaded = modules_after("import shellbot") - modules_after("pass")
    assert {name for name in loaded if name.startswith("shellbot")} == {"shellbot"}
    assert len(loaded) < 20, sorted(loaded)


def test_a_context_needs_no_bus_and_no_server() -> None:
    loaded = modules_after("from shellbot import Context; Context()")
    assert loaded.isdisjoint({"zmq", "flask", "uvicorn", "asyncio", "click", "prompt_toolkit"})


def test_the_version_is_the_one_of_setup() -> None:
    assert shellbot.__version__.count(".") == 2
    assert all(part.isdecimal() for part in shellbot.__version__.split("."))
    assert shellbot.__version__ == importlib.import_module("shellbot.engine").VERSION
