"""The Flask application: pages and forms. Everything works without scripts; they only make it live."""

from __future__ import annotations

import hmac
import logging
import math
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, abort, jsonify, redirect, render_template, request, session
from markupsafe import Markup
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from shellbot.errors import LinkRefused, RateLimited, ShellbotError, SpaceError
from shellbot.events import Card
from shellbot.files.names import size_text
from shellbot.files.shelf import NO_FILES, Limits
from shellbot.polls.standing import Standing
from shellbot.server.desk import Desk
from shellbot.server.entrance import Entrance, Rules, is_for_scripts
from shellbot.server.hosts import Hosts, only_here
from shellbot.server.invitations import Invitations
from shellbot.server.links import Links
from shellbot.server.markdown import Markdown
from shellbot.server.results import Polls, results
from shellbot.server.sharing import MONTH, Sharing, shared
from shellbot.server.uploads import KEY, Upload
from shellbot.server.visits import SESSION_DAYS, Cookies, Visits, root_of
from shellbot.spaces.web import Member, Post
from shellbot.spaces.web.names import MAX_NAME

logger = logging.getLogger(__name__)

KEPT_VIEWS = 2_000
MOST_NAMES = 200
REFUSED = {"damaged": 400, "room": 404, "needed": 403}
Answer = BaseResponse | tuple[str, int] | tuple[Response, int] | str


class _Pages(Flask):
    def log_exception(self, exc_info: Any) -> None:
        """Without the path, which Flask would tell: it may be a link."""
        logger.error("a page failed page=%s", request.endpoint, exc_info=exc_info)


@dataclass(frozen=True, slots=True)
class View:
    """A post as the template shows it, for everybody alike; the reader's own token and ids come in beside it.

    ``root`` is what comes before the paths of its room; ``day`` and ``clock`` are in the zone of the server.
    """

    root: str
    side: str
    place: int
    who: str
    is_bot: bool
    is_demo: bool
    text: str
    html: Markup
    fixed: str
    card: Card | None
    stamp: str
    clock: str
    day: date
    files: tuple[FileView, ...]


@dataclass(frozen=True, slots=True)
class FileView:
    """A file as the template shows it."""

    id: str
    name: str
    size: str
    is_picture: bool


class Renderer:
    """Makes a View, and the HTML of one post, out of what the space keeps: ``view(post)`` and ``render(post)``."""

    def __init__(self, app: Flask, *, bot: str, root: Callable[[str], str]) -> None:
        self._app = app
        self._root = root
        self._bot = bot
        self._markdown = Markdown()
        # a page shows hundreds of posts that were shown before, and after a restart all pages ask for the same ones
        self.view = lru_cache(KEPT_VIEWS)(self._view)
        self.render = lru_cache(KEPT_VIEWS)(self._render)

    def _view(self, post: Post) -> View:
        is_bot = post.member is None
        local = post.time.astimezone()
        return View(
            root=self._root(post.channel),
            side="direct" if post.channel.startswith("direct-") else "group",
            place=post.place,
            who=post.member.person.name if post.member else self._bot,
            is_bot=is_bot,
            is_demo=post.member.is_demo if post.member else False,
            text="" if is_bot else post.text,
            html=Markup(self._markdown.render(post.text)) if is_bot and post.text else Markup(""),
            fixed=post.fixed,
            card=post.card,
            stamp=post.time.isoformat(timespec="seconds"),
            clock=local.strftime("%H:%M"),
            day=local.date(),
            files=tuple(
                FileView(file.id, file.name, size_text(file.size_bytes), file.is_picture) for file in post.files
            ),
        )

    def _render(self, post: Post) -> str:
        """Give the HTML of one post, as the stream sends it; safe from any thread."""
        module = self._app.jinja_env.get_template("_post.html")
        return module.render(view=self.view(post), me="", token="", key="")


def create_app(
    *,
    desk: Desk,
    secret: bytes,
    port: int,
    hosts: Hosts,
    bot: str,
    invitations: Invitations,
    rules: Rules = Rules(),  # noqa: B008 - a frozen value
    hint: str = "",
    polls: Callable[[str], Polls | None] | None = None,
    files: Limits = NO_FILES,
) -> Flask:
    """Make the application; everything it needs from the engine it is handed here.

    One application serves all rooms: which one a request is for, is told by where its paths are rooted.
    """
    app = _Pages("shellbot.server", static_folder="static", template_folder="templates")
    app.config.update(
        SECRET_KEY=secret,
        # cookies do not tell ports apart, so the name does
        SESSION_COOKIE_NAME=f"shellbot-{port}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(days=SESSION_DAYS),
        # renewed by the room page alone: the late answer of another request must not bring back an older session
        SESSION_REFRESH_EACH_REQUEST=False,
        MAX_CONTENT_LENGTH=1 << 20,
        MAX_FORM_MEMORY_SIZE=1 << 20,
    )
    app.session_interface = Cookies(rules.public_url)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(day_name=day_name, new_key=new_key, bot=bot, most_name=MAX_NAME, only_here=only_here)
    renderer = Renderer(app, bot=bot, root=lambda channel: root_of(desk.room_of(channel), desk.first_room))
    app.extensions["shellbot"] = renderer
    visits = Visits(desk)
    me, token = visits.me, visits.token

    def title() -> str:
        is_open = visits.room == visits.first and not rules.is_private
        return (desk.title(visits.room) if is_open or me() is not None else None) or bot

    @app.context_processor
    def everywhere() -> dict[str, Any]:
        return {"title": title(), "root": visits.root}

    def failed(status: int, text: str, **fields: Any) -> Answer:
        if is_for_scripts():
            return jsonify(error=text, **fields), status
        if request.path == "/join":
            return door.join_page(notice=text), status
        if request.path == "/rooms":
            return door.rooms_page(notice=text), status
        member = me()
        if member is not None and request.method == "POST":
            return room(member, notice=text), status
        return render_template("error.html", status=HTTPStatus(status).phrase, text=text), status

    def room(member: Member, notice: str = "") -> str:
        page, people = desk.wait(desk.page(member.person.id)), desk.people(member.room)
        others = [other for other in visits.mine() if other.room != member.room]
        in_group, in_direct = ([renderer.view(post) for post in posts] for posts in (page.group, page.direct))
        panes = [
            ("group", "Group", "Everybody in the room reads this", in_group, page.has_earlier[0]),
            ("direct", "Direct", f"Only you and {bot}", in_direct, page.has_earlier[1]),
        ]
        return render_template(
            "room.html",
            me=member,
            unread=sum(desk.wait(desk.unread(others))) if others else 0,
            has_others=bool(others),
            panes=panes,
            cursor=str(page.cursor),
            people=people,
            most_names=MOST_NAMES,
            has_polls=polls is not None,
            ended=desk.ended(member.room),
            most_files=files.max_count,
            most_bytes=files.max_bytes,
            most_size=size_text(files.max_bytes),
            token=token(),
            notice=notice,
            hint=hint,
            draft_side=request.form.get("side", ""),
            draft=request.form.get("text", "") if notice else "",
        )

    @app.before_request
    def check_host() -> Answer | None:
        if not hosts.allows(request.headers.get("Host", "")):
            return "This server does not answer for that host name.\n", 421
        return None

    def upload() -> Upload | None:
        found = request.environ["asgi.scope"].get(KEY) if "asgi.scope" in request.environ else None
        return found if isinstance(found, Upload) else None

    @app.before_request
    def check_files() -> Answer | None:
        sent = upload()
        if sent is None or not sent.status:
            return None
        if sent.status == 429:
            raise RateLimited(sent.error, retry_after=sent.retry_after)
        return failed(sent.status, sent.error)

    @app.before_request
    def check_source() -> None:
        if request.method in ("GET", "HEAD", "OPTIONS"):
            return
        headers = request.headers
        if Hosts.is_foreign(headers.get("Host", ""), headers.get("Origin"), headers.get("Sec-Fetch-Site")):
            abort(403, "This form was sent by a page that is not ours.")
        given = headers.get("X-CSRF-Token") or request.form.get("token", "")
        expected = str(session.get("token", ""))
        if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
            abort(403, "This page is too old to send anything. Please reload it and try again.")

    @app.after_request
    def not_kept(response: BaseResponse) -> BaseResponse:
        response.headers["Cache-Control"] = "no-cache" if request.endpoint == "static" else "no-store"
        return response

    door = Entrance(desk, visits, invitations, room, rules)
    app.register_blueprint(door.pages())

    @app.get("/earlier")
    def earlier() -> Answer:
        member = me()
        if member is None:
            return (jsonify(error="not here"), 401) if is_for_scripts() else redirect(f"{visits.root}/", 303)
        side = request.args.get("side", "")
        posts, has_earlier = desk.wait(desk.earlier(member.person.id, side, request.args.get("before", "")))
        if is_for_scripts():
            shown = [{"place": post.place, "who": _author(post), "html": renderer.render(post)} for post in posts]
            return jsonify(posts=shown, has_earlier=has_earlier)
        return render_template(
            "earlier.html",
            me=member,
            side=side,
            posts=[renderer.view(post) for post in posts],
            has_earlier=has_earlier,
            token=token(),
        )

    @app.get("/me")
    def who() -> Answer:
        member = me()
        return jsonify(name=member.person.name) if member else (jsonify(error="not here"), 401)

    @app.get("/people")
    def present() -> Answer:
        member = me()
        if member is None:
            return jsonify(error="not here"), 401
        people = desk.people(member.room)
        named = [{"name": member.person.name, "is_demo": member.is_demo} for member in people[:MOST_NAMES]]
        return jsonify(count=len(people), people=named)

    def act(work: Callable[[str, str], Any]) -> Answer:
        """Do what a form asks in the group or in the own direct channel, and show that channel again."""
        member = me()
        if member is None:
            if is_for_scripts():
                return jsonify(error="You are not in this room. Please join it first."), 401
            return redirect(f"{visits.root}/", 303)
        side = request.form.get("side", "")
        desk.wait(work(member.person.id, side))
        back = f"{visits.root}/#{'direct' if side == 'direct' else 'group'}"
        return jsonify(ok=True) if is_for_scripts() else redirect(back, 303)

    @app.post("/say")
    def say() -> Answer:
        form = request.form
        text, key, sent = form.get("text", ""), form.get("key", ""), upload()
        return act(lambda person_id, side: desk.say(person_id, side, text, key, sent))

    @app.post("/typing")
    def typing() -> Answer:
        member = me()
        if member is not None:
            desk.wait(desk.typing(member.person.id))
        return "", 204

    @app.post("/seen")
    def seen() -> Answer:
        member = me()
        if member is not None:
            desk.wait(desk.read_up_to(member.person.id, request.form.get("cursor", "")))
        return "", 204

    @app.post("/press")
    def press() -> Answer:
        form = request.form
        place, value, key = form.get("place", ""), form.get("value", ""), form.get("key", "")
        return act(lambda person_id, side: desk.press(person_id, side, place, value, key))

    if polls is not None:
        here, links = _Here(polls, visits), Links(secret, "results", seconds=MONTH)
        sharing = Sharing(links, desk.generation)

        def share(number: int) -> str:
            base = (rules.public_url or request.host_url).rstrip("/")
            return f"{base}{visits.root}{sharing.path(visits.room, number)}"

        app.register_blueprint(results(desk, here, me, title, share))
        app.register_blueprint(shared(desk, here, visits, links, sharing))

    @app.errorhandler(RateLimited)
    def too_fast(error: RateLimited) -> Answer:
        response = app.make_response(failed(429, str(error), retry_after=error.retry_after))
        response.headers["Retry-After"] = str(math.ceil(error.retry_after))
        return response

    @app.errorhandler(LinkRefused)
    def link_refused(error: LinkRefused) -> Answer:
        status = REFUSED.get(error.reason, 410)
        if is_for_scripts():
            return jsonify(error=str(error)), status
        head = "A link is needed" if error.reason == "needed" else "This link does not count"
        return render_template("error.html", status=head, text=str(error), is_outside=me() is None), status

    @app.errorhandler(SpaceError)
    def refused(error: SpaceError) -> Answer:
        return failed(409, str(error))

    @app.errorhandler(TimeoutError)
    @app.errorhandler(ShellbotError)
    def not_now(error: Exception) -> Answer:
        # the path may be a link, and that is nobody else's business
        logger.warning("a page could not be answered page=%s error=%r", request.endpoint, error)
        text = "This did not work just now. Please try again in a moment."
        if is_for_scripts():
            return jsonify(error=text), 503
        return render_template("error.html", status="Not now", text=text), 503

    @app.errorhandler(HTTPException)
    def other(error: HTTPException) -> Answer:
        if is_for_scripts():
            return jsonify(error=error.description), error.code or 500
        status = HTTPStatus(error.code or 500)
        return render_template("error.html", status=status.phrase, text=error.description), status.value

    return app


def _author(post: Post) -> str:
    """Whose post this is, as a page compares it with its reader; '' is the bot."""
    return post.member.person.name if post.member else ""


def new_key() -> str:
    """Give the id under which a form without scripts sends what it sends."""
    return secrets.token_urlsafe(12)


def day_name(day: date) -> str:
    """Name a day as it stands between the messages of two days; a page with scripts says it in its reader's words."""
    today = datetime.now().astimezone().date()
    if day == today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    return f"{day:%A}, {day.day} {day:%B}" + (f" {day.year}" if day.year != today.year else "")


class _Here:
    """The polls of the room whose pages are asked for; the question is asked in a view, and answered on the loop."""

    def __init__(self, polls: Callable[[str], Polls | None], visits: Visits) -> None:
        self._polls = polls
        self._visits = visits

    def one(self, number: int, person_id: str) -> Coroutine[Any, Any, Standing | None]:
        found = self._polls(self._visits.room)
        return found.one(number, person_id) if found is not None else _none()

    def recent(self) -> Coroutine[Any, Any, list[Standing]]:
        found = self._polls(self._visits.room)
        return found.recent() if found is not None else _no_polls()


async def _none() -> None:
    return None


async def _no_polls() -> list[Standing]:
    return []
