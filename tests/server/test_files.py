"""Files up and down by the door a browser uses: whole or not at all, for those of their channel, never as a page."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from web_room import MANY, Browser, browsers, serving, until

from shellbot.events import Message, Reply
from shellbot.files.shelf import Limits, Shelf

off = asyncio.to_thread
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
SMALL = Limits(max_bytes=100_000, max_count=3, total_bytes=350_000)


@asynccontextmanager
async def room(tmp_path, *names: str, limits: Limits = SMALL, **settings):
    """A room that takes files, with people in it."""
    shelf = Shelf(tmp_path / "files", limits)
    shelf.open({})
    async with serving(shelf=shelf, **settings) as (server, space, bot):
        async with browsers(server.url, *names) as people:
            yield server, space, bot, people


def there(tmp_path) -> list[bytes]:
    return sorted(file.read_bytes() for file in (tmp_path / "files").iterdir())


async def test_files_reach_the_bot_the_others_and_the_disk(tmp_path):
    async with room(tmp_path, "Person A", "Person B") as (_, _, bot, (first, second)):
        told = await off(first.send, ("a.png", PNG), ("empty.txt", b""), text="see")
        assert told.status_code == 200, told.text
        (said,) = [event for event in bot.heard if isinstance(event, Message)]
        assert [(file.name, file.type, file.read()) for file in said.files] == [
            ("a.png", "image/png", PNG),
            ("empty.txt", "text/html", b""),
        ]
        assert all(os.stat(file.path).st_mode & 0o777 == 0o600 for file in said.files)
        got = [await off(second.fetch, link) for link in await off(second.links)]
        assert [answer.content for answer in got] == [PNG, b""]
        assert there(tmp_path) == sorted([PNG, b""])


async def test_only_pictures_are_shown_and_nothing_is_ever_a_page(tmp_path):
    sent = [("a.svg", SVG), ("b.html", b"<script>alert(1)</script>"), ("c.png", b"<svg onload=alert(1)>")]
    async with room(tmp_path, "Person A") as (_, _, _, (person,)):
        await off(person.send, *sent)
        await off(person.send, ("d.html", PNG))
        got = [await off(person.fetch, link) for link in await off(person.links)]
        kinds = [
            (answer.headers["content-type"], answer.headers["content-disposition"].split(";")[0]) for answer in got
        ]
        assert kinds == [("application/octet-stream", "attachment")] * 3 + [("image/png", "inline")]
        for answer in got:
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
        (first, *_) = await off(person.links)
        assert (await off(lambda: person.fetch(first, If_None_Match=got[0].headers["etag"]))).status_code == 304


async def test_files_are_only_for_those_of_their_channel(tmp_path):
    async with room(tmp_path, "Person A", "Person B", "") as (_, space, _, (first, second, stranger)):
        await off(first.send, ("mine.txt", b"mine"), side="direct")
        (link,) = await off(first.links)
        assert await off(second.links) == []
        assert [(await off(who.fetch, link)).status_code for who in (second, stranger)] == [404, 401]
        assert (await off(first.fetch, link)).content == b"mine"
        assert (await off(lambda: first.fetch(link, Sec_Fetch_Site="cross-site"))).status_code == 403
        for odd in ("files/", "files/..%2f..%2fstore.db", "files/" + "0" * 32, link + "/x"):
            assert (await off(first.fetch, odd)).status_code == 404
        member = next(member for member in space.members if member.person.name == "Person A")
        await space.leave(member.person.id)
        assert (await off(first.fetch, link)).status_code == 401


async def test_files_of_one_room_are_not_for_another(tmp_path):
    async with room(tmp_path, "Person A", "Person B") as (_, space, _, (first, second)):
        other = await space.open_room("Another room", "Person C")
        draft = space.shelf.new("secret.txt")
        draft.write(b"secret")
        await space.say(other.person.id, other.room, "", "some-key-1", (draft.finish(),))
        await off(first.send, ("ours.txt", b"ours"))
        (kept,) = [file for file in (tmp_path / "files").iterdir() if file.read_bytes() == b"secret"]
        for person in (first, second):
            assert (await off(person.fetch, f"files/{kept.name}")).status_code == 404
            assert (await off(person.fetch, f"{other.room}/files/{kept.name}")).status_code == 401
        assert (await space.file(other.person.id, kept.name)).read() == b"secret"


@pytest.mark.parametrize(
    ("files", "answer"),
    [
        ([("a.bin", b"x" * 100_001)], "a.bin is too large: 100 kB are the most."),
        ([("a.bin", b"x" * 1_400_000)], "a.bin is too large: 100 kB are the most."),
        ([(f"{number}.txt", b"x") for number in range(4)], "3 files are the most for one message."),
        ([("a.bin", b"x" * 9_000), ("b.bin", b"x" * 100_001)], "b.bin is too large: 100 kB are the most."),
    ],
    ids=["large", "huge", "many", "one of two"],
)
async def test_what_is_too_much_is_refused_whole(tmp_path, files, answer):
    async with room(tmp_path, "Person A") as (_, _, bot, (person,)):
        told = await off(person.send, *files, text="see")
        assert (told.status_code, told.json()["error"]) == (413, answer)
        page = await off(lambda: person.send(*files, text="see this", Accept="text/html"))
        assert answer in page.text
        assert "see this</textarea>" in page.text  # what was typed is not lost
        assert there(tmp_path) == []
        assert not [event for event in bot.heard if isinstance(event, Message)]


async def test_room_for_all_files_is_bounded_and_given_back(tmp_path):
    async with room(tmp_path, "Person A") as (_, _, _, (person,)):
        for number in range(3):
            told = await off(person.send, (f"{number}", b"x" * 100_000))
            assert told.status_code == 200
        for _ in range(3):  # what is refused takes no room
            told = await off(person.send, ("small", b"x" * 40_000), ("large", b"x" * 50_000))
            assert "the room for them is used up" in told.json()["error"]
        assert (await off(person.send, ("last", b"x" * 50_000))).status_code == 200
        assert len(there(tmp_path)) == 4


async def test_said_twice_under_one_key_the_files_are_there_once(tmp_path):
    async with room(tmp_path, "Person A") as (_, _, bot, (person,)):
        for content in (b"first", b"second"):
            told = await off(person.send, ("a.txt", content), key="the-same-key")
            assert told.status_code == 200
        assert there(tmp_path) == [b"first"]
        (said,) = [event for event in bot.heard if isinstance(event, Message)]
        assert said.files[0].read() == b"first"


async def test_a_form_that_is_not_ours_leaves_nothing(tmp_path):
    async with room(tmp_path, "Person A", "") as (_, _, _, (person, stranger)):
        for headers in ({"Origin": "http://evil.test"}, {"Sec-Fetch-Site": "same-site"}):
            assert (await off(lambda h=headers: person.send(("a", b"a"), **h))).status_code == 403
        assert (await off(stranger.send, ("a", b"a"))).status_code == 401

        def post(**what) -> int:
            return person.http.post(person.url + "say", timeout=15, **what).status_code

        fields = {"text": "x", "side": "group", "key": "some-key-1"}
        assert await off(lambda: post(data=fields, files=[("files", ("a", b"a"))])) == 403  # no token
        kind = {"Content-Type": "multipart/form-data; boundary=x", "Accept": "application/json"}
        for body in (b"", b"--x", b"--x\r\n\r\n", b"--x\r\nContent-Disposition: form-data\r\n\r\na", os.urandom(2000)):
            assert await off(lambda b=body: post(data=b, headers=kind)) in (400, 403)
        assert await off(lambda: post(data=b"x", headers={"Content-Type": "multipart/form-data"})) == 400
        assert there(tmp_path) == []


def begin(browser: Browser, length: int, piece: bytes) -> socket.socket:
    """Open an upload that does not come to its end."""
    end = socket.create_connection(("127.0.0.1", urlsplit(browser.url).port), timeout=10)
    head = (
        f"POST /say HTTP/1.1\r\nHost: {urlsplit(browser.url).netloc}\r\nCookie: {browser.cookie}\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {length}\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    )
    end.sendall(head.encode() + piece)
    return end


async def test_uploads_under_way_hold_up_nobody_and_leave_nothing_when_cut(tmp_path):
    async with room(tmp_path, "Person A", "Person B") as (_, _, bot, (first, second)):
        ends = [begin(first, 90_000, b"x" * 20_000) for _ in range(8)]
        try:
            await until(lambda: len(there(tmp_path)) == 8, "eight uploads under way")
            assert (await off(second.say, "meanwhile")).status_code == 200
            assert (await off(first.say, "so do I")).status_code == 200
            told = await off(first.send, ("ninth", b"x"))
            assert (told.status_code, "Retry-After" in told.headers) == (429, True)
        finally:
            for end in ends:
                end.close()
        await until(lambda: there(tmp_path) == [], "the uploads to be cleared away")
        assert (await off(first.send, ("ninth", b"x"))).status_code == 200
        assert len([event for event in bot.heard if isinstance(event, Message)]) == 3


async def test_a_body_that_does_not_come_is_given_up(tmp_path):
    quick = MANY.__class__(message_rate=100, message_burst=100, joins_per_minute=100, body_timeout=0.2)
    shelf = Shelf(tmp_path / "files", SMALL)
    shelf.open({})
    async with serving(shelf=shelf, limits=quick) as (server, _, _), browsers(server.url, "Person A") as (person,):
        end = begin(person, 90_000, b"x" * 20_000)
        try:
            answer = await off(end.recv, 4096)
        finally:
            end.close()
        assert b"408" in answer.split(b"\r\n")[0]
        await until(lambda: there(tmp_path) == [], "the upload to be cleared away")


HOSTILE = [
    "../../x.txt",
    "/etc/passwd",
    "..\\..\\x.txt",
    "C:\\x.txt",
    "con.txt",
    "a\r\nSet-Cookie: x=1.txt",
    "\u202etxt.exe",
]
HOSTILE += [
    "x" * 4000 + ".txt",
    "ü" * 400 + ".txt",
    '"; filename="b.html',
    "<img src=x onerror=alert(1)>.txt",
    "\U0001f355.txt",
]


async def test_hostile_names_are_shown_harmless_and_come_back_in_the_header(tmp_path):
    async with room(tmp_path, "Person A", limits=Limits()) as (_, _, bot, (person,)):
        for name in HOSTILE:
            told = await off(person.send, (name, b"x"))
            assert told.status_code == 200, name
        names = [event.files[0].name for event in bot.heard if isinstance(event, Message)]
        assert names[:3] == ["x.txt", "passwd", "x.txt"]
        for name, link in zip(names, await off(person.links), strict=True):
            assert not re.search(r'[/\\<>:"|?*\x00-\x1f\x7f\u202e]', name), name
            assert len(name.encode()) <= 200
            answer = await off(person.fetch, link)
            assert answer.headers["content-type"] == "application/octet-stream"
            assert set(answer.headers) & {"Set-Cookie", "X"} == set()
        assert "<img src=x" not in await off(person.page)
    assert all(re.fullmatch(r"[0-9a-f]{32}", file.name) for file in (tmp_path / "files").iterdir())


async def test_a_file_that_somebody_took_from_the_folder_is_told(tmp_path):
    async with room(tmp_path, "Person A") as (_, _, _, (person,)):
        await off(person.send, ("a.txt", b"a"))
        for file in (tmp_path / "files").iterdir():
            file.unlink()
        (link,) = await off(person.links)
        answer = await off(person.fetch, link)
        assert (answer.status_code, answer.text) == (410, "This file is not in the server's folder any more.\n")


async def test_what_the_bot_sends_is_shown_and_edited_without_losing_its_files(tmp_path):
    async with room(tmp_path, "Person A") as (_, space, _, (person,)):
        draft = space.shelf.new("plan.pdf")
        draft.write(b"plan")
        file = draft.finish()
        await space.post("group", Reply(id="r", text="The plan", files=(file,)))
        await space.post("group", Reply(id="r", text="The new plan", version=2))
        assert "The new plan" in await off(person.page)
        assert [(await off(person.fetch, link)).content for link in await off(person.links)] == [b"plan"]


async def test_a_room_that_takes_no_files_says_so(tmp_path):
    async with serving() as (server, _, _), browsers(server.url, "Person A") as (person,):
        assert 'type="file"' not in person.shown
        told = await off(person.send, ("a", b"a"))
        assert (told.status_code, told.json()["error"]) == (413, "No files can be sent here.")
