"""redis-py, publish and subscribe, with Debian's redis-server: at most once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import orjson

from benchmarks.messages import CHANNEL, Counted, Tally
from benchmarks.others import no_package, server

try:
    import redis
except ImportError as error:
    raise no_package("redis") from error

_PIPELINED = 200


@contextmanager
def serve(port: int) -> Iterator[str]:
    arguments = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    # Without it the server cuts a reader that is behind.
    arguments += ["--client-output-buffer-limit", "pubsub 0 0 0"]
    with server("redis-server", arguments, "Ready to accept connections"):
        yield f"redis://127.0.0.1:{port}"


class Sender:
    """One round trip a message."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)
        self.pid = 0

    def put(self, body: Any) -> None:
        self._client.publish(CHANNEL, orjson.dumps(body))

    def put_row(self, body: dict[str, Any], numbers: range) -> None:
        publish, dumps = self._client.publish, orjson.dumps
        for number in numbers:
            body["n"] = number
            publish(CHANNEL, dumps(body))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()


class PipelinedSender(Sender):
    """One round trip for many messages."""

    def put_row(self, body: dict[str, Any], numbers: range) -> None:
        pipeline, dumps = self._client.pipeline(transaction=False), orjson.dumps
        publish = pipeline.publish
        for number in numbers:
            body["n"] = number
            publish(CHANNEL, dumps(body))
            if not number % _PIPELINED:
                pipeline.execute()
        pipeline.execute()


class Reader:
    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)
        self._arriving = self._client.pubsub(ignore_subscribe_messages=True)
        self._arriving.subscribe(CHANNEL)

    def get(self, timeout: float | None = None) -> Any:
        """The next message; None when none came in so many seconds."""
        while (found := self._arriving.get_message(timeout=timeout)) is None:
            if timeout is not None:
                return None
        return orjson.loads(found["data"])

    def count_row(self, numbers: range) -> Counted:
        wanted, last, tally, loads = numbers.start, numbers[-1], Tally(), orjson.loads
        for found in self._arriving.listen():
            number = loads(found["data"])["n"]
            wanted = number + 1 if number == wanted else tally.judge(number, wanted)
            if wanted > last:
                break
        return tally.counted()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._arriving.close()
        self._client.close()
