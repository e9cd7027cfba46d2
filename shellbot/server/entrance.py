"""How people come into rooms and go: by name or link, from one room to another, and the links they give to others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, abort, jsonify, redirect, render_template, request, session
from werkzeug.wrappers import Response as BaseResponse

from shellbot.errors import LinkRefused
from shellbot.server.desk import Desk
from shellbot.server.invitations import Invitation, Invitations
from shellbot.server.visits import Visits, root_of
from shellbot.spaces.web import Member

Answer = BaseResponse | tuple[str, int] | str
NEEDED = (
    "One comes into this room by a link. Ask somebody who is in it: they get one at “Invite”, on top of the page. "
    "If you are in this room already, use the browser in which you joined."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Who may come in.

    ``public_url``: what links begin with, '' for the address that the page was asked under; ``is_demo``: ``?as=NAME``
    lets demo people into the first room; ``is_private``: the first room, too, is entered by link only;
    ``has_new_rooms``: people may make further rooms.
    """

    public_url: str = ""
    is_demo: bool = False
    is_private: bool = False
    has_new_rooms: bool = True


class Entrance:
    """The views, as :meth:`pages`.

    Args:
        room: Makes the page of the room for who is in it.
    """

    def __init__(
        self, desk: Desk, visits: Visits, invitations: Invitations, room: Callable[[Member], str], rules: Rules
    ) -> None:
        self._desk = desk
        self._visits = visits
        self._invitations = invitations
        self._room = room
        self._rules = rules

    def pages(self) -> Blueprint:
        """Everything under its path."""
        pages = Blueprint("entrance", __name__)
        pages.get("/")(self.home)
        pages.get("/join/<token>")(self.come_by_link)
        pages.get("/join")(self.ask_to_join)
        pages.post("/join")(self.join)
        pages.post("/leave")(self.leave)
        pages.get("/rooms")(self.rooms)
        pages.post("/rooms")(self.open_room)
        pages.get("/invite")(self.invite)
        pages.post("/revoke")(self.revoke)
        return pages

    # --- coming in

    def home(self) -> Answer:
        """The room for who is in it, and the way in for others."""
        wanted = request.args.get("as", "").strip()
        if wanted and self._has_demo():
            return self.join_page(demo_name=wanted)
        member = self._visits.me()
        if member is None:
            if not self._may_come_by_name():
                raise LinkRefused(NEEDED, reason="needed")
            return self.join_page()
        self._visits.renew()
        return self._room(member)

    def come_by_link(self, token: str) -> Answer:
        """Take a link out of the address bar. Nothing else happens: programs that look through mail follow links."""
        invitation = self._invitations.read(token)
        session["link"] = token
        return redirect(f"{root_of(invitation.room, self._visits.first)}/join", 303)

    def ask_to_join(self) -> Answer:
        """Show what the link is for."""
        invitation = self._invitation(str(session.get("link", "")))
        member = self._visits.me()
        if invitation is None or (member is not None and invitation.person in ("", member.person.id)):
            return redirect(f"{self._visits.root}/", 303)
        return self.join_page(invitation)

    def join(self) -> Answer:
        """Come in."""
        form, address = request.form, request.remote_addr or ""
        demo = bool(form.get("demo")) and self._has_demo()
        invitation = self._invitation(form.get("link", ""))
        if invitation is not None and invitation.person:
            if self._visits.me() is None:
                self._visits.check_place()
            member = self._desk.wait(self._desk.take_over(self._invitations.accept(invitation), address))
        else:
            if not demo and self._visits.me() is not None:
                return redirect(f"{self._visits.root}/", 303)
            if not demo and invitation is None and not self._may_come_by_name():
                raise LinkRefused(NEEDED, reason="needed")
            self._visits.check_place()
            person_id = "" if demo else self._visits.past()
            name = form.get("name", "")
            member = self._desk.wait(self._desk.join(name, address, person_id, demo, self._visits.room))
        self._visits.enter(member)
        return redirect(f"{self._visits.root}/", 303)

    def join_page(self, invitation: Invitation | None = None, *, notice: str = "", demo_name: str = "") -> str:
        """Ask for a name, or only whether to come in where link or demo have one."""
        form = request.form
        if request.method == "POST":
            demo_name = form.get("name", "") if form.get("demo") and self._has_demo() else ""
            invitation = self._invitation(form.get("link", ""))
        by_link = self._desk.name(invitation.person) if invitation is not None else ""
        me = self._visits.me()
        return render_template(
            "join.html",
            title=self._desk.title(self._visits.room),  # who has a link, or was here, may know it
            notice=notice,
            name=by_link or demo_name or form.get("name", "") or self._visits.name(),
            demo=bool(demo_name),
            is_named=bool(by_link),
            before=me.person.name if me is not None else "",
            link=(form.get("link") or session.get("link", "")) if invitation is not None else "",
            token=self._visits.token(),
        )

    def _has_demo(self) -> bool:
        return self._rules.is_demo and self._visits.room == self._visits.first

    def _may_come_by_name(self) -> bool:
        is_open = self._visits.room == self._visits.first and not self._rules.is_private
        return is_open or bool(self._visits.past())

    def _invitation(self, token: str) -> Invitation | None:
        if not token:
            return None
        return self._invitations.read(token, self._visits.room)

    def leave(self) -> Answer:
        """Leave the room."""
        member = self._visits.me()
        if member is not None:
            self._desk.wait(self._desk.leave(member.person.id))
        return redirect("/rooms" if self._visits.mine() else f"{self._visits.root}/", 303)

    # --- from room to room

    def rooms(self) -> Answer:
        """List the rooms that this browser is in, with what is new there."""
        return jsonify(rooms=self._listed()) if is_for_scripts() else self.rooms_page()

    def rooms_page(self, notice: str = "") -> str:
        """The list, and a form for a new room."""
        listed = self._listed()
        is_in_first = any(not room["root"] for room in listed)
        form = request.form
        return render_template(
            "rooms.html",
            rooms=listed,
            is_here=self._visits.me() is not None,
            first="" if is_in_first or self._rules.is_private else self._desk.title(self._visits.first),
            may_open=self._rules.has_new_rooms and bool(listed),
            notice=notice,
            new_title=form.get("title", ""),
            name=form.get("name", "") or self._visits.name(),
            token=self._visits.token(),
        )

    def _listed(self) -> list[dict[str, Any]]:
        mine = self._visits.mine()
        unread = self._desk.wait(self._desk.unread(mine))
        return [
            {
                "root": root_of(member.room, self._visits.first),
                "title": self._desk.title(member.room),
                "name": member.person.name,
                "unread": count,
            }
            for member, count in zip(mine, unread, strict=True)
        ]

    def open_room(self) -> Answer:
        """Make a room; the same form sent twice makes one."""
        if not self._rules.has_new_rooms or not self._visits.mine():
            abort(403, "No further rooms can be made here." if self._visits.mine() else "Please join a room first.")
        self._visits.check_place()
        form = request.form
        # with the form's secret token in it, nobody gets at the room of another browser
        made = hashlib.sha256(f"{self._visits.token()} {form.get('key', '')}".encode()).hexdigest()
        work = self._desk.open_room(
            form.get("title", ""), form.get("name", ""), request.remote_addr or "", f"room-{made[:12]}"
        )
        member = self._desk.wait(work)
        self._visits.enter(member)
        return redirect(f"{root_of(member.room, self._visits.first)}/", 303)

    # --- links for others

    def invite(self) -> Answer:
        """Show a link for others. It is signed, not kept: to look at it changes nothing."""
        member = self._visits.me()
        if member is None:
            return redirect(f"{self._visits.root}/", 303)
        path = self._invitations.path(member.room)
        return render_template(
            "invite.html",
            link=(self._rules.public_url or request.host_url).rstrip("/") + path,
            is_revoked="revoked" in request.args,
            token=self._visits.token(),
        )

    def revoke(self) -> Answer:
        """Let no link to this room count any more."""
        member = self._visits.me()
        if member is None:
            return redirect(f"{self._visits.root}/", 303)
        self._desk.wait(self._desk.revoke(member.room))
        return redirect(f"{self._visits.root}/invite?revoked", 303)


def is_for_scripts() -> bool:
    """Whether a script asks, which wants no page."""
    return request.accept_mimetypes.best == "application/json"
