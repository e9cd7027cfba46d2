"""Join links: only the page's form joins, what does not count is told plainly, and no link is left lying about."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
import requests
from test_rooms import come, inside, invitation, open_room
from web_room import SECRET, Browser, browsers, listening, serving

from shellbot.engine import Engine
from shellbot.server.invitations import Invitations
from shellbot.server.links import Links
from shellbot.server.visits import MOST_ROOMS


def get(browser: Browser, url: str, **more: bool) -> requests.Response:
    return browser.http.get(url, timeout=15, **more)


def send(browser: Browser, root: str, **fields: str) -> requests.Response:
    """Send the form of the way in, as a page would."""
    browser.page()
    return inside(browser, root).post("join", {"token": browser.token, **fields}, Accept="text/html")


async def test_a_link_shows_a_page_without_the_token_in_its_address_and_only_its_form_joins():
    async with serving() as (server, space, _), browsers(server.url, "Person A", "") as (a, b):
        root = await asyncio.to_thread(open_room, a, "Cellar")
        link = await asyncio.to_thread(invitation, inside(a, root))
        for _ in range(3):
            shown = await asyncio.to_thread(get, b, link)
        assert urlsplit(shown.url)[2:] == (f"{root}/join", "", "")
        assert "Cellar" in shown.text
        assert shown.headers["Referrer-Policy"] == "same-origin"
        assert shown.headers["Cache-Control"] == "no-store"
        assert [member.person.name for member in space.members_of(root[1:])] == ["Person A"]

        joined = await asyncio.to_thread(come, b, link, "Person B")
        assert "2 people: Person A, Person B" in joined.shown
        assert link.rsplit("/", 1)[1] not in joined.shown
        assert urlsplit((await asyncio.to_thread(get, b, link)).url).path == f"{root}/", "in the room already"


async def test_a_name_goes_to_another_browser_by_a_link_that_counts_once():
    async with serving() as (server, space, _), browsers(server.url, "Person A", "", "", "") as (a, *others):
        await asyncio.to_thread(a.say, "for me alone", "direct")
        [member] = space.members
        link = server.link(member.person.id, is_named=True)
        token = link.rsplit("/", 1)[1]
        shown = await asyncio.to_thread(get, others[0], link)
        assert "Go on as Person A" in shown.text
        assert "Your name" not in shown.text
        answers = await asyncio.gather(*(asyncio.to_thread(send, other, "", link=token) for other in others))
        assert sorted(answer.status_code for answer in answers) == [303, 410, 410]
        for other, answer in zip(others, answers, strict=True):
            page = await asyncio.to_thread(other.page)
            assert ("for me alone" in page) == (answer.status_code == 303)
        assert "for me alone" in await asyncio.to_thread(a.page), "the first browser keeps it"
        assert [one.person for one in space.members] == [member.person]


async def test_a_link_to_a_name_brings_back_who_had_left():
    async with serving() as (server, space, _), browsers(server.url, "Person A", "") as (a, b):
        [member] = space.members
        link = server.link(member.person.id, is_named=True)
        await asyncio.to_thread(a.post, "leave", {"token": a.token})
        assert space.members == []
        assert (await asyncio.to_thread(send, b, "", link=link.rsplit("/", 1)[1])).status_code == 303
        assert [one.person for one in space.members] == [member.person]


@pytest.mark.parametrize(
    ("reason", "status", "line"),
    [
        ("expired", 410, "it counted for 24 hours. Please ask who sent it for a new one"),
        ("used", 410, "used already, and it counts once. For a new one, say `link`"),
        ("room", 404, "for another room, or for one that is not here any more"),
        ("gone", 404, "for another room, or for one that is not here any more"),
        ("revoked", 410, "somebody in the room has ended all links to it"),
        ("damaged", 400, "not whole. Please copy all of it"),
        ("foreign", 400, "not whole. Please copy all of it"),
        ("purpose", 400, "not whole. Please copy all of it"),
    ],
)
async def test_each_link_that_does_not_count_gets_a_plain_page(reason, status, line):
    async with serving() as (server, space, _), browsers(server.url, "Person A", "") as (a, b):
        root = await asyncio.to_thread(open_room, a, "Cellar")
        [member] = space.members_of(root[1:])
        token = server.link(member.person.id, is_named=reason == "used").rsplit("/", 1)[1]
        where = root
        match reason:
            case "expired":
                past = Links(SECRET, "join", now=lambda: 1_000_000_000.0)
                token = Invitations(past, space).path(root[1:]).rsplit("/", 1)[1]
            case "used":
                await space.take_over(member.person.id, Links(SECRET, "join").read(token)["nonce"])
            case "room":
                where = ""
            case "gone":
                fields = {"room": "room-0123456789ab", "person": "", "nonce": "x", "generation": 1}
                token = Links(SECRET, "join").make(fields)
            case "revoked":
                await asyncio.to_thread(a.page)
                await asyncio.to_thread(inside(a, root).post, "revoke", {"token": a.token})
            case "damaged":
                token = token[:-1]
            case "foreign":
                token = Invitations(Links(b"another key, of the same length", "join"), space).path(root[1:])[6:]
            case "purpose":
                token = Links(SECRET, "results").make(Links(SECRET, "join").read(token))
        answers = [await asyncio.to_thread(send, b, where, link=token, name="Person B")]
        if reason not in ("used", "room"):  # these are known only when the form is sent
            answers.append(await asyncio.to_thread(get, b, f"{server.url}join/{token}"))
        for answer in answers:
            assert answer.status_code == status
            assert line in answer.text
            assert "Cellar" not in answer.text
            assert 'role="alert"' in answer.text
        assert [one.person.name for one in space.members_of(root[1:])] == ["Person A"]
        assert [one.person.name for one in space.members] == ["Person A"]


async def test_revoking_ends_the_links_to_one_room_and_leaves_its_people():
    async with serving() as (server, space, _), browsers(server.url, "Person A", "", "") as (a, b, c):
        roots = [await asyncio.to_thread(open_room, a, title, key=title) for title in ("Cellar", "Attic")]
        links = [await asyncio.to_thread(invitation, inside(a, root)) for root in roots]
        await asyncio.to_thread(come, b, links[0], "Person B")
        cellar = inside(a, roots[0])
        await asyncio.to_thread(cellar.page)
        answer = await asyncio.to_thread(cellar.post, "revoke", {"token": cellar.token})
        assert "This is a new one" in await asyncio.to_thread(a.page, answer.headers["Location"][1:])
        assert (await asyncio.to_thread(get, c, links[0])).status_code == 410
        await asyncio.to_thread(come, c, links[1], "Person C")
        await asyncio.to_thread(come, c, await asyncio.to_thread(invitation, cellar), "Person C")
        assert len(space.members_of(roots[0][1:])) == 3


async def test_a_private_server_lets_in_by_link_only():
    async with serving(private=True) as (server, space, _), browsers(server.url, "", "") as (a, b):
        refused = await asyncio.to_thread(get, a, server.url)
        assert refused.status_code == 403
        assert "Ask somebody who is in it" in refused.text
        assert "Lunch room" not in refused.text
        b.shown = (await asyncio.to_thread(get, b, server.link())).text
        assert (await asyncio.to_thread(b.post, "join", {"name": "Person B", "token": b.token})).status_code == 403
        await asyncio.to_thread(come, a, server.link(), "Person A")
        assert [member.person.name for member in space.members] == ["Person A"]
        await asyncio.to_thread(a.page)
        await asyncio.to_thread(a.post, "leave", {"token": a.token})
        assert (await asyncio.to_thread(a.join, "Person A")).status_code == 303, "who was here may come back"


async def test_no_token_is_logged_whatever_happens_to_it(caplog, capfd):
    caplog.set_level(logging.DEBUG)
    async with serving() as (server, space, _), browsers(server.url, "Person A", "") as (_, b):
        [member] = space.members
        link, named = server.link(), server.link(member.person.id, is_named=True)
        tokens = [url.rsplit("/", 1)[1] for url in (link, named)]
        for url in (link, f"{link}x", named):
            await asyncio.to_thread(get, b, url)
        for _ in range(2):
            await asyncio.to_thread(send, b, "", link=tokens[1])
        stop, space.take_over = space.take_over, None  # the store, say, is away
        answer = await asyncio.to_thread(send, b, "", link=tokens[1])
        assert answer.status_code == 500
        space.take_over = stop
        space.room, stop = None, space.room  # also where it stands in the path
        assert (await asyncio.to_thread(get, b, link)).status_code == 500
        space.room = stop
    ours = [record for record in caplog.records if not record.name.startswith("urllib3")]
    said = "\n".join(caplog.handler.format(record) for record in ours) + "".join(capfd.readouterr())
    assert "a page failed page=entrance.join" in said
    assert "a page failed page=entrance.come_by_link" in said
    for token in tokens:
        assert token.split(".")[0] not in said
        assert token.rsplit(".", 1)[1] not in said


async def test_more_rooms_than_fit_into_a_cookie_are_refused_saying_so():
    async with serving() as (server, _, _), browsers(server.url, "Person A") as (a,):
        for number in range(MOST_ROOMS - 1):
            root = await asyncio.to_thread(open_room, a, f"Room {number}", key=f"key {number}")
        await asyncio.to_thread(a.page)
        fields = {"title": "One more", "name": "Person A", "key": "last", "token": a.token}
        answer = await asyncio.to_thread(a.post, "rooms", fields)
        assert (answer.status_code, "leave one of them" in answer.text) == (409, True)
        await asyncio.to_thread(get, a, server.link())
        assert len(a.cookie) < 4_000
        last = inside(a, root)
        await asyncio.to_thread(last.page)
        await asyncio.to_thread(last.post, "leave", {"token": last.token})
        await asyncio.to_thread(open_room, a, "One more", key="again")


async def said(browser: Browser, text: str, side: str, line: str) -> str:
    """Say a command, wait for the answer and give the link in it."""
    await asyncio.to_thread(browser.say, text, side)
    async with listening(browser, browser.cursor) as stream:
        while line not in (told := await asyncio.wait_for(stream.next("post"), 10)).data["html"]:
            pass
    assert told.data["side"] == side
    found = re.search(r'<a href="(http[^"]+/join/[^"]+)"', told.data["html"])
    return found[1] if found else ""


@pytest.mark.parametrize(("public_url", "is_told"), [("", True), ("https://chat.test", False)])
async def test_where_a_link_is_given_it_is_told_if_it_works_on_this_machine_only(public_url, is_told):
    async with serving(public_url=public_url) as (server, _, _), browsers(server.url, "Person A") as (a,):
        page = await asyncio.to_thread(a.page, "invite")
        assert ("It works on this machine only" in page) == is_told


async def test_the_word_link_makes_links_and_ends_them(tmp_path):
    async with Engine(type="web", settings={"server.port": 0}, instance=tmp_path) as engine:
        async with browsers(engine.server.url, "Person A", "", "", "") as (a, b, c, d):
            named = await said(a, "link", "direct", "It works on this machine only, as it leads to 127.0.0.1.")
            assert "It counts once" not in await asyncio.to_thread(b.page)
            assert (await asyncio.to_thread(send, b, "", link=named.rsplit("/", 1)[1])).status_code == 303
            assert "It counts once" in await asyncio.to_thread(b.page)
            to_all = await said(a, "link", "group", "Whoever opens this")
            await asyncio.to_thread(come, c, to_all, "Person C")
            await said(a, "link revoke", "direct", "No link to this room counts any more")
            assert (await asyncio.to_thread(get, d, to_all)).status_code == 410
            await said(a, "help", "direct", "link [room | revoke]")
            await said(a, "link whatever", "direct", "link room")


def test_run_private_prints_a_link_that_lets_in(tmp_path):
    command = [
        sys.executable,
        "-m",
        "shellbot",
        "run",
        "--private",
        "--port",
        "0",
        "--instance",
        str(tmp_path / "here"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(os.environ.get("PYTHONPATH", os.getcwd()))}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        lines = [process.stdout.readline().strip() for _ in range(2)]
        assert "to come in from this machine, for a day" in lines[1]
        url = re.fullmatch(r"shellbot: (http://127\.0\.0\.1:\d+/)", lines[0])[1]
        link = re.search(r"(http://127\.0\.0\.1:\d+/join/\S+)", lines[1])[1]
        a = Browser(url)
        assert get(a, url).status_code == 403
        come(a, link, "Person A")
        assert "1 person: Person A" in a.page()
        a.close()
    finally:
        process.terminate()
        process.communicate(timeout=15)


def test_private_and_demo_do_not_go_together(tmp_path):
    command = [sys.executable, "-m", "shellbot", "run", "--private", "--demo", "--instance", str(tmp_path / "here")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=15)
    assert done.returncode == 2
    assert "leave out --private, or --demo" in done.stderr
