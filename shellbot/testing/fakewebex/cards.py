"""Adaptive Cards as the page shows them: what a card says, read with distrust into a small tree. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import nh3
from markdown_it import MarkdownIt

from shellbot.testing.fakewebex.rules import submits

MAX_DEPTH = 16
MAX_NODES = 500
_TAGS = {"p", "br", "em", "strong", "a", "ul", "ol", "li", "code"}
_SCHEMES = {"http", "https", "mailto"}
_parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": 20}).disable(["image", "heading"])
_CONTAINERS = {"Container": "items", "Column": "items", "ColumnSet": "columns", "ImageSet": "images"}
_SIZES = {"small", "medium", "large", "extralarge"}
_COLORS = {"accent", "good", "warning", "attention"}
_INPUTS = {
    "Input.Text": "text",
    "Input.Number": "number",
    "Input.Date": "date",
    "Input.Time": "time",
    "Input.Toggle": "toggle",
    "Input.ChoiceSet": "choices",
}


@dataclass(slots=True)
class Node:
    """One thing on a card.

    Attributes:
        kind: text, facts, group, columns, image, input, actions, submit, link, more, unknown.
        html: Of a text, clean.
        classes: How it looks.
        number: Of a button that sends: which one of the card's.
    """

    kind: str
    html: str = ""
    label: str = ""
    classes: str = ""
    children: list[Node] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    choices: list[tuple[str, str]] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    chosen: set[str] = field(default_factory=set)
    is_multiple: bool = False
    is_required: bool = False
    number: int = -1


def read_card(card: dict[str, Any]) -> list[Node]:
    """What there is to show, from top to bottom; what is not known is named, and what is too much is left out."""
    return _Reader(card).body(card, 0)


def markdown(text: str) -> str:
    """The little markdown of cards as clean HTML."""
    return _clean(_parser.render(text[:10_000]))


def clean_message(html: str) -> str:
    """HTML of a message, fit for the page; mentions stay as ``<spark-mention>`` without what they hold."""
    extra = {"h1", "h2", "h3", "h4", "pre", "blockquote", "hr", "b", "i", "u", "s", "spark-mention"}
    return _clean(html, _TAGS | extra)


def _clean(html: str, tags: set[str] = _TAGS) -> str:
    return nh3.clean(
        html,
        tags=tags,
        attributes={"a": {"href"}},
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )


class _Reader:
    def __init__(self, card: dict[str, Any]) -> None:
        self._submits = submits(card)
        self._left = MAX_NODES

    def body(self, card: dict[str, Any], depth: int) -> list[Node]:
        nodes = self._all(card.get("body"), depth)
        if actions := self._actions(card.get("actions"), depth):
            nodes.append(Node("actions", children=actions))
        return nodes

    def _all(self, items: Any, depth: int) -> list[Node]:
        found = []
        for item in items if isinstance(items, list) else []:
            if isinstance(item, dict) and item.get("isVisible") is not False and self._left > 0 and depth < MAX_DEPTH:
                self._left -= 1
                found.append(self._one(item, depth + 1))
        return found

    def _one(self, item: dict[str, Any], depth: int) -> Node:
        kind = _text(item.get("type"))
        if kind == "TextBlock":
            return Node("text", html=markdown(_text(item.get("text"))), classes=_look(item))
        if kind == "RichTextBlock":
            inlines = item.get("inlines")
            runs = [
                _text(run.get("text")) if isinstance(run, dict) else _text(run)
                for run in (inlines if isinstance(inlines, list) else [])
            ]
            return Node("text", html=nh3.clean_text("".join(runs)), classes=_look(item))
        if kind in _CONTAINERS:
            children = self._all(item.get(_CONTAINERS[kind]), depth)
            return Node("columns" if kind == "ColumnSet" else "group", children=children)
        if kind == "FactSet":
            facts = [one for one in _list(item.get("facts")) if isinstance(one, dict)][:50]
            return Node("facts", facts=[(_text(one.get("title")), _text(one.get("value"))) for one in facts])
        if kind == "Image":
            return Node("image", label=_text(item.get("altText")) or "picture")
        if kind == "ActionSet":
            return Node("actions", children=self._actions(item.get("actions"), depth))
        if kind in _INPUTS:
            return _input(item, _INPUTS[kind])
        return Node("unknown", label=kind or "something")

    def _actions(self, items: Any, depth: int) -> list[Node]:
        found = []
        for item in _list(items):
            if not isinstance(item, dict) or self._left <= 0 or depth >= MAX_DEPTH:
                continue
            self._left -= 1
            kind, title = _text(item.get("type")), _text(item.get("title")) or "OK"
            if kind == "Action.Submit":
                number = next(number for number, one in enumerate(self._submits) if one is item)
                style = _text(item.get("style")).lower()
                look = f"is-{style}" if style in ("positive", "destructive") else ""
                found.append(Node("submit", label=title, number=number, classes=look))
            elif kind == "Action.OpenUrl" and _text(item.get("url")).startswith(("http://", "https://")):
                found.append(Node("link", label=title, values={"url": _text(item.get("url"))}))
            elif kind == "Action.ShowCard" and isinstance(item.get("card"), dict):
                found.append(Node("more", label=title, children=self.body(item["card"], depth + 1)))
            else:
                found.append(Node("unknown", label=kind or "something"))
        return found


def _input(item: dict[str, Any], kind: str) -> Node:
    value = _text(item.get("value"))
    node = Node(
        "input",
        label=_text(item.get("label")) or _text(item.get("title") if kind == "toggle" else ""),
        classes=kind,
        is_required=item.get("isRequired") is True,
        is_multiple=item.get("isMultiSelect") is True or (kind == "text" and item.get("isMultiline") is True),
        values={
            "id": _text(item.get("id")),
            "value": value,
            "placeholder": _text(item.get("placeholder")),
            "style": _text(item.get("style")),
            "on": _text(item.get("valueOn")) or "true",
            "off": _text(item.get("valueOff")) or "false",
            "min": _text(item.get("min")),
            "max": _text(item.get("max")),
            "longest": str(length) if isinstance(length := item.get("maxLength"), int) and length > 0 else "",
        },
    )
    if kind == "choices":
        choices = [one for one in _list(item.get("choices")) if isinstance(one, dict)][:200]
        node.choices = [(_text(one.get("title")), _text(one.get("value"))) for one in choices]
        node.chosen = set(value.split(",")) if node.is_multiple else {value}
    elif kind == "toggle":
        node.label = _text(item.get("title")) or node.label
    return node


def _look(item: dict[str, Any]) -> str:
    classes = []
    for key, known in (("size", _SIZES), ("color", _COLORS)):
        if (value := _text(item.get(key)).lower()) in known:
            classes.append(f"is-{value}")
    if _text(item.get("weight")).lower() == "bolder":
        classes.append("is-bolder")
    if item.get("isSubtle") is True:
        classes.append("is-subtle")
    return " ".join(classes)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None or isinstance(value, (dict, list)) else str(value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
