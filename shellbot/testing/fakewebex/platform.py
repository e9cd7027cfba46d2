"""What can be done on the platform, by whom, and what others hear of it. HTTP and the human side both come here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shellbot.testing.fakewebex import rules
from shellbot.testing.fakewebex.ids import make_id, make_membership_id
from shellbot.testing.fakewebex.rules import Refused, Rendered
from shellbot.testing.fakewebex.state import (
    Account,
    Action,
    File,
    Membership,
    Message,
    Room,
    State,
    Webhook,
)
from shellbot.testing.fakewebex.views import Json, action_event, membership_json, message_event, room_json

EVENTS = {
    "messages": {"created", "updated", "deleted"},
    "memberships": {"created", "updated", "deleted"},
    "rooms": {"created", "updated"},
    "attachmentActions": {"created"},
}
NO_ROOM = "Could not find a room with provided ID."
NO_MESSAGE = "Unable to get message."


@dataclass(frozen=True, slots=True)
class Happened:
    """Something webhooks may tell of.

    Attributes:
        data: As the webhook gives it, but for rooms, whose title depends on who looks.
        hearers: Ids of the accounts that may hear of it.
    """

    resource: str
    event: str
    actor: Account
    data: Callable[[Account], Json]
    hearers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants to say, as it came."""

    text: str | None = None
    markdown: str | None = None
    html: str | None = None
    attachments: Any = None
    files: tuple[File, ...] = ()
    parent: str | None = None
    rendered: Rendered | None = None  # of a client, which has done it itself


class Platform:
    """All deeds, each under the state's lock and whole. They raise :class:`Refused`.

    Args:
        base: Address of the API, for links to files.
        tell: Is given what happened, in order, with the lock held; must not wait.
    """

    def __init__(self, state: State, base: Callable[[], str], tell: Callable[[Happened], None]) -> None:
        self.state = state
        self.base = base
        self._tell = tell

    # --- who sees what

    def can_see(self, viewer: Account, message: Message, room: Room) -> bool:
        """A bot sees in a group what mentions it and what it said itself."""
        if message.is_deleted or viewer.id not in room.members:
            return False
        return not viewer.is_bot or room.is_direct or message.person is viewer or viewer.id in message.mentions

    def room(self, viewer: Account, room_id: str) -> Room:
        room = self.state.rooms.get(room_id)
        if room is None or viewer.id not in room.members:
            raise Refused(404, NO_ROOM)
        return room

    def message(self, viewer: Account, message_id: str) -> tuple[Message, Room]:
        place = self.state.places.get(message_id)
        if place is not None:
            room, number = place
            message = room.messages[number]
            if self.can_see(viewer, message, room):
                return message, room
        raise Refused(404, NO_MESSAGE)

    def find(self, who: str) -> Account | None:
        return self.state.account_of(who) if "@" in who else self.state.accounts.get(who)

    def person(self, who: str) -> Account:
        account = self.find(who)
        if account is None:
            raise Refused(404, "Could not find a person with this id or address.")
        return account

    def messages(
        self,
        viewer: Account,
        room: Room,
        *,
        mentioned: str | None = None,
        parent: str | None = None,
        before: datetime | None = None,
        before_message: str | None = None,
    ) -> Iterator[Message]:
        """What this one sees of the room, the newest first."""
        if mentioned == "me":
            mentioned = viewer.id
        if viewer.is_bot and not room.is_direct and mentioned != viewer.id:
            raise Refused(403, "A bot reads of a group only what mentions it: mentionedPeople=me.")
        last = len(room.messages)
        if before_message is not None:
            place = self.state.places.get(before_message)
            if place is None or place[0] is not room:
                raise Refused(404, NO_MESSAGE)
            last = place[1]
        for message in reversed(room.messages[:last]):
            if (
                self.can_see(viewer, message, room)
                and (mentioned is None or mentioned in message.mentions)
                and (parent is None or message.parent == parent)
                and (before is None or message.created < before)
            ):
                yield message

    # --- rooms and who is in them

    def create_room(self, actor: Account, title: str, members: Iterable[Account] = ()) -> Room:
        if not title.strip():
            raise Refused(400, "A room has a title.")
        with self._change():
            room = self._new_room(actor, title, is_direct=False)
            for account in dict.fromkeys((actor, *members)):
                self._enter(room, account, actor)
            return room

    def rename_room(self, actor: Account, room: Room, title: str) -> None:
        if room.is_direct or not title.strip():
            raise Refused(400, "The title of a direct room cannot be changed." if room.is_direct else "No title.")
        with self._change():
            room.title = title
            self._tell_room(room, "updated", actor)

    def delete_room(self, actor: Account, room: Room) -> None:
        if room.is_direct:
            raise Refused(400, "A direct room cannot be deleted.")
        with self._change():
            for membership in list(room.members.values()):
                self._leave(room, membership, actor)
            del self.state.rooms[room.id]

    def add(self, actor: Account, room: Room, account: Account, *, is_moderator: bool = False) -> Membership:
        if room.is_direct:
            raise Refused(400, "Nobody can be added to a direct room.")
        if account.id in room.members:
            raise Refused(409, "The person is already in the room.")
        with self._change():
            return self._enter(room, account, actor, is_moderator=is_moderator)

    def remove(self, actor: Account, room: Room, account: Account) -> None:
        membership = room.members.get(account.id)
        if membership is None:
            raise Refused(404, "The person is not in the room.")
        if room.is_direct:
            raise Refused(400, "Nobody can leave a direct room.")
        with self._change():
            self._leave(room, membership, actor)

    def set_moderator(self, actor: Account, membership: Membership, is_moderator: bool) -> Membership:
        room = self.room(actor, membership.room_id)
        with self._change():
            changed = replace(membership, is_moderator=is_moderator)
            room.members[membership.account.id] = self.state.memberships[membership.id] = changed
            self._tell_membership(room, changed, "updated", actor)
            return changed

    # --- messages

    def direct(self, actor: Account, other: Account) -> Room:
        """The room of these two, made if need be."""
        if actor is other:
            raise Refused(400, "Nobody has a direct room with themselves.")
        if other.is_unreachable:
            raise Refused(404, "Could not find a person with this id or address.")
        room = self.state.direct_room(actor, other)
        if room is None:
            room = self._new_room(actor, "", is_direct=True)
            self.state.directs[frozenset((actor.id, other.id))] = room
            for account in (actor, other):
                self._enter(room, account, actor)
        return room

    def post(self, actor: Account, target: Room | Account, draft: Draft) -> Message:
        """Say something in a room, or to somebody alone."""
        with self._change():
            said = self._render(draft)
            cards = rules.check_cards(draft.attachments)
            if cards and not (draft.text or draft.markdown or draft.html):
                raise Refused(400, "A card needs a text or markdown beside it, for clients that do not show it.")
            if not (said.text or said.html or cards or draft.files):
                raise Refused(400, "A message has a text, markdown, a file or a card.")
            room = target if isinstance(target, Room) else self.direct(actor, target)
            if room.is_direct and any(one.account.is_unreachable for one in room.members.values()):
                raise Refused(404, NO_ROOM)
            message = Message(
                id=make_id("MESSAGE"),
                room_id=room.id,
                person=actor,
                text=said.text if draft.text is None or draft.rendered else draft.text,
                markdown=draft.markdown or "",
                html=said.html,
                cards=cards,
                files=draft.files,
                parent=self._root(room, draft.parent),
                mentions=() if room.is_direct else said.mentions,
                is_to_all=said.is_to_all,
                created=self.state.now(),
                number=len(room.messages),
            )
            room.messages.append(message)
            room.last_activity = message.created
            self.state.places[message.id] = (room, message.number)
            for file in draft.files:
                self.state.files[file.id] = (file, message.id)
            self._tell_message(message, room, "created", actor)
            return message

    def edit(self, actor: Account, message_id: str, room_id: str, draft: Draft) -> Message:
        message, room = self.message(actor, message_id)
        if message.person is not actor:
            raise Refused(403, "Only who said something may edit it.")
        if room.id != room_id:
            raise Refused(400, "roomId is that of the message.")
        if message.files or message.cards:
            raise Refused(400, "A message with a file or a card cannot be edited.")
        if draft.attachments or draft.files:
            raise Refused(400, "Files and cards cannot be edited into a message.")
        if message.edits >= rules.MAX_EDITS:
            raise Refused(400, f"A message can be edited {rules.MAX_EDITS} times at most.")
        with self._change():
            said = self._render(draft)
            if not (said.text or said.html):
                raise Refused(400, "A message has a text or markdown.")
            return self._put(
                replace(
                    message,
                    text=said.text if draft.text is None else draft.text,
                    markdown=draft.markdown or "",
                    html=said.html,
                    mentions=() if room.is_direct else said.mentions,
                    is_to_all=said.is_to_all,
                    edits=message.edits + 1,
                    updated=self.state.now(),
                ),
                "updated",
                actor,
            )

    def delete(self, actor: Account, message_id: str) -> None:
        message, room = self.message(actor, message_id)
        member = room.members[actor.id]
        if message.person is not actor and not member.is_moderator:
            raise Refused(403, "Only who said something, or a moderator, may delete it.")
        with self._change():
            self._put(replace(message, is_deleted=True), "deleted", actor)

    def submit(self, actor: Account, message_id: str, inputs: dict[str, Any]) -> Action:
        """Press a button of a card; the client has already put the button's data to the inputs."""
        message, room = self.message(actor, message_id)
        if not message.cards:
            raise Refused(400, "This message has no card.")
        with self._change():
            action = Action(make_id("ATTACHMENT_ACTION"), message.id, room.id, actor, inputs, self.state.now())
            self.state.actions[action.id] = action
            # Only who sent the card hears of its buttons.
            hearers = frozenset({message.person.id} & room.members.keys())
            event = action_event(action)
            self._tell(Happened("attachmentActions", "created", actor, lambda viewer: event, hearers))
            return action

    def action(self, viewer: Account, action_id: str) -> Action:
        action = self.state.actions.get(action_id)
        message = None if action is None else self.state.message(action.message_id)
        if action is None or message is None or viewer not in (action.person, message.person):
            raise Refused(404, "Could not find an action with this id.")
        return action

    # --- webhooks

    def create_webhook(
        self, actor: Account, *, name: str, url: str, resource: str, event: str, filter: str, secret: str
    ) -> Webhook:
        known = {"all", *EVENTS}
        if not name or not url.startswith(("http://", "https://")):
            raise Refused(400, "A webhook has a name and a targetUrl.")
        if resource not in known or event not in {"all"}.union(*EVENTS.values()):
            raise Refused(400, f"No such resource or event: {resource} {event}.")
        if resource != "all" and event != "all" and event not in EVENTS[resource]:
            raise Refused(400, f"{resource} are never {event}.")
        with self._change():
            for other in self.state.webhooks.values():
                theirs = (other.owner, other.url, other.resource, other.event, other.filter)
                if theirs == (actor, url, resource, event, filter):
                    raise Refused(409, "There is a webhook for this already.")
            webhook = Webhook(make_id("WEBHOOK"), actor, name, url, resource, event, filter, secret, self.state.now())
            self.state.webhooks[webhook.id] = webhook
            return webhook

    def webhook(self, viewer: Account, webhook_id: str) -> Webhook:
        webhook = self.state.webhooks.get(webhook_id)
        if webhook is None or webhook.owner is not viewer:
            raise Refused(404, "Could not find a webhook with this id.")
        return webhook

    def update_webhook(self, webhook: Webhook, *, name: str, url: str, secret: str | None, status: str) -> Webhook:
        if not name or not url.startswith(("http://", "https://")):
            raise Refused(400, "A webhook has a name and a targetUrl.")
        if status not in ("active", "inactive"):
            raise Refused(400, "status is active or inactive.")
        with self._change():
            changed = replace(
                webhook,
                name=name,
                url=url,
                secret=webhook.secret if secret is None else secret,
                status="active" if status == "active" else "inactive",
            )
            self.state.webhooks[webhook.id] = changed
            return changed

    def delete_webhook(self, webhook: Webhook) -> None:
        with self._change():
            del self.state.webhooks[webhook.id]

    # --- steps

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self.state.lock:
            yield
            self.state.changed()

    def _render(self, draft: Draft) -> Rendered:
        rules.check_length(text=draft.text, markdown=draft.markdown, html=draft.html)
        if draft.rendered is not None:
            return draft.rendered
        if draft.markdown:
            return rules.render_markdown(draft.markdown, self.find)
        if draft.html:
            return rules.render_html(draft.html, self.find)
        return Rendered(draft.text or "", "")

    def _root(self, room: Room, parent: str | None) -> str | None:
        if parent is None:
            return None
        place = self.state.places.get(parent)
        if place is None or place[0] is not room or room.messages[place[1]].is_deleted:
            raise Refused(404, "Could not find the parent of this message in its room.")
        if room.messages[place[1]].parent is not None:
            raise Refused(400, "A reply cannot be replied to; parentId is that of the first message.")
        return parent

    def _put(self, message: Message, event: str, actor: Account) -> Message:
        room, number = self.state.places[message.id]
        before = room.messages[number]
        room.messages[number] = message
        hearers = frozenset(
            member.account.id for member in room.members.values() if self.can_see(member.account, before, room)
        )
        data = message_event(message, room, self.base())
        self._tell(Happened("messages", event, actor, lambda viewer: data, hearers))
        return message

    def _new_room(self, actor: Account, title: str, *, is_direct: bool) -> Room:
        now = self.state.now()
        room = Room(make_id("ROOM"), title, "direct" if is_direct else "group", actor, now, now)
        self.state.rooms[room.id] = room
        return room

    def _enter(self, room: Room, account: Account, actor: Account, *, is_moderator: bool = False) -> Membership:
        id_ = make_membership_id(account.id, room.id)
        membership = Membership(id_, room.id, account, is_moderator, self.state.now())
        room.members[account.id] = self.state.memberships[membership.id] = membership
        if account is actor and len(room.members) == 1:
            self._tell_room(room, "created", actor)
        self._tell_membership(room, membership, "created", actor)
        return membership

    def _leave(self, room: Room, membership: Membership, actor: Account) -> None:
        hearers = frozenset(room.members)  # who goes hears of it, too
        del room.members[membership.account.id]
        del self.state.memberships[membership.id]
        self._tell_membership(room, membership, "deleted", actor, hearers)

    def _tell_message(self, message: Message, room: Room, event: str, actor: Account) -> None:
        hearers = frozenset(
            member.account.id for member in room.members.values() if self.can_see(member.account, message, room)
        )
        data = message_event(message, room, self.base())
        self._tell(Happened("messages", event, actor, lambda viewer: data, hearers))

    def _tell_membership(
        self, room: Room, membership: Membership, event: str, actor: Account, hearers: frozenset[str] = frozenset()
    ) -> None:
        data = membership_json(membership, room, self.state.org_id)
        self._tell(Happened("memberships", event, actor, lambda viewer: data, hearers or frozenset(room.members)))

    def _tell_room(self, room: Room, event: str, actor: Account) -> None:
        self._tell(Happened("rooms", event, actor, lambda viewer: room_json(room, viewer), frozenset(room.members)))
