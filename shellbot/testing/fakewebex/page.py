"""The page on which somebody plays the people of the platform: rooms, messages, cards, in a browser on this machine.

Only a page from here may ask: the Host is loopback, and with what it asks comes a token that stands in the page.
Nothing on it comes from elsewhere, and what people and bots say is cleaned before it is shown.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from io import BytesIO, StringIO
from secrets import token_urlsafe
from typing import Any
from urllib.parse import unquote

from flask import Flask, abort, jsonify, render_template, request
from flask import Response as FlaskResponse
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WsgiResponse

from shellbot.events import PICTURES
from shellbot.files.names import HEAD_BYTES, clean_name, size_text, type_of
from shellbot.testing.fakewebex.cards import clean_message, read_card
from shellbot.testing.fakewebex.door import Request, Response
from shellbot.testing.fakewebex.humans import Person
from shellbot.testing.fakewebex.ids import stamp
from shellbot.testing.fakewebex.platform import Platform
from shellbot.testing.fakewebex.rules import Refused, submits
from shellbot.testing.fakewebex.state import Account, Message, Room

TOKEN = "X-Page-Token"  # noqa: S105 - the name of a header
MAX_SHOWN = 300  # messages of a room
MAX_UPLOAD_BYTES = 100 * 1024 * 1024
WAIT = 20.0  # seconds that a page waits for something new
_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Page:
    """Answers all that is not the API.

    Args:
        person: Gives the person of a name, made if need be.
        port: Where we listen.
        wait: ``wait(version)`` returns when the state is another one, or after a while.
    """

    def __init__(
        self, platform: Platform, *, port: int, person: Callable[[str], Person], wait: Callable[[int, float], None]
    ) -> None:
        self._platform = platform
        self._state = platform.state
        self._person = person
        self._wait = wait
        self._token = token_urlsafe(32)
        self._hosts = {*_HOSTS, *(f"{host}:{port}" for host in _HOSTS)}
        self._app = self._make()

    def answer(self, asked: Request) -> Response:
        """Let Flask answer."""
        host, _, port = asked.header("Host").rpartition(":")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": asked.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(asked.path, "latin-1"),
            "QUERY_STRING": asked.query_string,
            "SERVER_NAME": host or "127.0.0.1",
            "SERVER_PORT": port or "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_TYPE": asked.header("Content-Type"),
            "CONTENT_LENGTH": str(len(asked.body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(asked.body),
            "wsgi.errors": StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in asked.headers.items():
            environ.setdefault(f"HTTP_{name.upper().replace('-', '_')}", value)
        given = WsgiResponse.from_app(self._app, environ, buffered=True)
        body = given.get_data()
        headers = [(name, value) for name, value in given.headers if name.lower() != "content-length"]
        given.close()
        return Response(given.status_code, body, headers)

    # --- the app

    def _make(self) -> Flask:
        app = Flask(__name__, static_url_path="/play/static")
        app.config["MAX_CONTENT_LENGTH"] = MAX_UPLOAD_BYTES
        app.before_request(self._guard)
        app.after_request(_protect)
        app.register_error_handler(Refused, lambda error: (jsonify(error=str(error)), error.status))
        app.register_error_handler(HTTPException, lambda error: (jsonify(error=error.description), error.code or 500))
        app.add_url_rule("/", view_func=self._front, endpoint="front")
        app.add_url_rule("/play/file/<file_id>", view_func=self._file, endpoint="file")
        for name, view in (
            ("look", self._look),
            ("person", self._new_person),
            ("room", self._new_room),
            ("say", self._say),
            ("press", self._press),
            ("add", self._add),
            ("remove", self._remove),
        ):
            app.add_url_rule(f"/play/{name}", view_func=view, endpoint=name, methods=["POST"])
        return app

    def _guard(self) -> None:
        """Refuse what a page from elsewhere asks, also under a name of its own that leads here."""
        if request.host.lower() not in self._hosts:
            abort(421, "This page is only for this machine; open it by its address, http://127.0.0.1:PORT/.")
        if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
            abort(403, "Only a page from here may ask this.")
        if request.method == "POST":
            origin = request.headers.get("Origin")
            if origin is not None and origin.lower() != f"http://{request.host.lower()}":
                abort(403, "Only a page from here may ask this.")
            if not hmac.compare_digest(request.headers.get(TOKEN, "").encode(), self._token.encode()):
                abort(403, "This page is from before; load it again.")

    def _front(self) -> str:
        return render_template("play.html", token=self._token)

    def _look(self) -> FlaskResponse:
        """What one person sees, once it is other than what the page has seen; without the messages it has."""
        values = _values()
        seen, known = values.get("seen"), values.get("known")
        if isinstance(seen, int):
            self._wait(seen, WAIT)
        messages: list[Message] = []
        with self._state.lock:
            accounts = [{"id": one.id, "name": one.name, "isBot": one.is_bot} for one in self._state.accounts.values()]
            shown: dict[str, Any] = {"version": self._state.version, "accounts": accounts, "rooms": [], "room": None}
            who = self._state.accounts.get(_text(values, "as"))
            if isinstance(who, Person):
                shown["rooms"] = self._rooms(who)
                shown["room"], messages = self._room(who, _text(values, "place"))
        if isinstance(who, Person):
            has = known if isinstance(known, dict) else {}
            shown["messages"] = [self._shown(message, who, has) for message in messages]
        return jsonify(shown)

    def _rooms(self, who: Person) -> list[dict[str, Any]]:
        """One's rooms, the latest first, then the bots one has not yet spoken with."""
        mine = [room for room in self._state.rooms.values() if who.id in room.members]
        mine.sort(key=lambda room: room.last_activity, reverse=True)
        listed = [
            {
                "place": room.id,
                "title": _title(room, who),
                "isDirect": room.is_direct,
                "count": len(room.messages),
                "last": next((_line(one) for one in reversed(room.messages) if not one.is_deleted), ""),
            }
            for room in mine
        ]
        known = {account_id for room in mine if room.is_direct for account_id in room.members}
        for account in self._state.accounts.values():
            if account.is_bot and account.id not in known:
                empty = {"place": account.id, "title": account.name, "isDirect": True, "count": 0, "last": ""}
                listed.append(empty)
        return listed

    def _room(self, who: Person, place: str) -> tuple[dict[str, Any] | None, list[Message]]:
        other = self._state.accounts.get(place)
        room = self._state.rooms.get(place) if other is None else self._state.direct_room(who, other)
        if room is None or who.id not in room.members:
            if other is None or not other.is_bot:
                return None, []
            return {"place": place, "title": other.name, "isDirect": True, "members": []}, []
        members = [member.account for member in room.members.values()]
        about = {
            "place": place,
            "title": _title(room, who),
            "isDirect": room.is_direct,
            "members": [{"id": one.id, "name": one.name, "isBot": one.is_bot} for one in members],
        }
        return about, room.messages[-MAX_SHOWN:]

    def _shown(self, message: Message, who: Person, known: dict[str, Any]) -> dict[str, Any]:
        state = f"{message.edits} {message.is_deleted}"
        if known.get(message.id) == state:
            return {"id": message.id}
        html = render_template(
            "_message.html",
            message=message,
            html=clean_message(message.html),
            cards=[read_card(card) for card in message.cards],
            files=[
                (file.id, clean_name(file.name), size_text(len(file.data)), _is_picture(file)) for file in message.files
            ],
            created=stamp(message.created),
            parent=self._quoted(message),
        )
        return {
            "id": message.id,
            "state": state,
            "html": html,
            "isMine": message.person is who,
            "isBot": message.person.is_bot,
        }

    def _quoted(self, message: Message) -> str:
        parent = self._state.message(message.parent) if message.parent else None
        return "" if parent is None else _line(parent)

    def _new_person(self) -> FlaskResponse:
        name = _text(_values(), "name").strip()[:80]
        if not name.isprintable() or not name:
            abort(400, "A person has a name.")
        return jsonify(id=self._person(name).id)

    def _new_room(self) -> FlaskResponse:
        values = _values()
        who = self._who(values)
        with self._state.lock:
            members = [self._account(one) for one in _texts(values, "members")]
            room = self._platform.create_room(who, _text(values, "title").strip()[:200], members)
        return jsonify(place=room.id)

    def _say(self) -> FlaskResponse:
        values = request.form
        files = [(clean_name(part.filename or ""), part.read()) for part in request.files.getlist("files")]
        with self._state.lock:
            who = self._who(values)
            mentions = [self._account(one) for one in values.getlist("mention")]
            text = values.get("text", "").replace("\r\n", "\n").strip()
            if not text and not files and not mentions:
                abort(400, "There is nothing to say.")
            said = who.say(self._place(_text(values, "place")), text, mention=mentions, files=files)
        return jsonify(id=said.id, room=said.room_id)

    def _press(self) -> FlaskResponse:
        values = _values()
        number, inputs = values.get("button"), values.get("inputs")
        with self._state.lock:
            who = self._who(values)
            message, _ = self._platform.message(who, _text(values, "message"))
            buttons = [button for card in message.cards for button in submits(card)]
            if not isinstance(number, int) or not 0 <= number < len(buttons) or not isinstance(inputs, dict):
                abort(400, "There is no such button.")
            data = buttons[number].get("data")
            filled = {**(data if isinstance(data, dict) else {}), **inputs}
            action = self._platform.submit(who, message.id, filled)
        return jsonify(id=action.id)

    def _add(self) -> FlaskResponse:
        values = _values()
        with self._state.lock:
            who = self._who(values)
            room = self._platform.room(who, _text(values, "place"))
            self._platform.add(who, room, self._account(_text(values, "member")))
        return jsonify({})

    def _remove(self) -> FlaskResponse:
        values = _values()
        with self._state.lock:
            who = self._who(values)
            room = self._platform.room(who, _text(values, "place"))
            self._platform.remove(who, room, self._account(_text(values, "member")))
        return jsonify({})

    def _file(self, file_id: str) -> FlaskResponse:
        with self._state.lock:
            file, _ = self._state.files.get(file_id, (None, ""))
        if file is None:
            abort(404, "There is no such file.")
        kind = type_of(file.data[:HEAD_BYTES], file.type, file.name)
        response = FlaskResponse(file.data, content_type=kind if kind in PICTURES else "application/octet-stream")
        response.headers.set("Content-Disposition", "attachment", filename=clean_name(file.name))
        return response

    def _who(self, values: Any) -> Person:
        who = self._state.accounts.get(_text(values, "as"))
        if not isinstance(who, Person) or who.is_bot:
            abort(400, "Choose who you are.")
        return who

    def _account(self, account_id: str) -> Account:
        return self._platform.person(account_id)

    def _place(self, place: str) -> Room | Account:
        room = self._state.rooms.get(place)
        return self._account(place) if room is None else room


def _protect(response: FlaskResponse) -> FlaskResponse:
    response.headers.update(_HEADERS)
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    if request.endpoint == "file":
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def _values() -> dict[str, Any]:
    values = request.get_json()
    if not isinstance(values, dict):
        abort(400, "An object is asked for.")
    return values


def _text(values: Any, name: str) -> str:
    value = values.get(name)
    return value if isinstance(value, str) else ""


def _texts(values: dict[str, Any], name: str) -> list[str]:
    value = values.get(name)
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _title(room: Room, who: Account) -> str:
    others = [member.account.name for member in room.members.values() if member.account is not who]
    return (others[0] if others else "nobody") if room.is_direct else room.title


def _line(message: Message) -> str:
    text = " ".join(message.text.split())[:120] or ("a file" if message.files else "a card")
    return f"{message.person.name}: {text}"


def _is_picture(file: Any) -> bool:
    return type_of(file.data[:HEAD_BYTES], file.type, file.name) in PICTURES
