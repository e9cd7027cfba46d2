"""What an automatic examiner of accessibility says of each page: nothing, at both widths, light and dark."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, Route, expect
from web_room import serving

from shellbot.events import Reply
from shellbot.files.shelf import Limits, Shelf
from tests.browsers import PHONE, WIDE, follow, person, running, say

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
RICH = "**Bold**, `code`, [a link](https://example.org/)\n\n- one\n- two\n\n| a | b |\n| - | - |\n| 1 | 2 |"


async def examine(page: Page, what: str) -> None:
    """Compare what axe complains of with nothing, each complaint with where it is."""
    found = await Axe().run(page)
    rules: list[dict[str, Any]] = found.response["violations"]
    told = [f"{what}: {rule['id']}: {node['html'][:150]}" for rule in rules for node in rule["nodes"]]
    assert told == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("window", [WIDE, PHONE], ids=["wide", "phone"])
async def test_axe_finds_nothing(chromium, window, scheme):
    async with serving() as (server, space, _), running(chromium) as browser:
        page = await person(browser, server.url, [], **{**window, "color_scheme": scheme})
        await page.goto("/")
        await examine(page, "join")
        await page.get_by_label("Your name").fill("shellbot")
        await follow(page, page.get_by_role("button", name="Join").click())
        await examine(page, "join refused")
        await page.get_by_label("Your name").fill("Person A")
        await follow(page, page.get_by_role("button", name="Join").click())
        await expect(page.get_by_role("status")).to_have_text("Live")
        await examine(page, "empty room")

        await space.join("Person B", is_demo=True)
        await space.post("group", Reply(id="rich", text=RICH, fixed="Pizza ████ 2\nSushi ██ 1"))
        await say(page, "vote Lunch?")
        await page.locator("#who summary").click()
        await expect(page.get_by_role("list", name="People in the room")).to_contain_text("Person B")
        await examine(page, "room with people")
        await page.keyboard.press("Escape")
        for side in ("group", "direct"):
            await page.goto(f"/#{side}")
            await examine(page, f"ballot, {side}")
        await page.get_by_role("button", name="Sushi").click()
        await expect(page.get_by_role("button", name="Sushi", pressed=True)).to_be_visible()
        await examine(page, "voted")
        await page.route("**/press", lambda route: route.abort("connectionrefused"))
        await page.get_by_role("button", name="Pizza").click()
        await expect(page.get_by_text("Not sent yet: Pizza.")).to_be_visible()
        await examine(page, "press that waits")
        await page.unroute("**/press")
        await expect(page.get_by_role("button", name="Pizza", pressed=True)).to_be_visible()
        await page.goto("/#group")
        await say(page, "close")
        await page.goto("/#direct")
        await expect(page.get_by_role("button", name="Sushi")).to_be_disabled()
        await examine(page, "closed")

        await page.goto("/earlier?side=group&before=9")
        await examine(page, "earlier")
        await page.goto("/nowhere")
        await examine(page, "not found")
        await page.goto("/invite")
        await examine(page, "invite")
        await follow(page, page.get_by_role("button", name="End all links").click())
        await examine(page, "revoked")
        other = await space.open_room("Cellar", "Person B")
        await page.goto(server.link(other.person.id))
        await examine(page, "join by link")
        await follow(page, page.get_by_role("button", name="Join").click())
        await space.post("group", Reply(id="news", text="news"))
        await page.reload()
        await examine(page, "room with news elsewhere")
        await page.goto(server.link(other.person.id, is_named=True))
        await examine(page, "join under a name")
        await page.goto("/rooms")
        await expect(page.get_by_role("list", name="Your rooms")).to_contain_text("Cellar")
        await examine(page, "rooms")
        await page.goto("/join/broken")
        await examine(page, "refused link")


@pytest.mark.parametrize(("window", "scheme"), [(WIDE, "dark"), (PHONE, "light")], ids=["wide", "phone"])
async def test_axe_finds_nothing_where_files_are(chromium, window, scheme, tmp_path):
    held: list[Route] = []
    shelf = Shelf(tmp_path / "files", Limits(max_bytes=10_000))
    shelf.open({})
    async with serving(shelf=shelf) as (server, space, _), running(chromium) as browser:
        page = await person(browser, server.url, [], **{**window, "color_scheme": scheme})
        await page.goto("/")
        await page.get_by_label("Your name").fill("Person A")
        await follow(page, page.get_by_role("button", name="Join").click())
        await expect(page.get_by_role("status")).to_have_text("Live")
        await page.locator("#files-group").set_input_files(
            [
                {"name": "a.png", "mimeType": "image/png", "buffer": PIXEL},
                {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"notes"},
                {"name": "film.mkv", "mimeType": "video/x-matroska", "buffer": b"x" * 10_001},
            ]
        )
        await expect(page.get_by_role("alert")).to_have_text("film.mkv is too large: 10 kB are the most.")
        await examine(page, "files chosen, one refused")
        await page.route("**/say", lambda route: held.append(route))
        async with page.expect_request("**/say"):
            await say(page, "see these")
        await expect(page.get_by_role("progressbar")).to_be_visible()
        await examine(page, "files on their way")
        await held[0].continue_()
        await expect(page.get_by_role("link", name="notes.txt")).to_be_visible()
        await expect(page.get_by_role("img", name="a.png")).to_be_visible()
        await examine(page, "files shown")
        await space.end("group")
        await expect(page.get_by_text("This room is closed.")).to_be_visible()
        await examine(page, "closed room")
