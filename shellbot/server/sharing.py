"""Links to the results of one vote, for people outside of its room: what they may see, and nothing else of the room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flask import Blueprint, render_template
from werkzeug.wrappers import Response as BaseResponse

from shellbot.polls.export import rows
from shellbot.polls.standing import Standing
from shellbot.server.desk import Desk
from shellbot.server.links import DAY, Links
from shellbot.server.results import Answer, Polls, as_csv, as_json, as_png, has_png
from shellbot.server.visits import Visits

MONTH = 30 * DAY
NOBODY = ""  # no person's id, so that the rules of a vote show what they show to everybody in the room


class Sharing:
    """Makes links to results and reads them again. Any thread.

    Args:
        links: Signs for this purpose alone.
        generation: How often the links of a room were revoked; None where there is no such room.
    """

    def __init__(self, links: Links, generation: Callable[[str], int | None]) -> None:
        self._links = links
        self._generation = generation

    def path(self, room: str, number: int) -> str:
        """Give a new link to one vote, as it goes on where the pages of its room are rooted."""
        fields = {"room": room, "number": number, "generation": self._generation(room)}
        return f"/shared/{self._links.make(fields)}/poll"

    def read(self, token: str, here: str) -> int:
        """Give the number of the vote.

        Args:
            here: The room that it has to be for.

        Raises:
            LinkRefused: It does not count; the text says what to do.
        """
        fields = self._links.read(token)
        generation = self._generation(here)
        if fields["room"] != here or generation is None:
            raise self._links.refused("room")
        if fields["generation"] != generation:
            raise self._links.refused("revoked")
        return int(fields["number"])


def shared(desk: Desk, polls: Polls, visits: Visits, links: Links, sharing: Sharing) -> Blueprint:
    """Make the pages. They only read, so following a link in a mail does no harm."""
    pages = Blueprint("shared", __name__)

    def found(token: str) -> Standing:
        poll = desk.wait(polls.one(sharing.read(token, visits.room), NOBODY))
        if poll is None:
            raise links.refused("room")
        result = replace(poll.result, unreachable=(), silent=()) if poll.result is not None else None
        return replace(poll, opener="", result=result)

    @pages.after_request
    def kept_to_itself(response: BaseResponse) -> BaseResponse:
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
        return response

    @pages.get("/shared/<token>/poll")
    def page(token: str) -> Answer:
        poll = found(token)
        here = f"{visits.root}/shared/{token}/poll"
        return render_template(
            "poll.html", title=poll.question, poll=poll, rows=rows(poll.result), here=here, has_png=has_png()
        )

    @pages.get("/shared/<token>/poll.json")
    def data(token: str) -> Answer:
        return as_json(found(token))

    @pages.get("/shared/<token>/poll.csv")
    def sheet(token: str) -> Answer:
        return as_csv(found(token))

    @pages.get("/shared/<token>/poll.png")
    def drawn(token: str) -> Answer:
        return as_png(found(token))

    return pages
