"""The websocket way of FakeWebex: catalog, devices, sockets, activities."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from shellbot.testing import FakeWebex
from shellbot.testing.fakewebex import Bot, Person
from tests.browsers import running
from tests.testing.fakewebex_socket import Socket

CARD = {
    "contentType": "application/vnd.microsoft.card.adaptive",
    "content": {"type": "AdaptiveCard", "version": "1.2", "actions": [{"type": "Action.Submit", "title": "Go"}]},
}


@pytest.fixture
def fake() -> Iterator[FakeWebex]:
    with FakeWebex() as made:
        yield made


@pytest.fixture
def bot(fake: FakeWebex) -> Bot:
    return fake.bot("Shelly")


@pytest.fixture
def person(fake: FakeWebex) -> Person:
    return fake.person("Person A")


@pytest.fixture
def web(bot: Bot) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {bot.token}"
        yield session


def register(fake: FakeWebex, web: requests.Session) -> dict[str, Any]:
    wdm = web.get(fake.catalog).json()["serviceLinks"]["wdm"]
    device: dict[str, Any] = web.post(f"{wdm}/devices", json={"name": "mine", "deviceType": "DESKTOP"}).json()
    return device


def connect(fake: FakeWebex, web: requests.Session, bot: Bot, *, buffer_bytes: int = 0) -> Socket:
    client = Socket(register(fake, web)["webSocketUrl"], buffer_bytes=buffer_bytes)
    client.send({"id": "1", "type": "authorization", "data": {"token": f"Bearer {bot.token}"}})
    assert client.event()["data"]["eventType"] == "mercury.buffer_state"
    return client


def test_devices_are_registered_listed_and_deleted(fake: FakeWebex, web: requests.Session) -> None:
    wdm = web.get(fake.catalog).json()["serviceLinks"]["wdm"]
    assert requests.get(fake.catalog).status_code == 401
    assert web.get(f"{wdm}/devices").status_code == 404
    device = register(fake, web)
    assert device["name"] == "mine"
    assert device["webSocketUrl"].startswith("ws://127.0.0.1:")
    assert web.get(f"{wdm}/devices").json() == {"devices": [device]}
    other = {"Authorization": f"Bearer {fake.bot('Other').token}"}
    assert requests.delete(device["url"], headers=other).status_code == 404
    assert web.delete(device["url"]).status_code == 204
    with Socket(device["webSocketUrl"]) as client:
        assert client.status == 404


def test_what_is_said_to_the_bot_comes_as_an_activity_that_leads_to_the_message(
    fake: FakeWebex, bot: Bot, person: Person, web: requests.Session
) -> None:
    room = fake.room("Team", [person], bots=[bot])
    with connect(fake, web, bot) as client:
        person.say(room, "not for the bot")
        said = person.say(room, "a secret word", mention=bot, files=[("a.txt", b"a")])
        event = client.event()
        activity = event["data"]["activity"]
        assert (event["data"]["eventType"], activity["verb"]) == ("conversation.activity", "share")
        assert activity["actor"]["emailAddress"] == person.email
        assert activity["target"]["tags"] == []
        assert "secret" not in json.dumps(event)

        target = activity["target"]
        url = target["url"].replace(f"conversations/{target['id']}", f"messages/{activity['id']}")
        assert web.get(url).json()["id"] == said.id
        assert web.get(url.replace(activity["id"], "none")).status_code == 404
        client.send({"type": "ack", "messageId": event["id"]})
        fake.wait_until(lambda: fake.mercury.acknowledged == 1)

        alone = person.say(bot, "alone")
        activities = [client.event()["data"]["activity"] for _ in range(2)]
        assert [one["verb"] for one in activities] == ["add", "post"]
        assert activities[1]["target"]["tags"] == ["ONE_ON_ONE"]
        target = activities[1]["target"]
        url = target["url"].replace(f"conversations/{target['id']}", f"messages/{activities[1]['id']}")
        assert web.get(url).json()["text"] == alone.text


def test_buttons_edits_and_people_come_and_go(fake: FakeWebex, bot: Bot, person: Person, web: requests.Session) -> None:
    room = fake.room("Team", [person], bots=[bot])
    with connect(fake, web, bot) as client:
        sent = web.post(f"{fake.url}messages", json={"roomId": room.id, "text": "Go?", "attachments": [CARD]}).json()
        pressed = person.press(bot, {"value": "1"})
        web.delete(f"{fake.url}messages/{sent['id']}")
        said = person.say(room, "one", mention=bot)
        other = fake.person("Person B")
        other.join(room)
        other.leave(room)
        activities = [client.event()["data"]["activity"] for _ in range(6)]
        assert [one["verb"] for one in activities] == ["post", "cardAction", "delete", "post", "add", "leave"]
        assert activities[1]["parent"] == {"id": activities[0]["id"], "type": "cardAction"}
        target = activities[1]["target"]
        url = target["url"].replace(f"conversations/{target['id']}", f"attachment/actions/{activities[1]['id']}")
        assert web.get(url).json()["inputs"] == pressed.inputs
        assert said.id not in json.dumps(activities)  # only the inner id


def test_a_token_that_is_not_good_closes_the_socket(fake: FakeWebex, bot: Bot, web: requests.Session) -> None:
    with Socket(register(fake, web)["webSocketUrl"]) as client:
        client.send({"type": "authorization", "data": {"token": "Bearer wrong"}})
        assert client.closed() == 4401
    assert fake.mercury.sockets == 0


@pytest.mark.parametrize("how", ["reset", "close"])
def test_sockets_are_dropped_and_registrations_forgotten(
    fake: FakeWebex, bot: Bot, person: Person, web: requests.Session, how: Any
) -> None:
    with connect(fake, web, bot) as client:
        fake.mercury.forget()
        fake.mercury.drop(how)
        if how == "reset":
            with pytest.raises(ConnectionError):
                client.receive()
        else:
            assert client.closed() == 1011
    fake.wait_until(lambda: fake.mercury.sockets == 0)
    with connect(fake, web, bot) as client:
        person.say(bot, "hello")
        assert [client.event()["data"]["activity"]["verb"] for _ in range(2)] == ["add", "post"]


def test_a_socket_that_is_dead_says_nothing_more(
    fake: FakeWebex, bot: Bot, person: Person, web: requests.Session
) -> None:
    with connect(fake, web, bot) as client:
        fake.mercury.drop("silent")
        person.say(bot, "hello")
        client.frame(0x89, b"still there?")
        client.frame(0x88, b"\x03\xe8")
        with pytest.raises(ConnectionError):
            client.receive()  # neither an event nor an answer came before the end
    fake.wait_until(lambda: fake.mercury.sockets == 0)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x05hello", 1002),  # not masked
        (b"\x83\x80\0\0\0\0", 1002),  # no such kind
        (b"\xc1\x80\0\0\0\0", 1002),  # no such extension
        (b"\x80\x80\0\0\0\0", 1002),  # goes on with nothing
        (b"\x89\xfe\x00\x7e\0\0\0\0", 1002),  # a ping that is too long
        (b"\x82\x81\0\0\0\0a", 1003),  # binary
        (b"\x81\x81\0\0\0\0\xff", 1007),  # no UTF-8
        (b"\x81\xff\0\0\0\0\0\xff\xff\xff\0\0\0\0", 1009),  # 16 MB
        (b"\x81\x82\0\0\0\0[]", 1003),  # nothing we know
    ],
)
def test_what_no_good_client_sends(fake: FakeWebex, web: requests.Session, data: bytes, code: int) -> None:
    with Socket(register(fake, web)["webSocketUrl"]) as client:
        client.raw(data)
        assert client.closed() == code


def test_pings_and_pieces(fake: FakeWebex, bot: Bot, web: requests.Session) -> None:
    with connect(fake, web, bot) as client:
        client.frame(0x01, b'{"type": "pi')
        client.frame(0x89, b"still there?")
        assert client.receive() == (10, b"still there?")
        client.frame(0x80, b'ng", "id": 7}')
        assert client.event() == {"type": "pong", "id": 7}
        client.frame(0x88, b"\x03\xe8")
        assert client.receive() == (8, b"\x03\xe8")


def test_a_client_that_reads_nothing_is_cut_off_and_holds_up_nobody(
    fake: FakeWebex, bot: Bot, person: Person, web: requests.Session
) -> None:
    with connect(fake, web, bot, buffer_bytes=4096):
        numbers = iter(range(40_000))
        while fake.mercury.sockets:
            person.say(bot, str(next(numbers)))
        assert web.get(f"{fake.url}people/me").status_code == 200
    fake.close()
    assert [thread.name for thread in threading.enumerate() if "fake webex" in thread.name] == []


async def test_a_browser_is_a_client_as_well(
    chromium: Path, fake: FakeWebex, bot: Bot, person: Person, web: requests.Session
) -> None:
    url = register(fake, web)["webSocketUrl"]
    program = """([url, token]) => new Promise((done, fail) => {
        const verbs = [];
        const socket = new WebSocket(url);
        socket.onopen = () => socket.send(JSON.stringify({type: "authorization", data: {token: "Bearer " + token}}));
        socket.onerror = () => fail("error");
        socket.onclose = (event) => fail("closed " + event.code);
        socket.onmessage = (event) => {
            const data = JSON.parse(event.data).data;
            verbs.push(data.activity ? data.activity.verb : data.eventType);
            if (verbs.at(-1) === "post") done(verbs);
        };
    })"""
    async with running(chromium) as browser:
        page = await browser.new_page()
        asked = page.evaluate_handle(f"args => {{ window.verbs = ({program})(args); }}", [url, bot.token])
        await asked
        await fake.aio.wait_until(lambda: fake.mercury.sockets == 1)
        person.say(bot, "hello ü" * 900)
        assert await page.evaluate("window.verbs") == ["mercury.buffer_state", "add", "post"]
