"""A change that waits for its time, and a newer one that comes just as the first is shown."""

from __future__ import annotations

import asyncio

import msgspec

from shellbot.clocks import AsyncioClock
from shellbot.events import Reply
from shellbot.spaces.webex.later import SCHEMA, Later
from shellbot.stores.memory import MemoryStore


async def test_a_newer_change_stays_on_disk_when_the_one_before_it_has_been_shown():
    """It was deleted with that one, and lost if the program was killed before its time."""
    store, shown, may_go_on = MemoryStore(), asyncio.Event(), asyncio.Event()
    await store.open()
    await store.create(SCHEMA)

    async def show(channel: str, reply: Reply) -> None:
        shown.set()
        await may_go_on.wait()

    later = Later(store, AsyncioClock(), show)
    first, newer = Reply(id="r", text="first"), Reply(id="r", text="newer")
    try:
        await later.put("room", first, 0.0)
        await shown.wait()
        putting = asyncio.create_task(later.put("room", newer, 2e9))
        await asyncio.sleep(0)  # it stands in the store's line
        may_go_on.set()
        await putting
        [body] = await store.read(lambda db: db.execute("SELECT body FROM webex_later").fetchone())
        assert msgspec.json.decode(body, type=Reply) == newer
    finally:
        await later.close()
        await store.close()
