"""What comes by websocket, and where it can be read: an activity holds no text and no public id. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from shellbot.spaces.webex.events import Json, Resource

# What is heard, by its verb, and the path under which its public form is
HEARD: dict[str, tuple[Resource, str]] = {
    "post": ("messages", "messages"),
    "share": ("messages", "messages"),
    "cardAction": ("attachmentActions", "attachment/actions"),
}
MOVED = ("add", "leave")  # somebody came or went
_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


@dataclass(frozen=True, slots=True)
class Activity:
    """Something that somebody said or pressed; what it is has to be fetched from ``url``."""

    resource: Resource
    url: str


def activity_of(event: object, me: str) -> Activity | Literal["moved"] | None:
    """What an event is about: something to be fetched, that people came or went, or None for all else.

    Args:
        me: The bot's inner id. What it does itself is nothing to be fetched.
    """
    data = event.get("data") if isinstance(event, dict) else None
    if not isinstance(data, dict) or data.get("eventType") != "conversation.activity":
        return None
    activity = _object(data.get("activity"))
    verb, id_ = activity.get("verb"), activity.get("id")
    if verb in MOVED:
        return "moved"
    if not isinstance(verb, str) or verb not in HEARD or not isinstance(id_, str) or not _ID.fullmatch(id_):
        return None
    if (me and _object(activity.get("actor")).get("id") == me) or _object(activity.get("parent")).get("type") == "edit":
        return None
    target = _object(activity.get("target"))
    room, where = target.get("id"), target.get("url")
    if not isinstance(room, str) or not isinstance(where, str) or not where.endswith(f"/conversations/{room}"):
        return None
    resource, path = HEARD[verb]
    return Activity(resource, f"{where.removesuffix(f'conversations/{room}')}{path}/{id_}")


def id_of(event: object) -> str:
    """What an event is acknowledged by; ``''`` where it is not."""
    id_ = event.get("id") if isinstance(event, dict) else None
    return id_ if isinstance(id_, str) else ""


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}
