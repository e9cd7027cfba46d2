"""Join links: into a room for whoever has one, or for one person into another browser, once."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from shellbot.server.links import Links
from shellbot.spaces.web import Member, WebSpace


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a join link says. ``person``: the id that another browser is to have; '' where everybody may come in."""

    room: str
    person: str
    nonce: str


class Invitations:
    """Makes join links and says which count. Any thread.

    Args:
        links: Signs for this purpose alone.
        space: Knows the rooms, and how often their links were revoked.
    """

    def __init__(self, links: Links, space: WebSpace) -> None:
        self._links = links
        self._space = space

    def path(self, room: str, person: str = "") -> str:
        """Give the path of a new link; with a person it counts once, for that name."""
        found = self._space.room(room)
        assert found is not None
        fields = {"room": room, "person": person, "nonce": secrets.token_urlsafe(9), "generation": found.generation}
        return f"/join/{self._links.make(fields)}"

    def read(self, token: str, here: str = "") -> Invitation:
        """Give what a link says that may still count; whether it was used is known when it is used.

        Args:
            here: The room that it has to be for.

        Raises:
            LinkRefused: It does not count; the text says what to do.
        """
        fields: dict[str, Any] = self._links.read(token)
        room = self._space.room(fields["room"])
        is_elsewhere = bool(here) and fields["room"] != here
        is_nobody = bool(fields["person"]) and not self._space.knows(fields["person"], fields["room"])
        if room is None or is_elsewhere or is_nobody:
            raise self._links.refused("room")
        if fields["generation"] != room.generation:
            raise self._links.refused("revoked")
        return Invitation(fields["room"], fields["person"], fields["nonce"])

    async def accept(self, invitation: Invitation) -> Member:
        """Spend a link that counts once, and give who the browser is now.

        Raises:
            LinkRefused: It was used.
        """
        member = await self._space.take_over(invitation.person, invitation.nonce)
        if member is None:
            raise self._links.refused("used")
        return member
