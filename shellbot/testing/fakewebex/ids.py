"""Ids, stamps and tracking ids as Webex writes them. Bots take them as opaque."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Literal
from uuid import uuid4

Kind = Literal[
    "APPLICATION", "ATTACHMENT_ACTION", "CONTENT", "MEMBERSHIP", "MESSAGE", "ORGANIZATION", "PEOPLE", "ROOM", "WEBHOOK"
]


def make_id(kind: Kind, unique: str = "") -> str:
    """A new id, e.g. base64 of ``ciscospark://us/MESSAGE/2ac1...``, without padding."""
    return urlsafe_b64encode(f"ciscospark://us/{kind}/{unique or uuid4()}".encode()).decode().rstrip("=")


def make_membership_id(person_id: str, room_id: str) -> str:
    """That of a person in a room: the same again for who goes and comes back."""
    parts = (urlsafe_b64decode(f"{id_}==").decode().rpartition("/")[2] for id_ in (person_id, room_id))
    return make_id("MEMBERSHIP", ":".join(parts))


def make_tracking_id() -> str:
    """What an answer is found by in the logs of the platform."""
    return f"FAKE_{uuid4().hex.upper()}"


def stamp(when: datetime) -> str:
    """ISO 8601 in UTC, to the millisecond: ``2026-11-20T12:00:00.000Z``."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_stamp(text: str) -> datetime:
    """The moment that such a stamp names.

    Raises:
        ValueError: It is none.
    """
    when = datetime.fromisoformat(text.strip())
    return when if when.tzinfo else when.replace(tzinfo=UTC)
