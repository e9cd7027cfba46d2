"""The switchboard hears every frame, whatever it does meanwhile."""

from __future__ import annotations

import asyncio
import os
import select
from contextlib import contextmanager

import pytest

from shellbot.bus.bus import Bus
from shellbot.context import Context
from shellbot.envelope import Envelope, Seal
from shellbot.errors import MessageTooLarge, NotFinite
from shellbot.switchboard import SLICE, Switchboard
from shellbot.testing import stopped


@contextmanager
def a_bus(runtime_folder):
    bus = Bus(Context({"bus": {"address": f"ipc://{runtime_folder}/{os.urandom(4).hex()}"}}))
    with bus.publish() as publisher:
        yield bus, publisher


def said(id: str) -> Envelope:
    return Envelope(group="group", side="direct", id=id, do="poll")


def wait_come(switchboard: Switchboard) -> None:
    """Wait, with the loop standing still, until the next frame lies in the socket.

    Sending may have taken the signal of one of the bus's own frames that lies there unread, and then ours brings
    none; it has come all the same after such a time.
    """
    select.select([switchboard._subscriber.fileno()], [], [], 1)


async def hear_while(switchboard: Switchboard, meanwhile, ids: list[str]) -> None:
    """``meanwhile()`` is done when a frame has come and the reader has not looked yet; all are heard."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    switchboard.listen("first", "direct", lambda channel, envelope: heard.put_nowait(envelope.id))
    await switchboard.in_force(5)
    await asyncio.sleep(0)  # the reader waits for the descriptor
    for id in ids:
        switchboard.put("first", said(id))
        wait_come(switchboard)
        meanwhile()
        async with asyncio.timeout(5):
            assert await heard.get() == id


@pytest.mark.parametrize("deed", ["listen", "ignore"])
async def test_a_frame_that_came_just_before_another_channel_is_heard(runtime_folder, deed):
    with a_bus(runtime_folder) as (bus, publisher):
        switchboard = Switchboard(bus, publisher, Seal(b"k" * 32))
        numbers = iter(range(100))
        ids = [f"id-{number}" for number in range(5)]

        def nobody(channel, envelope):
            raise AssertionError("nothing is said there")

        def listen():
            switchboard.listen(f"other-{next(numbers)}", "direct", nobody)

        def ignore():
            switchboard.ignore(f"held-{next(numbers)}", "direct", nobody)

        try:
            for number in range(len(ids)):
                switchboard.listen(f"held-{number}", "direct", nobody)
            await hear_while(switchboard, {"listen": listen, "ignore": ignore}[deed], ids)
        finally:
            await switchboard.stop()


async def test_channels_that_come_one_after_the_other_are_subscribed_to_together(runtime_folder, monkeypatch):
    monkeypatch.setattr("shellbot.switchboard.EACH", 10.0)
    with a_bus(runtime_folder) as (bus, publisher):
        switchboard = Switchboard(bus, publisher, Seal(b"k" * 32))
        try:
            switchboard.listen("first", "direct", ignored)
            changes = []
            switchboard._subscriber.incoming.change = lambda channels, fresh, gone: changes.append((fresh, gone))
            for number in range(5):
                switchboard.listen(f"one-{number}", "direct", ignored)
                await asyncio.sleep(0)
            switchboard.ignore("one-3", "direct", ignored)
            switchboard.ignore("first", "direct", ignored)
            switchboard._subscribe()
            assert changes == [(["one-0", "one-1", "one-2", "one-4"], []), ([], ["first"])]
        finally:
            await switchboard.stop()


async def test_of_very_much_a_slice_goes_out_in_each_step_of_the_loop(runtime_folder):
    with a_bus(runtime_folder) as (bus, publisher):
        switchboard = Switchboard(bus, publisher, Seal(b"k" * 32))
        heard: list[str] = []
        is_all = asyncio.Event()

        def hear(channel, envelope):
            heard.append(envelope.id)
            if len(heard) == 3 * SLICE:
                is_all.set()

        try:
            switchboard.listen("first", "direct", hear)
            await switchboard.in_force(5)
            for number in range(3 * SLICE):
                switchboard.put("first", said(str(number)))
            assert len(switchboard._line) == 3 * SLICE - 1
            await asyncio.sleep(0)
            assert len(switchboard._line) == 2 * SLICE - 1
            async with asyncio.timeout(10):
                await is_all.wait()
            assert heard == [str(number) for number in range(3 * SLICE)]
        finally:
            await switchboard.stop()


async def test_what_is_said_in_one_step_of_the_loop_goes_out_in_two_writes(runtime_folder):
    with a_bus(runtime_folder) as (bus, publisher):
        switchboard = Switchboard(bus, publisher, Seal(b"k" * 32))
        heard: list[str] = []
        is_all = asyncio.Event()
        puts: list[int] = []
        put_encoded = publisher.put_encoded
        publisher.put_encoded = lambda texts: puts.append(len(texts)) or put_encoded(texts)

        def hear(channel, envelope):
            heard.append(envelope.id)
            if len(heard) == 10:
                is_all.set()

        try:
            for name in ("first", "second"):
                switchboard.listen(name, "direct", hear)
            await switchboard.in_force(5)
            for number in range(10):
                switchboard.put(("first", "second")[number % 2], said(str(number)))
            async with asyncio.timeout(10):
                await is_all.wait()
            assert heard == [str(number) for number in range(10)]
            assert puts == [1, 9]
        finally:
            await switchboard.stop()


async def test_what_cannot_travel_is_refused_where_it_is_said(runtime_folder):
    with a_bus(runtime_folder) as (bus, publisher):
        switchboard = Switchboard(bus, publisher, Seal(b"k" * 32))
        heard: asyncio.Queue[str] = asyncio.Queue()
        try:
            switchboard.listen("first", "direct", lambda channel, envelope: heard.put_nowait(envelope.id))
            await switchboard.in_force(5)
            switchboard.put("first", said("before"))
            for body, error in (({"x": float("nan")}, NotFinite), ({"x": "y" * 2**20}, MessageTooLarge)):
                with pytest.raises(error):
                    switchboard.put("first", Envelope(group="group", side="direct", id="bad", do="poll", body=body))
            switchboard.put("first", said("after"))
            async with asyncio.timeout(10):
                assert [await heard.get(), await heard.get()] == ["before", "after"]
        finally:
            await switchboard.stop()


async def test_a_publisher_that_was_closed_is_told_in_the_log_and_hinders_nobody(runtime_folder, caplog):
    with a_bus(runtime_folder) as (bus, publisher):
        switchboard = Switchboard(bus, publisher, Seal(b"k" * 32))
        try:
            publisher.close()
            for number in range(3):
                switchboard.put("first", said(str(number)))
        finally:
            await switchboard.stop()
        said_of_it = "what is said cannot be put, messages=1: this queue was closed here; nothing more can be put"
        assert [record.getMessage() for record in caplog.records] == [said_of_it] * 3


async def test_what_is_said_at_once_to_who_has_just_come_is_heard_once_and_in_its_order(runtime_folder):
    with a_bus(runtime_folder) as (bus, publisher):
        switchboard = Switchboard(bus, publisher, Seal(b"k" * 32))
        heard: dict[str, list[str]] = {}
        is_all = asyncio.Event()

        def hear(channel, envelope):
            heard.setdefault(channel, []).append(envelope.id)
            if sum(map(len, heard.values())) == 300:
                is_all.set()

        try:
            for number in range(100):
                switchboard.listen(f"one-{number}", "direct", hear)
                switchboard.put(f"one-{number}", said("first"))
                switchboard.put(f"one-{number}", said("second"))
                await asyncio.sleep(0)
            for number in range(100):
                switchboard.put(f"one-{number}", said("third"))
            async with asyncio.timeout(10):
                await is_all.wait()
            assert heard == {f"one-{number}": ["first", "second", "third"] for number in range(100)}
        finally:
            await switchboard.stop()


async def test_what_is_said_early_waits_for_a_publisher_that_does_not_answer(runtime_folder, monkeypatch):
    monkeypatch.setattr("shellbot.switchboard.PATIENCE", 0.05)
    has_waited = asyncio.Event()
    monkeypatch.setattr("shellbot.switchboard.logger.warning", lambda *said: has_waited.set())
    with a_bus(runtime_folder) as (bus, publisher):
        switchboard = Switchboard(bus, publisher, Seal(b"k" * 32))
        heard: asyncio.Queue[str] = asyncio.Queue()
        try:
            with stopped(publisher):
                switchboard.listen("first", "direct", lambda channel, envelope: heard.put_nowait(envelope.id))
                switchboard.put("first", said("early"))
                async with asyncio.timeout(10):
                    await has_waited.wait()
            async with asyncio.timeout(10):
                assert await heard.get() == "early"
        finally:
            await switchboard.stop()


async def test_what_is_said_early_goes_out_also_where_nobody_listens_any_more(runtime_folder):
    with a_bus(runtime_folder) as (bus, publisher), bus.subscribe("first") as spy:
        spy.wait_ready(5)
        switchboard = Switchboard(bus, publisher, Seal(b"k" * 32))
        try:
            switchboard.listen("first", "direct", ignored)
            switchboard.put("first", said("early"))
            switchboard.ignore("first", "direct", ignored)
            assert (await spy.aio.get(timeout=5))["id"] == "early"
        finally:
            await switchboard.stop()


def ignored(channel, envelope):
    pass
