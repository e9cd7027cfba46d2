"""FakeWebex as the real SDK sees it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from webexteamssdk import ApiError, WebexTeamsAPI

from shellbot.clocks import ExternalClock
from shellbot.testing import FakeWebex
from shellbot.testing.fakewebex import Asked, Bot, Message, Refused


@pytest.fixture
def fake() -> Iterator[FakeWebex]:
    with FakeWebex() as made:
        yield made


@pytest.fixture
def bot(fake: FakeWebex) -> Bot:
    return fake.bot("Shelly")


@pytest.fixture
def api(fake: FakeWebex, bot: Bot) -> Iterator[WebexTeamsAPI]:
    made = WebexTeamsAPI(bot.token, base_url=fake.url, wait_on_rate_limit=False)
    yield made
    made._session._req_session.close()


@pytest.fixture
def web(bot: Bot) -> Iterator[requests.Session]:
    """A session without the SDK, with the bot's token."""
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {bot.token}"
        yield session


CARD = {
    "contentType": "application/vnd.microsoft.card.adaptive",
    "content": {
        "type": "AdaptiveCard",
        "version": "1.3",
        "body": [{"type": "TextBlock", "text": "Lunch?"}],
        "actions": [
            {"type": "Action.Submit", "title": "Pizza", "data": {"poll": "7", "value": "pizza"}},
            {"type": "Action.Submit", "title": "Sushi", "data": {"poll": "7", "value": "sushi"}},
        ],
    },
}


def status_of(call: Any, *args: Any, **kwargs: Any) -> int:
    with pytest.raises(ApiError) as caught:
        call(*args, **kwargs)
    return int(caught.value.status_code)


# --- who is who


def test_a_bot_finds_itself_and_others(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI) -> None:
    person = fake.person("Person A")
    me = api.people.me()
    assert (me.id, me.displayName, me.emails, me.type) == (bot.id, "Shelly", [bot.email], "bot")
    assert api.people.get(person.id).displayName == "Person A"
    assert [one.id for one in api.people.list(email=person.email)] == [person.id]
    assert [one.id for one in api.people.list(displayName="Pers")] == [person.id]
    assert status_of(api.people.get, "nobody") == 404


def test_the_same_name_is_the_same_person_and_a_new_name_keeps_the_id(fake: FakeWebex, api: WebexTeamsAPI) -> None:
    person = fake.person("Person A")
    assert fake.person("Person A") is person
    person.rename("Person A2")
    assert fake.person("Person A2") is person
    assert api.people.get(person.id).displayName == "Person A2"
    other = fake.person("Person A")
    assert other is not person
    assert other.email != person.email


def test_a_token_that_is_not_good_is_401_with_an_error_as_webex_writes_it(fake: FakeWebex, bot: Bot) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": bot.token}):
        response = requests.get(f"{fake.url}people/me", headers=headers)
        assert response.status_code == 401
        assert response.json()["errors"] == [{"description": response.json()["message"]}]
        assert response.json()["trackingId"] == response.headers["trackingid"]


def test_a_revoked_token_is_401_and_a_renewed_one_is_good(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI) -> None:
    api.people.me()
    fake.revoke(bot)
    assert status_of(api.people.me) == 401
    again = WebexTeamsAPI(fake.renew(bot), base_url=fake.url)
    assert again.people.me().id == bot.id
    again._session._req_session.close()
    assert bot.token not in repr(bot)


# --- rooms and who is in them


def test_rooms_are_made_renamed_and_deleted(fake: FakeWebex, api: WebexTeamsAPI) -> None:
    room = api.rooms.create("Team")
    assert api.rooms.get(room.id).title == "Team"
    assert api.rooms.update(room.id, "Squad").title == "Squad"
    assert [one.title for one in fake.rooms()] == ["Squad"]
    api.rooms.delete(room.id)
    assert status_of(api.rooms.get, room.id) == 404
    assert fake.rooms() == []


def test_rooms_are_listed_by_type_over_several_pages(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI) -> None:
    person = fake.person("Person A")
    rooms = [fake.room(f"Room {number}", [person], bots=[bot]) for number in range(7)]
    fake.room("Without the bot", [person])
    person.say(bot, "hello")

    assert [room.id for room in api.rooms.list(type="group", max=3)] == [room.id for room in rooms]
    assert [(room.type, room.title) for room in api.rooms.list(type="direct")] == [("direct", "Person A")]
    assert len(list(api.rooms.list())) == 8
    asked = [asked for asked in fake.requests if asked.path == "rooms"]
    assert asked[:3] == [Asked("GET", "rooms", 200, bot)] * 3


def test_memberships_are_made_once_and_end(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI) -> None:
    person, room = fake.person("Person A"), api.rooms.create("Team")
    made = api.memberships.create(room.id, personEmail=person.email)
    assert (made.personId, made.personDisplayName, made.isModerator) == (person.id, "Person A", False)
    assert status_of(api.memberships.create, room.id, personId=person.id) == 409
    assert status_of(api.memberships.create, room.id, personEmail="nobody@example.com") == 404
    assert {one.personId for one in api.memberships.list(roomId=room.id, max=1)} == {bot.id, person.id}
    assert [one.id for one in api.memberships.list(roomId=room.id, personId=person.id)] == [made.id]
    assert [one.personId for one in api.memberships.list()] == [bot.id]
    assert api.memberships.update(made.id, isModerator=True).isModerator
    api.memberships.delete(made.id)
    assert [one.personId for one in api.memberships.list(roomId=room.id)] == [bot.id]


def test_a_bot_that_was_put_out_of_a_room_sees_nothing_of_it(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI) -> None:
    person = fake.person("Person A")
    room = fake.room("Team", [person], bots=[bot])
    said = person.say(room, "hello", mention=bot)
    assert api.messages.get(said.id).roomId == room.id
    person.remove(room, bot)
    assert status_of(api.rooms.get, room.id) == 404
    assert status_of(api.messages.get, said.id) == 404
    assert status_of(api.messages.create, room.id, text="hello") == 404
    assert list(api.rooms.list()) == []
    person.add(room, bot)
    assert api.rooms.get(room.id).title == "Team"


# --- messages


def test_a_bot_hears_in_a_group_only_what_mentions_it(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI) -> None:
    person = fake.person("Person A")
    room = fake.room("Team", [person], bots=[bot, fake.bot("Other")])
    heard = person.say(room, "help <me>", mention=bot)
    unheard = [person.say(room, "nothing"), person.say(room, "help", mention=fake.bot("Other"))]
    own = api.messages.create(room.id, text="at your service")

    got = api.messages.get(heard.id)
    assert got.text == "Shelly help <me>"
    assert got.html == (
        f'<p><spark-mention data-object-type="person" data-object-id="{bot.id}">Shelly</spark-mention>'
        " help &lt;me&gt;</p>"
    )
    assert (got.mentionedPeople, got.personEmail, got.roomType) == ([bot.id], person.email, "group")
    assert api.messages.get(own.id).text == "at your service"
    assert [status_of(api.messages.get, one.id) for one in unheard] == [404, 404]
    assert status_of(list, api.messages.list(room.id)) == 403
    assert [one.id for one in api.messages.list(room.id, mentionedPeople="me")] == [heard.id]


def test_messages_come_newest_first_over_pages_and_before_a_moment(
    fake: FakeWebex, bot: Bot, api: WebexTeamsAPI
) -> None:
    person = fake.person("Person A")
    said = [person.say(bot, str(number)) for number in range(10)]
    room = fake.direct(bot, person)
    assert room is not None
    newest_first = [one.id for one in reversed(said)]
    assert [one.id for one in api.messages.list(room.id, max=3)] == newest_first
    assert [one.id for one in api.messages.list(room.id, beforeMessage=said[4].id)] == newest_first[6:]
    assert [one.id for one in api.messages.list_direct(personId=person.id)] == newest_first
    assert [one.id for one in api.messages.list_direct(personEmail=person.email)] == newest_first


def test_before_is_a_moment_of_the_clock_that_was_given() -> None:
    clock = ExternalClock(datetime(2026, 11, 20, 12, tzinfo=UTC))
    with FakeWebex(clock=clock) as fake:
        bot, person = fake.bot("Shelly"), fake.person("Person A")
        early = person.say(bot, "early")
        clock.set_time(clock.time() + 600)
        person.say(bot, "late")
        room = fake.direct(bot, person)
        assert room is not None
        with requests.Session() as web:
            asked = web.get(
                f"{fake.url}messages",
                params={"roomId": room.id, "before": "2026-11-20T12:05:00.000Z"},
                headers={"Authorization": f"Bearer {bot.token}"},
            )
        assert [one["id"] for one in asked.json()["items"]] == [early.id]
        assert asked.json()["items"][0]["created"] == "2026-11-20T12:00:00.000Z"


def test_the_first_message_makes_the_direct_room(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI) -> None:
    person = fake.person("Person A")
    assert fake.direct(bot, person) is None
    first = api.messages.create(toPersonId=person.id, text="hello")
    second = api.messages.create(toPersonEmail=person.email, text="again")
    assert first.roomId == second.roomId
    assert first.roomType == "direct"
    assert [one.text for one in fake.messages((bot, person))] == ["hello", "again"]


def test_exactly_one_target_is_named(fake: FakeWebex, web: requests.Session) -> None:
    person = fake.person("Person A")
    for target in ({}, {"toPersonId": person.id, "toPersonEmail": person.email}):
        assert web.post(f"{fake.url}messages", json={"text": "hello", **target}).status_code == 400
    for body in (b"{", b"[]", b'{"toPersonId": 1, "text": "hello"}'):
        headers = {"Content-Type": "application/json"}
        assert web.post(f"{fake.url}messages", data=body, headers=headers).status_code == 400
    assert fake.messages((fake.bot("Shelly"), person)) == []


@pytest.mark.parametrize("field", ["text", "markdown", "html"])
def test_a_text_may_have_7439_bytes(fake: FakeWebex, web: requests.Session, field: str) -> None:
    email = fake.person("Person A").email
    longest = "ä" * 3719 + "x"
    assert web.post(f"{fake.url}messages", json={"toPersonEmail": email, field: longest}).status_code == 200
    assert web.post(f"{fake.url}messages", json={"toPersonEmail": email, field: longest + "x"}).status_code == 400


def test_mentions_in_markdown_become_html_and_mentioned_people(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI) -> None:
    one, other = fake.person("Person A"), fake.person("Person_B*")
    room = fake.room("Team", [one, other], bots=[bot])
    said = api.messages.create(
        room.id, markdown=f"**Hi** <@personEmail:{one.email}> and <@personId:{other.id}|you & I>, <@personEmail:no@x|Z>"
    )
    assert said.mentionedPeople == [one.id, other.id]
    assert said.text == "Hi Person A and you & I, Z"
    mark = '<spark-mention data-object-type="person" data-object-id="{}">{}</spark-mention>'
    assert said.html == (
        f"<strong>Hi</strong> {mark.format(one.id, 'Person A')} and {mark.format(other.id, 'you &amp; I')}, Z"
    )


def test_scripts_in_markdown_do_not_come_through(fake: FakeWebex, api: WebexTeamsAPI) -> None:
    person = fake.person("Person A")
    said = api.messages.create(
        toPersonId=person.id,
        markdown='<script>alert(1)</script><img src=x onerror=alert(1)> [x](javascript:f()) <b onclick="a()">b</b>',
    )
    assert "<script" not in said.html
    assert "<a" not in said.html
    assert "<img" not in said.html
    assert "onclick" not in said.html


def test_a_card_is_sent_pressed_and_read(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI) -> None:
    person = fake.person("Person A")
    sent = api.messages.create(toPersonId=person.id, text="Lunch? Pizza, Sushi", attachments=[CARD])
    (message,) = fake.messages((bot, person))
    assert message.cards == (CARD["content"],)

    pressed = person.press(bot, {"comment": "raw"}, label="Sushi")
    got = api.attachment_actions.get(pressed.id)
    assert (got.messageId, got.personId, got.type) == (sent.id, person.id, "submit")
    assert api._session.get(f"attachment/actions/{pressed.id}")["inputs"] == {
        "poll": "7",
        "value": "sushi",
        "comment": "raw",
    }
    assert person.press(message, {"value": "pizza"}).inputs == {"value": "pizza"}
    with pytest.raises(LookupError, match=r"Pizza.*Sushi"):
        person.press(bot, label="Tea")
    with pytest.raises(LookupError, match="sees no card"):
        fake.person("Person B").press(bot)


def test_a_person_presses_over_the_api_as_well(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI) -> None:
    person = fake.person("Person A")
    sent = api.messages.create(toPersonId=person.id, text="Lunch?", attachments=[CARD])
    client = WebexTeamsAPI(person.token, base_url=fake.url)
    action = client.attachment_actions.create("submit", sent.id, {"value": "pizza"})
    assert api.attachment_actions.get(action.id).personId == person.id
    assert status_of(client.attachment_actions.create, "submit", "no message", {}) == 404
    stranger = WebexTeamsAPI(fake.bot("Other").token, base_url=fake.url)
    assert status_of(stranger.attachment_actions.get, action.id) == 404
    for one in (client, stranger):
        one._session._req_session.close()


@pytest.mark.parametrize(
    "attachments",
    [
        [CARD, CARD],
        [{"contentType": "text/plain", "content": {}}],
        [{**CARD, "content": {"type": "AdaptiveCard", "version": "1.6"}}],
        [{**CARD, "content": {"type": "AdaptiveCard", "version": "1.3", "actions": [{"type": "Action.Submit"}] * 6}}],
        "card",
    ],
)
def test_a_card_that_webex_would_not_show_is_refused(fake: FakeWebex, web: requests.Session, attachments: Any) -> None:
    email = fake.person("Person A").email
    sent = web.post(f"{fake.url}messages", json={"toPersonEmail": email, "text": "x", "attachments": attachments})
    assert sent.status_code == 400
    without_text = web.post(f"{fake.url}messages", json={"toPersonEmail": email, "attachments": [CARD]})
    assert without_text.status_code == 400


def test_a_file_goes_up_and_comes_down(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI, tmp_path: Path) -> None:
    person = fake.person("Person A")
    path = tmp_path / "plan.txt"
    path.write_bytes(b"the plan\r\n\x00")
    sent = api.messages.create(toPersonId=person.id, markdown="**see**", files=[str(path)])
    (message,) = fake.messages((bot, person))
    assert [(file.name, file.type, file.data) for file in message.files] == [
        ("plan.txt", "text/plain", b"the plan\r\n\x00")
    ]
    assert message.html == "<strong>see</strong>"

    got = requests.get(sent.files[0], headers={"Authorization": f"Bearer {bot.token}"})
    assert got.content == b"the plan\r\n\x00"
    assert got.headers["Content-Disposition"] == 'attachment; filename="plan.txt"'
    head = requests.head(sent.files[0], headers={"Authorization": f"Bearer {bot.token}"})
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, "11", b"")
    assert requests.get(sent.files[0]).status_code == 401
    stranger = fake.bot("Other").token
    assert requests.get(sent.files[0], headers={"Authorization": f"Bearer {stranger}"}).status_code == 404


def test_people_attach_several_files_with_any_name(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI) -> None:
    person = fake.person("Person A")
    said = person.say(bot, "look", files=[('a"\r\n;é.pdf', b"one"), ("b.png", b"two")])
    urls = api.messages.get(said.id).files
    got = [requests.get(url, headers={"Authorization": f"Bearer {bot.token}"}) for url in urls]
    assert [one.content for one in got] == [b"one", b"two"]
    assert [one.headers["Content-Type"] for one in got] == ["application/pdf", "image/png"]
    assert got[0].headers["Content-Disposition"].startswith('attachment; filename="a___;?.pdf"; filename*=UTF-8')


def test_one_message_takes_one_file(fake: FakeWebex, web: requests.Session) -> None:
    email = fake.person("Person A").email
    two = [("files", ("a.txt", b"a")), ("files", ("b.txt", b"b"))]
    assert web.post(f"{fake.url}messages", data={"toPersonEmail": email}, files=two).status_code == 400
    assert web.post(f"{fake.url}messages", data={"toPersonEmail": email}, files=two[:1]).status_code == 200


def test_a_message_is_edited_ten_times(fake: FakeWebex, bot: Bot, web: requests.Session) -> None:
    person = fake.person("Person A")
    sent = web.post(f"{fake.url}messages", json={"toPersonId": person.id, "text": "0"}).json()
    url = f"{fake.url}messages/{sent['id']}"
    for number in range(1, 11):
        changed = web.put(url, json={"roomId": sent["roomId"], "markdown": f"*{number}*"})
        assert changed.json()["text"] == str(number)
    assert web.put(url, json={"roomId": sent["roomId"], "text": "11"}).status_code == 400
    (message,) = fake.messages((bot, person))
    assert (message.text, message.markdown, message.edits) == ("10", "*10*", 10)


def test_what_cannot_be_edited(fake: FakeWebex, bot: Bot, web: requests.Session) -> None:
    person = fake.person("Person A")
    theirs = person.say(bot, "mine")
    card = web.post(f"{fake.url}messages", json={"toPersonId": person.id, "text": "x", "attachments": [CARD]}).json()
    file = web.post(f"{fake.url}messages", data={"toPersonId": person.id}, files={"files": ("a", b"a")}).json()
    for message_id, status in ((theirs.id, 403), (card["id"], 400), (file["id"], 400), ("none", 404)):
        changed = web.put(f"{fake.url}messages/{message_id}", json={"roomId": theirs.room_id, "text": "y"})
        assert changed.status_code == status
    own = web.post(f"{fake.url}messages", json={"toPersonId": person.id, "text": "x"}).json()
    assert web.put(f"{fake.url}messages/{own['id']}", json={"roomId": "other", "text": "y"}).status_code == 400


def test_deleted_is_gone_for_all_but_the_test(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI) -> None:
    person = fake.person("Person A")
    sent = api.messages.create(toPersonId=person.id, text="oops")
    theirs = person.say(bot, "mine")
    api.messages.delete(sent.id)
    assert status_of(api.messages.get, sent.id) == 404
    assert status_of(api.messages.delete, theirs.id) == 403
    assert [one.id for one in api.messages.list(sent.roomId)] == [theirs.id]
    assert [(one.text, one.is_deleted) for one in fake.messages((bot, person))] == [("oops", True), ("mine", False)]


def test_replies_have_one_level(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI) -> None:
    person = fake.person("Person A")
    root = person.say(bot, "question")
    reply = api.messages.create(root.room_id, text="answer", parentId=root.id)
    assert reply.parentId == root.id
    assert status_of(api.messages.create, root.room_id, text="again", parentId=reply.id) == 400
    assert status_of(api.messages.create, root.room_id, text="again", parentId="none") == 404
    assert [one.id for one in api.messages.list(root.room_id, parentId=root.id)] == [reply.id]
    assert person.say(bot, "thanks", parent=root).parent == root.id


def test_somebody_who_cannot_be_reached(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI) -> None:
    person = fake.person("Person A")
    fake.unreachable(person)
    assert status_of(api.messages.create, toPersonId=person.id, text="hello") == 404
    assert fake.direct(bot, person) is None
    fake.unreachable(person, False)
    room_id = api.messages.create(toPersonId=person.id, text="hello").roomId
    fake.unreachable(person)
    assert status_of(api.messages.create, room_id, text="hello") == 404
    assert len(fake.messages((bot, person))) == 1


# --- webhooks as things; deliveries have tests of their own


def test_webhooks_are_made_changed_and_deleted(fake: FakeWebex, api: WebexTeamsAPI) -> None:
    made = api.webhooks.create("mine", "http://127.0.0.1:9/hook", "messages", "created", secret="word")
    assert (made.status, made.name, made.secret) == ("active", "mine", "word")
    assert status_of(api.webhooks.create, "again", "http://127.0.0.1:9/hook", "messages", "created") == 409
    assert status_of(api.webhooks.create, "x", "http://127.0.0.1:9/hook", "noises", "created") == 400
    assert status_of(api.webhooks.create, "x", "http://127.0.0.1:9/hook", "attachmentActions", "deleted") == 400
    changed = api.webhooks.update(made.id, name="mine", targetUrl="http://127.0.0.1:9/new", status="inactive")
    assert (changed.targetUrl, changed.status) == ("http://127.0.0.1:9/new", "inactive")
    assert [(hook.name, hook.status, hook.secret) for hook in fake.webhooks()] == [("mine", "inactive", "word")]
    assert [hook.id for hook in api.webhooks.list()] == [made.id]
    other = WebexTeamsAPI(fake.bot("Other").token, base_url=fake.url)
    assert list(other.webhooks.list()) == []
    assert status_of(other.webhooks.delete, made.id) == 404
    other._session._req_session.close()
    api.webhooks.delete(made.id)
    assert fake.webhooks() == []


# --- the human side


def test_a_person_says_nothing_where_she_is_not(fake: FakeWebex, bot: Bot) -> None:
    person = fake.person("Person A")
    room = fake.room("Team", [fake.person("Person B")], bots=[bot])
    with pytest.raises(Refused):
        person.say(room, "hello")
    person.join(room)
    person.say(room, "hello")
    person.leave(room)
    with pytest.raises(Refused):
        person.say(room, "hello")
    assert [one.text for one in fake.messages(room)] == ["hello"]


def test_waiting_for_what_the_bot_says(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI) -> None:
    person = fake.person("Person A")
    later = threading.Timer(0.05, api.messages.create, kwargs={"toPersonId": person.id, "text": "the Result is"})
    later.start()
    assert fake.wait_for((bot, person), lambda message: "Result" in message.text).person is bot
    later.join()
    with pytest.raises(TimeoutError, match="Shelly: the Result is"):
        fake.wait_for((bot, person), lambda message: "Pizza" in message.text, timeout=0.01)


async def test_waiting_in_asyncio_lets_the_loop_go_on(fake: FakeWebex, bot: Bot, api: WebexTeamsAPI) -> None:
    person = fake.person("Person A")

    async def answer() -> None:
        await asyncio.to_thread(api.messages.create, toPersonId=person.id, text="the Result is")

    found: Message
    found, _ = await asyncio.gather(
        fake.aio.wait_for((bot, person), lambda message: "Result" in message.text), answer()
    )
    assert found.person is bot
    with pytest.raises(TimeoutError, match="the Result is"):
        await fake.aio.wait_for((bot, person), lambda message: False, timeout=0.01)


# --- the server


def test_a_connection_serves_many_requests_and_chunks(fake: FakeWebex, web: requests.Session) -> None:
    person = fake.person("Person A")
    for _ in range(3):
        assert web.get(f"{fake.url}people/me").status_code == 200
    body = f'{{"toPersonId": "{person.id}", "text": "in pieces"}}'.encode()
    headers = {"Content-Type": "application/json"}
    sent = web.post(f"{fake.url}messages", data=iter([body[:10], body[10:]]), headers=headers)
    assert sent.json()["text"] == "in pieces"
    assert web.get(f"{fake.url}people/me").status_code == 200
    assert web.get(f"{fake.url}nothing").status_code == 404
    assert web.patch(f"{fake.url}people/me").status_code == 405
    assert web.delete(f"{fake.url}people/me").status_code == 405


def test_a_port_that_is_taken_is_said_and_one_that_was_closed_is_free(fake: FakeWebex) -> None:
    port = int(fake.url.split(":")[2].split("/")[0])
    with pytest.raises(OSError, match="in use"):
        FakeWebex(port=port).start()
    fake.close()
    with FakeWebex(port=port) as again:
        assert again.url == f"http://127.0.0.1:{port}/v1/"


def test_closing_ends_connections_that_wait(bot: Bot, fake: FakeWebex, web: requests.Session) -> None:
    assert web.get(f"{fake.url}people/me").status_code == 200  # the connection stays open
    before = {thread for thread in threading.enumerate() if "fake webex" in thread.name}
    assert len(before) == 2
    fake.close()
    assert not [thread for thread in before if thread.is_alive()]
