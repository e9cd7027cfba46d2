"""A room in a process of its own, to be killed: ``room_process.py STORE PORT MODE``.

``MODE`` is ``hears``, or ``stuck``: every delivery waits for ever, as if the process were killed in the middle of it.
Prints its address once it answers; each delivered event is one line in ``STORE.heard``, written before it counts.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from web_room import SECRET, PollBot

from shellbot.clocks import AsyncioClock
from shellbot.events import Event, Join
from shellbot.server.chat import ChatServer
from shellbot.spaces.web import WebSpace
from shellbot.stores.sqlite import SqliteStore


async def main(path: Path, port: int, mode: str) -> None:
    store = SqliteStore(path)
    await store.open()
    space = WebSpace(store=store, clock=AsyncioClock())
    bot = PollBot(space)

    async def deliver(event: Event) -> asyncio.Future[None]:
        if mode == "stuck" and not isinstance(event, Join):
            with path.with_suffix(".begun").open("a") as file:
                file.write(f"{event.id}\n")
            await asyncio.get_running_loop().create_future()
        with path.with_suffix(".heard").open("a") as file:
            file.write(f"{event.id}\n")
        return await bot.deliver(event)

    await space.start(deliver)
    server = ChatServer(space=space, port=port, secret=SECRET)
    await server.start()
    print(server.url, flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
