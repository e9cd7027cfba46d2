"""What a person reads on the pages of the web chat: messages and ballots, out of their HTML. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_EMPTY = frozenset({"br", "hr", "img", "input", "link", "meta", "wbr"})  # elements without an end
_LINES = frozenset({"br", "div", "fieldset", "form", "hr", "li", "ol", "p", "pre", "table", "tr", "ul", "button"})


@dataclass(frozen=True, slots=True)
class Ballot:
    """A card with buttons. ``choices``: value by label; ``chosen``: the value that is shown as pressed, or ``""``."""

    title: str
    choices: dict[str, str]
    chosen: str
    is_open: bool
    note: str


@dataclass(frozen=True, slots=True)
class ShownFile:
    """A file under a message; ``path`` is where the server has it, ``size`` as it is written, '' for a picture."""

    name: str
    path: str
    size: str
    is_picture: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """One message as it is shown. ``text`` is all of it for reading, a ballot's words and names of files included."""

    side: str
    place: int
    who: str
    is_bot: bool
    text: str
    ballot: Ballot | None
    files: tuple[ShownFile, ...] = ()


@dataclass(slots=True)
class Page:
    """A whole page. ``token`` is empty where nothing can be sent; ``cursor`` where it is not the room."""

    token: str = ""
    cursor: str = ""
    posts: list[Shown] = field(default_factory=list)


def read(html: str) -> Page:
    """Read a page, or the HTML of one message."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.page


class _Reader(HTMLParser):
    """Knows no more of the templates than the classes that the style sheet knows, and the forms."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._open: list[tuple[str, frozenset[str]]] = []
        self._post: dict[str, str] | None = None
        self._begin()

    def _begin(self) -> None:
        self._who: list[str] = []
        self._said: list[str] = []
        self._title: list[str] = []
        self._note: list[str] = []
        self._label: list[str] = []
        self._choices: dict[str, str] = {}
        self._files: list[ShownFile] = []
        self._file: list[str] = []
        self._size: list[str] = []
        self._path = ""
        self._value = ""
        self._chosen = ""
        self._has_card = self._is_disabled = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        classes = frozenset(attributes.get("class", "").split())
        if tag == "input" and attributes.get("name") == "token":
            self.page.token = self.page.token or attributes.get("value", "")
        if tag == "body":
            self.page.cursor = attributes.get("data-cursor", "")
        if self._post is None and tag == "li" and "post" in classes:
            self._begin()
            self._post = attributes | {"class": " ".join(classes)}
        if tag in _LINES:
            self._said.append("\n")
        if tag == "a" and "file" in classes:
            self._path, self._file, self._size = attributes.get("href", ""), [], []
        elif tag == "img" and self._within("picture"):
            self._said.append(attributes.get("alt", ""))
            self._files.append(ShownFile(attributes.get("alt", ""), attributes.get("src", ""), "", True))
        if tag == "form" and "ballot" in classes:
            self._has_card = True
        elif tag == "fieldset":
            self._is_disabled = "disabled" in attributes
        elif tag == "button" and "choice" in classes:
            self._value, self._label = attributes.get("value", ""), []
            if attributes.get("aria-pressed") == "true":
                self._chosen = self._value
        if tag not in _EMPTY:
            self._open.append((tag, classes))

    def handle_endtag(self, tag: str) -> None:
        if not any(opened == tag for opened, _ in self._open):
            return
        while self._open:
            opened, classes = self._open.pop()
            if opened == "button" and "choice" in classes:
                self._choices["".join(self._label).strip()] = self._value
            elif opened == "a" and "file" in classes:
                self._files.append(ShownFile("".join(self._file), self._path, "".join(self._size), False))
            elif opened == "li" and "post" in classes and not self._within("post"):
                self._end_post()
            if opened in _LINES:
                self._said.append("\n")
            if opened == tag:
                return

    def handle_data(self, data: str) -> None:
        if self._within("who"):
            self._who.append(data)
        if not self._within("said"):
            return
        self._said.append(data)
        if self._within("file") and self._within("name"):
            self._file.append(data)
        elif self._within("size"):
            self._size.append(data)
        elif self._within("note"):
            self._note.append(data)
        elif any(tag == "legend" for tag, _ in self._open):
            self._title.append(data)
        elif self._within("choice"):
            self._label.append(data)

    def _within(self, name: str) -> bool:
        return any(name in classes for _, classes in self._open)

    def _end_post(self) -> None:
        assert self._post is not None
        side, _, place = self._post.get("id", "").partition("-")
        lines = (line.strip() for line in "".join(self._said).split("\n"))
        ballot = Ballot(
            title="".join(self._title).strip(),
            choices=self._choices,
            chosen=self._chosen,
            is_open=not self._is_disabled,
            note="".join(self._note).strip(),
        )
        self.page.posts.append(
            Shown(
                side=side,
                place=int(place),
                who="".join(self._who).strip(),
                is_bot="is-bot" in self._post["class"].split(),
                text="\n".join(line for line in lines if line),
                ballot=ballot if self._has_card else None,
                files=tuple(self._files),
            )
        )
        self._post = None
