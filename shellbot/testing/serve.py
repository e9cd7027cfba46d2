"""``python -m shellbot.testing.serve``: ``shellbot run`` for tests, whose time a test may move.

The product's command line knows nothing of this, so nobody moves the time of a server by mistake.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from shellbot.clocks import AsyncioClock, ExternalClock
from shellbot.commands.loading import load_commands
from shellbot.context import Context
from shellbot.engine import Engine
from shellbot.errors import ShellbotError
from shellbot.testing import crashing
from shellbot.testing.clock import NOON, follow
from shellbot.testing.stillness import Stillness

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM, Ctrl-C, or the test that moves the clock has gone."""
    parser = argparse.ArgumentParser("python -m shellbot.testing.serve", description=__doc__.split("\n", 1)[0])
    parser.add_argument("bot", nargs="?", help="Python file with commands, as for shellbot run")
    parser.add_argument("--instance", dest="instance.folder")
    parser.add_argument("--port", dest="server.port", type=int)
    parser.add_argument("--bus", dest="bus.address")
    parser.add_argument("--settings", help="a YAML or TOML file")
    parser.add_argument("--demo", action="store_true")
    parser.add_argument("--clock-fd", type=int, help="descriptor by which a test moves the time; real time without it")
    parser.add_argument("--clock-utc", type=datetime.fromisoformat, default=NOON, help="what that clock shows first")
    options = vars(parser.parse_args(arguments))
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    descriptor, is_demo = options["clock_fd"], options["demo"]
    clock = AsyncioClock() if descriptor is None else ExternalClock(options["clock_utc"])
    try:
        crashing.arm()
        context = Context.from_file(options["settings"]) if options["settings"] else Context()
        context.apply_environment()
        context.apply({key: value for key, value in options.items() if "." in key and value is not None})
        commands = load_commands(options["bot"]) if options["bot"] else ()
        engine = Engine(context, commands=commands, clock=clock, is_demo=is_demo)
    except ShellbotError as error:
        sys.exit(f"shellbot: {error}")
    engine.run(_companion(descriptor, is_demo))


def _companion(descriptor: int | None, is_demo: bool) -> Callable[[Engine], Awaitable[Any]]:
    async def beside(engine: Engine) -> None:
        async with asyncio.TaskGroup() as tasks:
            if descriptor is not None:
                tasks.create_task(_follow(engine, descriptor))
            if is_demo and engine.server is not None:
                from shellbot.testing.demo import play

                tasks.create_task(play(engine.server.url, clock=engine.clock))

    return beside


async def _follow(engine: Engine, descriptor: int) -> None:
    assert isinstance(engine.clock, ExternalClock)
    try:
        stillness = Stillness(engine)
        await stillness.start()
        await follow(descriptor, engine.clock, stillness)
    except Exception:
        logger.exception("the clock cannot be moved any more")
    engine.ended.set()


if __name__ == "__main__":
    main()
