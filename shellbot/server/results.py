"""The pages of votes: a list of them, and each with its bars, as a table, and to take along as JSON or CSV."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from typing import Any, Protocol

from flask import Blueprint, Response, abort, jsonify, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from shellbot.polls.export import counts_sheet, facts, rows
from shellbot.polls.standing import Standing
from shellbot.server.desk import Desk
from shellbot.spaces.web import Member

Answer = BaseResponse | str


class Polls(Protocol):
    """What is asked about polls; see :class:`shellbot.polls.standing.Standings`."""

    def one(self, number: int, person_id: str) -> Coroutine[Any, Any, Standing | None]: ...

    def recent(self) -> Coroutine[Any, Any, list[Standing]]: ...


def results(
    desk: Desk, polls: Polls, me: Callable[[], Member | None], title: Callable[[], str], share: Callable[[int], str]
) -> Blueprint:
    """Make the pages. Only people of the room see them, and of a count what they may see.

    Args:
        share: Gives a link by which others see one vote.
    """
    pages = Blueprint("results", __name__)

    def found(number: int) -> Standing:
        member = me()
        standing = desk.wait(polls.one(number, member.person.id)) if member is not None else None
        if standing is None:
            abort(404, "There is no such vote here.")
        return standing

    @pages.before_request
    def only_people_of_the_room() -> Answer | None:
        return None if me() is not None else redirect(f"{request.script_root}/", 303)

    @pages.get("/polls")
    def listed() -> Answer:
        return render_template("polls.html", polls=desk.wait(polls.recent()))

    @pages.get("/poll/<int(max=999999999):number>")
    def page(number: int) -> Answer:
        poll = found(number)
        return render_template(
            "poll.html",
            title=f"{poll.question} – {title()}",
            poll=poll,
            rows=rows(poll.result),
            here=f"{request.script_root}/poll/{number}",
            link=share(number),
            has_png=has_png(),
        )

    @pages.get("/poll/<int(max=999999999):number>.json")
    def data(number: int) -> Answer:
        return as_json(found(number))

    @pages.get("/poll/<int(max=999999999):number>.csv")
    def sheet(number: int) -> Answer:
        return as_csv(found(number))

    @pages.get("/poll/<int(max=999999999):number>.png")
    def drawn(number: int) -> Answer:
        return as_png(found(number))

    return pages


def as_json(poll: Standing) -> Response:
    """All of the page; names only where it has them."""
    answer = jsonify(facts(poll))
    answer.headers.update(_kept(poll, "json"))
    return answer


def as_csv(poll: Standing) -> Response:
    """The counts for a spreadsheet."""
    if poll.result is None:
        abort(404, "There are no counts to be seen of this vote, or not yet.")
    # with a mark of its encoding, without which spreadsheets take it for another
    data = "\ufeff" + counts_sheet(poll.result, poll.verdict)
    return Response(data, mimetype="text/csv", headers=_kept(poll, "csv"))


def as_png(poll: Standing) -> Response:
    """The bars as a picture."""
    if poll.result is None:
        abort(404, "There are no counts to be seen of this vote, or not yet.")
    try:
        from shellbot.server.picture import picture
    except ImportError:
        abort(501, "Pictures of votes need a library that this server lacks: pip install 'shellbot[png]'")
    state = f"{poll.state} {poll.answered} of {poll.asked} voted. {poll.verdict}"
    bars = [(row.choice, f"{row.votes}   {row.of_votes}", row.width) for row in rows(poll.result)]
    drawn = picture(poll.question, state, bars, poll.result.winner)
    return Response(drawn, mimetype="image/png", headers=_kept(poll, "png"))


def _kept(poll: Standing, kind: str) -> dict[str, str]:
    """To be kept as a file: under our policy browsers complain of the style of their own pages around such things."""
    return {"Content-Disposition": f"attachment; filename=vote-{poll.number}.{kind}"}


def has_png() -> bool:
    """Whether the extra for pictures is installed."""
    return find_spec("PIL") is not None
