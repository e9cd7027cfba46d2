"""The door: ports, hosts, bodies, headers, signals; and the table of what must be refused."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from contextlib import suppress
from dataclasses import replace

import pytest
from web_room import MANY, SECRET, Browser, Listener, browsers, serving

from shellbot.clocks import AsyncioClock
from shellbot.errors import ConfigError
from shellbot.server.chat import ChatServer
from shellbot.server.limits import Limits
from shellbot.spaces.web import WebSpace
from shellbot.stores.memory import MemoryStore

IMPATIENT = Limits(
    message_rate=1e6,
    message_burst=10**6,
    joins_per_minute=10**6,
    body_timeout=0.3,
    header_timeout=0.3,
    body_bytes=65_536,
)


def port_of(server: ChatServer) -> int:
    return int(server.url.rsplit(":", 1)[1].strip("/"))


async def raw(server: ChatServer, request: bytes) -> bytes:
    """Send bytes as they are and give the whole answer; the connection must be closed by the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
    try:
        writer.write(request)
        answer = b""
        with suppress(ConnectionResetError):  # closed on bytes that nobody wanted to read
            while part := await asyncio.wait_for(reader.read(65_536), 10):
                answer += part
        return answer
    finally:
        writer.close()


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


# --- the table of section 4: each row against each kind of door

PATHS = ["", "events", "static/app.js", "nowhere", "me"]


@pytest.mark.parametrize(
    "host", ["evil.test", "evil.test:{port}", "127.0.0.1:1", "127.0.0.1.evil.test:{port}", "[::2]"]
)
async def test_foreign_hosts_are_refused_everywhere_also_with_a_valid_cookie(host):
    async with serving() as (server, _, _), browsers(server.url, "Person A") as (a,):
        named = host.format(port=port_of(server))
        for path in PATHS:
            answer = await raw(server, f"GET /{path} HTTP/1.1\r\nHost: {named}\r\nCookie: {a.cookie}\r\n\r\n".encode())
            assert status(answer) == 421
            assert b"Person A" not in answer


async def test_no_host_at_all_is_refused():
    async with serving() as (server, _, _):
        assert status(await raw(server, b"GET / HTTP/1.0\r\n\r\n")) == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:{port}", "[::1]:{port}", "chat.test"])
async def test_our_hosts_are_answered(host):
    async with serving(public_hosts=["chat.test"]) as (server, _, _):
        request = f"GET / HTTP/1.1\r\nHost: {host.format(port=port_of(server))}\r\nConnection: close\r\n\r\n"
        assert status(await raw(server, request.encode())) == 200


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        ({}, {"token": ""}),
        ({}, {"token": "wrong"}),
        ({}, {"token": "ü"}),
        ({"X_CSRF_Token": "wrong"}, {}),
        ({"Sec_Fetch_Site": "cross-site"}, {}),
        ({"Sec_Fetch_Site": "same-site"}, {}),
        ({"Origin": "http://127.0.0.1:9"}, {}),
        ({"Origin": "http://evil.test"}, {}),
        ({"Origin": "null"}, {}),
    ],
)
async def test_posts_of_other_pages_and_without_our_token_are_refused(headers, fields):
    async with serving() as (server, space, bot), browsers(server.url, "Person A") as (a,):
        good = {"token": a.token, "name": "Person B", "side": "group", "text": "hi", "key": "key-00000001"}
        heard = len(bot.heard)
        for path in ("join", "say", "press", "leave"):
            answer = await asyncio.to_thread(a.post, path, {**good, **fields}, **headers)
            assert answer.status_code == 403
        assert len(bot.heard) == heard
        assert len(space.members) == 1


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-site"}, {"Origin": "http://127.0.0.1:9"}])
async def test_streams_for_other_pages_are_refused(headers):
    async with serving() as (server, _, _), browsers(server.url, "Person A") as (a,):
        answer = await asyncio.to_thread(lambda: a.http.get(f"{server.url}events", headers=headers, timeout=15))
        assert answer.status_code == 403


async def test_the_token_may_come_in_a_header_and_same_origin_is_welcome():
    async with serving() as (server, _, bot), browsers(server.url, "Person A") as (a,):
        headers = {"X_CSRF_Token": a.token, "Sec_Fetch_Site": "same-origin", "Origin": server.url.rstrip("/")}
        fields = {"side": "group", "text": "hi", "key": "key-00000001"}
        answer = await asyncio.to_thread(lambda: a.post("say", fields, **headers))
        assert answer.json() == {"ok": True}
        assert len(bot.heard) == 2


async def test_every_answer_carries_the_security_headers():
    async with serving() as (server, _, _), browsers(server.url, "") as (a,):
        for path in PATHS:
            await asyncio.to_thread(a.page, path)
            headers = a.last.headers
            policy = headers["Content-Security-Policy"]
            for part in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
                assert part in policy
            assert "unsafe" not in policy
            assert headers["Referrer-Policy"] == "same-origin"
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
            assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert "Server" not in headers
            assert headers["Cache-Control"] == ("no-cache" if path.startswith("static") else "no-store")


async def test_pages_have_no_inline_script_or_style():
    async with serving() as (server, _, _), browsers(server.url, "Person A", "") as people:
        for browser in people:
            page = await asyncio.to_thread(browser.page)
            assert "<style" not in page
            assert "style=" not in page
            assert "onclick" not in page
            assert page.count("<script") == page.count('<script src="/static/app.js" defer></script>')


async def test_methods_other_than_get_and_post_are_refused():
    async with serving() as (server, _, _):
        for method in ("PUT", "DELETE", "TRACE", "POST"):
            path = "/events" if method == "POST" else "/"
            lines = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            assert status(await raw(server, lines.encode())) in (403, 405)


# --- bodies and headers


async def test_a_body_too_large_is_refused_whether_it_says_so_or_not():
    patient = replace(IMPATIENT, body_timeout=10, header_timeout=10)
    async with serving(limits=patient) as (server, _, _):
        head = b"POST /say HTTP/1.1\r\nHost: localhost\r\n"
        assert status(await raw(server, head + b"Content-Length: 100000\r\n\r\n")) == 413
        chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
        assert status(await raw(server, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 3)) == 413


async def test_a_chunked_form_is_read_like_any_other():
    async with serving() as (server, _, bot), browsers(server.url, "Person A") as (a,):
        body = f"token={a.token}&side=group&text=in+pieces&key=key-00000001".encode()
        pieces = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:10], body[10:])) + b"0\r\n\r\n"
        head = (
            f"POST /say HTTP/1.1\r\nHost: localhost\r\nCookie: {a.cookie}\r\nConnection: close\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        assert status(await raw(server, head.encode() + pieces)) == 303
        assert bot.heard[-1].text == "in pieces"


async def test_unfinished_bodies_hold_no_thread_and_end_with_408():
    async with serving(limits=IMPATIENT) as (server, _, _), browsers(server.url, "Person A") as (a,):
        unfinished = b"POST /say HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf"
        waiting = [asyncio.create_task(raw(server, unfinished)) for _ in range(200)]
        assert "Message to everybody" in await asyncio.to_thread(a.page)
        assert {status(answer) for answer in await asyncio.gather(*waiting)} == {408}


async def test_unfinished_headers_end_with_408():
    async with serving(limits=IMPATIENT) as (server, _, _):
        for begun in (b"", b"GET / HTTP/1.1\r\nHo", b"GET /me HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHo"):
            answer = await raw(server, begun)
            assert b" 408 " in answer
            assert answer.endswith(b"connection: close\r\n\r\n")


async def test_what_is_not_http_is_refused_and_does_no_harm():
    async with serving() as (server, _, _), browsers(server.url, "Person A") as (a,):
        for noise in (
            b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        ):
            assert status(await raw(server, noise)) == 400
        head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "
        assert b" 200 " not in await raw(server, head + b"x" * 200_000)
        assert "Message to everybody" in await asyncio.to_thread(a.page)


# --- listening and stopping


async def test_a_taken_port_gives_the_next_free_one():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        async with serving(port=taken) as (server, _, _):
            assert taken < port_of(server) < taken + 100
            browser = Browser(server.url)
            assert "Your name" in await asyncio.to_thread(browser.page)
            browser.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org"])
@pytest.mark.parametrize("given", [{}, {"private": True}, {"public_url": "https://chat.test/"}])
async def test_other_interfaces_need_links_and_a_public_address(host, given):
    space = WebSpace(store=MemoryStore(), clock=AsyncioClock())
    with pytest.raises(ConfigError, match="by link only") as refused:
        ChatServer(space=space, host=host, secret=SECRET, **given)
    assert refused.value.key == "server.address"


async def test_under_a_public_address_one_comes_by_its_links_and_cookies_stay_on_https():
    public = {"public_url": "https://chat.test/", "private": True}
    async with serving(host="0.0.0.0", **public) as (server, space, _), browsers(server.url, "") as (a,):
        link = server.link()
        assert link.startswith("https://chat.test/join/")
        asked = f"GET {link.removeprefix('https://chat.test')} HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
        for host, is_secure in (("chat.test", True), (f"127.0.0.1:{port_of(server)}", False)):
            answer = await raw(server, (asked % host).encode())
            assert status(answer) == 303
            assert (b"; Secure" in answer) == is_secure
        assert status(await raw(server, (asked % "other.test").encode())) == 421
        assert (await asyncio.to_thread(a.post, "join", {"name": "Person A"})).status_code == 403
        assert space.members == []


async def test_demo_people_do_not_come_into_a_private_room():
    with pytest.raises(ConfigError, match="leave out --demo"):
        ChatServer(space=WebSpace(store=MemoryStore(), clock=AsyncioClock()), secret=SECRET, demo=True, private=True)


async def test_a_short_key_is_refused():
    with pytest.raises(ConfigError, match="16 random bytes"):
        ChatServer(space=WebSpace(store=MemoryStore(), clock=AsyncioClock()), secret=b"short")


async def test_signals_stay_with_whoever_runs_the_loop():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with serving():
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_stopping_leaves_no_thread_and_no_task_and_frees_the_port():
    before = set(threading.enumerate())
    async with serving(limits=MANY) as (server, _, _), browsers(server.url, "Person A") as (a,):
        stream = Listener(server.url, a.cookie)
        assert await stream.open() == 200
        port = port_of(server)
        await server.stop()
        await stream.close()
        assert not [thread for thread in threading.enumerate() if "WSGI" in thread.name and thread not in before]
        assert not [task.get_name() for task in asyncio.all_tasks() if task.get_name() in ("fan-out", "web server")]
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", port))
            again.listen()


async def test_stopping_lets_go_of_a_page_that_waits_for_the_engine():
    async with serving() as (server, space, _), browsers(server.url, "Person A") as (a,):
        asked = asyncio.Event()

        async def never(event: object) -> asyncio.Future[None]:
            asked.set()
            return await asyncio.get_running_loop().create_future()

        space._deliver = never
        saying = asyncio.create_task(asyncio.to_thread(a.say, "hi"))
        await asyncio.wait_for(asked.wait(), 15)
        await asyncio.wait_for(server.stop(), 10)
        await asyncio.gather(saying, return_exceptions=True)
