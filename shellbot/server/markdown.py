"""Markdown of bots to clean HTML. People's text never comes here: it is shown as it was typed."""

from __future__ import annotations

from html import escape

import nh3
from markdown_it import MarkdownIt

MAX_BYTES = 7_000
_TAGS = {
    "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip


class Markdown:
    """Renders a small markdown: emphasis, lists, code, links, tables; no HTML of its own, no images."""

    def __init__(self) -> None:
        self._parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": 20})
        self._parser.enable(["table", "strikethrough"]).disable("image")

    def render(self, text: str) -> str:
        """Give HTML that is safe to put into a page; longer texts than 7 kB are shown as they are."""
        if len(text.encode()) > MAX_BYTES:
            return f"<pre>{escape(text)}</pre>"
        return nh3.clean(
            self._parser.render(text),
            tags=_TAGS,
            attributes={"a": {"href", "title"}},
            url_schemes={"http", "https", "mailto"},
            link_rel="noopener noreferrer nofollow",
        )
