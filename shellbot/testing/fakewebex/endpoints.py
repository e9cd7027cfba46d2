"""The endpoints: people, rooms, memberships, messages, actions, webhooks, contents; called with the state locked."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from shellbot.testing.fakewebex.api import Call, Endpoint, answer, empty
from shellbot.testing.fakewebex.door import Response
from shellbot.testing.fakewebex.ids import make_id, make_tracking_id, read_stamp
from shellbot.testing.fakewebex.platform import Draft
from shellbot.testing.fakewebex.rules import Refused
from shellbot.testing.fakewebex.state import Account, Membership, Message, Room, Webhook
from shellbot.testing.fakewebex.views import (
    action_json,
    membership_json,
    message_json,
    person_json,
    room_json,
    webhook_json,
)

APP_ID = make_id("APPLICATION", "fake")

# --- people


def me(call: Call, _: str) -> Response:
    return answer(person_json(call.viewer, call.platform.state.org_id))


def person(call: Call, person_id: str) -> Response:
    return answer(person_json(call.platform.person(person_id), call.platform.state.org_id))


def people(call: Call, _: str) -> Response:
    accounts = list(call.platform.state.accounts.values())
    email, name, ids = (call.query.get(key) for key in ("email", "displayName", "id"))
    if email is not None:
        accounts = [one for one in accounts if one.email.lower() == email.strip().lower()]
    elif name is not None:
        accounts = [one for one in accounts if one.name.lower().startswith(name.strip().lower())]
    elif ids is not None:
        accounts = [one for one in accounts if one.id in ids.split(",")]
    else:
        raise Refused(400, "Email, displayName or a list of ids should be specified.")
    return call.rest(accounts, lambda one: person_json(one, call.platform.state.org_id))


# --- rooms


def rooms(call: Call, _: str) -> Response:
    kind = call.query.get("type")
    if kind not in (None, "group", "direct"):
        raise Refused(400, "type is group or direct.")
    found = [
        room
        for room in call.platform.state.rooms.values()
        if call.viewer.id in room.members and kind in (None, room.type)
    ]
    if call.query.get("sortBy") == "created":
        found.sort(key=lambda room: room.created, reverse=True)
    elif call.query.get("sortBy") == "lastactivity":
        found.sort(key=lambda room: room.last_activity, reverse=True)
    return call.rest(found, lambda room: room_json(room, call.viewer))


def create_room(call: Call, _: str) -> Response:
    return answer(room_json(call.platform.create_room(call.viewer, call.text("title") or ""), call.viewer))


def room(call: Call, room_id: str) -> Response:
    return answer(room_json(call.platform.room(call.viewer, room_id), call.viewer))


def update_room(call: Call, room_id: str) -> Response:
    found = call.platform.room(call.viewer, room_id)
    call.platform.rename_room(call.viewer, found, call.text("title") or "")
    return answer(room_json(found, call.viewer))


def delete_room(call: Call, room_id: str) -> Response:
    call.platform.delete_room(call.viewer, call.platform.room(call.viewer, room_id))
    return empty()


# --- memberships


def memberships(call: Call, _: str) -> Response:
    state = call.platform.state
    found = [one for one in state.memberships.values() if call.viewer.id in state.rooms[one.room_id].members]
    if room_id := call.query.get("roomId"):
        found = list(call.platform.room(call.viewer, room_id).members.values())
    if who := call.query.get("personId") or call.query.get("personEmail"):
        account = call.platform.person(who)
        found = [one for one in found if one.account is account]
    elif not room_id:
        found = [one for one in found if one.account is call.viewer]
    return call.rest(found, lambda one: _membership(call, one))


def create_membership(call: Call, _: str) -> Response:
    found = call.platform.room(call.viewer, call.text("roomId") or "")
    who = call.text("personId") or call.text("personEmail")
    if not who:
        raise Refused(400, "personId or personEmail should be specified.")
    made = call.platform.add(call.viewer, found, call.platform.person(who), is_moderator=call.flag("isModerator"))
    return answer(_membership(call, made))


def membership(call: Call, membership_id: str) -> Response:
    return answer(_membership(call, _find_membership(call, membership_id)))


def update_membership(call: Call, membership_id: str) -> Response:
    found = _find_membership(call, membership_id)
    return answer(_membership(call, call.platform.set_moderator(call.viewer, found, call.flag("isModerator"))))


def delete_membership(call: Call, membership_id: str) -> Response:
    found = _find_membership(call, membership_id)
    call.platform.remove(call.viewer, call.platform.room(call.viewer, found.room_id), found.account)
    return empty()


def _find_membership(call: Call, membership_id: str) -> Membership:
    found = call.platform.state.memberships.get(membership_id)
    if found is None or call.viewer.id not in call.platform.state.rooms[found.room_id].members:
        raise Refused(404, "Could not find a membership with this id.")
    return found


def _membership(call: Call, one: Membership) -> dict[str, Any]:
    return membership_json(one, call.platform.state.rooms[one.room_id], call.platform.state.org_id)


# --- messages


def messages(call: Call, _: str) -> Response:
    return _list(call, call.platform.room(call.viewer, call.query.get("roomId", "")))


def messages_direct(call: Call, _: str) -> Response:
    who = call.query.get("personId") or call.query.get("personEmail")
    if not who:
        raise Refused(400, "personId or personEmail should be specified.")
    found = call.platform.state.direct_room(call.viewer, call.platform.person(who))
    if found is None:
        raise Refused(404, "There is no direct room with this person.")
    return _list(call, found)


def _list(call: Call, found: Room) -> Response:
    before = call.query.get("before")
    try:
        moment = None if before is None else read_stamp(before)
    except ValueError as error:
        raise Refused(400, "before is a date and time in ISO 8601.") from error
    items = call.platform.messages(
        call.viewer,
        found,
        mentioned=call.query.get("mentionedPeople"),
        parent=call.query.get("parentId"),
        before=moment,
        before_message=call.query.get("beforeMessage"),
    )
    return call.page(items, lambda one: _message(call, one, found), lambda one: {"beforeMessage": one.id})


def create_message(call: Call, _: str) -> Response:
    names = [name for name in ("roomId", "toPersonId", "toPersonEmail") if call.text(name)]
    if len(names) != 1:
        raise Refused(400, "Exactly one of roomId, toPersonId and toPersonEmail should be specified.")
    where = call.values[names[0]]
    target: Room | Account
    target = call.platform.room(call.viewer, where) if names[0] == "roomId" else call.platform.person(where)
    made = call.platform.post(call.viewer, target, _draft(call))
    return answer(_message(call, made, call.platform.state.rooms[made.room_id]))


def message(call: Call, message_id: str) -> Response:
    found, where = call.platform.message(call.viewer, message_id)
    return answer(_message(call, found, where))


def edit_message(call: Call, message_id: str) -> Response:
    changed = call.platform.edit(call.viewer, message_id, call.text("roomId") or "", _draft(call))
    return answer(_message(call, changed, call.platform.state.rooms[changed.room_id]))


def delete_message(call: Call, message_id: str) -> Response:
    call.platform.delete(call.viewer, message_id)
    return empty()


def _draft(call: Call) -> Draft:
    files = call.values.get("files") or []
    if not isinstance(files, list) or len(files) + len(call.files) > 1:
        raise Refused(400, "A message may have one file only.")
    if files:
        raise Refused(400, "This platform fetches no addresses; upload the file itself.")
    return Draft(
        text=call.text("text"),
        markdown=call.text("markdown"),
        html=call.text("html"),
        attachments=call.values.get("attachments"),
        files=call.files,
        parent=call.text("parentId"),
    )


def _message(call: Call, one: Message, where: Room) -> dict[str, Any]:
    return message_json(one, where, call.platform.base())


# --- actions


def create_action(call: Call, _: str) -> Response:
    inputs = call.values.get("inputs")
    if call.text("type") != "submit" or not isinstance(inputs, dict):
        raise Refused(400, "An action has the type submit, and an object of inputs.")
    return answer(action_json(call.platform.submit(call.viewer, call.text("messageId") or "", inputs)))


def action(call: Call, action_id: str) -> Response:
    return answer(action_json(call.platform.action(call.viewer, action_id)))


# --- webhooks


def webhooks(call: Call, _: str) -> Response:
    found = [one for one in call.platform.state.webhooks.values() if one.owner is call.viewer]
    return call.rest(found, lambda one: _webhook(call, one))


def create_webhook(call: Call, _: str) -> Response:
    made = call.platform.create_webhook(
        call.viewer,
        name=call.text("name") or "",
        url=call.text("targetUrl") or "",
        resource=call.text("resource") or "",
        event=call.text("event") or "",
        filter=call.text("filter") or "",
        secret=call.text("secret") or "",
    )
    return answer(_webhook(call, made))


def webhook(call: Call, webhook_id: str) -> Response:
    return answer(_webhook(call, call.platform.webhook(call.viewer, webhook_id)))


def update_webhook(call: Call, webhook_id: str) -> Response:
    found = call.platform.webhook(call.viewer, webhook_id)
    changed = call.platform.update_webhook(
        found,
        name=call.text("name") or "",
        url=call.text("targetUrl") or "",
        secret=call.text("secret"),
        status=call.text("status") or found.status,
    )
    return answer(_webhook(call, changed))


def delete_webhook(call: Call, webhook_id: str) -> Response:
    call.platform.delete_webhook(call.platform.webhook(call.viewer, webhook_id))
    return empty()


def _webhook(call: Call, one: Webhook) -> dict[str, Any]:
    return webhook_json(one, call.platform.state.org_id, APP_ID)


# --- contents


def content(call: Call, file_id: str) -> Response:
    file, message_id = call.platform.state.files.get(file_id, (None, ""))
    if file is None:
        raise Refused(404, "Could not find a file with this id.")
    call.platform.message(call.viewer, message_id)  # who may not see the message may not see its file
    plain = file.name.encode("ascii", "replace").decode().replace("\\", "_").replace('"', "_")
    disposition = f'attachment; filename="{_one_line(plain)}"'
    if not file.name.isascii():
        disposition += f"; filename*=UTF-8''{quote(file.name, safe='')}"
    headers = [
        ("Content-Type", _one_line(file.type)),
        ("Content-Disposition", disposition),
        ("trackingid", make_tracking_id()),
    ]
    return Response(200, file.data, headers)


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else "_" for char in text)


ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", "people"): people,
    ("GET", "people/me"): me,
    ("GET", "people/*"): person,
    ("GET", "rooms"): rooms,
    ("POST", "rooms"): create_room,
    ("GET", "rooms/*"): room,
    ("PUT", "rooms/*"): update_room,
    ("DELETE", "rooms/*"): delete_room,
    ("GET", "memberships"): memberships,
    ("POST", "memberships"): create_membership,
    ("GET", "memberships/*"): membership,
    ("PUT", "memberships/*"): update_membership,
    ("DELETE", "memberships/*"): delete_membership,
    ("GET", "messages"): messages,
    ("GET", "messages/direct"): messages_direct,
    ("POST", "messages"): create_message,
    ("GET", "messages/*"): message,
    ("PUT", "messages/*"): edit_message,
    ("DELETE", "messages/*"): delete_message,
    ("POST", "attachment/actions"): create_action,
    ("GET", "attachment/actions/*"): action,
    ("GET", "webhooks"): webhooks,
    ("POST", "webhooks"): create_webhook,
    ("GET", "webhooks/*"): webhook,
    ("PUT", "webhooks/*"): update_webhook,
    ("DELETE", "webhooks/*"): delete_webhook,
    ("GET", "contents/*"): content,
}
