"""People on Webex, heard by websocket: nothing is lost or doubled, and the token goes to Webex only."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from shellbot.clocks import AsyncioClock, ExternalClock
from shellbot.errors import ConfigError
from shellbot.events import Button, Card, CardAction, Join, Leave, Message, Person, Reply
from shellbot.files.shelf import Limits, Shelf
from shellbot.spaces.webex import Options, WebexSpace, mercury
from shellbot.spaces.webex.activities import Activity, activity_of
from shellbot.spaces.webex.hosts import is_of_webex
from shellbot.stores.memory import MemoryStore
from tests.spaces.webex.rooms import Ear, NotingClock, direct_id, group_id, hurried, on_webex, until

CATALOG, DEVICES = "u2c/api/v1/catalog", "wdm/api/v1/devices"
CONVERSATION, SOCKET = "conversation/api/v1", "socket/api/v1"
CARD = Card(id="lunch", title="Lunch?", buttons=(Button("1", "Pizza"), Button("2", "Sushi")))
NEVER = 1e6  # seconds between looks through the rooms, so that the websocket has to tell everything
API = "https://webexapis.com/v1/"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(mercury, "FIRST_PAUSE", 0.05)


@asynccontextmanager
async def listening(fake, **options: object) -> AsyncIterator[tuple[WebexSpace, Ear]]:
    """A space that has connected, and knows which rooms there are."""
    async with on_webex(fake, way="websocket", catalog_url=fake.catalog, **options) as (space, ear):
        await fake.aio.wait_until(lambda: fake.mercury.sockets == 1 and asked(fake, "GET", "rooms"))
        yield space, ear


def asked(fake, method: str, path: str) -> list[int]:
    """How those requests were answered."""
    return [one.status for one in fake.requests if one.method == method and one.path.startswith(path)]


async def ask(space: WebexSpace, person) -> None:
    channel = await space.open_direct(Person(person.id, person.name))
    await space.post(channel.id, Reply(id="r", text="Lunch?", card=CARD))


# --- what is heard


async def test_what_people_say_is_heard_in_rooms_and_alone_with_files(fake, tmp_path):
    bot, ann, bea = fake.bot("Shelly"), fake.person("Person A"), fake.person("Person B")
    room = fake.room("Team", [ann, bea], bots=[bot])
    shelf = Shelf(tmp_path, Limits())
    async with listening(fake, poll_every=NEVER, shelf=shelf) as (_, ear):
        await ear.wait(Join, 2)
        ann.say(room, "nobody hears this")
        ann.say(room, "help me", mention=bot)
        bea.say(bot, "2")
        ann.say(room, "look", mention=bot, files=[("plan.txt", b"a plan")])
        said = await ear.wait(Message, 3)
        await fake.aio.wait_until(lambda: fake.mercury.acknowledged >= 3)
    assert {(one.text, one.channel.id, one.channel.is_direct, one.is_called) for one in said} == {
        ("help me", group_id(room), False, True),
        ("look", group_id(room), False, True),
        ("2", direct_id(bea), True, False),
    }
    assert [file.name for one in said for file in one.files] == ["plan.txt"]


async def test_what_is_pressed_is_heard_without_an_address_of_ours(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    fake.room("Team", [ann], bots=[bot])
    async with listening(fake, poll_every=NEVER) as (space, ear):
        await ear.wait(Join)
        await ask(space, ann)
        ann.press(bot, label="Sushi")
        [action] = await ear.wait(CardAction)
        assert (action.card, action.value, action.person.id) == ("lunch", "2", ann.id)
        assert action.channel.id == direct_id(ann)
        assert fake.webhooks() == []


async def test_edits_the_bots_own_words_and_other_bots_are_not_heard(fake):
    bot, other, ann = fake.bot("Shelly"), fake.bot("Other"), fake.person("Person A")
    room = fake.room("Team", [ann], bots=[bot, other])
    async with listening(fake, poll_every=NEVER) as (space, ear):
        await ear.wait(Join)
        first = ann.say(bot, "first")
        await ear.wait(Message)
        ann.edit(first, "changed")
        await space.post(group_id(room), Reply(id="r", text="from the bot"))
        other.say(room, "from another bot", mention=bot)
        looked_up = len(asked(fake, "GET", CONVERSATION))
        ann.say(bot, "second")
        await ear.wait(Message, 2)
        await fake.aio.wait_until(lambda: fake.mercury.acknowledged >= 5)  # these, and that there is a direct room
    assert ear.texts == ["first", "second"]
    assert len(asked(fake, "GET", CONVERSATION)) - looked_up <= 2  # the edit and the own words ask nothing


async def test_who_comes_and_goes_is_told(fake):
    bot, ann, bea = fake.bot("Shelly"), fake.person("Person A"), fake.person("Person B")
    room = fake.room("Team", [ann], bots=[bot])
    async with listening(fake) as (_, ear):
        await ear.wait(Join)
        bea.join(room)
        await ear.wait(Join, 2)
        ann.leave(room)
        [leave] = await ear.wait(Leave)
    assert ear.joined == ["Person A", "Person B"]
    assert leave.person.id == ann.id


async def test_much_at_once_is_heard_in_its_order_and_once(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    said = [f"number {number}" for number in range(60)]
    async with listening(fake, poll_every=NEVER) as (_, ear):
        fake.latency = 0.01
        for text in said:
            ann.say(bot, text)
        await ear.wait(Message, len(said))
    assert ear.texts == said


async def test_a_message_of_which_only_the_id_is_told_is_read_from_the_api(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    async with listening(fake, poll_every=NEVER) as (_, ear):
        failed = fake.faults.next(503, path=f"{CONVERSATION}/messages")
        said = ann.say(bot, "hello")
        await fake.aio.wait_until(lambda: failed.left == 0)
        fake.faults.next(200, path=f"{CONVERSATION}/messages", body=json.dumps({"id": said.id}).encode())
        await ear.wait(Message)
        assert asked(fake, "GET", f"{CONVERSATION}/messages") == [503, 200]
    assert ear.texts == ["hello"]


@pytest.mark.parametrize(("kind", "count", "body"), [(200, 1, b"{}"), (200, 3, b"[1"), (400, 1, None), (500, 3, None)])
async def test_what_cannot_be_fetched_is_looked_for_in_its_room(fake, monkeypatch, kind, count, body):
    monkeypatch.setattr(mercury, "TRIES", 3)
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    async with listening(fake) as (_, ear):
        odd = fake.faults.next(kind, path=f"{CONVERSATION}/messages", count=count, body=body)
        ann.say(bot, "hello")
        await fake.aio.wait_until(lambda: odd.left == 0)
        await ear.wait(Message)
        ann.say(bot, "and this")
        await ear.wait(Message, 2)
    assert ear.texts == ["hello", "and this"]


# --- connections that end


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_nothing_is_lost_or_doubled_over_connections_that_break(fake, how):
    bot, ann, bea = fake.bot("Shelly"), fake.person("Person A"), fake.person("Person B")
    room = fake.room("Team", [ann, bea], bots=[bot])
    said = [f"number {number}" for number in range(30)]
    async with listening(fake) as (_, ear):
        await ear.wait(Join, 2)
        for number, text in enumerate(said):
            if number % 10 == 5:
                await fake.aio.wait_until(lambda: fake.mercury.sockets == 1)
                fake.mercury.drop(how)
            ann.say(room, text, mention=bot)
            bea.say(bot, text)
        await ear.wait(Message, 60)
        await fake.aio.wait_until(lambda: fake.mercury.sockets == 1)
        bea.say(bot, "last")
        await ear.wait(Message, 61)
    assert sorted(ear.texts) == sorted([*said, *said, "last"])


async def test_what_is_being_fetched_when_the_connection_breaks_is_kept(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    async with listening(fake, poll_every=NEVER) as (space, ear):
        await space.post(
            (await space.open_direct(Person(ann.id, ann.name))).id, Reply(id="r", text="Lunch?", card=CARD)
        )
        held = fake.faults.next("hold", path=f"{CONVERSATION}/attachment")
        ann.press(bot, label="Pizza")
        await asyncio.to_thread(held.wait_reached)
        fake.mercury.drop()
        await fake.aio.wait_until(lambda: fake.mercury.sockets == 0)
        held.release()
        await ear.wait(CardAction)
        await fake.aio.wait_until(lambda: fake.mercury.sockets == 1)
        ann.press(bot, label="Sushi")
        await ear.wait(CardAction, 2)
    assert [action.value for action in ear.of(CardAction)] == ["1", "2"]


async def test_a_press_is_on_disk_before_it_is_acknowledged(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    store, ear = MemoryStore(), Ear()
    await store.open()
    async with listening(fake, store=store, ear=ear) as (space, _):
        await space.post(
            (await space.open_direct(Person(ann.id, ann.name))).id, Reply(id="r", text="Lunch?", card=CARD)
        )
        before = fake.mercury.acknowledged
        ear.fails = True  # the bots have it not
        ann.press(bot, label="Pizza")
        await fake.aio.wait_until(lambda: len(asked(fake, "GET", "attachment/actions")) > 0)
        await fake.aio.wait_until(lambda: fake.mercury.acknowledged > before)
    ear.fails = False
    async with on_webex(fake, store=store, ear=ear, way="polling"):  # which knows of no buttons
        await ear.wait(CardAction)
    await store.close()


async def test_a_connection_that_says_nothing_more_is_given_up(fake, monkeypatch):
    assert mercury.PING_EVERY + mercury.PONG_WITHIN + mercury.CLOSING == 30
    monkeypatch.setattr(mercury, "PING_EVERY", 0.1)
    monkeypatch.setattr(mercury, "PONG_WITHIN", 0.1)
    monkeypatch.setattr(mercury, "CLOSING", 0.1)
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    async with listening(fake) as (_, ear):
        ann.say(bot, "one")
        await ear.wait(Message)
        fake.mercury.drop("silent")
        ann.say(bot, "two")  # goes nowhere
        await ear.wait(Message, 2)
        await fake.aio.wait_until(lambda: fake.mercury.sockets == 1)
        ann.say(bot, "three")
        await ear.wait(Message, 3)
    assert ear.texts == ["one", "two", "three"]


async def test_a_registration_that_is_known_no_more_is_made_anew(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    async with listening(fake) as (_, ear):
        held = fake.faults.next("hold", path=SOCKET)  # so that it is forgotten between device and socket
        fake.mercury.drop()
        await asyncio.to_thread(held.wait_reached)
        fake.mercury.forget()
        held.release()
        ann.say(bot, "meanwhile")
        await ear.wait(Message)
        await fake.aio.wait_until(lambda: fake.mercury.sockets == 1)
        ann.say(bot, "afterwards")
        await ear.wait(Message, 2)
    assert ear.texts == ["meanwhile", "afterwards"]
    assert asked(fake, "GET", SOCKET) == [101, 404, 101]
    assert asked(fake, "POST", DEVICES) == [200, 200]


async def test_a_registration_that_stays_in_the_list_and_is_refused_is_taken_no_more(fake):
    fake.faults.next(404, path=SOCKET, count=2)
    fake.faults.next(400, path=DEVICES, method="DELETE", count=2)
    async with listening(fake):
        pass
    assert asked(fake, "GET", SOCKET) == [404, 404, 101]
    assert asked(fake, "POST", DEVICES) == [200, 200, 200]


async def test_the_registration_is_found_again_at_the_next_start(fake):
    store = MemoryStore()
    await store.open()
    for _ in range(2):
        async with listening(fake, store=store):
            pass
        await fake.aio.wait_until(lambda: fake.mercury.sockets == 0)
    await store.close()
    async with listening(fake):  # by its name, where the store is lost
        pass
    assert asked(fake, "POST", DEVICES) == [200]


@pytest.mark.parametrize("path", [CATALOG, DEVICES, SOCKET])
async def test_it_waits_as_long_as_webex_asks(fake, path):
    fake.faults.next(429, path=path, headers={"Retry-After": "rand(30),add(210)"})
    clock = ExternalClock(datetime.now(UTC))
    async with hurried(clock), listening(fake, clock=clock):
        assert clock.time() >= 240


async def test_tries_come_further_and_further_apart(fake, monkeypatch):
    monkeypatch.setattr(mercury, "FIRST_PAUSE", 1.0)
    fake.faults.next(500, path=SOCKET, count=10)
    clock = NotingClock(datetime.now(UTC))
    async with hurried(clock), listening(fake, clock=clock):
        pauses = [seconds for name, seconds in clock.slept if name == "webex websocket"]
    assert len(pauses) == 10
    for number, pause in enumerate(pauses):  # and a part by chance; the longest has none
        assert min(60.0, 2.0**number) <= pause <= min(60.0, 1.5 * 2**number), pauses


async def test_a_token_that_is_no_longer_good_ends_it_and_is_told_once(fake, caplog):
    bot = fake.bot("Shelly")
    async with listening(fake) as (space, _):
        held = fake.faults.next("hold", path=SOCKET)
        fake.mercury.drop()
        await asyncio.to_thread(held.wait_reached)
        fake.revoke(bot)
        held.release()  # it connects, and is closed with 4401
        await until(lambda: not space.is_well)
        assert space._going[1].get_name() == "webex websocket"
        await asyncio.wait({space._going[1]}, timeout=5)
        assert space._going[1].done()
    told = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(told) == 1
    assert "Make a new token" in told[0].getMessage()


# --- where the token goes


@asynccontextmanager
async def stranger() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that is not Webex: its address without the scheme, and what it was told."""
    told: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.append(await reader.read(65536))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", told
    finally:
        server.close()
        await server.wait_closed()


def forge(fake, what: str, host: str) -> None:
    """Let Webex name a stranger."""
    if what == "catalog":
        links = {"serviceLinks": {"wdm": f"http://{host}/wdm/api/v1"}}
        fake.faults.next(200, path=CATALOG, body=json.dumps(links).encode(), count=2)
    elif what == "device":
        device = {"name": "shellbot default", "url": f"http://{host}/d/1", "webSocketUrl": f"ws://{host}/s"}
        fake.faults.next(200, path=DEVICES, body=json.dumps({"devices": [device]}).encode(), count=2)
    elif what == "socket":
        fake.faults.next(302, path=SOCKET, headers={"Location": f"ws://{host}/s"}, count=2)
    else:
        fake.faults.next(302, path=CATALOG, headers={"Location": f"http://{host}/catalog"}, count=2)


@pytest.mark.parametrize("what", ["catalog", "device", "socket", "redirect"])
async def test_nothing_goes_to_a_host_that_is_not_webex(fake, what):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    async with stranger() as (host, told):
        forge(fake, what, host)
        async with listening(fake) as (_, ear):  # once Webex names itself again
            ann.say(bot, "hello")
            await ear.wait(Message)
        assert told == []


async def test_an_activity_that_leads_elsewhere_is_let_be(fake, caplog):
    looks: list[bool] = []
    async with stranger() as (host, told), listening(fake) as (space, _):
        url = f"http://{host}/conversation/api/v1/messages/1"
        listener = mercury.Mercury(
            space._store,
            space._client,
            AsyncioClock(),
            space._intake,
            mercury.Account("me", "token", "mark", "device"),
            fake.catalog,
            on_connected=lambda: None,
            on_unclear=lambda: looks.append(True),
        )
        assert await listener._find(Activity("messages", url)) is None
        assert told == []
    assert "not its own" in caplog.text
    assert looks == [True]


async def test_the_token_stands_in_no_log(fake, caplog):
    caplog.set_level(logging.DEBUG)
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    async with listening(fake) as (_, ear):
        ann.say(bot, "hello")
        await ear.wait(Message)
        fake.mercury.drop()
        await fake.aio.wait_until(lambda: fake.mercury.sockets == 0)
        await fake.aio.wait_until(lambda: fake.mercury.sockets == 1)
    assert "connected to Webex by websocket" in caplog.text
    assert bot.token not in caplog.text
    assert bot.token not in repr(mercury.Account("me", bot.token, "mark", "device"))


@pytest.mark.parametrize(
    ("url", "is_right"),
    [
        ("https://u2c.wbx2.com/u2c/api/v1/catalog?format=hostmap", True),
        ("wss://mercury-connection-a.wbx2.com/v1/apps/wx2/registrations/1/messages", True),
        ("https://WDM-A.WBX2.com/wdm", True),
        ("https://conv-a.ciscospark.com/conversation", True),
        ("https://webexapis.com/v1/messages", True),
        ("https://api.webex.com:443/", True),
        ("http://u2c.wbx2.com/", False),
        ("ws://mercury.wbx2.com/", False),
        ("https://wbx2.com.example.org/", False),
        ("https://evilwbx2.com/", False),
        ("https://example.org/.wbx2.com", False),
        ("https://example.org?.wbx2.com/", False),
        ("https://example.org#.wbx2.com", False),
        ("https://example.org\\.wbx2.com/", False),
        ("https://example.org\\@a.wbx2.com/", False),
        ("https://a.wbx2.com@example.org/", False),
        ("https://me:word@a.wbx2.com/", False),
        ("https://a.wbx2.com:pass@example.org/", False),
        ("https://a.wbx2.com\n.example.org/", False),
        ("https://example.org/\t@a.wbx2.com", False),
        ("https://.wbx2.com/", False),
        ("https://\u0430pi.webex.com/", False),  # a Cyrillic letter
        ("http://127.0.0.1/", False),
        ("file:///etc/passwd", False),
        ("", False),
    ],
)
def test_what_counts_as_an_address_of_webex(url, is_right):
    assert is_of_webex(url, API) is is_right


@pytest.mark.parametrize(
    ("url", "is_right"),
    [
        ("http://127.0.0.1:8080/u2c", True),
        ("ws://127.0.0.1:8080/socket", True),
        ("http://127.0.0.1:8081/u2c", False),
        ("http://127.0.0.1/u2c", False),
        ("http://localhost:8080/", False),
        ("https://u2c.wbx2.com/u2c", False),
    ],
)
def test_on_this_machine_only_the_api_itself_counts(url, is_right):
    assert is_of_webex(url, "http://127.0.0.1:8080/v1/") is is_right


@pytest.mark.parametrize("url", ["https://example.org/catalog", "http://u2c.wbx2.com/catalog"])
def test_a_catalog_elsewhere_is_refused(url):
    with pytest.raises(ConfigError, match=r"webex\.catalog_url .* hosts of Webex only"):
        WebexSpace(
            token="t", store=MemoryStore(), clock=AsyncioClock(), options=Options(way="websocket", catalog_url=url)
        )


def test_without_its_library_it_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "shellbot.spaces.webex.mercury")
    monkeypatch.delattr("shellbot.spaces.webex.mercury")
    for name in [name for name in sys.modules if name.split(".")[0] == "websockets"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "websockets", None)
    with pytest.raises(ConfigError, match="pip install websockets"):
        WebexSpace(token="t", store=MemoryStore(), clock=AsyncioClock(), options=Options(way="websocket"))


# --- what an event says

TARGET = {"id": "r", "url": "https://conv-a.wbx2.com/conversation/api/v1/conversations/r"}


def event(**activity: object) -> dict[str, object]:
    whole = {"verb": "post", "id": "a-1", "actor": {"id": "ann"}, "target": TARGET, **activity}
    return {"id": "e", "data": {"eventType": "conversation.activity", "activity": whole}}


def test_an_activity_leads_to_its_public_form():
    where = "https://conv-a.wbx2.com/conversation/api/v1"
    assert activity_of(event(), "bot") == Activity("messages", f"{where}/messages/a-1")
    assert activity_of(event(verb="share"), "bot") == Activity("messages", f"{where}/messages/a-1")
    pressed = Activity("attachmentActions", f"{where}/attachment/actions/a-1")
    assert activity_of(event(verb="cardAction", parent={"type": "cardAction"}), "bot") == pressed
    assert activity_of(event(parent={"type": "reply"}), "bot") == Activity("messages", f"{where}/messages/a-1")
    assert activity_of(event(verb="add"), "bot") == "moved"


@pytest.mark.parametrize(
    "odd",
    [
        None,
        [],
        "post",
        {},
        {"data": []},
        {"data": {"eventType": "mercury.buffer_state"}},
        {"data": {"eventType": "conversation.activity"}},
        {"data": {"eventType": "conversation.activity", "activity": [1]}},
        event(verb="acknowledge"),
        event(verb=["post"]),
        event(id="../../people"),
        event(id=7),
        event(actor={"id": "bot"}),
        event(parent={"type": "edit"}),
        event(target=None),
        event(target={"id": "r", "url": "https://conv-a.wbx2.com/elsewhere"}),
        event(target={"id": "r", "url": 1}),
    ],
)
def test_what_is_nothing_to_be_fetched(odd):
    assert activity_of(odd, "bot") is None
