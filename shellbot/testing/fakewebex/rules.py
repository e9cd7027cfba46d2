"""What Webex takes and how it changes it: lengths, cards, markdown with mentions. Pure, but for a look at names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape, unescape
from html.parser import HTMLParser
from typing import Any
from uuid import uuid4

import nh3
from markdown_it import MarkdownIt

from shellbot.testing.fakewebex.state import Account

MAX_TEXT_BYTES = 7439  # of text, of markdown and of html, each, in UTF-8
MAX_EDITS = 10
MAX_CARD_ACTIONS = 5
MAX_FILE_BYTES = 100 * 1024 * 1024
CARD_TYPE = "application/vnd.microsoft.card.adaptive"
CARD_VERSIONS = {"1.0", "1.1", "1.2", "1.3"}

_MENTION = re.compile(r"<@(?P<kind>all|personId:|personEmail:)(?P<who>[^|>]*)(?:\|(?P<name>[^>]*))?>")
_SPARK_MENTION = re.compile(r"<spark-mention\b(?P<attributes>[^>]*)>(?P<name>.*?)</spark-mention>", re.DOTALL)
_OBJECT = re.compile(r"""data-object-(?P<key>id|type)=["'](?P<value>[^"']*)["']""")
_TAGS = {
    "a", "b", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "hr", "i", "li", "ol", "p", "pre", "strong",
    "s", "u", "ul",
}  # fmt: skip
_BLOCKS = {"p", "h1", "h2", "h3", "h4", "li", "pre", "blockquote", "br", "hr"}
_parser = MarkdownIt("commonmark", {"html": True, "breaks": True, "maxNesting": 20}).disable("image")


class Refused(Exception):
    """The platform says no. ``status`` is the HTTP status, the text says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Rendered:
    """Text as clients show it, with whom it mentions."""

    text: str
    html: str
    mentions: tuple[str, ...] = ()
    is_to_all: bool = False


Find = Callable[[str], Account | None]
"""Somebody by id, or by address where it has an ``@``."""


def check_length(**texts: str | None) -> None:
    """Refuse what is longer than the platform takes, in bytes."""
    for name, text in texts.items():
        if text is not None and (size := len(text.encode("utf-8", "surrogatepass"))) > MAX_TEXT_BYTES:
            raise Refused(400, f"{name} is {size} bytes long; it may have {MAX_TEXT_BYTES} at most.")


def check_cards(attachments: Any) -> tuple[dict[str, Any], ...]:
    """The contents of the one card that a message may have."""
    if attachments in (None, []):
        return ()
    if not isinstance(attachments, list) or not all(isinstance(one, dict) for one in attachments):
        raise Refused(400, "attachments is a list with one card.")
    if len(attachments) != 1:
        raise Refused(400, "A message may have one card only.")
    content = attachments[0].get("content")
    if attachments[0].get("contentType") != CARD_TYPE:
        raise Refused(400, f"The contentType of an attachment is {CARD_TYPE}.")
    if not isinstance(content, dict) or content.get("type") != "AdaptiveCard":
        raise Refused(400, "The content of a card is an object of type AdaptiveCard.")
    if content.get("version") not in CARD_VERSIONS:
        raise Refused(400, f"Cards are shown up to version 1.3; this one says {content.get('version')!r}.")
    if not isinstance(content.get("body", []), list) or not isinstance(content.get("actions", []), list):
        raise Refused(400, "body and actions of a card are lists.")
    if len(content.get("actions", [])) > MAX_CARD_ACTIONS:
        raise Refused(400, f"A card may have {MAX_CARD_ACTIONS} actions at most.")
    return (content,)


def render_markdown(markdown: str, find: Find) -> Rendered:
    """HTML, plain text and mentions of markdown; ``<@personEmail:...|name>`` that nobody has stays a name only."""
    held = _Held()

    def mention(match: re.Match[str]) -> str:
        if match["kind"] == "all":
            return held.hold_all()
        account = find(unescape(match["who"].strip()))
        name = match["name"] or (account.name if account else match["who"])
        return held.hold(account, name)

    html = nh3.clean(_parser.render(_MENTION.sub(mention, markdown)), tags=_TAGS, attributes={"a": {"href"}})
    return held.rendered(_shorten(html.strip()))


def render_html(html: str, find: Find) -> Rendered:
    """The same of HTML, with mentions as ``<spark-mention data-object-type="person" data-object-id="...">``."""
    held = _Held()

    def mention(match: re.Match[str]) -> str:
        attributes = {found["key"]: unescape(found["value"]) for found in _OBJECT.finditer(match["attributes"])}
        if attributes.get("type") == "groupMention":
            return held.hold_all()
        return held.hold(find(attributes.get("id", "")), to_text(match["name"]))

    clean = nh3.clean(_SPARK_MENTION.sub(mention, html), tags=_TAGS, attributes={"a": {"href"}})
    return held.rendered(clean.strip())


def typed(text: str, mentions: list[Account]) -> Rendered:
    """What a client sends when somebody writes ``text`` behind the mentions it begins with."""
    names = "".join(f"{account.name} " for account in mentions)
    if not mentions:
        return Rendered(text, "")
    marks = "".join(f"{_mark(account, account.name)} " for account in mentions)
    html = escape(text, quote=False).replace("\n", "<br>")
    return Rendered(f"{names}{text}".rstrip(), f"<p>{marks}{html}".rstrip() + "</p>", tuple(one.id for one in mentions))


def to_text(html: str) -> str:
    """What is left of HTML without its tags, a line for each block."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return re.sub(r"\n{2,}", "\n", "".join(reader.parts)).strip()


def submits(card: dict[str, Any]) -> list[dict[str, Any]]:
    """All buttons of a card that send something, wherever they are in it."""
    found: list[dict[str, Any]] = []
    waiting: list[Any] = [card]  # the next one last
    while waiting:
        here = waiting.pop()
        if isinstance(here, list):
            waiting += reversed(here)
        elif isinstance(here, dict):
            if here.get("type") == "Action.Submit":
                found.append(here)
            inner = [value for key, value in here.items() if key != "data" and isinstance(value, (dict, list))]
            waiting += reversed(inner)
    return found


def _shorten(html: str) -> str:
    """A message of one paragraph stands without its tags, as the platform gives it."""
    inner = html.removeprefix("<p>").removesuffix("</p>")
    return inner if len(inner) == len(html) - 7 and "<p>" not in inner else html


def _mark(account: Account, name: str) -> str:
    return (
        f'<spark-mention data-object-type="person" data-object-id="{escape(account.id)}">{escape(name)}</spark-mention>'
    )


class _Held:
    """Mentions on their way around the renderer and the cleaner, under words that nobody can have typed."""

    def __init__(self) -> None:
        self._secret = uuid4().hex
        self._marks: list[tuple[str, str]] = []
        self._mentions: list[str] = []
        self._is_to_all = False

    def hold(self, account: Account | None, name: str) -> str:
        if account is None:
            return self._keep(escape(name), name)
        if account.id not in self._mentions:
            self._mentions.append(account.id)
        return self._keep(_mark(account, name), name)

    def hold_all(self) -> str:
        self._is_to_all = True
        mark = '<spark-mention data-object-type="groupMention" data-group-type="all">All</spark-mention>'
        return self._keep(mark, "All")

    def rendered(self, html: str) -> Rendered:
        text = to_text(html)
        for number, (mark, name) in enumerate(self._marks):
            word = self._word(number)
            html, text = html.replace(word, mark), text.replace(word, name)
        return Rendered(text, html, tuple(self._mentions), self._is_to_all)

    def _keep(self, mark: str, name: str) -> str:
        self._marks.append((mark, name))
        return self._word(len(self._marks) - 1)

    def _word(self, number: int) -> str:
        return f"m{self._secret}x{number}m"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        self.parts.append(data)
