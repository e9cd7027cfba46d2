"""How records look in answers and in webhooks: the field names of Webex."""

from __future__ import annotations

from typing import Any

from shellbot.testing.fakewebex.ids import stamp
from shellbot.testing.fakewebex.rules import CARD_TYPE
from shellbot.testing.fakewebex.state import Account, Action, Membership, Message, Room, Webhook

Json = dict[str, Any]


def person_json(account: Account, org_id: str) -> Json:
    first, _, last = account.name.partition(" ")
    return {
        "id": account.id,
        "emails": [account.email],
        "phoneNumbers": [],
        "displayName": account.name,
        "nickName": first,
        "firstName": first,
        "lastName": last,
        "orgId": org_id,
        "created": stamp(account.created),
        "type": "bot" if account.is_bot else "person",
    }


def room_json(room: Room, viewer: Account) -> Json:
    """A direct room has the name of the other one."""
    others = [member.account.name for member in room.members.values() if member.account is not viewer]
    return {
        "id": room.id,
        "title": (others[0] if others else "Empty Title") if room.is_direct else room.title,
        "type": room.type,
        "isLocked": room.is_locked,
        "lastActivity": stamp(room.last_activity),
        "creatorId": room.creator.id,
        "created": stamp(room.created),
        "isPublic": False,
        "isReadOnly": False,
    }


def membership_json(membership: Membership, room: Room, org_id: str) -> Json:
    return {
        "id": membership.id,
        "roomId": membership.room_id,
        "roomType": room.type,
        "personId": membership.account.id,
        "personEmail": membership.account.email,
        "personDisplayName": membership.account.name,
        "personOrgId": org_id,
        "isModerator": membership.is_moderator,
        "isMonitor": False,
        "isRoomHidden": False,
        "created": stamp(membership.created),
    }


def message_event(message: Message, room: Room, base: str) -> Json:
    """What a webhook tells of a message: never its text."""
    data: Json = {
        "id": message.id,
        "roomId": room.id,
        "roomType": room.type,
        "personId": message.person.id,
        "personEmail": message.person.email,
        "created": stamp(message.created),
    }
    if message.files:
        data["files"] = [f"{base}contents/{file.id}" for file in message.files]
    if message.mentions:
        data["mentionedPeople"] = list(message.mentions)
    if message.is_to_all:
        data["mentionedGroups"] = ["all"]
    if message.parent:
        data["parentId"] = message.parent
    if message.updated:
        data["updated"] = stamp(message.updated)
    return data


def message_json(message: Message, room: Room, base: str) -> Json:
    data = message_event(message, room, base)
    if message.text:
        data["text"] = message.text
    if message.markdown:
        data["markdown"] = message.markdown
    if message.html:
        data["html"] = message.html
    if message.cards:
        data["attachments"] = [{"contentType": CARD_TYPE, "content": card} for card in message.cards]
    return data


def action_event(action: Action) -> Json:
    """What a webhook tells of a button: never what was filled in."""
    return {
        "id": action.id,
        "type": "submit",
        "messageId": action.message_id,
        "personId": action.person.id,
        "roomId": action.room_id,
        "created": stamp(action.created),
    }


def action_json(action: Action) -> Json:
    return {**action_event(action), "inputs": action.inputs}


def webhook_json(webhook: Webhook, org_id: str, app_id: str) -> Json:
    data: Json = {
        "id": webhook.id,
        "name": webhook.name,
        "targetUrl": webhook.url,
        "resource": webhook.resource,
        "event": webhook.event,
        "orgId": org_id,
        "createdBy": webhook.owner.id,
        "appId": app_id,
        "ownedBy": "creator",
        "status": webhook.status,
        "created": stamp(webhook.created),
    }
    if webhook.filter:
        data["filter"] = webhook.filter
    if webhook.secret:
        data["secret"] = webhook.secret
    return data
