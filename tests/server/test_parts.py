"""The pure parts of the server: hosts, buckets, markdown; and what importing shellbot does not bring in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shellbot.errors import RateLimited
from shellbot.server.hosts import Hosts
from shellbot.server.limits import Buckets
from shellbot.server.markdown import Markdown

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "127.0.0.1", "LocalHost", "chat.test"]
)
def test_our_hosts(host):
    assert Hosts(8080, ["Chat.test"]).allows(host)


@pytest.mark.parametrize(
    "host", ["", "evil.test", "127.0.0.1:8081", "127.0.0.1.evil.test", "localhost.:8080", "127.1", "evil.test:8080"]
)
def test_foreign_hosts(host):
    assert not Hosts(8080, ["chat.test"]).allows(host)


@pytest.mark.parametrize(
    ("origin", "site", "is_foreign"),
    [
        (None, None, False),
        ("http://127.0.0.1:8080", "same-origin", False),
        ("https://127.0.0.1:8080", None, False),
        (None, "none", False),
        ("http://127.0.0.1:9000", None, True),
        ("http://localhost:8080", None, True),
        ("null", None, True),
        ("http://evil.test", None, True),
        (None, "cross-site", True),
        (None, "same-site", True),
    ],
)
def test_requests_of_other_pages(origin, site, is_foreign):
    assert Hosts.is_foreign("127.0.0.1:8080", origin, site) is is_foreign


def test_buckets_fill_again_and_tell_how_long_to_wait():
    now = 0.0
    buckets = Buckets(5.0, 2, lambda: now)
    buckets.take("a")
    buckets.take("a")
    with pytest.raises(RateLimited) as refused:
        buckets.take("a")
    assert refused.value.retry_after == pytest.approx(0.2)
    buckets.take("b")
    now = 0.2
    buckets.take("a")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt&colon;alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "![x](http://evil.test/pixel.png)",
        '[x](http://a.test "onmouseover=alert(1)")',
        '<http://a.test/" onclick=alert(1)>',
        "`<b onclick=x>`",
        "> " * 200 + "deep",
        "[" * 3000,
    ],
)
def test_hostile_markdown_gives_no_script_no_image_no_handler(text):
    from html.parser import HTMLParser

    found: list[tuple[str, dict[str, str | None]]] = []

    class Look(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs)))

    Look().feed(Markdown().render(text))
    for tag, attributes in found:
        assert tag not in ("script", "img", "iframe", "style", "form", "input", "b")
        assert set(attributes) <= {"href", "title", "rel"}
        assert (attributes.get("href") or "http:").split(":")[0] in ("http", "https", "mailto")


def test_markdown_of_bots_is_shown():
    shown = Markdown().render(
        "**bold** `code` ~~gone~~\n\n- one\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n[a](http://a.test)"
    )
    for part in ("<strong>bold</strong>", "<code>code</code>", "<s>gone</s>", "<li>one</li>", "<td>1</td>", "nofollow"):
        assert part in shown
    assert Markdown().render("a\nb") == "<p>a<br>\nb</p>\n"


def test_a_text_too_long_for_markdown_is_shown_as_it_is():
    assert Markdown().render("*" * 8000 + "<b>") == f"<pre>{'*' * 8000}&lt;b&gt;</pre>"


def test_importing_shellbot_and_its_spaces_brings_in_neither_flask_nor_uvicorn():
    code = (
        "import sys, shellbot, shellbot.spaces, shellbot.spaces.web\n"
        "print(sorted(set(sys.modules) & {'flask', 'uvicorn', 'werkzeug', 'jinja2', 'a2wsgi', 'h11'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=15, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
