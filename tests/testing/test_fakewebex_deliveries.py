"""Webhooks of FakeWebex: what is delivered, signed, lost, doubled, turned round."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator

import pytest
from webexteamssdk import WebexTeamsAPI

from shellbot.testing import FakeWebex
from shellbot.testing.fakewebex import Bot
from tests.testing.fakewebex_receiver import Receiver

CARD = {
    "contentType": "application/vnd.microsoft.card.adaptive",
    "content": {"type": "AdaptiveCard", "version": "1.2", "actions": [{"type": "Action.Submit", "title": "Go"}]},
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture
def fake(receiver: Receiver) -> Iterator[FakeWebex]:
    with FakeWebex(max_failures=3) as made:
        yield made


@pytest.fixture
def bot(fake: FakeWebex) -> Bot:
    return fake.bot("Shelly")


@pytest.fixture
def api(fake: FakeWebex, bot: Bot) -> Iterator[WebexTeamsAPI]:
    made = WebexTeamsAPI(bot.token, base_url=fake.url)
    yield made
    made._session._req_session.close()


def heard(receiver: Receiver) -> list[str]:
    return [f"{one['resource']} {one['event']}" for one in map(json.loads, receiver.bodies)]


def test_a_message_is_told_without_its_text_and_signed(
    fake: FakeWebex, bot: Bot, api: WebexTeamsAPI, receiver: Receiver
) -> None:
    hook = api.webhooks.create("mine", receiver.url, "messages", "created", secret="a wörd")
    person = fake.person("Person A")
    said = person.say(bot, "a secret thing")
    fake.wait_delivered()

    (body,), (headers,) = receiver.bodies, receiver.headers
    assert headers["X-Spark-Signature"] == hmac.new("a wörd".encode(), body, hashlib.sha1).hexdigest()
    envelope = json.loads(body)
    assert set(envelope) == {
        *("id", "name", "targetUrl", "resource", "event", "orgId", "createdBy", "appId", "ownedBy", "status"),
        *("created", "actorId", "data"),
    }
    assert (envelope["id"], envelope["name"], envelope["createdBy"]) == (hook.id, "mine", bot.id)
    assert (envelope["resource"], envelope["event"], envelope["actorId"]) == ("messages", "created", person.id)
    assert envelope["data"]["id"] == said.id
    assert envelope["data"]["personEmail"] == person.email
    assert envelope["data"]["roomType"] == "direct"
    assert b"secret thing" not in body
    assert "wörd" not in body.decode()

    (delivery,) = fake.deliveries
    assert (delivery.body, delivery.status, delivery.headers["X-Spark-Signature"]) == (
        body,
        200,
        headers["X-Spark-Signature"],
    )


def test_without_a_secret_nothing_is_signed(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI, receiver: Receiver) -> None:
    api.webhooks.create("mine", receiver.url, "messages", "created")
    fake.person("Person A").say(bot, "hello")
    fake.wait_delivered()
    assert "X-Spark-Signature" not in receiver.headers[0]


def test_a_bot_is_told_of_its_own_messages_and_of_those_that_mention_it(
    fake: FakeWebex, bot: Bot, api: WebexTeamsAPI, receiver: Receiver
) -> None:
    api.webhooks.create("mine", receiver.url, "messages", "created")
    person = fake.person("Person A")
    room = fake.room("Team", [person], bots=[bot])
    person.say(room, "not for the bot")
    mentioned = person.say(room, "help", mention=bot)
    own = api.messages.create(room.id, text="here")
    fake.wait_delivered()
    data = [json.loads(body)["data"] for body in receiver.bodies]
    assert [one["id"] for one in data] == [mentioned.id, own.id]
    assert data[0]["mentionedPeople"] == [bot.id]


def test_everything_a_bot_can_ask_for_is_told(
    fake: FakeWebex, bot: Bot, api: WebexTeamsAPI, receiver: Receiver
) -> None:
    api.webhooks.create("all", receiver.url, "all", "all")
    person, room = fake.person("Person A"), api.rooms.create("Team")
    joined = api.memberships.create(room.id, personId=person.id)
    api.memberships.update(joined.id, isModerator=True)
    api.rooms.update(room.id, "Squad")
    sent = api.messages.create(room.id, text="Go?", attachments=[CARD])
    pressed = person.press(bot)
    api.messages.delete(sent.id)
    text = api.messages.create(room.id, text="one")
    api._session.put(f"messages/{text.id}", json={"roomId": room.id, "text": "two"})
    person.leave(fake.rooms()[0])
    fake.wait_delivered()
    assert heard(receiver) == [
        *("rooms created", "memberships created", "memberships created", "memberships updated", "rooms updated"),
        *("messages created", "attachmentActions created", "messages deleted"),
        *("messages created", "messages updated", "memberships deleted"),
    ]
    action = json.loads(receiver.bodies[6])
    assert (action["data"]["id"], action["data"]["messageId"], action["actorId"]) == (pressed.id, sent.id, person.id)
    assert "inputs" not in action["data"]


def test_a_bot_hears_that_it_was_put_out_and_nothing_after_that(
    fake: FakeWebex, bot: Bot, api: WebexTeamsAPI, receiver: Receiver
) -> None:
    api.webhooks.create("all", receiver.url, "all", "all")
    person = fake.person("Person A")
    room = fake.room("Team", [person], bots=[bot])
    person.remove(room, bot)
    person.say(room, "at last", mention=bot)
    fake.wait_delivered()
    assert heard(receiver)[-1] == "memberships deleted"
    assert json.loads(receiver.bodies[-1])["data"]["personId"] == bot.id


def test_filters(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI, receiver: Receiver) -> None:
    one, other = fake.person("Person A"), fake.person("Person B")
    room = fake.room("Team", [one, other], bots=[bot])
    ask = {"targetUrl": receiver.url, "resource": "messages", "event": "created"}
    api.webhooks.create("direct", filter="roomType=direct", **ask)
    api.webhooks.create("both", filter=f"roomId={room.id}&personEmail={one.email}", **ask)
    api.webhooks.create("me", filter="mentionedPeople=me&hasFiles=true", **ask)
    one.say(bot, "alone")
    one.say(room, "help", mention=bot)
    other.say(room, "help", mention=bot)
    other.say(room, "look", mention=bot, files=[("a.txt", b"a")])
    fake.wait_delivered()
    assert [json.loads(body)["name"] for body in receiver.bodies] == ["direct", "both", "me"]


def test_lost_doubled_and_turned_round(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI, receiver: Receiver) -> None:
    api.webhooks.create("mine", receiver.url, "messages", "created")
    person = fake.person("Person A")
    fake.faults.delivery("lose")
    fake.faults.delivery("duplicate")
    fake.faults.delivery("reorder")
    said = [person.say(bot, str(number)) for number in range(5)]
    fake.wait_delivered()
    came = [said.index(message) for message in (_said(said, body) for body in receiver.bodies)]
    assert came == [1, 1, 3, 2, 4]
    assert [delivery.error for delivery in fake.deliveries if not delivery.is_taken] == ["lost"]


def _said(said: list, body: bytes) -> object:
    return next(message for message in said if message.id == json.loads(body)["data"]["id"])


def test_the_last_delivery_comes_though_none_overtakes_it(
    fake: FakeWebex, bot: Bot, api: WebexTeamsAPI, receiver: Receiver
) -> None:
    api.webhooks.create("mine", receiver.url, "messages", "created")
    fake.faults.delivery("reorder", resource="messages")
    fake.person("Person A").say(bot, "alone")
    fake.wait_delivered()
    assert len(receiver.bodies) == 1


def test_a_delivery_is_repeated_to_the_byte(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI, receiver: Receiver) -> None:
    api.webhooks.create("mine", receiver.url, "messages", "created", secret="word")
    fake.person("Person A").say(bot, "hello")
    fake.wait_delivered()
    assert fake.redeliver(fake.deliveries[0]).status == 200
    assert receiver.bodies[0] == receiver.bodies[1]
    assert receiver.headers[0]["X-Spark-Signature"] == receiver.headers[1]["X-Spark-Signature"]
    assert len(fake.deliveries) == 2


def test_a_hook_that_fails_again_and_again_becomes_inactive_until_it_is_revived(
    fake: FakeWebex, bot: Bot, api: WebexTeamsAPI, receiver: Receiver
) -> None:
    hook = api.webhooks.create("mine", receiver.url, "messages", "created")
    person = fake.person("Person A")
    receiver.status = 500
    person.say(bot, "1")
    person.say(bot, "2")
    fake.wait_delivered()
    receiver.status = 200
    person.say(bot, "3")  # a success in between begins the count anew
    fake.wait_delivered()
    receiver.status = 503
    for number in range(4):
        person.say(bot, str(number))
        fake.wait_delivered()
    assert [one.status for one in fake.webhooks()] == ["inactive"]
    assert len(receiver.bodies) == 6

    receiver.status = 204
    api.webhooks.update(hook.id, name="mine", targetUrl=receiver.url, status="active")
    person.say(bot, "again")
    fake.wait_delivered()
    assert [one.status for one in fake.webhooks()] == ["active"]
    assert fake.deliveries[-1].is_taken


def test_nobody_outside_of_this_machine_is_told(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI) -> None:
    for url in ("https://127.0.0.1/hook", "http://bot.example.com/hook", "http://127.0.0.1:99999/hook"):
        api.webhooks.create("mine", url, "messages", "created")
    api.webhooks.create("mine", "http://127.0.0.1:1/hook", "messages", "created")  # nobody listens
    fake.person("Person A").say(bot, "hello")
    fake.wait_delivered()
    assert [delivery.status for delivery in fake.deliveries] == [None] * 4
    assert all(delivery.error for delivery in fake.deliveries)


def test_a_bot_whose_token_was_revoked_hears_nothing(
    fake: FakeWebex, bot: Bot, api: WebexTeamsAPI, receiver: Receiver
) -> None:
    api.webhooks.create("mine", receiver.url, "messages", "created")
    fake.revoke(bot)
    fake.person("Person A").say(bot, "hello")
    fake.wait_delivered()
    assert receiver.bodies == []


async def test_the_same_waits_in_asyncio(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI, receiver: Receiver) -> None:
    api.webhooks.create("mine", receiver.url, "messages", "created")
    fake.person("Person A").say(bot, "hello")
    await fake.aio.wait_delivered()
    again = await fake.aio.redeliver(fake.deliveries[0])
    assert again.is_taken
    await fake.aio.wait_until(lambda: len(fake.deliveries) == 2)
