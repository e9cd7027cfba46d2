"""A message of which nobody knows whether it came: sent once more, marked, and never a third time."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shellbot.clocks import ExternalClock
from shellbot.errors import OutcomeUnknown
from shellbot.events import Button, Card, Person, Reply
from shellbot.outbox import Outbox
from shellbot.stores.memory import MemoryStore
from shellbot.stores.sqlite import SqliteStore
from tests.spaces.webex.rooms import hurried, on_webex

CARD = Card(id="c", title="Lunch?", buttons=(Button("1", "Pizza"), Button("2", "Sushi")))


@asynccontextmanager
async def talking(fake, store=None):
    """A bot with an outbox and one direct channel, on a clock that is hurried."""
    kept = store or MemoryStore()
    await kept.open()
    clock = ExternalClock(datetime.now(UTC))
    ann = fake.person("Person A")
    async with hurried(clock), on_webex(fake, store=kept, clock=clock, poll_every=1e6) as (space, _):
        channel = (await space.open_direct(Person(ann.id, ann.name))).id
        outbox = Outbox(kept, space.post, clock)
        await outbox.load()
        outbox.start()
        yield space, outbox, channel
        await outbox.stop()
    await kept.close()


def said(fake) -> list[str]:
    return [message.text for message in fake.messages((fake.bot("Shelly"), fake.person("Person A")))]


async def test_a_connection_that_breaks_after_the_message_was_taken_repeats_it_once_and_says_so(fake, caplog):
    async with talking(fake) as (_, outbox, channel):
        fake.faults.next("reset", path="messages", method="POST", when="after")
        shown = [outbox.send(channel, Reply(id=text, text=text)) for text in ("one", "two")]
        assert all(await asyncio.wait_for(asyncio.gather(*shown), 10))
    assert said(fake) == ["one", "one (again)", "two"]
    assert any("sent once more" in record.message and record.levelno == logging.WARNING for record in caplog.records)


async def test_a_connection_that_breaks_before_the_message_was_taken_looks_the_same(fake):
    async with talking(fake) as (_, outbox, channel):
        fake.faults.next("reset", path="messages", method="POST", when="before")
        assert await asyncio.wait_for(outbox.send(channel, Reply(id="one", text="one")), 10)
    assert said(fake) == ["one (again)"]


async def test_it_is_not_sent_a_third_time_whatever_comes_of_the_second(fake):
    async with talking(fake) as (_, outbox, channel):
        fake.faults.next("reset", path="messages", method="POST", when="after", count=2)
        assert await asyncio.wait_for(outbox.send(channel, Reply(id="one", text="one")), 10)
        fake.faults.clear()
        assert await asyncio.wait_for(outbox.send(channel, Reply(id="two", text="two")), 10)
        assert await asyncio.wait_for(outbox.send(channel, Reply(id="one", text="changed", version=2)), 10)
    assert said(fake) == ["one", "one (again)", "two", "changed"]


async def test_what_was_refused_in_between_is_still_sent_and_still_marked_once(fake):
    async with talking(fake) as (_, outbox, channel):
        fake.faults.next("reset", path="messages", method="POST", when="after")
        fake.faults.next(503, path="messages", method="POST", count=2)
        fake.faults.next(429, path="messages", method="POST", headers={"Retry-After": "1"})
        assert await asyncio.wait_for(outbox.send(channel, Reply(id="one", text="one")), 10)
    assert said(fake) == ["one", "one (again)"]


async def test_a_failure_that_the_platform_answers_is_no_doubt(fake):
    async with talking(fake) as (_, outbox, channel):
        fake.faults.next(502, path="messages", method="POST", count=3)
        assert await asyncio.wait_for(outbox.send(channel, Reply(id="one", text="one")), 10)
    assert said(fake) == ["one"]


async def test_a_card_that_is_sent_again_says_so_on_the_card(fake):
    async with talking(fake) as (_, outbox, channel):
        fake.faults.next("reset", path="messages", method="POST", when="after")
        assert await asyncio.wait_for(outbox.send(channel, Reply(id="one", text="", card=CARD)), 10)
    messages = fake.messages((fake.bot("Shelly"), fake.person("Person A")))
    assert [message.cards[0]["body"][-1]["text"] for message in messages] == [
        "Please type 1 or 2: buttons do nothing here.",
        "(again)",
    ]
    assert messages[1].markdown.endswith("(again)")


async def test_an_answer_that_cannot_be_read_is_a_doubt_too(fake):
    async with talking(fake) as (space, _, channel):
        fake.faults.next(200, path="messages", method="POST", body=b"<html>it is done</html>", when="after")
        with pytest.raises(OutcomeUnknown):
            await space.post(channel, Reply(id="one", text="one"))


async def test_a_change_that_broke_off_is_made_again_without_a_mark(fake):
    async with talking(fake) as (_, outbox, channel):
        await outbox.send(channel, Reply(id="one", text="one"))
        fake.faults.next("reset", path="messages", method="PUT", when="after")
        assert await asyncio.wait_for(outbox.send(channel, Reply(id="one", text="two", version=2)), 10)
    assert said(fake) == ["two"]


async def test_a_stop_while_a_message_is_under_way_neither_loses_nor_doubles_it(fake, tmp_path):
    async with talking(fake, SqliteStore(tmp_path / "store.db")) as (_, outbox, channel):
        held = fake.faults.next("hold", path="messages", method="POST")
        shown = outbox.send(channel, Reply(id="one", text="one"))
        await asyncio.to_thread(held.wait_reached)
        await outbox.stop(0.01)
        assert not shown.done()
        asyncio.get_running_loop().call_later(0.1, held.release)
    async with talking(fake, SqliteStore(tmp_path / "store.db")) as (_, outbox, channel):
        assert await asyncio.wait_for(outbox.send(channel, Reply(id="two", text="two")), 10)
    assert said(fake) == ["one", "two"]


PROGRAM = """
import asyncio, sys
from shellbot.clocks import AsyncioClock
from shellbot.events import Person, Reply
from shellbot.outbox import Outbox
from shellbot.spaces.webex import Options, WebexSpace
from shellbot.stores.sqlite import SqliteStore

async def deliver(event):
    raise AssertionError(event)

async def main(url, token, path, person):
    store = SqliteStore(path)
    await store.open()
    space = WebexSpace(token=token, store=store, clock=AsyncioClock(), options=Options(api_url=url, poll_every=1e6))
    await space.start(deliver)
    channel = (await space.open_direct(Person(person, "Person A"))).id
    outbox = Outbox(store, space.post, AsyncioClock())
    await outbox.load()
    outbox.start()
    await outbox.send(channel, Reply(id="one", text="one"))

asyncio.run(main(*sys.argv[1:]))
"""


async def test_killed_while_a_message_is_under_way_it_is_sent_once_more_and_marked(fake, tmp_path):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    path = tmp_path / "store.db"
    held = fake.faults.next("hold", path="messages", method="POST", when="after")
    program = await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", PROGRAM, fake.url, bot.token, str(path), ann.id],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    try:
        await asyncio.to_thread(held.wait_reached, 15)
    finally:
        program.kill()
        await program.wait()
    held.release()
    async with talking(fake, SqliteStore(path)) as (_, outbox, channel):
        assert await asyncio.wait_for(outbox.send(channel, Reply(id="two", text="two")), 10)
    assert said(fake) == ["one", "one (again)", "two"]
