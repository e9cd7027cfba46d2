"""Points at which a process kills itself, once, when somebody asks for it: by a file that is there."""

from __future__ import annotations

import functools
import importlib
import os
import signal
from typing import Any


def arm(point: str, when: str, flag: str, nth: int = 1) -> None:
    """Let the next process that comes to a function ``module:Class.name`` kill itself there, while the file is there.

    Args:
        when: ``before`` the call, or ``after`` it.
        flag: Path; who takes the file away is the one to die, so of all processes one does.
        nth: At the so-maniest call since the file is there.
    """
    module, _, name = point.partition(":")
    *path, last = name.split(".")
    owner: Any = functools.reduce(getattr, path, importlib.import_module(module))
    function = getattr(owner, last)
    calls = 0

    def die_if_asked() -> None:
        nonlocal calls
        if not os.path.exists(flag):
            return
        calls += 1
        if calls < nth:
            return
        try:
            os.unlink(flag)
        except FileNotFoundError:
            # Another process has been quicker.
            return
        os.kill(os.getpid(), signal.SIGKILL)

    @functools.wraps(function)
    def replaced(*arguments: Any, **named: Any) -> Any:
        if when == "before":
            die_if_asked()
        found = function(*arguments, **named)
        if when == "after":
            die_if_asked()
        return found

    setattr(owner, last, replaced)
