"""The door for a platform's deliveries: what is taken, what is refused, and what hostile requests leave behind."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from shellbot.errors import ConfigError, RateLimited, SignatureInvalid, SpaceError, StoreError
from shellbot.server.hooks import AT_ONCE, HookServer
from shellbot.server.limits import Limits

IMPATIENT = Limits(body_timeout=0.3, header_timeout=0.3, body_bytes=65_536)
BODY = b'{"id": "1", "resource": "messages"}'
SIGNED = "X-Spark-Signature: " + "ab" * 20


class Platform:
    """Keeps what the server hands on, or refuses it."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, str | None]] = []
        self.trouble: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def take(self, body: bytes, signature: str | None) -> None:
        await self.gate.wait()
        if self.trouble is not None:
            raise self.trouble
        self.taken.append((body, signature))


@asynccontextmanager
async def door(
    *, public_url: str = "", is_well: Callable[[], bool] = lambda: True
) -> AsyncIterator[tuple[HookServer, Platform]]:
    platform = Platform()
    server = HookServer(
        platform.take,
        host="127.0.0.1",
        port=0,
        path="/hook",
        public_url=public_url,
        is_well=is_well,
        limits=IMPATIENT,
    )
    await server.start()
    try:
        yield server, platform
    finally:
        platform.gate.set()
        await server.stop()


def port_of(server: HookServer) -> int:
    return int(server.url.rsplit(":", 1)[1].strip("/"))


async def raw(server: HookServer, request: bytes) -> bytes:
    """Send bytes as they are; the whole answer."""
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


def request(
    body: bytes = BODY, *lines: str, method: str = "POST", path: str = "/hook", kind: str = "application/json"
) -> bytes:
    """A request, signed where no ``lines`` say anything else."""
    head = [
        f"{method} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Connection: close",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        *(lines or [SIGNED]),
    ]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


async def test_a_delivery_is_answered_when_it_is_kept():
    async with door() as (server, platform):
        platform.gate.clear()
        asking = asyncio.create_task(raw(server, request()))
        done, _ = await asyncio.wait({asking}, timeout=0.2)
        assert not done
        platform.gate.set()
        assert status(await asking) == 200
        assert platform.taken == [(BODY, "ab" * 20)]


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (SignatureInvalid("it ends in 7f"), 401),
        (SpaceError("This is no delivery: a list."), 400),
        (StoreError("store.db: no space left"), 503),
        (RateLimited("too much waits", retry_after=2.5), 503),
        (RuntimeError("a fault of ours"), 500),
    ],
)
async def test_what_cannot_be_taken_is_told_by_its_status(trouble, code, caplog):
    async with door() as (server, platform):
        platform.trouble = trouble
        answer = await raw(server, request())
        assert status(answer) == code
        # Nobody who guesses learns what was wrong with a signature, or what is wrong here.
        assert b"7f" not in answer
        assert b"fault of ours" not in answer
        assert b"store.db" not in answer


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (request(method="GET", body=b""), 405),
        (request(path="/nowhere"), 404),
        (request(path="/hook/../etc"), 404),
        (request(kind="text/html"), 415),
        (request(kind=""), 415),
        (request(gzip.compress(BODY), "Content-Encoding: gzip"), 415),
        (request(b"x" * 65_537), 413),
        (request().replace(b"Host: 127.0.0.1", b"Host: evil.test"), 421),
        (request(kind="application/json; charset=UTF-8"), 200),
        (request(BODY, "X-Spark-Signature: \u00ff\u00fe"), 401),
        (request(BODY, "X-Spark-Signature: ab"), 401),
        (request(BODY, SIGNED, SIGNED), 401),
        (request(BODY, "X-Other: no signature"), 401),
    ],
)
async def test_c07_what_is_no_delivery_is_refused_before_anybody_looks_at_it(sent, code):
    async with door() as (server, platform):
        assert status(await raw(server, sent)) == code
        assert len(platform.taken) == (code == 200)


async def test_c07_a_chunked_body_without_end_is_cut_off():
    async with door() as (server, platform):
        head = request(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        assert (
            status(await raw(server, head + b"10000\r\n" + b"x" * 0x10000 + b"\r\n10000\r\n" + b"x" * 0x10000)) == 413
        )
        assert platform.taken == []


async def test_c07_bodies_that_do_not_end_hold_nobody_up():
    async with door() as (server, platform):
        slow = [asyncio.create_task(raw(server, request()[:-1])) for _ in range(20)]
        assert status(await raw(server, request())) == 200
        assert {status(answer) for answer in await asyncio.gather(*slow)} == {408}
        assert len(platform.taken) == 1


async def test_c07_who_has_no_key_holds_nobody_up_with_bodies_that_do_not_end():
    async with door() as (server, platform):
        slow = [asyncio.create_task(raw(server, request()[:-1])) for _ in range(AT_ONCE + 8)]
        unsigned = await raw(server, request(BODY, "X-Other: no signature")[:-1])
        assert status(unsigned) == 401  # before its body is there
        assert status(await raw(server, request())) == 200
        await asyncio.gather(*slow)
        assert len(platform.taken) == 1


async def test_c07_more_at_once_than_can_be_taken_are_to_come_again():
    async with door() as (server, platform):
        platform.gate.clear()
        asking = [asyncio.create_task(raw(server, request())) for _ in range(AT_ONCE + 8)]
        refused: set[asyncio.Task[bytes]] = set()
        async with asyncio.timeout(10):
            while len(refused) < 8:  # all of them: one that comes when there is room again is taken
                await asyncio.wait(set(asking) - refused, return_when=asyncio.FIRST_COMPLETED)
                refused = {task for task in asking if task.done()}
        assert all(b"retry-after" in task.result().lower() for task in refused)
        platform.gate.set()
        codes = sorted([status(answer) for answer in await asyncio.gather(*asking)])
        assert codes == [200] * AT_ONCE + [503] * 8
        assert len(platform.taken) == AT_ONCE


async def test_the_platform_reaches_it_under_its_public_name():
    async with door(public_url="https://bot.test/") as (server, platform):
        assert status(await raw(server, request().replace(b"Host: 127.0.0.1", b"Host: bot.test"))) == 200
        assert len(platform.taken) == 1


async def test_who_watches_the_server_hears_whether_the_bot_works():
    well = True
    async with door(is_well=lambda: well) as (server, _):
        assert status(await raw(server, request(method="GET", path="/healthz", body=b""))) == 200
        well = False
        assert status(await raw(server, request(method="GET", path="/healthz", body=b""))) == 503


@pytest.mark.parametrize("path", ["hook", "", "/", "/healthz", "/hook?x=1", "https://bot.test/hook"])
def test_a_path_that_is_none_is_refused_at_once(path):
    with pytest.raises(ConfigError, match=r"server\.hook"):
        HookServer(Platform().take, host="127.0.0.1", port=0, path=path, public_url="")
