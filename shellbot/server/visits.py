"""Who a browser is in which room: ids in its signed cookie, one for each room."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, request, session
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import BadSignature
from werkzeug.http import parse_cookie

from shellbot.errors import ConfigError, SpaceError
from shellbot.server.desk import Desk
from shellbot.spaces.web import Member

SESSION_DAYS = 30
MOST_ROOMS = 40  # so many ids fit into a cookie, beside a link
Session = Callable[[str, str], str | None]


def root_of(room: str, first: str) -> str:
    """Give what comes before the path of each page of a room: nothing for the first one, ``/room-...`` for others."""
    return "" if room == first else f"/{room}"


def _ids(session: Mapping[str, Any], first: str) -> dict[str, str]:
    """Ids by room; a cookie of the time when there was one room has one."""
    before = {first: session["id"]} if "id" in session else {}
    return {**before, **session.get("ids", {})}


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


class Cookies(SecureCookieSessionInterface):
    """Signed cookies; one that is given out under https never travels without it.

    Args:
        public_url: Address under which others reach this server, '' for none.
    """

    def __init__(self, public_url: str) -> None:
        self._public = urlsplit(public_url)

    def get_cookie_secure(self, app: Flask) -> bool:
        """Whether the browser asked by the public address, and that is https."""
        return self._public.scheme == "https" and request.host == self._public.netloc


class Visits:
    """What views ask about the browser whose request they answer."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.first = desk.first_room

    @property
    def room(self) -> str:
        """Id of the room whose pages are asked for, which may be none of ours."""
        return request.script_root.strip("/") or self.first

    @property
    def root(self) -> str:
        """What comes before all paths of this room."""
        return root_of(self.room, self.first)

    def me(self) -> Member | None:
        """Who this browser is here, if in the room."""
        return self._member(self.room)

    def mine(self) -> list[Member]:
        """Who this browser is in all rooms that it is in."""
        found = (self._member(room) for room in _ids(session, self.first))
        return [member for member in found if member is not None]

    def past(self) -> str:
        """The id under which this browser is here, or was before it left; '' for a stranger."""
        person_id = _ids(session, self.first).get(self.room, "")
        return person_id if self._desk.knows(person_id, self.room) else ""

    def name(self) -> str:
        """The name that this browser used last."""
        return str(session.get("name", ""))

    def token(self) -> str:
        """What each form of this browser has to send along."""
        if "token" not in session:
            session.permanent = True
            session["token"] = secrets.token_urlsafe(24)
        return str(session["token"])

    def check_place(self) -> None:
        """Make sure that this browser can come into one more room.

        Raises:
            SpaceError: It is in too many.
        """
        if len(self.mine()) >= MOST_ROOMS:
            raise SpaceError(f"You are in {MOST_ROOMS} rooms, and that is the most. Please leave one of them first.")

    def enter(self, member: Member) -> None:
        """Begin a new session, as one that somebody planted before is worth nothing; the other rooms stay."""
        ids = _ids(session, self.first)
        if len(ids) >= MOST_ROOMS:
            ids = {room: ids[room] for room in ids if self._member(room) is not None}
        session.clear()
        session["ids"] = {**ids, member.room: member.person.id}
        session["name"] = member.person.name
        session["day"] = _today()
        self.token()

    def renew(self) -> None:
        """Let the session last on. Once a day: the late answer of a request must not undo what another has changed."""
        if session.get("day") != _today():
            session["day"] = _today()

    def _member(self, room: str) -> Member | None:
        member = self._desk.member(_ids(session, self.first).get(room, ""))
        return member if member is not None and member.room == room else None


def session_reader(app: Flask, first: str) -> Session:
    """Give a function that reads out of a Cookie header who the browser is in a room, with Flask's own serializer."""
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    if serializer is None:
        raise ConfigError("cookies cannot be signed without a key", key="server.secret")
    name = app.config["SESSION_COOKIE_NAME"]
    age = int(timedelta(days=SESSION_DAYS).total_seconds())

    def read(cookie: str, room: str) -> str | None:
        value = parse_cookie(cookie).get(name)
        try:
            return _ids(serializer.loads(value, max_age=age), first).get(room) if value else None
        except BadSignature:
            return None

    return read
