"""The whole server on Webex, as a process, and what others do to it: rows of docs/faults.md from C1 to C15."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from shellbot.spaces.webex.hooks import is_signed
from shellbot.testing import FakeWebex, Server
from shellbot.testing.fakewebex.state import Message
from tests.faults.canaries import LEAKY, command_line, found_in, keys_in
from tests.scenarios.stages import webex_server
from tests.scenarios.traces import links

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


# -- C1 and C3: at the door, over HTTP


async def posted(url: str, deliveries: Iterator[tuple[bytes, str | None]]) -> Counter[int]:
    """Post all of these, over some connections at once; gives how often each status was the answer."""
    where, statuses = urlsplit(url), Counter[int]()

    async def post() -> None:
        writer = None
        for body, signature in deliveries:
            if writer is None:
                reader, writer = await asyncio.open_connection(where.hostname, where.port)
            line = f"X-Spark-Signature: {signature}\r\n" if signature is not None else ""
            head = f"POST {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: application/json\r\n{line}"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = next(row for row in answer.split(b"\r\n") if row.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
            statuses[int(answer.split(b" ", 2)[1])] += 1
            if b"connection: close" in answer:  # as after what is refused
                writer.close()
                writer = None
        if writer is not None:
            writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(post())
    return statuses


def forged(body: bytes, signature: str, chance: random.Random) -> tuple[bytes, str | None]:
    """Something near to a delivery that the platform has signed."""
    at = chance.randrange(40)
    other = "0" if signature[at] != "0" else "1"
    return chance.choice(
        [
            (body, None),
            (body, ""),
            (body, signature[:at] + other + signature[at + 1 :]),
            (body, signature[:-1]),
            (body, signature.upper() if signature.upper() != signature else "F" * 40),
            (body, signed(body, "another secret")),
            (body.replace(b'"id":"', b'"id":"x', 1), signature),
            (body + b" ", signature),
        ]
    )


@pytest.mark.parametrize("count", [1_000, pytest.param(20_000, marks=[pytest.mark.long, pytest.mark.timeout(120)])])
async def test_c01_at_the_door_nothing_forged_or_played_again_has_an_effect(
    fake: FakeWebex, tmp_path: Path, count: int
) -> None:
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    room = fake.room("Team", [ann], bots=[bot])
    chance = random.Random(5)
    async with webex_server(fake, tmp_path / "instance", "webhook"):
        await is_told(fake)
        ann.say(room, 'poll "Lunch?" Pizza, Sushi', mention=bot)
        await fake.aio.wait_for((bot, ann), lambda message: bool(message.cards))
        ann.press(bot, label="Sushi")
        await fake.aio.wait_for(room, lambda message: "Result of vote #1" in message.text)
        for number in range(5):
            ann.say(room, f"echo line {number}", mention=bot)
        await fake.aio.wait_for(room, lambda message: message.text == "line 4")
        await fake.aio.wait_delivered()
        genuine = [(one.body, one.headers["X-Spark-Signature"]) for one in fake.deliveries if one.is_taken]
        assert len(genuine) >= 7
        asked = fetched(fake)
        half = count // 2
        mixed = [forged(*chance.choice(genuine), chance) for _ in range(half)]
        mixed += [chance.choice(genuine) for _ in range(half)]
        chance.shuffle(mixed)

        statuses = await posted(fake.webhooks()[0].url, iter(mixed))

        assert statuses == {401: half, 200: half}
        assert fetched(fake) == asked, "none of them cost a call"
        ann.say(room, "echo still here", mention=bot)
        await fake.aio.wait_for(room, lambda message: message.text == "still here")
    said = [message.text for message in fake.messages(room) if message.person is bot]
    assert [text for text in said if text.startswith("line")] == [f"line {number}" for number in range(5)]
    assert sum("Vote #" in text for text in said) == sum("Result of vote" in text for text in said) == 1


def test_c01_a_signature_that_is_wrong_early_takes_as_long_as_one_that_is_wrong_late() -> None:
    """Coarsely: a comparison that stops at the first difference is not told by this, one that does much more is."""
    body, secret = b"x" * 1_000, "secret"
    right = signed(body, secret)
    wrong = {
        "early": ("0" if right[0] != "0" else "1") + right[1:],
        "late": right[:-1] + ("0" if right[-1] != "0" else "1"),
    }
    took: dict[str, list[int]] = {name: [] for name in wrong}
    for _ in range(2_000):
        for name, signature in wrong.items():
            began = time.perf_counter_ns()
            assert not is_signed(body, signature, [secret])
            took[name].append(time.perf_counter_ns() - began)
    early, late = (statistics.median(took[name]) for name in ("early", "late"))
    assert 1 / 3 < early / late < 3


# -- C4: in the wrong order


@pytest.mark.parametrize("kind", ["", "anonymous"], ids=["with names", "anonymous"])
async def test_c04_of_two_votes_that_come_in_the_wrong_order_the_later_one_counts(
    fake: FakeWebex, tmp_path: Path, kind: str
) -> None:
    bot, ann, bea = fake.bot("Shelly"), fake.person("Person A"), fake.person("Person B")
    room = fake.room("Team", [ann, bea], bots=[bot])
    async with webex_server(fake, tmp_path / "instance", "webhook"):
        await is_told(fake)
        ann.say(room, f'poll "Lunch?" Pizza, Sushi {kind}', mention=bot)
        for person in (ann, bea):
            await fake.aio.wait_for((bot, person), lambda message: bool(message.cards))
        await fake.aio.wait_delivered()
        fake.faults.delivery("reorder", resource="attachmentActions")
        [card] = [message for message in fake.messages((bot, ann)) if message.cards]
        pressed = [ann.press(card, label="Pizza").id]
        await asyncio.sleep(0.003)  # Webex has milliseconds
        pressed.append(ann.press(card, label="Sushi").id)
        await fake.aio.wait_delivered()
        told = [one.envelope["data"]["id"] for one in fake.deliveries if one.resource == "attachmentActions"]
        assert told == pressed[::-1]
        ann.say(bot, "echo both were heard")
        await fake.aio.wait_for((bot, ann), lambda message: message.text == "both were heard")
        bea.press(bot, label="Sushi")
        result = await fake.aio.wait_for(room, lambda message: "Result of vote #1" in message.text)
        assert "Sushi has the most votes. 2 of 2 voted" in result.text


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


# -- C10: two bots


@pytest.mark.parametrize("burst", [0, 20], ids=["without a limit", "with a limit"])
async def test_c10_two_bots_of_one_room_that_answer_each_other_stop_and_say_so(
    fake: FakeWebex, tmp_path: Path, burst: int
) -> None:
    """A vote of the one asks the other, which does not understand, and says so to the one, which does not either."""
    ann, one, other = fake.person("Person A"), fake.bot("One"), fake.bot("Other")
    room = fake.room("Team", [ann], bots=[one, other])
    settings = {"SHELLBOT_BOT_BURST": str(burst), "SHELLBOT_WEBEX_BOTS": f"{one.email},{other.email}"}
    servers = [webex_server(fake, tmp_path / name, "webhook", bot=name, settings=settings) for name in ("One", "Other")]
    talk = (one, other)
    async with servers[0], servers[1]:
        await fake.aio.wait_until(lambda: len(fake.webhooks()) == 8)
        ann.say(room, 'poll "Lunch?" Pizza, Sushi', mention=one)
        if not burst:
            await fake.aio.wait_until(lambda: len(fake.messages(talk)) > 100, timeout=15)
            return
        await fake.aio.wait_for(talk, lambda message: "so I am silent until there is a pause" in message.text)
        for bot in talk:
            ann.say(room, f"echo {bot.name} is alive", mention=bot)
            await fake.aio.wait_for(room, lambda message, name=bot.name: message.text == f"{name} is alive")
        said = len(fake.messages(talk))
        assert said < 4 * burst
        ann.say(bot, "echo and nothing more was said")
        await fake.aio.wait_for((bot, ann), lambda message: message.text == "and nothing more was said")
        assert len(fake.messages(talk)) == said


# -- C15: what is secret


@pytest.mark.parametrize("careless", [False, True], ids=["careful", "careless"])
async def test_c15_on_webex_no_secret_is_written_down_at_debug(fake: FakeWebex, tmp_path: Path, careless: bool) -> None:
    """All that goes wrong with calls included. The careless bot shows that what is there is found."""
    bot, ann, bea = fake.bot("Shelly"), fake.person("Person A"), fake.person("Person B")
    room = fake.room("Team", [ann, bea], bots=[bot])
    (tmp_path / "leaky.py").write_text(LEAKY)
    choices = ["Quittengelee", "Sauerampfer"]
    secrets = {"token": bot.token}
    settings = {"SHELLBOT_SPACE_TOKEN": bot.token}
    server = webex_server(fake, tmp_path / "instance", "webhook", str(tmp_path / "leaky.py"), "-vv", settings=settings)
    async with server:
        await is_told(fake)
        secrets |= {f"secret of {hook.resource} {hook.event}": hook.secret for hook in fake.webhooks()}
        ann.say(room, f'poll "Lunch?" {", ".join(choices)} anonymous', mention=bot)
        for person in (ann, bea):
            await fake.aio.wait_for((bot, person), lambda message: bool(message.cards))
        secrets |= keys_in(server.folder)
        ann.press(bot, label=choices[0])
        bea.say(bot, choices[1])
        await fake.aio.wait_for(room, lambda message: "Result of vote #1" in message.text)
        for kind in (400, 403, 500, "reset"):
            fake.faults.next(kind, path="messages", method="POST", when="after" if kind == "reset" else "before")
            ann.say(room, f"echo during {kind}", mention=bot)
        ann.say(room, "leak" if careless else "break it", mention=bot)
        ann.say(room, "echo last", mention=bot)
        await fake.aio.wait_for(room, lambda message: message.text == "last", timeout=15)
        written = {
            "command line": command_line(server.pid),
            "publisher": command_line(server.publisher_pid),
            "instance.json": (server.folder / "instance.json").read_text(),
        }
        fake.faults.next(401, path="messages", method="POST")
        ann.say(room, "echo to nobody", mention=bot)
        await fake.aio.wait_until(lambda: any(asked.status == 401 for asked in fake.requests))
        await server.stop()
        written |= {"stdout": server.stdout, "stderr": server.stderr}
    assert "DEBUG" in written["stderr"]
    assert len(secrets) > 7
    assert found_in(written, secrets) == ({"token"} if careless else set())
    if not careless:
        assert "ValueError: with " in written["stderr"], "an error with all settings in its text is in the log"
    people = [ann.name, ann.id, ann.email, bea.name, bea.id, bea.email]
    texts = {Path(name): text.encode() for name, text in written.items()}
    assert links(people, choices, texts) == []
