"""The websocket way of Webex: catalog, devices, sockets, and activities over the same state.

It is not documented by the platform; what is here is what its clients use. Texts are encrypted there, so an activity
holds none that can be read: who gets one asks the conversation service for the public id, and the API for the rest.
"""

from __future__ import annotations

import queue
import threading
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Callable
from logging import getLogger
from typing import Any, Literal
from uuid import uuid4

import orjson

from shellbot.testing.fakewebex.api import answer, empty, refusal
from shellbot.testing.fakewebex.door import Request, Response
from shellbot.testing.fakewebex.ids import make_id, make_tracking_id, stamp
from shellbot.testing.fakewebex.platform import Happened, Platform
from shellbot.testing.fakewebex.rules import Refused
from shellbot.testing.fakewebex.state import Account, Room
from shellbot.testing.fakewebex.views import action_json, message_json
from shellbot.testing.fakewebex.websocket import FAILED, GOING_AWAY, UNSUPPORTED, WebSocket, accept_key

logger = getLogger(__name__)

CATALOG = "u2c/api/v1/catalog"
DEVICES = "wdm/api/v1/devices"
CONVERSATION = "conversation/api/v1"
SOCKET = "socket/api/v1/apps/wx2/registrations"
PREFIXES = ("/u2c/", "/wdm/", "/conversation/", "/socket/")
MAX_DEVICES = 100  # of one account
MAX_WAITING = 10_000  # events that a socket has not taken
NOT_AUTHORIZED = 4401


class Mercury:
    """Devices and the sockets that hang on them.

    Attributes:
        acknowledged: How many events were acknowledged by all clients.
    """

    def __init__(self, platform: Platform, origin: Callable[[], str]) -> None:
        self._platform = platform
        self._state = platform.state
        self._origin = origin
        self._devices: dict[str, tuple[Account, dict[str, Any]]] = {}
        self._sockets: list[_Socket] = []
        self.acknowledged = 0

    # --- for tests

    @property
    def sockets(self) -> int:
        """How many clients are connected, and have said who they are."""
        with self._state.lock:
            return len(self._sockets)

    def drop(self, how: Literal["reset", "close", "silent"] = "reset") -> None:
        """End all sockets of now, with RST or with the code 1011; or let them stand there, dead."""
        with self._state.lock:
            sockets = list(self._sockets)
        for one in sockets:
            if how == "reset":
                one.websocket.drop()
            elif how == "silent":
                one.websocket.hush()
            else:
                one.websocket.close(FAILED)

    def forget(self) -> None:
        """Let all registrations be stale: who connects or asks with one gets 404, and has to register anew."""
        with self._state.lock:
            self._devices.clear()

    def close(self) -> None:
        with self._state.lock:
            sockets = list(self._sockets)
        for one in sockets:
            one.websocket.close(GOING_AWAY)

    # --- what happens

    def tell(self, happened: Happened) -> None:
        """Put the activity before all sockets of those who may hear of it; with the state locked."""
        hearers = [one for one in self._sockets if one.account.id in happened.hearers]
        if not hearers:
            return
        activity = self._activity(happened, happened.data(hearers[0].account))
        if activity is not None:
            for one in hearers:
                one.put(_event({"eventType": "conversation.activity", "activity": activity}))

    def _activity(self, happened: Happened, data: dict[str, Any]) -> dict[str, Any] | None:
        kind = (happened.resource, happened.event)
        room = self._state.rooms.get(data.get("roomId", ""))
        if room is None:
            return None
        activity = {
            "id": _uuid(data["id"]),
            "objectType": "activity",
            "url": f"{self._origin()}{CONVERSATION}/activities/{_uuid(data['id'])}",
            "published": stamp(self._state.now()),
            "actor": _person(happened.actor),
            "target": self._conversation(room),
            "encryptionKeyUrl": f"kms://fake/keys/{_uuid(room.id)}",
        }
        if kind in (("messages", "created"), ("messages", "updated")):
            has_files = bool(data.get("files"))
            activity["verb"] = "share" if has_files else "post"
            activity["object"] = {"objectType": "content" if has_files else "comment", "displayName": _unreadable()}
            if kind[1] == "updated":
                activity["parent"] = {"id": _uuid(data["id"]), "type": "edit"}
            elif data.get("parentId"):
                activity["parent"] = {"id": _uuid(data["parentId"]), "type": "reply"}
        elif kind == ("messages", "deleted"):
            activity |= {"verb": "delete", "object": {"objectType": "activity", "id": _uuid(data["id"])}}
        elif kind == ("attachmentActions", "created"):
            activity |= {"verb": "cardAction", "object": {"objectType": "submit", "inputs": _unreadable()}}
            activity["parent"] = {"id": _uuid(data["messageId"]), "type": "cardAction"}
        elif kind in (("memberships", "created"), ("memberships", "deleted")):
            whom = self._state.accounts[data["personId"]]
            activity |= {"verb": "add" if kind[1] == "created" else "leave", "object": _person(whom)}
        else:
            return None
        return activity

    def _conversation(self, room: Room) -> dict[str, Any]:
        unique = _uuid(room.id)
        return {
            "id": unique,
            "objectType": "conversation",
            "url": f"{self._origin()}{CONVERSATION}/conversations/{unique}",
            "tags": ["ONE_ON_ONE"] if room.is_direct else [],
        }

    # --- over HTTP

    def handle(self, request: Request, who: Account | None) -> Response:
        path = request.path.strip("/")
        if path.startswith(f"{SOCKET}/"):
            return self._connect(request, path.removeprefix(f"{SOCKET}/"))
        if who is None:
            return refusal(401, "The request requires a valid access token set in the Authorization request header.")
        with self._state.lock:
            if path == CATALOG and request.method == "GET":
                return self._catalog()
            if path == DEVICES or path.startswith(f"{DEVICES}/"):
                return self._device(request, who, path.removeprefix(DEVICES).strip("/"))
            if path.startswith(f"{CONVERSATION}/") and request.method == "GET":
                return self._look_up(who, path.removeprefix(f"{CONVERSATION}/"))
        return refusal(404, "The requested resource could not be found.")

    def _catalog(self) -> Response:
        origin = self._origin()
        links = {"wdm": DEVICES.removesuffix("/devices"), "conversation": CONVERSATION}
        return answer({"serviceLinks": {name: f"{origin}{path}" for name, path in links.items()}})

    def _device(self, request: Request, who: Account, device_id: str) -> Response:
        mine = {key: device for key, (owner, device) in self._devices.items() if owner is who}
        if not device_id and request.method == "GET":
            return answer({"devices": list(mine.values())}) if mine else refusal(404, "No devices.")
        if not device_id and request.method == "POST":
            if len(mine) >= MAX_DEVICES:
                return refusal(403, "User has excessive device registrations.")
            return answer(self._register(request, who))
        if device_id in mine and request.method == "DELETE":
            del self._devices[device_id]
            return empty()
        if device_id in mine and request.method in ("GET", "PUT"):
            return answer(mine[device_id])
        return refusal(404, "The device is not registered.")

    def _register(self, request: Request, who: Account) -> dict[str, Any]:
        try:
            given = orjson.loads(request.body)
        except ValueError:
            given = {}
        device_id, origin = str(uuid4()), self._origin()
        device = {
            **(given if isinstance(given, dict) else {}),
            "url": f"{origin}{DEVICES}/{device_id}",
            "webSocketUrl": f"{origin.replace('http', 'ws', 1)}{SOCKET}/{device_id}/messages",
            "userId": _uuid(who.id),
            "orgId": _uuid(self._state.org_id),
        }
        self._devices[device_id] = (who, device)
        return device

    def _look_up(self, who: Account, what: str) -> Response:
        """The public id of what an activity names."""
        kind, _, unique = what.rpartition("/")
        try:
            if kind == "messages":
                message, room = self._platform.message(who, make_id("MESSAGE", unique))
                return answer(message_json(message, room, self._platform.base()))
            if kind == "attachment/actions":
                return answer(action_json(self._platform.action(who, make_id("ATTACHMENT_ACTION", unique))))
        except Refused as refused:
            return refusal(refused.status, str(refused))
        return refusal(404, "The requested resource could not be found.")

    # --- sockets

    def _connect(self, request: Request, rest: str) -> Response:
        with self._state.lock:
            owner = self._devices.get(rest.removesuffix("/messages"), (None, None))[0]
        if owner is None:
            return refusal(404, "The device is not registered.")
        key = accept_key(request.header("Sec-WebSocket-Key"))
        if request.header("Upgrade").lower() != "websocket" or key is None:
            return refusal(426, "This is a websocket.")
        response = Response(101)
        response.headers = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", key)]
        response.take_over = lambda connection, reader: self._serve(owner, WebSocket(connection, reader))
        return response

    def _serve(self, owner: Account, websocket: WebSocket) -> None:
        """Listen to one client, in the thread of its connection, until it is gone."""
        one = _Socket(owner, websocket)
        try:
            websocket.texts(lambda text: self._hear(one, text))
        finally:
            with self._state.lock:
                if one in self._sockets:
                    self._sockets.remove(one)
                self._state.wake()
            one.close()

    def _hear(self, one: _Socket, text: str) -> None:
        try:
            told = orjson.loads(text)
            kind, data = told["type"], told.get("data") or {}
        except (ValueError, TypeError, KeyError, AttributeError):
            one.websocket.close(UNSUPPORTED)
            return
        if kind == "authorization":
            if not self._authorize(one, str(data.get("token", "")).removeprefix("Bearer ")):
                one.websocket.close(NOT_AUTHORIZED)
        elif kind == "ping":
            one.put({"type": "pong", "id": told.get("id")})
        elif kind == "ack":
            with self._state.lock:
                self.acknowledged += 1
                self._state.wake()

    def _authorize(self, one: _Socket, token: str) -> bool:
        with self._state.lock:
            if self._state.tokens.get(token) is not one.account:
                return False
            if one not in self._sockets:
                self._sockets.append(one)
                one.put(_event({"eventType": "mercury.buffer_state", "conversation": "FULL"}))
                self._state.wake()
            return True


class _Socket:
    """One client, and the thread that sends to it."""

    def __init__(self, account: Account, websocket: WebSocket) -> None:
        self.account = account
        self.websocket = websocket
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name=f"fake webex > {account.name}", daemon=True)
        self._thread.start()

    def put(self, event: dict[str, Any]) -> None:
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            logger.warning("a client takes no events and is cut off account=%s", self.account.name)
            self.websocket.drop()

    def close(self) -> None:
        while True:
            try:
                self._queue.put_nowait(None)
                break
            except queue.Full:
                self._queue.get_nowait()
        self._thread.join(10)

    def _run(self) -> None:
        while (event := self._queue.get()) is not None:
            try:
                self.websocket.send(orjson.dumps(event).decode())
            except OSError:
                return


def _event(data: dict[str, Any]) -> dict[str, Any]:
    return {"id": str(uuid4()), "data": data, "trackingId": make_tracking_id()}


def _person(account: Account) -> dict[str, Any]:
    return {
        "id": _uuid(account.id),
        "objectType": "person",
        "displayName": account.name,
        "emailAddress": account.email,
        "type": "BOT" if account.is_bot else "PERSON",
    }


def _uuid(public_id: str) -> str:
    """The end of an id, as the inner services use it."""
    return urlsafe_b64decode(public_id + "=" * (-len(public_id) % 4)).decode().rpartition("/")[2]


def _unreadable() -> str:
    """What stands where an encrypted text would."""
    return b64encode(uuid4().bytes).decode()
