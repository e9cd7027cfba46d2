"""``SHELLBOT_CRASH_AT=n``: a server that ends at its n-th step, as ``kill -9`` would end it.

Steps are counted from the start of the process, before and after each of these: a transaction is committed to the store
(what people said, votes, counts, announcements), messages are put on the bus, one comes from it, something that a bot
said is shown. Unless the variable is set nothing is wrapped, and nothing is counted.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from shellbot.bus.publisher import Publisher
from shellbot.errors import ConfigError
from shellbot.outbox import Outbox
from shellbot.stillness import CHANNEL
from shellbot.stores.base import Store
from shellbot.switchboard import Switchboard

VARIABLE = "SHELLBOT_CRASH_AT"
STEPS: tuple[tuple[type, str, str], ...] = (
    (Store, "_transaction", "a commit"),
    (Publisher, "put_encoded", "a put"),
    (Switchboard, "_dispatch", "a frame that came"),
    (Outbox, "_show", "something said"),
)
Step = Callable[[str], None]


def arm(environ: Mapping[str, str] = os.environ) -> None:
    """Have this process end where the variable says, if it is set. Call it once, before any engine is made.

    Raises:
        ConfigError: It is no number of a step.
    """
    if not (text := environ.get(VARIABLE)):
        return
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{VARIABLE} is the number of a step, 1 or more, not {text!r}", key=VARIABLE)
    crash_at, numbers = int(text), count(1)

    def step(where: str) -> None:
        if next(numbers) == crash_at:
            print(f"shellbot: ends at step {crash_at}, {where} ({VARIABLE})", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    for kind, name, what in STEPS:
        setattr(kind, name, _stepped(getattr(kind, name), what, step))


def _stepped(call: Callable[..., Any], what: str, step: Step) -> Callable[..., Any]:
    """The same with a step before and a step after."""

    @functools.wraps(call)
    def stepped(*args: Any, **kwargs: Any) -> Any:
        if not _is_counted(args):
            return call(*args, **kwargs)
        step(f"before {what}")
        result = call(*args, **kwargs)
        step(f"after {what}")
        return result

    @functools.wraps(call)
    async def stepped_async(*args: Any, **kwargs: Any) -> Any:
        step(f"before {what}")
        result = await call(*args, **kwargs)
        step(f"after {what}")
        return result

    return stepped_async if asyncio.iscoroutinefunction(call) else stepped


def _is_counted(args: tuple[Any, ...]) -> bool:
    """Not what only reads, nor what the test's clock says to itself."""
    if isinstance(args[0], Store):
        return any(entry.kind == "write" for entry in args[2])
    return bool(args[1] != CHANNEL)
