"""Several rooms on one server: each is closed to those outside of it, and all of them outlive a kill."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from urllib.parse import urlsplit

import pytest
from test_killed import room as room_process
from web_room import SECRET, Browser, browsers, listening, serving

from shellbot.engine import Engine
from shellbot.events import Message, Reply
from shellbot.server.links import Links
from shellbot.stores.sqlite import SqliteStore


def inside(browser: Browser, root: str) -> Browser:
    """The same browser, with its cookies, in another room."""
    other = Browser(browser.url.split("/room-")[0].rstrip("/") + root + "/")
    other.http = browser.http
    return other


def open_room(browser: Browser, title: str, name: str = "Person A", key: str = "one form") -> str:
    """Make a room; gives what its paths begin with."""
    browser.page()
    answer = browser.post("rooms", {"title": title, "name": name, "key": key, "token": browser.token})
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"].rstrip("/")


def come(browser: Browser, link: str, name: str) -> Browser:
    """Come in by a link."""
    shown = browser.http.get(link, timeout=15)
    token = re.search(r'name="token" value="([^"]+)"', shown.text)[1]
    sent = re.search(r'name="link" value="([^"]+)"', shown.text)[1]
    there = inside(browser, urlsplit(shown.url).path.removesuffix("/join"))
    answer = there.post("join", {"name": name, "token": token, "link": sent})
    assert answer.status_code == 303, answer.text
    there.page()
    return there


def invitation(browser: Browser) -> str:
    """The link that the page for inviting shows."""
    return re.search(r'id="link" value="([^"]+)"', browser.page("invite"))[1]


@pytest.mark.parametrize("demo", [False, True])
async def test_a_room_is_nothing_to_those_outside_of_it(demo):
    async with (
        serving(demo=demo) as (server, space, bot),
        browsers(server.url, "Person A", "Person B", "") as (a, b, c),
    ):
        root = await asyncio.to_thread(open_room, a, "Cellar of secrets")
        cellar = inside(a, root)
        await asyncio.to_thread(cellar.page)
        for side in ("group", "direct"):
            assert (await asyncio.to_thread(cellar.say, f"concealed in the {side}", side)).json() == {"ok": True}
        await space.post(root[1:], Reply(id="r", text="concealed by the bot"))
        own = cellar.cursor

        def try_all(stranger: Browser, root: str) -> list[tuple[int, str]]:
            there = inside(stranger, root)
            stranger.page()
            token = {"token": stranger.token}
            say = {"side": "group", "text": "let me in", "key": "key-00000001", **token}
            press = {"side": "group", "place": "1", "value": "1", "key": "key-00000002", **token}
            answers = [there.post("say", say), there.post("press", press), there.post("seen", {"cursor": own, **token})]
            answers += [there.post(path, token) for path in ("leave", "revoke", "typing")]
            answers += [there.post("join", {"name": "Person D", **more, **token}) for more in ({}, {"demo": "1"})]
            paths = [
                "",
                "?as=Person%20D",
                "earlier?side=group&before=9",
                "earlier?side=direct&before=9",
                "people",
                "me",
                "invite",
            ]
            paths += ["polls", "poll/1", "poll/1.json", "poll/1.csv", "rooms", "join", f"events?since={own}", "events"]
            for path in paths:
                for kind in ("text/html", "application/json"):
                    headers = {"Accept": kind}
                    answers.append(
                        stranger.http.get(there.url + path, headers=headers, timeout=15, allow_redirects=False)
                    )
            # neither the token of a form nor a header with an address is the same twice
            return [
                (answer.status_code, re.sub(r'value="[^"]*"|room-[0-9a-f]{12}', "", answer.text)) for answer in answers
            ]

        for stranger in (b, c):
            tried = await asyncio.to_thread(try_all, stranger, root)
            assert not [text for _, text in tried if "concealed" in text or "Cellar" in text]
            assert tried == await asyncio.to_thread(try_all, stranger, "/room-0123456789ab"), "as if it were not there"
        assert [member.person.name for member in space.members_of(root[1:])] == ["Person A"]
        assert "let me in" not in [event.text for event in bot.heard if isinstance(event, Message)]
        assert space.room(root[1:]).generation == 1


async def test_streams_of_two_rooms_tell_what_is_theirs():
    async with serving() as (server, space, _), browsers(server.url, "Person A") as (a,):
        root = await asyncio.to_thread(open_room, a, "Cellar")
        cellar = inside(a, root)
        await asyncio.to_thread(a.page)
        await asyncio.to_thread(cellar.page)
        async with listening(a, a.cursor) as first, listening(cellar, cellar.cursor, root=root) as second:
            assert (await first.next("people")).data["count"] == 1
            assert (await second.next("people")).data["count"] == 1
            await asyncio.to_thread(cellar.say, "in the cellar")
            await space.post("group", Reply(id="r", text="upstairs"))
            assert "upstairs" in (await first.next("post")).data["html"]
            assert "in the cellar" in (await second.next("post")).data["html"]
            await space.post("group", Reply(id="r", text="upstairs once more", version=2))
            await space.join("Person B")
            assert "once more" in (await first.next()).data["html"]
            assert (await first.next()).data["count"] == 2
            await asyncio.to_thread(cellar.say, "only this came")
            assert "only this came" in (await second.next()).data["html"]


async def test_the_list_shows_what_is_new_in_each_room_until_it_is_read():
    async with serving() as (server, space, _), browsers(server.url, "Person A", "Person B") as (a, b):
        root = await asyncio.to_thread(open_room, a, "Cellar", "Somebody else")
        assert "Somebody else" in await asyncio.to_thread(inside(a, root).page)
        for number in range(3):
            await asyncio.to_thread(b.say, f"message {number}")

        def told(path: str = "rooms") -> dict[str, int]:
            answer = a.http.get(a.url + path, headers={"Accept": "application/json"}, timeout=15)
            return {room["title"]: room["unread"] for room in answer.json()["rooms"]}

        assert await asyncio.to_thread(told) == {"Lunch room": 3, "Cellar": 0}
        assert await asyncio.to_thread(told, f"{root[1:]}/rooms") == {"Lunch room": 3, "Cellar": 0}
        assert 'aria-label="3 new">3<' in await asyncio.to_thread(a.page, "rooms")
        assert "3</span></a>" in await asyncio.to_thread(inside(a, root).page)
        await asyncio.to_thread(a.page)
        assert await asyncio.to_thread(told) == {"Lunch room": 0, "Cellar": 0}
        await space.post("group", Reply(id="r", text="more"))
        cursor = (await space.page(space.members[0].person.id)).cursor
        assert await asyncio.to_thread(told) == {"Lunch room": 1, "Cellar": 0}
        await asyncio.to_thread(a.post, "seen", {"cursor": str(cursor), "token": a.token})
        assert await asyncio.to_thread(told) == {"Lunch room": 0, "Cellar": 0}


async def test_who_leaves_a_room_comes_back_by_the_name_and_nobody_else_does():
    async with serving() as (server, space, _), browsers(server.url, "Person A", "Person B") as (a, b):
        root = await asyncio.to_thread(open_room, a, "Cellar")
        cellar = inside(a, root)
        await asyncio.to_thread(cellar.page)
        assert (await asyncio.to_thread(cellar.post, "leave", {"token": cellar.token})).headers["Location"] == "/rooms"
        assert space.members_of(root[1:]) == []
        assert "Cellar" not in await asyncio.to_thread(a.page, "rooms")
        await asyncio.to_thread(inside(b, root).page)
        assert (await asyncio.to_thread(cellar.join, "Person A")).status_code == 303
        assert [member.person.name for member in space.members_of(root[1:])] == ["Person A"]


async def test_the_same_form_for_a_new_room_makes_one_room():
    async with serving() as (server, space, _), browsers(server.url, "Person A") as (a,):
        await asyncio.to_thread(a.page)
        form = {"title": "Cellar", "name": "Person A", "key": "one form", "token": a.token}
        answers = await asyncio.gather(*(asyncio.to_thread(a.post, "rooms", form) for _ in range(2)))
        assert len({answer.headers.get("Location") for answer in answers if answer.status_code == 303}) == 1
        assert len(space._rooms) == 2


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ({"title": " ", "name": "Person A"}, "Please give a name that others can read"),
        ({"title": "x" * 41, "name": "Person A"}, "41 characters"),
        ({"title": "Cellar", "name": "shellbot"}, "already taken"),
    ],
)
async def test_a_room_that_cannot_be_made_is_told_on_the_page_and_nothing_typed_is_lost(form, line):
    async with serving() as (server, space, _), browsers(server.url, "Person A") as (a,):
        fields = {**form, "key": "one form", "token": a.token}
        answer = await asyncio.to_thread(a.post, "rooms", fields, Accept="text/html")
        assert answer.status_code == 409
        assert line in answer.text
        assert f'value="{form["title"]}"' in answer.text
        assert f'value="{form["name"]}"' in answer.text
        assert len(space._rooms) == 1


async def test_rooms_are_made_by_people_who_are_in_one_and_where_it_is_allowed():
    form = {"title": "Cellar", "name": "Person A", "key": "one form"}
    async with serving() as (server, space, _), browsers(server.url, "") as (stranger,):
        answer = await asyncio.to_thread(stranger.post, "rooms", {**form, "token": stranger.token})
        assert (answer.status_code, len(space._rooms)) == (403, 1)
    async with serving(new_rooms=False) as (server, space, _), browsers(server.url, "Person A") as (a,):
        assert "A new room" not in await asyncio.to_thread(a.page, "rooms")
        answer = await asyncio.to_thread(a.post, "rooms", {**form, "token": a.token})
        assert (answer.status_code, len(space._rooms)) == (403, 1)


def test_rooms_names_and_used_links_outlive_a_kill(tmp_path):
    store = tmp_path / "store.db"
    with room_process(store, 0, "hears") as (process, url):
        a, b, c = (Browser(url) for _ in range(3))
        a.join("Person A")
        root = open_room(a, "Cellar")
        cellar = inside(a, root)
        cellar.page()
        revoked = invitation(cellar)
        cellar.post("revoke", {"token": cellar.token})
        guest = come(b, invitation(cellar), "Person B")
        cellar.say("before the kill")
        with sqlite3.connect(store) as kept:
            [person] = kept.execute("SELECT id FROM web_people WHERE name = 'Person B'").fetchone()
        kept.close()
        to_name = Links(SECRET, "join").make({"room": root[1:], "person": person, "nonce": "one", "generation": 2})
        assert come(c, f"{url}join/{to_name}", "").page().count("before the kill") == 1
        process.kill()
    with room_process(store, urlsplit(url).port or 0, "hears"):
        for browser in (cellar, guest, inside(c, root)):
            assert browser.page().count("before the kill") == 1
            assert "2 people: Person A, Person B" in browser.shown
        assert cellar.say("after it").json() == {"ok": True}
        assert "after it" in guest.page()
        assert "after it" not in a.page()
        d = Browser(url)
        assert "A link is needed" in inside(d, root).page()
        assert d.http.get(revoked, timeout=15).status_code == 410
        shown = d.http.get(f"{url}join/{to_name}", timeout=15)
        form = {"link": to_name, "token": re.search(r'name="token" value="([^"]+)"', shown.text)[1]}
        assert inside(d, root).post("join", form).status_code == 410, "it was used before the kill"
        come(d, invitation(cellar), "Person D")
    for browser in (a, b, c, d):
        browser.close()


async def test_a_store_and_a_cookie_of_the_time_with_one_room_go_on(tmp_path):
    with sqlite3.connect(tmp_path / "store.db") as before:
        before.executescript(
            """
            CREATE TABLE web_facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);
            CREATE TABLE web_people (
                id TEXT PRIMARY KEY, name TEXT NOT NULL, folded TEXT NOT NULL UNIQUE, is_demo INTEGER NOT NULL,
                is_here INTEGER NOT NULL, comings INTEGER NOT NULL, is_seen INTEGER NOT NULL DEFAULT 0
            );
            CREATE TABLE web_posts (
                channel TEXT NOT NULL, place INTEGER NOT NULL, seq INTEGER NOT NULL, version INTEGER NOT NULL,
                author TEXT NOT NULL, key TEXT NOT NULL, text TEXT NOT NULL, fixed TEXT NOT NULL, card TEXT,
                time TEXT NOT NULL,
                PRIMARY KEY (channel, place), UNIQUE (channel, seq), UNIQUE (channel, author, key)
            );
            INSERT INTO web_facts VALUES ('epoch', '00c0ffee');
            INSERT INTO web_people VALUES ('aaaaaaaaaaaaaaaa', 'Person A', 'persona', 0, 1, 1, 1);
            INSERT INTO web_posts VALUES
                ('group', 1, 1, 1, 'aaaaaaaaaaaaaaaa', 'key-1', 'from then', '', NULL, '2026-11-01T09:00:00+00:00');
            """
        )
    before.close()
    store = SqliteStore(tmp_path / "store.db")
    await store.open()
    try:
        async with serving(store=store) as (server, space, _), browsers(server.url, "") as (a,):
            a.http.cookies.clear()
            cookie = old_cookie({"id": "a" * 16, "name": "Person A"})
            a.http.cookies.set(f"shellbot-{urlsplit(a.url).port}", cookie, domain="127.0.0.1", path="/")
            page = await asyncio.to_thread(a.page)
            assert "from then" in page
            assert "1 person: Person A" in page
            async with listening(a, a.cursor) as stream:
                assert (await stream.next("people")).data["names"] == ["Person A"]
            root = await asyncio.to_thread(open_room, a, "Cellar")
            assert "Cellar" in await asyncio.to_thread(inside(a, root).page)
            assert "from then" in await asyncio.to_thread(a.page)
            with pytest.raises(Exception, match="already taken"):
                await space.join("person a")
    finally:
        await store.close()


def old_cookie(fields: dict[str, str]) -> str:
    from flask import Flask
    from flask.sessions import SecureCookieSessionInterface

    app = Flask("before")
    app.secret_key = SECRET
    return SecureCookieSessionInterface().get_signing_serializer(app).dumps(fields)


async def test_a_vote_in_one_room_is_nothing_to_the_other_also_over_a_restart(tmp_path):
    port = 0
    a, b, c = browsing = [Browser("") for _ in range(3)]

    async def heard(browser: Browser, text: str) -> dict[str, object]:
        async with listening(browser, browser.cursor, root=root) as stream:
            while text not in (told := await asyncio.wait_for(stream.next("post"), 10)).data["html"]:
                pass
        return told.data

    async def nothing_is_seen_outside() -> None:
        for browser in (a, c):
            for path in ("", "polls", "poll/1", "poll/1.json", "poll/1.csv"):
                assert "Whose turn?" not in await asyncio.to_thread(browser.page, path)

    async with Engine(type="web", settings={"server.port": 0}, instance=tmp_path) as engine:
        for browser in browsing:
            browser.url = engine.server.url
        port = urlsplit(engine.server.url).port
        for browser, name in ((a, "Person A"), (c, "Person C")):
            assert (await asyncio.to_thread(browser.join, name)).status_code == 303
        root = await asyncio.to_thread(open_room, a, "Cellar")
        cellar = inside(a, root)
        guest = await asyncio.to_thread(come, b, await asyncio.to_thread(invitation, cellar), "Person B")
        await asyncio.to_thread(cellar.page)
        await asyncio.to_thread(cellar.say, 'poll "Whose turn?" Mine, Yours in 10m')
        for browser in (cellar, guest):
            assert (await heard(browser, 'class="ballot"'))["side"] == "direct"
        await nothing_is_seen_outside()
    async with Engine(type="web", settings={"server.port": port}, instance=tmp_path):
        for browser in (cellar, guest):
            assert (await asyncio.to_thread(browser.press, "Mine")).json() == {"ok": True}
        told = await heard(guest, "Result of vote")
        assert (told["side"], "2 of 2 voted" in told["html"]) == ("group", True)
        for path in ("polls", "poll/1"):
            assert "Whose turn?" in await asyncio.to_thread(cellar.page, path)
        await nothing_is_seen_outside()
    for browser in browsing:
        browser.close()
