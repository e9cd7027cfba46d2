"""What strangers send and what must not leave: files, addresses, tokens, words: rows C14, C15 and C16 on Webex."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shellbot.clocks import AsyncioClock
from shellbot.engine import Engine
from shellbot.errors import ConfigError, FileRefused, SpaceError
from shellbot.events import Join, Message, Person, Reply
from shellbot.files.shelf import Limits, Shelf
from shellbot.spaces.webex.client import Client
from tests.faults.test_webex_votes import POLL, ballots, members_known, serving
from tests.spaces.webex.rooms import door, on_webex

SECRET = b"what only this server should see"


@contextmanager
def elsewhere() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that is not Webex, and the headers of those who came to it."""
    came: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            came.append(dict(self.headers))
            self.send_response(200)
            self.send_header("Content-Length", str(len(SECRET)))
            self.end_headers()
            self.wfile.write(SECRET)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", came
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def opened(folder) -> Iterator[Shelf]:
    shelf = Shelf(folder, Limits(max_bytes=1_000))
    shelf.open({})
    yield shelf
    assert list(folder.iterdir()) == []


ADDRESSES = [
    "{other}/v1/contents/1",
    "http://127.0.0.1:1/v1/contents/1",
    "http://169.254.169.254/latest/meta-data",
    "file:///etc/passwd",
    "//{host}/v1/contents/1",
    "http://{here}@{host}/v1/contents/1",
    "ftp://{here}/v1/contents/1",
    "../../etc/passwd",
    "",
]


@pytest.mark.parametrize("address", ADDRESSES)
async def test_c14_a_file_is_fetched_from_webex_only(fake, tmp_path, address):
    here = fake.url.split("/")[2]
    client = Client(fake.bot("Shelly").token, fake.url, AsyncioClock())
    try:
        with elsewhere() as (other, came), opened(tmp_path / "files") as shelf:
            with pytest.raises(FileRefused, match="not Webex"):
                await client.download(address.format(other=other, host=other.split("/")[2], here=here), shelf)
            assert came == []
    finally:
        await client.close()
    assert fake.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_c14_nothing_that_points_elsewhere_is_followed_with_the_token(fake, tmp_path, status):
    client = Client(fake.bot("Shelly").token, fake.url, AsyncioClock())
    try:
        with elsewhere() as (other, came), opened(tmp_path / "files") as shelf:
            fake.faults.next(status, headers={"Location": f"{other}/secret"}, count=2)
            with pytest.raises(FileRefused):
                await client.download(f"{fake.url}contents/1", shelf)
            with pytest.raises(SpaceError):
                await client.me()
            assert came == []
    finally:
        await client.close()


async def test_c14_a_next_page_that_is_elsewhere_is_not_asked_for(fake):
    client = Client(fake.bot("Shelly").token, fake.url, AsyncioClock())
    try:
        with elsewhere() as (other, came):
            fake.faults.next(
                200, path="rooms", body=b'{"items": []}', headers={"Link": f'<{other}/v1/rooms?c=2>; rel="next"'}
            )
            with pytest.raises(SpaceError, match="not its own"):
                await client.rooms()
            assert came == []
    finally:
        await client.close()


async def test_c14_names_of_files_are_cleaned_and_never_where_they_are_kept(fake, tmp_path):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    names = ["../../etc/passwd", "/etc/shadow", "a\u202egnp.exe", "con.txt", "x" * 400 + ".pdf", 'a"; filename="b']
    shelf = Shelf(tmp_path / "files")
    async with on_webex(fake, shelf=shelf) as (_, ear):
        for name in names:
            ann.say(bot, "look", files=[(name, b"content")])
        said = await ear.wait(Message, len(names))
    for message in said:
        [file] = message.files
        assert file.read() == b"content"
        assert "/" not in file.name
        assert "\u202e" not in file.name
        assert len(file.name.encode()) <= 200
        assert file.path == str(tmp_path / "files" / file.id)


async def test_c14_a_file_that_grows_without_end_is_cut_off(fake, tmp_path):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    shelf = Shelf(tmp_path / "files", Limits(max_bytes=100_000))
    async with on_webex(fake, shelf=shelf) as (_, ear):
        ann.say(bot, "look", files=[("big.bin", b"\0" * 3_000_000)])
        [said] = await ear.wait(Message)
        await fake.aio.wait_for((bot, ann), lambda message: "too large" in message.text)
    assert said.files == ()
    assert list((tmp_path / "files").iterdir()) == []


async def test_c15_neither_token_nor_secret_is_written_down(fake, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    room = fake.room("Team", [ann], bots=[bot])
    token, told = bot.token, []
    async with door() as (url, behind), on_webex(fake, hook_url=url) as (space, ear):
        behind["space"] = space
        await ear.wait(Join)
        await fake.aio.wait_until(lambda: len(fake.webhooks()) == 4)
        secrets = {token, *(hook.secret for hook in fake.webhooks())}
        ann.say(room, "hello", mention=bot)
        await ear.wait(Message)
        channel = (await space.open_direct(Person(ann.id, ann.name))).id
        for kind in (400, 403, 404, 409, 423, 429, 500, 302, "reset"):
            fake.faults.next(kind, path="messages", method="POST", when="after" if kind == "reset" else "before")
            try:
                await space.post(channel, Reply(id=str(kind), text="x"))
            except SpaceError as error:
                told += traceback.format_exception(error)
        fake.revoke(bot)
        with pytest.raises(SpaceError) as refused:
            await space.post(channel, Reply(id="last", text="x"))
        told += map(repr, [refused.value, space, space._client, space._hooks, space._sender, space._directory])
        assert any(secret in repr(vars(space._hooks)) for secret in secrets), "what is searched for is found"
    shown = "\n".join([caplog.text, *told])
    assert len(secrets) == 2
    assert not [secret for secret in secrets if secret in shown]
    assert "urllib3" in caplog.text


async def test_c15_the_token_goes_over_https_only():
    for address in ("http://webex.example.com/v1/", "ftp://127.0.0.1/", "webexapis.com/v1/", ""):
        with pytest.raises(ConfigError, match="https"):
            Client("token", address, AsyncioClock())


async def test_c15_a_netrc_is_no_token(fake, tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    client = Client(fake.bot("Shelly").token, fake.url, AsyncioClock())
    try:
        assert (await client.me())["displayName"] == "Shelly"
    finally:
        await client.close()


CALLS = [
    "<@all>",
    "<@personId:{id}>",
    "<@personEmail:{email}|Person B>",
    "\\<@all>",
    '<spark-mention data-object-type="groupMention" data-group-type="all">All</spark-mention>',
]


@pytest.mark.parametrize("call", CALLS)
async def test_c16_words_that_would_call_people_call_nobody(fake, tmp_path, call):
    bot = fake.bot("Shelly")
    ann, bea = people = [fake.person("Person <@all>"), fake.person("Person B")]
    room = fake.room("Team", people, bots=[bot])
    words = call.format(id=bea.id, email=bea.email).replace('"', "'")
    async with serving(fake, tmp_path / "instance") as engine:
        assert isinstance(engine, Engine)
        await members_known(engine, 2)
        ann.say(room, f"echo {words}", mention=bot)
        poll = POLL.replace("Lunch", words).replace("Pizza", words if len(words) < 60 else "<@all>")
        ann.say(room, poll, mention=bot)
        await ballots(fake, bot, *people)
        ann.say(bot, "1")
        bea.say(bot, "1")
        await fake.aio.wait_for(room, lambda message: "2 of 2 voted" in message.text)
    said = [message for place in (room, (bot, ann), (bot, bea)) for message in fake.messages(place)]
    ours = [message for message in said if message.person is bot]
    assert len(ours) >= 6
    assert not any(message.is_to_all or message.mentions for message in ours)
