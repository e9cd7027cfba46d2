"""What Webex tells, as events of ours. Pure: what has to be asked for besides is asked for elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any, Literal

from shellbot.errors import SpaceError
from shellbot.events import CardAction, Channel, File, Join, Leave, Message, Person
from shellbot.spaces.webex.cards import pressed

Json = dict[str, Any]
Resource = Literal["messages", "memberships", "attachmentActions"]

# What is heard, and the word for it in ids
HEARD: dict[tuple[str, str], tuple[Resource, str]] = {
    ("messages", "created"): ("messages", "message"),
    ("memberships", "created"): ("memberships", "member"),
    ("memberships", "deleted"): ("memberships", "gone"),
    ("attachmentActions", "created"): ("attachmentActions", "action"),
}
_OF_BOTS = (".bot", "@sparkbot.io")  # how addresses of bots end: NAME@webex.bot
_BLOCKS = frozenset({"p", "div", "br", "li", "ul", "ol", "h1", "h2", "h3", "pre", "blockquote", "tr"})
_SILENT = frozenset({"script", "style"})


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened, known by its id; what it is has to be fetched.

    ``id`` is that of our event; ``created`` is the platform's time of it, by which notices of a room are put in order.
    """

    id: str
    resource: Resource
    key: str  # id of the message, membership or action
    room: str
    person: str
    created: datetime


def notice_of(envelope: object) -> Notice | None:
    """What a webhook's delivery is about, or None where it is nothing that is heard here.

    Raises:
        SpaceError: It is not of the form that Webex sends.
    """
    if not isinstance(envelope, dict):
        raise SpaceError("a delivery is a JSON object; this is something else")
    resource, event, data = envelope.get("resource"), envelope.get("event"), envelope.get("data")
    if not isinstance(resource, str) or not isinstance(event, str) or not isinstance(data, dict):
        raise SpaceError("a delivery names its resource, its event and its data; this one does not")
    kind = HEARD.get((resource, event))
    if kind is None or data.get("roomType", "group") not in ("group", "direct"):
        return None
    if resource == "memberships" and data.get("roomType") == "direct":
        return None  # a direct room has no members to speak of
    found: dict[str, str] = {}
    for name in ("id", "roomId", "personId"):
        value = data.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= 1_000:
            raise SpaceError(f"a delivery about {resource} names its {name}; this one does not")
        found[name] = value
    unique = coming_of(data) if resource == "memberships" else found["id"]
    return Notice(
        id=f"webex-{kind[1]}-{unique}",
        resource=kind[0],
        key=found["id"],
        room=found["roomId"],
        person=found["personId"],
        created=time_of(data.get("created")),
    )


def notice_of_message(message: Json) -> Notice:
    """What a message is about that was found in a list.

    Raises:
        SpaceError: It is not of the form that Webex sends.
    """
    envelope = {"resource": "messages", "event": "created", "data": {**message, "roomType": "group"}}
    notice = notice_of(envelope)
    assert notice is not None
    return notice


def time_of(text: object) -> datetime:
    """A stamp of the platform: ``2026-11-29T20:00:00.123Z``.

    Raises:
        SpaceError: It is none.
    """
    try:
        stamp = datetime.fromisoformat(str(text))
        return (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise SpaceError(f"{str(text)[:40]!r} is no time as Webex writes it") from None


def message_of(message: Json, channel: Channel, person: Person, me: str, files: tuple[File, ...] = ()) -> Message:
    """What somebody said, without the bot's own name where that was said to call it."""
    html = message.get("html")
    text = str(message.get("text") or "")
    is_called = me in (message.get("mentionedPeople") or ())
    if is_called and isinstance(html, str):
        text = _without_mention(html, me)
    return Message(
        id=f"webex-message-{message['id']}",
        channel=channel,
        person=person,
        time=time_of(message.get("created")),
        text=text,
        files=files,
        is_called=is_called,
    )


def action_of(action: Json, channel: Channel, person: Person) -> CardAction | None:
    """What somebody pressed, or None where this is no button of ours."""
    found = pressed(action.get("inputs"))
    if found is None:
        return None
    return CardAction(
        id=f"webex-action-{action['id']}",
        channel=channel,
        person=person,
        time=time_of(action.get("created")),
        card=found[0],
        value=found[1],
    )


def coming_of(membership: Json) -> str:
    """What names one coming of somebody into a room: who goes and comes back has the same membership again."""
    return f"{membership['id']}@{membership.get('created') or ''}"


def join_of(membership: Json, channel: Channel, person: Person, now: datetime) -> Join:
    """Somebody is in a room."""
    created = membership.get("created")
    time = min(now, time_of(created)) if created else now
    return Join(id=f"webex-join-{coming_of(membership)}", channel=channel, person=person, time=time)


def leave_of(coming: str, channel: Channel, person: Person, now: datetime) -> Leave:
    """Somebody is in a room no more."""
    return Leave(id=f"webex-leave-{coming}", channel=channel, person=person, time=now)


def is_bot(address: str) -> bool:
    """Whether this is the address of a bot."""
    return address.lower().endswith(_OF_BOTS)


def is_heard(person_id: str, address: str, me: str, bots: Iterable[str]) -> bool:
    """Whether what this one says is listened to: never the bot itself, and other bots only where they are named."""
    if person_id == me:
        return False
    allowed = {bot.lower() for bot in bots}
    return not is_bot(address) or person_id.lower() in allowed or address.lower() in allowed


def _without_mention(html: str, me: str) -> str:
    reader = _Reader(me)
    reader.feed(html)
    reader.close()
    lines = (line.rstrip() for line in "".join(reader.parts).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Reader(HTMLParser):
    """The text of Webex's HTML, without mentions of one person."""

    def __init__(self, me: str) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._me = me
        self._skipped = ""  # the element that we are in and leave out
        self._is_kept_as_is = False
        self._is_after_mention = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._skipped:
            return
        if tag in _SILENT or (tag == "spark-mention" and dict(attrs).get("data-object-id") == self._me):
            self._skipped = tag
            return
        self._break(tag)
        self._is_kept_as_is = self._is_kept_as_is or tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        if tag == self._skipped:
            self._skipped = ""
            self._is_after_mention = tag == "spark-mention"
            return
        if not self._skipped:
            self._break(tag)
            if tag == "pre":
                self._is_kept_as_is = False

    def handle_data(self, data: str) -> None:
        if self._skipped:
            return
        if not self._is_kept_as_is:
            data = re.sub(r"[ \t\r\n]+", " ", data)
            if self.parts and self.parts[-1].endswith("\n"):
                data = data.lstrip(" ")
        if self._is_after_mention:
            data = data.lstrip(",: \u00a0") if not "".join(self.parts).strip() else data.removeprefix(" ")
            self._is_after_mention = False
        self.parts.append(data)

    def _break(self, tag: str) -> None:
        if tag in _BLOCKS and self.parts and not self.parts[-1].endswith("\n"):
            self.parts.append("\n")
