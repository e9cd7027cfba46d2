"""Webex asks to wait, fails, or does not know the bot any more: rows C8 and C9 of docs/faults.md."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.clocks import ExternalClock
from shellbot.errors import RateLimited, SpaceError, SpaceUnauthorized
from shellbot.events import Join, Message, Person, Reply
from shellbot.outbox import Outbox
from shellbot.spaces.webex.client import BREAK_AFTER
from shellbot.spaces.webex.retry import LONGEST, SHORTEST, UNTOLD, retry_after
from shellbot.stores.memory import MemoryStore
from tests.spaces.webex.rooms import NotingClock, direct_id, group_id, hurried, on_webex, until

FAR = 1e6  # seconds until the bot looks around by itself
NOW = datetime(2026, 11, 29, 20, tzinfo=UTC)


def in_seconds(seconds: float) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


HEADERS = [
    (None, UNTOLD),
    ("", UNTOLD),
    ("soon", UNTOLD),
    ("nan", UNTOLD),
    ("0", SHORTEST),
    ("0.5", SHORTEST),
    ("-7", SHORTEST),
    ("2.5", 2.5),
    (" 17 ", 17),
    ("rand(30),add(30)", 60),
    ("1e9", LONGEST),
    ("inf", LONGEST),
    (in_seconds(42), 42),
    (in_seconds(-42), SHORTEST),
    (in_seconds(86_400), LONGEST),
]


@pytest.mark.parametrize(("header", "seconds"), HEADERS)
def test_c08_whatever_stands_in_retry_after_it_is_a_time_to_wait(header, seconds):
    assert retry_after(header, NOW) == seconds


@given(st.text())
def test_c08_no_header_is_waited_for_less_than_a_second_or_more_than_five_minutes(header):
    assert SHORTEST <= retry_after(header, NOW) <= LONGEST


@asynccontextmanager
async def talking(fake, **options):
    """A bot with an outbox, and a clock that is hurried; gives also what waits in the outbox's table."""
    store = MemoryStore()
    await store.open()
    clock = NotingClock(datetime.now(UTC))
    async with hurried(clock), on_webex(fake, store=store, clock=clock, poll_every=FAR, **options) as (space, ear):
        outbox = Outbox(store, space.post, clock)
        await outbox.load()
        outbox.start()
        try:
            yield space, outbox, clock, ear
        finally:
            await outbox.stop()
    await store.close()


@pytest.mark.parametrize("header", [header for header, _ in HEADERS])
async def test_c08_when_webex_asks_to_wait_all_wait_and_nothing_is_lost_or_out_of_order(fake, header):
    bot = fake.bot("Shelly")
    people = [fake.person(f"Person {letter}") for letter in "ABC"]
    async with talking(fake) as (space, outbox, clock, _):
        channels = [(await space.open_direct(Person(each.id, each.name))).id for each in people]
        headers = {} if header is None else {"Retry-After": header}
        fake.faults.next(429, path="messages", method="POST", headers=headers)
        shown = [
            outbox.send(channel, Reply(id=f"r{number}", text=f"line {number}"))
            for number in range(4)
            for channel in channels
        ]
        assert all(await asyncio.wait_for(asyncio.gather(*shown), 15))
        waited = [seconds for _, seconds in clock.slept if seconds < FAR / 2]  # else it is the next look around
    for each in people:
        assert [message.text for message in fake.messages((bot, each))] == [f"line {number}" for number in range(4)]
    assert waited
    assert all(seconds <= LONGEST * 1.25 for seconds in waited)
    assert max(waited) >= SHORTEST


async def test_c08_while_webex_asks_to_wait_no_call_is_made_with_this_token(fake):
    ann = fake.person("Person A")
    clock = ExternalClock(datetime.now(UTC))
    async with on_webex(fake, clock=clock, poll_every=1e6) as (space, _):
        channel = (await space.open_direct(Person(ann.id, ann.name))).id
        fake.faults.next(429, path="messages", method="POST", headers={"Retry-After": "30"})
        with pytest.raises(RateLimited):
            await space.post(channel, Reply(id="a", text="a"))
        asked = len(fake.requests)
        waiting = [asyncio.create_task(space.post(channel, Reply(id=str(n), text=str(n)))) for n in range(30)]
        clock.advance(29)
        await asyncio.sleep(0.05)
        assert len(fake.requests) == asked
        clock.advance(10)
        await asyncio.wait_for(asyncio.gather(*waiting), 10)


async def test_c08_what_is_locked_is_waited_for_alone(fake):
    ann, bea = fake.person("Person A"), fake.person("Person B")
    async with talking(fake) as (space, outbox, _, _):
        one, other = [(await space.open_direct(Person(each.id, each.name))).id for each in (ann, bea)]
        fake.faults.next(423, path="messages", method="POST", headers={"Retry-After": "20"})
        first = outbox.send(one, Reply(id="a", text="a"))
        await fake.aio.wait_until(lambda: any(asked.status == 423 for asked in fake.requests))
        with_another = outbox.send(other, Reply(id="a", text="a"))
        assert await asyncio.wait_for(with_another, 10)
        assert await asyncio.wait_for(first, 10)


async def test_c09_a_token_that_is_revoked_stops_all_says_so_once_and_loses_nothing(fake, caplog):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    room = fake.room("Team", [ann], bots=[bot])
    store = MemoryStore()
    await store.open()
    async with on_webex(fake, store=store) as (space, ear):
        await ear.wait(Join)
        outbox = Outbox(store, space.post, ExternalClock(NOW))
        await outbox.load()
        outbox.start()
        fake.revoke(bot)
        waiting = [outbox.send(channel, Reply(id="a", text="kept")) for channel in (group_id(room), direct_id(ann))]
        await space.open_direct(Person(ann.id, ann.name))
        waiting.append(outbox.send(direct_id(ann), Reply(id="b", text="kept, too")))
        await fake.aio.wait_until(lambda: any(asked.status == 401 for asked in fake.requests))
        with pytest.raises(SpaceUnauthorized):
            await space.post(group_id(room), Reply(id="c", text="c"))
        await space._client._idle.wait()  # those that were under way at the first 401
        asked = len(fake.requests)
        await asyncio.sleep(0.3)  # many rounds of polling
        assert len(fake.requests) == asked
        await outbox.stop()
        assert not any(shown.done() and shown.result() for shown in waiting)
    told = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert 1 <= len(told) <= 2
    assert "Make a new token at developer.webex.com" in told[0].getMessage()

    ann.say(room, "are you there?", mention=bot)
    token = fake.renew(bot)
    async with on_webex(fake, store=store, token=token) as (space, ear):
        outbox = Outbox(store, space.post, ExternalClock(NOW))
        await outbox.load()
        outbox.start()
        await ear.wait(Message)
        await fake.aio.wait_for(room, lambda message: message.text == "kept")
        await fake.aio.wait_for((bot, ann), lambda message: message.text == "kept, too")
        await outbox.stop()
    await store.close()
    assert ear.texts == ["are you there?"]


async def test_c09_a_token_that_is_not_good_is_told_at_the_start(fake):
    with pytest.raises(SpaceUnauthorized, match="make a new one"):
        async with on_webex(fake, token="of nobody"):
            pass


@pytest.mark.parametrize("status", [500, 503])
async def test_c09_a_storm_of_failures_is_not_answered_by_a_storm_of_calls(fake, status):
    bot = fake.bot("Shelly")
    people = [fake.person(f"Person {number}") for number in range(40)]
    async with talking(fake) as (space, outbox, clock, _):
        channels = [(await space.open_direct(Person(each.id, each.name))).id for each in people]
        storm = fake.faults.next(status, path="messages", method="POST", count=40)
        began, asked = clock.time(), len(fake.requests)
        shown = [outbox.send(channel, Reply(id="a", text="after all")) for channel in channels]
        await fake.aio.wait_until(lambda: storm.left <= 0, timeout=15)
        # at first all that are under way fail; then one at a time tries, ever more rarely
        assert len(fake.requests) - asked <= 40 + BREAK_AFTER
        assert clock.time() - began > 60
        assert all(await asyncio.wait_for(asyncio.gather(*shown), 10))
    for each in people:
        assert [message.text for message in fake.messages((bot, each))] == ["after all"]


async def test_c09_nobody_at_the_other_end_is_waited_for_and_the_bot_starts_when_it_was_there_before(fake):
    ann = fake.person("Person A")
    store = MemoryStore()
    await store.open()
    clock = ExternalClock(datetime.now(UTC))
    nowhere = "http://127.0.0.1:9/v1/"  # the port of discard, where nobody listens
    async with hurried(clock):
        with pytest.raises(SpaceError, match="cannot be reached"):
            async with on_webex(fake, store=store, clock=clock, api_url=nowhere):
                pass
        async with on_webex(fake, store=store, clock=clock) as (space, _):
            channel = (await space.open_direct(Person(ann.id, ann.name))).id
        async with on_webex(fake, store=store, clock=clock, api_url=nowhere) as (space, _):
            with pytest.raises(SpaceError, match="cannot be reached"):
                await space.post(channel, Reply(id="a", text="a"))
    await store.close()


async def test_c09_calls_of_one_bot_run_side_by_side_up_to_the_limit(fake):
    people = [fake.person(f"Person {number}") for number in range(12)]
    async with on_webex(fake, parallel=4, poll_every=1e6) as (space, _):
        channels = [(await space.open_direct(Person(each.id, each.name))).id for each in people]
        held = fake.faults.next("hold", path="messages", method="POST", count=4)
        posting = [asyncio.create_task(space.post(channel, Reply(id="a", text="a"))) for channel in channels]
        await until(lambda: not held.left)
        assert sum(thread.name.startswith("webex") for thread in threading.enumerate()) <= 8
        held.release()
        await asyncio.wait_for(asyncio.gather(*posting), 10)
