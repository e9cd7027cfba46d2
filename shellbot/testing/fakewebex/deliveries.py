"""Webhooks: what happened, told to those who asked for it, signed; each owner has a queue and a thread."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import queue
import socket
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from logging import getLogger
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from shellbot.testing.fakewebex.faults import Faults
from shellbot.testing.fakewebex.platform import Happened
from shellbot.testing.fakewebex.state import State, Webhook
from shellbot.testing.fakewebex.views import webhook_json

logger = getLogger(__name__)

SIGNATURE = "X-Spark-Signature"
MAX_WAITING = 100_000  # of one owner; what comes above is lost, as at the platform
MAX_KEPT = 100_000
ANSWER_WITHIN = 10.0  # seconds
NEXT_WITHIN = 1.0  # seconds that a delivery waits to be overtaken
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True, slots=True)
class Delivery:
    """What was sent to a webhook, to the byte.

    Attributes:
        status: What was answered; None where nothing was, and ``error`` says why.
    """

    webhook_id: str
    name: str
    resource: str
    event: str
    url: str
    body: bytes = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    status: int | None = None
    error: str = ""

    @property
    def is_taken(self) -> bool:
        """Whether the other side has said that it has it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def envelope(self) -> dict[str, Any]:
        """The body, read."""
        value: dict[str, Any] = orjson.loads(self.body)
        return value


class Deliveries:
    """All queues. What happened is put in under the state's lock, so that the order is that of the deeds.

    A webhook whose deliveries fail ``max_failures`` times in a row becomes inactive; nothing is sent again by itself.
    Only this machine is told; what should go elsewhere fails.
    """

    def __init__(self, state: State, faults: Faults, app_id: str, max_failures: int) -> None:
        self._state = state
        self._faults = faults
        self._app_id = app_id
        self._max_failures = max_failures
        self._lines: dict[str, _Line] = {}  # by owner
        self._failures: dict[str, int] = {}  # by webhook, in a row
        self._done: deque[Delivery] = deque(maxlen=MAX_KEPT)
        self._waiting = 0
        self._is_closed = False

    def tell(self, happened: Happened) -> None:
        """Put what happened before all active webhooks that ask for it."""
        for webhook in self._state.webhooks.values():
            if (
                webhook.status == "active"
                and webhook.owner.id in happened.hearers
                and self._state.tokens.get(webhook.owner.token) is webhook.owner
                and webhook.resource in ("all", happened.resource)
                and webhook.event in ("all", happened.event)
            ):
                data = happened.data(webhook.owner)
                if passes(webhook.filter, data, webhook.owner.id):
                    self._put(webhook, self._make(webhook, happened, data))

    @property
    def done(self) -> list[Delivery]:
        with self._state.lock:
            return list(self._done)

    @property
    def is_idle(self) -> bool:
        """Whether all was sent that there is."""
        with self._state.lock:
            return self._waiting == 0

    def send_again(self, delivery: Delivery) -> Delivery:
        """Send the same bytes with the same headers, now and in this thread."""
        wire = Wire()
        try:
            return self._keep(wire.send(replace(delivery, status=None, error="")))
        finally:
            wire.close()

    def close(self) -> None:
        with self._state.lock:
            self._is_closed = True
            lines = list(self._lines.values())
        for line in lines:
            line.close()

    def _make(self, webhook: Webhook, happened: Happened, data: dict[str, Any]) -> Delivery:
        envelope = webhook_json(webhook, self._state.org_id, self._app_id)
        envelope.pop("secret", None)
        envelope |= {"resource": happened.resource, "event": happened.event}
        body = orjson.dumps({**envelope, "actorId": happened.actor.id, "data": data})
        headers = {"Content-Type": "application/json", "User-Agent": "FakeWebex"}
        if webhook.secret:
            headers[SIGNATURE] = hmac.new(webhook.secret.encode(), body, hashlib.sha1).hexdigest()
        return Delivery(webhook.id, webhook.name, happened.resource, happened.event, webhook.url, body, headers)

    def _put(self, webhook: Webhook, delivery: Delivery) -> None:
        if self._is_closed:
            return
        line = self._lines.get(webhook.owner.id)
        if line is None:
            line = self._lines[webhook.owner.id] = _Line(webhook.owner.name, self._faults, self._finish)
        kind = self._faults.take_delivery(delivery.resource)
        if kind == "lose" or not line.put(delivery, is_late=kind == "reorder"):
            self._keep(replace(delivery, error="lost"))
            return
        self._waiting += 1
        if kind == "duplicate" and line.put(delivery, is_late=False):
            self._waiting += 1

    def _finish(self, delivery: Delivery) -> None:
        with self._state.lock:
            self._waiting -= 1
            self._count(delivery)
            self._keep(delivery)

    def _keep(self, delivery: Delivery) -> Delivery:
        with self._state.lock:
            self._done.append(delivery)
            self._state.wake()
        return delivery

    def _count(self, delivery: Delivery) -> None:
        if delivery.is_taken:
            self._failures.pop(delivery.webhook_id, None)
            return
        self._failures[delivery.webhook_id] = failures = self._failures.get(delivery.webhook_id, 0) + 1
        webhook = self._state.webhooks.get(delivery.webhook_id)
        if webhook is not None and failures >= self._max_failures:
            self._state.webhooks[webhook.id] = replace(webhook, status="inactive")
            del self._failures[webhook.id]


def passes(filter: str, data: dict[str, Any], owner_id: str) -> bool:
    """Whether data is what ``roomId=...&mentionedPeople=me`` asks for."""
    for key, wanted in parse_qsl(filter):
        value = data.get(key)
        if key == "hasFiles":
            value = bool(data.get("files"))
        if isinstance(value, list):
            if (owner_id if wanted == "me" else wanted) not in value:
                return False
        elif (str(value).lower() if isinstance(value, bool) else value) != wanted:
            return False
    return True


class Wire:
    """A connection to whoever takes deliveries; it stays open between them. For one thread at a time."""

    def __init__(self) -> None:
        self._connection: http.client.HTTPConnection | None = None
        self._where: tuple[str, int] | None = None

    def send(self, delivery: Delivery) -> Delivery:
        """POST it, once; what comes back says what became of it."""
        target = urlsplit(delivery.url)
        try:
            where = (target.hostname or "", target.port or 80)
        except ValueError:
            return replace(delivery, error="no such address")
        if target.scheme != "http" or where[0] not in _LOOPBACK:
            return replace(delivery, error="this platform tells only http:// on this machine")
        path = (target.path or "/") + (f"?{target.query}" if target.query else "")
        is_old = self._connection is not None and self._where == where
        try:
            return replace(delivery, status=self._post(where, path, delivery))
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            self.close()
            if not is_old:
                return replace(delivery, error=_told(error))
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return replace(delivery, error=_told(error))
        # A connection that was open since the last delivery may have been closed meanwhile: then nobody read this one.
        try:
            return replace(delivery, status=self._post(where, path, delivery))
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return replace(delivery, error=_told(error))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def abort(self) -> None:
        """From another thread: let a delivery that waits for its answer fail."""
        connection = self._connection
        if connection is not None and connection.sock is not None:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _post(self, where: tuple[str, int], path: str, delivery: Delivery) -> int:
        if self._connection is None or self._where != where:
            self.close()
            self._connection, self._where = http.client.HTTPConnection(*where, timeout=ANSWER_WITHIN), where
        self._connection.request("POST", path, delivery.body, delivery.headers)
        response = self._connection.getresponse()
        response.read()
        if response.will_close:
            self.close()
        return response.status


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


class _Line:
    """What one owner is still to hear, in order, and the thread that tells it."""

    def __init__(self, name: str, faults: Faults, finish: Callable[[Delivery], None]) -> None:
        self._queue: queue.Queue[tuple[Delivery, bool] | None] = queue.Queue(MAX_WAITING)
        self._faults = faults
        self._finish = finish
        self._wire = Wire()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name=f"fake webex > {name}", daemon=True)
        self._thread.start()

    def put(self, delivery: Delivery, *, is_late: bool) -> bool:
        try:
            self._queue.put_nowait((delivery, is_late))
        except queue.Full:
            logger.error("a delivery is lost: %d wait already webhook=%s", MAX_WAITING, delivery.name)
            return False
        return True

    def close(self) -> None:
        self._is_closed = True
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            pass  # the thread looks after each delivery
        self._wire.abort()
        self._thread.join(ANSWER_WITHIN)

    def _run(self) -> None:
        late: list[Delivery] = []
        while not self._is_closed:
            try:
                item = self._queue.get(timeout=NEXT_WITHIN if late else None)
            except queue.Empty:
                item = None if self._is_closed else (late.pop(0), False)
            if item is None:
                break
            delivery, is_late = item
            if is_late:
                late.append(delivery)
                continue
            self._finish(self._wire.send(delivery))
            while late and not self._is_closed:
                self._finish(self._wire.send(late.pop()))
        self._wire.close()
