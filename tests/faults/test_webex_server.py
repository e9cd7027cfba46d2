"""The whole server on Webex, as a process, and what others do to it: rows C5 and C6 of docs/faults.md."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import sqlite3
from pathlib import Path

from shellbot.testing import FakeWebex, Server
from shellbot.testing.fakewebex.state import Message
from tests.scenarios.stages import webex_server

AT_ONCE = 16  # connections of who posts; the door takes 64 at once
SLEEPY = """
import asyncio
from shellbot import Command

class Sleep(Command):
    keyword = "sleep"
    timeout = 60

    async def execute(self, bot, arguments="", **kwargs):
        bot.say("asleep")
        await asyncio.sleep(60)
"""


def signed(body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()


async def is_told(fake: FakeWebex) -> None:
    """Wait until the platform has the server's webhooks, which are the last thing of its start."""
    await fake.aio.wait_until(lambda: len({hook.id for hook in fake.webhooks()}) == 4)


def fetched(fake: FakeWebex) -> int:
    """How often the server has asked for something that it was told of."""
    paths = ("messages/", "attachment/actions/")
    return sum(asked.method == "GET" and asked.path.startswith(paths) for asked in fake.requests)


# -- C5 and C6: what is taken is on disk


async def test_c05_neither_a_handler_that_sleeps_nor_a_platform_that_is_slow_holds_up_a_delivery(
    fake: FakeWebex, tmp_path: Path
) -> None:
    bot, ann, bea = fake.bot("Shelly"), fake.person("Person A"), fake.person("Person B")
    room = fake.room("Team", [ann, bea], bots=[bot])
    (tmp_path / "sleepy.py").write_text(SLEEPY)
    async with webex_server(fake, tmp_path / "instance", "webhook", str(tmp_path / "sleepy.py")):
        await is_told(fake)
        ann.say(room, "sleep", mention=bot)
        await fake.aio.wait_for(room, lambda message: message.text == "asleep")
        for number in range(100):
            ann.say(room, f"echo {number}", mention=bot)
        await fake.aio.wait_delivered(10)  # one after the other: a hundred that waited would take longer

        await fake.aio.wait_until(lambda: fetched(fake) >= 101)
        held = fake.faults.next("hold", path="messages", method="GET", by=bot)
        for number in range(20):
            bea.say(bot, f"echo direct {number}")
        await asyncio.to_thread(held.wait_reached)
        await fake.aio.wait_delivered(10)
        assert all(delivery.status == 200 for delivery in fake.deliveries)
        assert len(fake.messages((bot, bea))) == 20, "the one that is held is before all others"
        held.release()
        await fake.aio.wait_for((bot, bea), lambda message: message.text == "direct 19")
        said = [message.text for message in fake.messages((bot, bea)) if message.person is bot]
        assert said == [f"direct {number}" for number in range(20)]


async def pressed_and_killed(fake: FakeWebex, server: Server) -> None:
    """Somebody votes; the press is taken, and before it is fetched the server is killed."""
    bot, ann, bea = fake.bot("Shelly"), fake.person("Person A"), fake.person("Person B")
    room = fake.room("Team", [ann, bea], bots=[bot])
    await server.start()
    await is_told(fake)
    ann.say(room, 'poll "Lunch?" Pizza, Sushi', mention=bot)
    for person in (ann, bea):
        await fake.aio.wait_for((bot, person), lambda message: bool(message.cards))
    await fake.aio.wait_delivered()
    held = fake.faults.next("hold", path="attachment/actions", method="GET", by=bot)
    ann.press(bot, label="Sushi")
    await asyncio.to_thread(held.wait_reached)
    await fake.aio.wait_delivered()
    [delivery] = [one for one in fake.deliveries if one.resource == "attachmentActions"]
    assert delivery.status == 200
    await server.kill()
    held.release()


def is_counted(message: Message) -> bool:
    return "counted: Sushi" in message.text


async def test_c06_what_was_pressed_and_taken_counts_though_the_server_is_killed(
    fake: FakeWebex, tmp_path: Path
) -> None:
    server = webex_server(fake, tmp_path / "instance", "webhook")
    try:
        await pressed_and_killed(fake, server)
        await server.start()
        await fake.aio.wait_for((fake.bot("Shelly"), fake.person("Person A")), is_counted)
    finally:
        await server.close()


async def test_c06_what_was_taken_and_is_not_on_disk_is_lost(fake: FakeWebex, tmp_path: Path) -> None:
    """The harm: a press cannot be asked for afterwards."""
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    server = webex_server(fake, tmp_path / "instance", "webhook")
    try:
        await pressed_and_killed(fake, server)
        with sqlite3.connect(tmp_path / "instance" / "store.db") as db:
            assert db.execute("DELETE FROM webex_heard WHERE notice IS NOT NULL").rowcount == 1
        db.close()
        await server.start()
        ann.say(bot, "echo what now?")
        await fake.aio.wait_for((bot, ann), lambda message: message.text == "what now?")
        assert not any(is_counted(message) for message in fake.messages((bot, ann)))
    finally:
        await server.close()
