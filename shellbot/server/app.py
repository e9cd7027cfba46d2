"""The Flask application: pages and forms. Everything works without scripts; they only make it live."""

from __future__ import annotations

import hmac
import logging
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, abort, jsonify, redirect, render_template, request, session
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import BadSignature
from markupsafe import Markup
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_cookie
from werkzeug.wrappers import Response as BaseResponse

from shellbot.errors import ConfigError, RateLimited, ShellbotError, SpaceError
from shellbot.events import Card
from shellbot.server.desk import Desk
from shellbot.server.hosts import Hosts
from shellbot.server.markdown import Markdown
from shellbot.server.results import Polls, results
from shellbot.spaces.web import Member, Post

logger = logging.getLogger(__name__)

SESSION_DAYS = 30
KEPT_VIEWS = 2_000
MOST_NAMES = 200
Answer = BaseResponse | tuple[str, int] | tuple[Response, int] | str


@dataclass(frozen=True, slots=True)
class View:
    """A post as the template shows it, for everybody alike; the reader's own token and ids come in beside it."""

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


class Renderer:
    """Makes a View, and the HTML of one post, out of what the space keeps: ``view(post)`` and ``render(post)``."""

    def __init__(self, app: Flask, *, group: str, bot: str) -> None:
        self._app = app
        self._group = group
        self._bot = bot
        self._markdown = Markdown()
        # a page shows hundreds of posts that were shown before, and after a restart all pages ask for the same ones
        self.view = lru_cache(KEPT_VIEWS)(self._view)
        self.render = lru_cache(KEPT_VIEWS)(self._render)

    def _view(self, post: Post) -> View:
        is_bot = post.member is None
        return View(
            side="group" if post.channel == self._group else "direct",
            place=post.place,
            who=post.member.person.name if post.member else self._bot,
            is_bot=is_bot,
            is_demo=post.member.is_demo if post.member else False,
            text="" if is_bot else post.text,
            html=Markup(self._markdown.render(post.text)) if is_bot and post.text else Markup(""),
            fixed=post.fixed,
            card=post.card,
            stamp=post.time.isoformat(timespec="seconds"),
            clock=post.time.astimezone().strftime("%H:%M"),
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
    title: str,
    bot: str,
    group: str,
    is_demo: bool = False,
    hint: str = "",
    polls: Polls | None = None,
) -> Flask:
    """Make the application; everything it needs from the engine it is handed here."""
    app = Flask("shellbot.server", static_folder="static", template_folder="templates")
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
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    renderer = Renderer(app, group=group, bot=bot)
    app.extensions["shellbot"] = renderer

    def wants_json() -> bool:
        return request.accept_mimetypes.best == "application/json"

    def failed(status: int, text: str, **fields: Any) -> Answer:
        if wants_json():
            return jsonify(error=text, **fields), status
        member = me()
        if member is not None and request.method == "POST":
            return room(member, notice=text), status
        if request.path == "/join":
            return join_page(notice=text), status
        return render_template("error.html", title=title, status=HTTPStatus(status).phrase, text=text), status

    def me() -> Member | None:
        return desk.member(str(session.get("id", "")))

    def token() -> str:
        if "token" not in session:
            session.permanent = True
            session["token"] = secrets.token_urlsafe(24)
        return str(session["token"])

    def room(member: Member, notice: str = "") -> str:
        page, people = desk.wait(desk.page(member.person.id)), desk.people()
        in_group, in_direct = ([renderer.view(post) for post in posts] for posts in (page.group, page.direct))
        panes = [
            ("group", "Group", "Everybody in the room reads this", in_group, page.has_earlier[0]),
            ("direct", "Direct", f"Only you and {bot}", in_direct, page.has_earlier[1]),
        ]
        return render_template(
            "room.html",
            title=title,
            bot=bot,
            me=member,
            panes=panes,
            cursor=str(page.cursor),
            people=people,
            most_names=MOST_NAMES,
            has_polls=polls is not None,
            token=token(),
            new_key=new_key,
            notice=notice,
            hint=hint,
            draft_side=request.form.get("side", ""),
            draft=request.form.get("text", "") if notice else "",
        )

    def join_page(notice: str = "", demo_name: str = "") -> str:
        demo_name = demo_name or (request.form.get("name", "") if request.form.get("demo") and is_demo else "")
        name = demo_name or request.form.get("name", "") or str(session.get("name", ""))
        return render_template(
            "join.html", title=title, bot=bot, notice=notice, name=name, demo=bool(demo_name), token=token()
        )

    @app.before_request
    def check_host() -> Answer | None:
        if not hosts.allows(request.headers.get("Host", "")):
            return "This server does not answer for that host name.\n", 421
        return None

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

    @app.get("/")
    def home() -> Answer:
        wanted = request.args.get("as", "").strip()
        if is_demo and wanted:
            return join_page(demo_name=wanted)
        member = me()
        if member is None:
            return join_page()
        session.modified = True
        return room(member)

    @app.post("/join")
    def join() -> Answer:
        demo = is_demo and bool(request.form.get("demo"))
        if not demo and me() is not None:
            return redirect("/", 303)
        person_id = "" if demo else str(session.get("id", ""))
        member = desk.wait(desk.join(request.form.get("name", ""), request.remote_addr or "", person_id, demo))
        # a new session at sign-in: one that somebody planted before is worth nothing
        session.clear()
        session["id"], session["name"] = member.person.id, member.person.name
        token()
        return redirect("/", 303)

    @app.post("/leave")
    def leave() -> Answer:
        desk.wait(desk.leave(str(session.get("id", ""))))
        return redirect("/", 303)

    @app.get("/earlier")
    def earlier() -> Answer:
        member = me()
        if member is None:
            return (jsonify(error="not here"), 401) if wants_json() else redirect("/", 303)
        side = request.args.get("side", "")
        posts, has_earlier = desk.wait(desk.earlier(member.person.id, side, request.args.get("before", "")))
        if wants_json():
            shown = [{"place": post.place, "who": _author(post), "html": renderer.render(post)} for post in posts]
            return jsonify(posts=shown, has_earlier=has_earlier)
        return render_template(
            "earlier.html",
            title=title,
            me=member,
            side=side,
            posts=[renderer.view(post) for post in posts],
            has_earlier=has_earlier,
            token=token(),
            new_key=new_key,
        )

    @app.get("/me")
    def who() -> Answer:
        member = me()
        return jsonify(name=member.person.name) if member else (jsonify(error="not here"), 401)

    @app.get("/people")
    def present() -> Answer:
        if me() is None:
            return jsonify(error="not here"), 401
        people = desk.people()
        named = [{"name": member.person.name, "is_demo": member.is_demo} for member in people[:MOST_NAMES]]
        return jsonify(count=len(people), people=named)

    def act(work: Callable[[str, str], Any]) -> Answer:
        """Do what a form asks in the group or in the own direct channel, and show that channel again."""
        member = me()
        if member is None:
            if wants_json():
                return jsonify(error="You are not in this room. Please join it first."), 401
            return redirect("/", 303)
        side = request.form.get("side", "")
        desk.wait(work(member.person.id, side))
        return jsonify(ok=True) if wants_json() else redirect(f"/#{'direct' if side == 'direct' else 'group'}", 303)

    @app.post("/say")
    def say() -> Answer:
        form = request.form
        return act(lambda person_id, side: desk.say(person_id, side, form.get("text", ""), form.get("key", "")))

    @app.post("/typing")
    def typing() -> Answer:
        member = me()
        if member is not None:
            desk.wait(desk.typing(member.person.id))
        return "", 204

    @app.post("/press")
    def press() -> Answer:
        form = request.form
        place, value, key = form.get("place", ""), form.get("value", ""), form.get("key", "")
        return act(lambda person_id, side: desk.press(person_id, side, place, value, key))

    if polls is not None:
        app.register_blueprint(results(desk, polls, me, title))

    @app.errorhandler(RateLimited)
    def too_fast(error: RateLimited) -> Answer:
        response = app.make_response(failed(429, str(error), retry_after=error.retry_after))
        response.headers["Retry-After"] = str(math.ceil(error.retry_after))
        return response

    @app.errorhandler(SpaceError)
    def refused(error: SpaceError) -> Answer:
        return failed(409, str(error))

    @app.errorhandler(TimeoutError)
    @app.errorhandler(ShellbotError)
    def not_now(error: Exception) -> Answer:
        logger.warning("a page could not be answered path=%s error=%r", request.path, error)
        text = "This did not work just now. Please try again in a moment."
        if wants_json():
            return jsonify(error=text), 503
        return render_template("error.html", title=title, status="Not now", text=text), 503

    @app.errorhandler(HTTPException)
    def other(error: HTTPException) -> Answer:
        if wants_json():
            return jsonify(error=error.description), error.code or 500
        status = HTTPStatus(error.code or 500)
        return render_template("error.html", title=title, status=status.phrase, text=error.description), status.value

    return app


def _author(post: Post) -> str:
    """Whose post this is, as a page compares it with its reader; '' is the bot."""
    return post.member.person.name if post.member else ""


def new_key() -> str:
    """Give the id under which a form without scripts sends what it sends."""
    return secrets.token_urlsafe(12)


def session_reader(app: Flask) -> Callable[[str], str | None]:
    """Give a function that reads the person's id out of a Cookie header, with Flask's own serializer."""
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    if serializer is None:
        raise ConfigError("cookies cannot be signed without a key", key="server.secret")
    name = app.config["SESSION_COOKIE_NAME"]
    age = int(timedelta(days=SESSION_DAYS).total_seconds())

    def read(cookie: str) -> str | None:
        value = parse_cookie(cookie).get(name)
        try:
            return str(serializer.loads(value, max_age=age)["id"]) if value else None
        except (BadSignature, KeyError):
            return None

    return read
