"""Pages and forms, asked through Flask's own client: everything a person can do without scripts."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from flask.testing import FlaskClient
from web_room import MANY, SECRET, PollBot
from werkzeug.test import TestResponse

from shellbot.clocks import AsyncioClock
from shellbot.events import CardAction, Message, Reply
from shellbot.server.app import create_app
from shellbot.server.desk import Desk
from shellbot.server.entrance import Rules
from shellbot.server.hosts import Hosts
from shellbot.server.invitations import Invitations
from shellbot.server.limits import Limits
from shellbot.server.links import Links
from shellbot.spaces.web import WebSpace
from shellbot.stores.memory import MemoryStore


class Pages:
    """The application over a room, without a server; clients are browsers without scripts."""

    def __init__(self, app: Any, space: WebSpace, bot: PollBot) -> None:
        self.app = app
        self.space = space
        self.bot = bot

    async def ask(self, work: Callable[..., TestResponse], *args: Any, **fields: Any) -> TestResponse:
        return await asyncio.to_thread(work, *args, base_url="http://127.0.0.1:8080", **fields)

    async def get(self, client: FlaskClient, path: str = "/") -> TestResponse:
        return await self.ask(client.get, path)

    async def post(self, client: FlaskClient, path: str, **fields: str) -> TestResponse:
        return await self.ask(client.post, path, data={"token": await self.token(client), **fields})

    async def token(self, client: FlaskClient) -> str:
        found = re.search(r'name="token" value="([^"]+)"', (await self.get(client)).text)
        return found[1] if found else ""

    async def join(self, name: str) -> FlaskClient:
        client = self.app.test_client()
        answer = await self.post(client, "/join", name=name)
        assert answer.status_code == 303, answer.text
        return client


@asynccontextmanager
async def pages(limits: Limits = MANY, **settings: Any) -> AsyncIterator[Pages]:
    store = MemoryStore()
    await store.open()
    space = WebSpace(store=store, clock=AsyncioClock(), title="Lunch <room>")
    bot = PollBot(space)
    await space.start(bot.deliver)
    desk = Desk(space, limits, asyncio.get_running_loop())
    app = create_app(
        desk=desk,
        secret=SECRET,
        port=8080,
        hosts=Hosts(8080),
        bot="shellbot",
        invitations=Invitations(Links(SECRET, "join"), space),
        rules=Rules(**settings),
    )
    try:
        yield Pages(app, space, bot)
    finally:
        desk.close()
        await space.close()
        await store.close()


async def test_joining_shows_the_room_with_both_channels():
    async with pages() as room:
        client = room.app.test_client()
        assert "Your name" in (await room.get(client)).text
        answer = await room.post(client, "/join", name="Person A")
        assert (answer.status_code, answer.location) == (303, "/")
        page = (await room.get(client)).text
        assert "Message to everybody" in page
        assert "Message to shellbot" in page
        assert "Lunch &lt;room&gt;" in page
        assert "1 person: Person A" in page


async def test_the_cookie_is_named_after_the_port_and_kept_from_scripts_and_other_sites():
    async with pages() as room:
        cookie = (await room.get(room.app.test_client())).headers["Set-Cookie"]
        assert cookie.startswith("shellbot-8080=")
        for word in ("HttpOnly", "SameSite=Lax", "Path=/"):
            assert word in cookie


async def test_joining_makes_a_new_session():
    async with pages() as room:
        client = room.app.test_client()
        before = await room.token(client)
        await room.post(client, "/join", name="Person A")
        assert await room.token(client) != before


async def test_a_taken_name_is_refused_with_a_helpful_line_and_the_form_again():
    async with pages() as room:
        await room.get(await room.join("Person A"))
        answer = await room.post(room.app.test_client(), "/join", name="person a")
        assert answer.status_code == 409
        assert "Please choose another name" in answer.text
        assert 'value="person a"' in answer.text


async def test_what_is_said_is_seen_by_others_as_plain_text():
    async with pages() as room:
        a, b = await room.join("Person A"), await room.join("Person B")
        hostile = "<img src=x onerror=alert(1)> **not bold** [x](javascript:alert(1))"
        answer = await room.post(a, "/say", side="group", text=hostile, key="key-00000001")
        assert (answer.status_code, answer.location) == (303, "/#group")
        page = (await room.get(b)).text
        assert "&lt;img src=x onerror=alert(1)&gt; **not bold** [x](javascript:alert(1))" in page
        assert "<img src=x" not in page


async def test_the_same_form_twice_is_said_once():
    async with pages() as room:
        a = await room.join("Person A")
        for _ in range(2):
            await room.post(a, "/say", side="group", text="only once", key="key-00000001")
        assert (await room.get(a)).text.count("only once") == 1
        assert len([event for event in room.bot.heard if isinstance(event, Message)]) == 1


async def test_direct_messages_are_seen_by_their_person_only():
    async with pages() as room:
        a, b = await room.join("Person A"), await room.join("Person B")
        await room.post(a, "/say", side="direct", text="my secret", key="key-00000001")
        assert "my secret" in (await room.get(a)).text
        assert "my secret" not in (await room.get(b)).text


async def test_a_whole_vote_without_scripts():
    async with pages() as room:
        people = [await room.join("Person A"), await room.join("Person B")]
        await room.post(people[0], "/say", side="group", text="vote Lunch?", key="key-00000001")
        for number, client in enumerate(people):
            page = (await room.get(client)).text
            assert "<legend" in page
            assert "Pizza" in page
            fields = {"side": "direct", "place": "1", "value": "2", "key": f"key-1000000{number}"}
            answer = await room.post(client, "/press", **fields)
            assert (answer.status_code, answer.location) == (303, "/#direct")
            page = (await room.get(client)).text
            assert re.search(r'value="2" aria-pressed="true"', page)
            assert "Your vote: Sushi" in page
        assert "Sushi  ████████████████ 2" in (await room.get(people[0])).text
        await room.post(people[0], "/say", side="group", text="close", key="key-00000002")
        assert "<fieldset disabled>" in (await room.get(people[1])).text
        assert [event.value for event in room.bot.heard if isinstance(event, CardAction)] == ["2", "2"]


async def test_hostile_titles_and_choices_are_text():
    async with pages() as room:
        a = await room.join("Person A")
        await room.post(a, "/say", side="group", text='vote "><script>alert(1)</script>', key="key-00000001")
        page = (await room.get(a)).text
        assert "<script>" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


async def test_fixed_text_is_shown_as_it_is():
    async with pages() as room:
        a = await room.join("Person A")
        await room.space.post("group", Reply(id="bars", text="", fixed="\n  <b>*a*</b>   |"))
        assert '<pre class="fixed">\n\n  &lt;b&gt;*a*&lt;/b&gt;   |</pre>' in (await room.get(a)).text.replace("\r", "")


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"side": "group", "text": "  ", "key": "key-00000001"}, "write something"),
        ({"side": "group", "text": "x" * 7001, "key": "key-00000001"}, "too long"),
        ({"side": "elsewhere", "text": "hi", "key": "key-00000001"}, "no such channel"),
        ({"side": "group", "text": "hi", "key": ""}, "reload"),
    ],
)
async def test_what_cannot_be_said_gets_one_line_and_keeps_the_draft(fields, line):
    async with pages() as room:
        a = await room.join("Person A")
        answer = await room.post(a, "/say", **fields)
        assert answer.status_code == 409
        assert line in answer.text
        assert 'role="alert"' in answer.text
        if fields["side"] == "group":
            assert f">{fields['text']}</textarea>" in answer.text


async def test_too_many_messages_are_asked_to_wait():
    async with pages(Limits(message_rate=0.1, message_burst=2)) as room:
        a = await room.join("Person A")
        began = time.monotonic()
        for number in range(3):
            answer = await room.post(a, "/say", side="group", text="hi", key=f"key-0000000{number}")
        assert answer.status_code == 429
        assert math.ceil(10 - (time.monotonic() - began)) <= int(answer.headers["Retry-After"]) <= 10
        b = await room.join("Person B")
        assert (await room.post(b, "/say", side="group", text="hi", key="key-00000001")).status_code == 303


async def test_too_many_joins_from_one_address_are_asked_to_wait():
    async with pages(Limits(joins_per_minute=2)) as room:
        await room.join("Person A")
        await room.join("Person B")
        answer = await room.post(room.app.test_client(), "/join", name="Person C")
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) >= 1


async def test_leaving_ends_the_room_for_this_browser_which_may_come_back():
    async with pages() as room:
        a = await room.join("Person A")
        await room.post(a, "/leave")
        page = (await room.get(a)).text
        assert "Your name" in page
        assert 'value="Person A"' in page
        assert (await room.post(a, "/say", side="group", text="hi", key="key-00000001")).location == "/"
        assert (await room.post(a, "/join", name="Person A")).status_code == 303
        assert "Message to everybody" in (await room.get(a)).text


async def test_demo_links_show_a_page_and_only_its_form_joins():
    async with pages(is_demo=True) as room:
        client = room.app.test_client()
        page = (await room.get(client, "/?as=Ada")).text
        assert "demo person <b>Ada</b>" in page
        assert room.space.members == []
        answer = await room.post(client, "/join", name="Ada", demo="1")
        assert answer.status_code == 303
        assert [member.is_demo for member in room.space.members] == [True]
        await room.post(client, "/say", side="group", text="hi", key="key-00000001")
        assert '<b class="who">Ada</b> <span class="tag">demo</span>' in (await room.get(client)).text


async def test_without_demo_such_links_are_nothing_special():
    async with pages() as room:
        client = room.app.test_client()
        assert "demo" not in (await room.get(client, "/?as=Ada")).text
        await room.post(client, "/join", name="Ada", demo="1")
        assert [member.is_demo for member in room.space.members] == [False]


@pytest.mark.parametrize("path", ["/nowhere", "/say", "/static/../app.py"])
async def test_what_is_not_there_gets_a_plain_page(path):
    async with pages() as room:
        answer = await room.get(room.app.test_client(), path)
        assert answer.status_code in (404, 405)
        assert "Back to the room" in answer.text


async def test_a_bot_that_takes_long_does_not_hold_all_threads():
    async with pages() as room:
        a = await room.join("Person A")
        await room.post(a, "/say", side="group", text="vote", key="key-00000001")
        member = room.space.members[0]
        room.space.turn_timeout = 60.0
        forever = asyncio.get_running_loop().create_future()

        async def stuck(event: object) -> asyncio.Future[None]:
            return forever

        room.space._deliver = stuck
        desk = Desk(room.space, MANY, asyncio.get_running_loop())
        presses = [
            asyncio.create_task(desk.press(member.person.id, "direct", "1", "1", f"key-2000000{number}"))
            for number in range(9)
        ]
        done, waiting = await asyncio.wait(presses, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        while len(waiting) > 4:
            more, waiting = await asyncio.wait(waiting, timeout=5, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        assert len(done) == 5
        forever.set_result(None)
        await asyncio.wait_for(asyncio.gather(*waiting), 5)
