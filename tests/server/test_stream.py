"""/events over a real server: live, resumed, bounded, and nobody else's."""

from __future__ import annotations

import asyncio
import socket

import pytest
from web_room import MANY, Browser, Listener, browsers, listening, serving, until

from shellbot.events import Button, Card, Reply
from shellbot.server.limits import Limits

BIG = Limits(message_rate=1e6, message_burst=10**6, joins_per_minute=10**6, stream_frames=8, stream_bytes=200_000)


async def test_what_is_said_is_told_live_with_a_cursor_of_both_channels():
    async with serving() as (server, space, _), browsers(server.url, "Person A", "Person B") as (a, b):
        async with listening(b, b.cursor) as stream:
            await asyncio.to_thread(a.say, "hello <b>")
            told = await stream.next("post")
            assert told.id == f"e{space.epoch}.g1.d0"
            assert (told.data["side"], told.data["seq"], told.data["who"], told.data["missed"]) == (
                "group",
                1,
                "Person A",
                False,
            )
            assert "hello &lt;b&gt;" in told.data["html"]


async def test_direct_posts_are_told_to_their_person_only_and_ids_tell_nothing_of_them():
    async with serving() as (server, space, bot), browsers(server.url, "Person A", "Person B") as (a, b):
        async with listening(a, a.cursor) as at_a, listening(b, b.cursor) as at_b:
            await asyncio.to_thread(a.say, "between us", side="direct")
            assert "between us" in (await at_a.next("post")).data["html"]
            await asyncio.to_thread(a.say, "to all")
            told = await at_b.next("post")
            assert "to all" in told.data["html"]
            assert told.id == f"e{space.epoch}.g1.d0"
            person_id = next(iter(bot.direct))
            assert person_id not in str(told)


async def test_between_page_and_stream_nothing_is_missed():
    async with serving() as (server, _, _), browsers(server.url, "Person A", "Person B") as (a, b):
        cursor = b.cursor
        for number in range(3):
            await asyncio.to_thread(a.say, f"message {number}")
        async with listening(b, cursor) as stream:
            told = [await stream.next("post") for _ in range(3)]
            assert [event.data["seq"] for event in told] == [1, 2, 3]
            assert all(event.data["missed"] for event in told)
        async with listening(b, cursor, last_event_id=told[1].id) as stream:
            assert (await stream.next("post")).data["seq"] == 3


@pytest.mark.parametrize("since", ["e0.g0.d0", "nonsense", "e1.g1.d1.d1", ""])
async def test_a_cursor_of_another_history_makes_the_page_reload(since):
    async with serving() as (server, _, _), browsers(server.url, "Person A") as (a,):
        async with listening(a, since or "x") as stream:
            assert (await stream.next()).name == "reload"
            assert await stream.next() is None


async def test_a_page_away_for_too_long_reloads():
    async with serving() as (server, space, _), browsers(server.url, "Person A") as (a,):
        cursor = a.cursor
        await asyncio.gather(*(space.post("group", Reply(id=f"r{n}", text="x")) for n in range(1001)))
        async with listening(a, cursor) as stream:
            assert (await stream.next()).name == "reload"


async def test_an_edit_is_told_under_its_old_place():
    async with serving() as (server, space, _), browsers(server.url, "Person A") as (a,):
        async with listening(a, a.cursor) as stream:
            card = Card(id="c", title="Lunch?", buttons=(Button("1", "Pizza"),))
            await space.post("group", Reply(id="r", text="one", card=card))
            await space.post("group", Reply(id="r", text="two", version=2))
            first, second = await stream.next("post"), await stream.next("post")
            assert (first.data["place"], first.data["seq"]) == (1, 1)
            assert (second.data["place"], second.data["seq"]) == (1, 2)
            assert 'aria-pressed="false"' in first.data["html"]
            assert "<form" not in second.data["html"]


async def test_order_is_kept_under_many_senders_for_many_streams():
    async with serving() as (server, space, _), browsers(server.url, *(f"P{n}" for n in range(4))) as people:
        streams = [Listener(server.url, person.cookie) for person in people for _ in range(4)]
        try:
            for stream in streams:
                assert await stream.open(f"e{space.epoch}.g0.d0") == 200
            await asyncio.gather(*(space.post("group", Reply(id=f"r{n}", text="x")) for n in range(100)))
            for stream in streams:
                assert [(await stream.next("post")).data["seq"] for _ in range(100)] == list(range(1, 101))
        finally:
            for stream in streams:
                await stream.close()


async def test_what_is_for_one_person_does_not_wait_for_what_all_are_told():
    async with serving() as (server, space, bot), browsers(server.url, "Person A") as (a,):
        async with listening(a, a.cursor) as stream:
            (person_id,) = bot.direct
            to_all = [space.post("group", Reply(id=f"r{n}", text=f"to all {n}")) for n in range(200)]
            await asyncio.gather(*to_all, space.post(f"direct-{person_id}", Reply(id="d", text="to one")))
            told = [(await stream.next("post")).data for _ in range(201)]
            assert [data["seq"] for data in told if data["side"] == "group"] == list(range(1, 201))
            assert [data["side"] for data in told].index("direct") < 200


async def test_a_form_that_takes_long_goes_first_but_holds_no_page_up():
    async with serving() as (server, space, _), browsers(server.url, *(f"P{n}" for n in range(4))) as people:
        streams = [Listener(server.url, person.cookie) for person in people for _ in range(4)]
        begun, over, say = asyncio.Event(), asyncio.Event(), space.say

        async def slow(*args):
            begun.set()
            await over.wait()
            return await say(*args)

        space.say = slow
        form = asyncio.create_task(asyncio.to_thread(people[0].say, "at last"))
        try:
            for stream in streams:
                assert await stream.open(f"e{space.epoch}.g0.d0") == 200
            await begun.wait()
            await asyncio.gather(*(space.post("group", Reply(id=f"r{n}", text="x")) for n in range(20)))
            for stream in streams:
                assert [(await stream.next("post")).data["seq"] for _ in range(20)] == list(range(1, 21))
            assert not form.done()
            over.set()
            assert (await form).ok
        finally:
            over.set()
            for stream in streams:
                await stream.close()


async def test_who_comes_and_goes_is_told():
    async with serving() as (server, _, _), browsers(server.url, "Person A", "") as (a, b):
        async with listening(a) as stream:
            assert (await stream.next("people")).data == {"count": 1, "names": ["Person A"]}
            await asyncio.to_thread(b.join, "Person B")
            assert (await stream.next("people")).data == {"count": 2, "names": ["Person A", "Person B"]}
            await asyncio.to_thread(b.post, "leave", {"token": b.token})
            assert (await stream.next("people")).data == {"count": 1, "names": ["Person A"]}


async def test_leaving_ends_all_streams_of_this_person_and_refuses_new_ones():
    async with serving() as (server, _, _), browsers(server.url, "Person A") as (a,):
        async with listening(a) as first, listening(a) as second:
            await asyncio.to_thread(a.post, "leave", {"token": a.token})
            for stream in (first, second):
                assert (await stream.next("gone")).name == "gone"
                assert await stream.next() is None
        again = Listener(server.url, a.cookie)
        assert await again.open() == 401
        await again.close()


async def test_the_fifth_stream_of_a_person_replaces_the_first():
    async with serving() as (server, _, _), browsers(server.url, "Person A") as (a,):
        async with listening(a) as first, listening(a), listening(a), listening(a) as fourth:
            async with listening(a):
                assert (await first.next("replaced")).name == "replaced"
                assert await first.next() is None
                assert len(server.events) == 4
                await asyncio.to_thread(a.say, "still here")
                assert (await fourth.next("post")).data["seq"] == 1


@pytest.mark.parametrize("limits", [Limits(streams_per_address=2), Limits(streams=2)])
async def test_too_many_streams_are_asked_to_wait(limits):
    async with serving(limits=limits) as (server, _, _), browsers(server.url, "Person A", "Person B") as (a, b):
        async with listening(a), listening(b):
            third = Listener(server.url, b.cookie)
            assert await third.open() == 429
            assert "retry-after: 10" in third.head
            await third.close()


async def test_a_browser_that_closes_is_noticed_without_anything_being_sent():
    async with serving(heartbeat=1000.0) as (server, _, _), browsers(server.url, "Person A") as (a,):
        async with listening(a), listening(a):
            assert len(server.events) == 2
        await until(lambda: len(server.events) == 0, "both streams to be gone")


async def test_a_sign_of_life_comes_when_nothing_else_does():
    async with serving(heartbeat=0.05) as (server, _, _), browsers(server.url, "Person A") as (a,):
        async with listening(a) as stream:
            while await stream.line() != ": still here":
                pass


async def test_a_reader_that_never_reads_is_dropped_and_others_are_served():
    async with serving(limits=BIG) as (server, space, _), browsers(server.url, "Person A", "Person B") as (a, b):
        stuck = socket.socket()
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.setblocking(False)
        loop = asyncio.get_running_loop()
        port = int(server.url.rsplit(":", 1)[1].strip("/"))
        try:
            await loop.sock_connect(stuck, ("127.0.0.1", port))
            request = f"GET /events HTTP/1.1\r\nHost: localhost\r\nCookie: {a.cookie}\r\n\r\n"
            await loop.sock_sendall(stuck, request.encode())
            async with listening(b, b.cursor) as good:
                await until(lambda: len(server.events) == 2, "both streams")
                seq = 0
                while server.events.dropped == 0:
                    seq += 1
                    await space.post("group", Reply(id=f"r{seq}", text="", fixed="x" * 50_000))
                    assert (await good.next("post")).data["seq"] == seq
                    assert seq < 500
                assert len(server.events) == 1
        finally:
            stuck.close()


async def test_stopping_tells_pages_when_to_come_back():
    async with serving() as (server, _, _), browsers(server.url, "Person A") as (a,):
        async with listening(a) as stream:
            await stream.next("people")
            await server.stop()
            rest = []
            while (line := await stream.line()) is not None:
                rest.append(line)
            assert any(line.startswith("retry: ") for line in rest)


async def test_stopping_does_not_wait_for_who_never_reads():
    async with serving() as (server, space, _), browsers(server.url, "Person A") as (a,):
        stuck = Listener(server.url, a.cookie)
        assert await stuck.open() == 200
        stuck.writer.transport.pause_reading()
        for number in range(20):
            await space.post("group", Reply(id=f"r{number}", text="", fixed="x" * 50_000))
        await asyncio.wait_for(server.stop(), 5)
        await stuck.close()


@pytest.mark.parametrize("cookie", ["", "shellbot-1=abc", "{name}=abc.def.ghi"])
async def test_without_a_valid_cookie_there_is_no_stream(cookie):
    async with serving() as (server, _, _), browsers(server.url, "Person A"):
        port = server.url.rsplit(":", 1)[1].strip("/")
        stranger = Listener(server.url, cookie.format(name=f"shellbot-{port}"))
        assert await stranger.open() == 401
        await stranger.close()


async def test_a_cookie_signed_with_another_key_or_for_another_port_is_worth_nothing():
    async with serving() as (server, _, _), serving() as (other, _, _):
        async with browsers(server.url, "Person A") as (a,):
            stranger = Listener(other.url, a.cookie)
            assert await stranger.open() == 401
            await stranger.close()
            again = Browser(other.url)
            again.http.cookies = a.http.cookies
            assert "Your name" in await asyncio.to_thread(again.page)
            again.close()


async def test_three_restarts_during_traffic_lose_and_double_nothing(tmp_path):
    from shellbot.stores.sqlite import SqliteStore

    store = SqliteStore(tmp_path / "store.db")
    await store.open()
    seen: list[int] = []
    places: list[int] = []
    port = 0
    cursor = ""
    cookie = ""
    try:
        for run in range(4):
            async with serving(store=store, port=port, limits=MANY) as (server, space, _):
                port = int(server.url.rsplit(":", 1)[1].strip("/"))
                if not run:
                    async with browsers(server.url, "Person A") as (a,):
                        cursor, cookie = a.cursor, a.cookie
                stop_at = asyncio.Event()

                async def talk(space=space, run=run, stop_at=stop_at):
                    for number in range(40):
                        await space.post("group", Reply(id=f"r{run}-{number}", text=f"message {run * 40 + number}"))
                        if number == 20:
                            stop_at.set()

                stream = Listener(server.url, cookie)
                assert await stream.open(cursor, last_event_id=cursor) == 200
                talking = asyncio.create_task(talk())
                await stop_at.wait()
                stopping = asyncio.create_task(server.stop())
                while (event := await stream.next("post")) is not None:
                    seen.append(event.data["seq"])
                    places.append(event.data["place"])
                    cursor = event.id
                await asyncio.gather(talking, stopping)
                await stream.close()
        async with serving(store=store, port=port, limits=MANY) as (server, _, _):
            stream = Listener(server.url, cookie)
            assert await stream.open(cursor) == 200
            while seen[-1] < 160:
                event = await stream.next("post")
                seen.append(event.data["seq"])
            await stream.close()
        assert seen == list(range(1, 161))
    finally:
        await store.close()
