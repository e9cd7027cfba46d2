"""What was said before the page begins: by scrolling up, or page by page without scripts."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Page, expect
from test_pages import pages
from web_room import serving

from shellbot.spaces.web import WebSpace
from tests.browsers import PHONE, WIDE, follow, no_overflow, person, running

SHOWN, MORE = 200, 50


async def fill(space: WebSpace, bot: Any, count: int, channel: str = "group") -> None:
    for number in range(count):
        await space.post(channel, bot.reply(f"{channel}-{number}", f"line {number:03}"))


def lines(page: str) -> list[int]:
    return [int(number) for number in re.findall(r"line (\d{3})", page)]


async def test_without_scripts_a_link_leads_back_to_the_first_message():
    async with pages() as room:
        client = await room.join("Person A")
        await fill(room.space, room.bot, SHOWN + MORE + 20)
        page = (await room.get(client)).text
        assert lines(page) == list(range(MORE + 20, SHOWN + MORE + 20))
        found: list[list[int]] = []
        while link := re.search(r'href="(/earlier\?[^"]+)"', page):
            page = (await room.get(client, link[1].replace("&amp;", "&"))).text
            found.append(lines(page))
        assert found == [list(range(20, MORE + 20)), list(range(20))]
        assert 'href="/#group"' in page


async def test_where_all_is_shown_there_is_nothing_earlier():
    async with pages() as room:
        client = await room.join("Person A")
        await fill(room.space, room.bot, SHOWN)
        assert "/earlier" not in (await room.get(client)).text


async def test_nobody_reads_the_direct_channel_of_somebody_else():
    async with pages() as room:
        client, other = await room.join("Person A"), await room.join("Person B")
        first, second = room.space.members
        await fill(room.space, room.bot, 3, f"direct-{first.person.id}")
        assert lines((await room.get(client, "/earlier?side=direct&before=9")).text) == [0, 1, 2]
        assert lines((await room.get(other, "/earlier?side=direct&before=9")).text) == []
        answer = await room.get(other, f"/earlier?side=direct-{first.person.id}&before=9")
        assert answer.status_code == 409
        assert (await room.get(room.app.test_client(), "/earlier?side=group&before=9")).status_code == 303
        assert second.person.name == "Person B"


@pytest.mark.parametrize("before", ["", "x", "-1", "1.5", "9" * 40, "٣"])
async def test_a_place_that_cannot_be_gets_a_plain_page(before):
    async with pages() as room:
        client = await room.join("Person A")
        answer = await room.get(client, f"/earlier?side=group&before={before}")
        assert answer.status_code == 409
        assert "Please reload" in answer.text


async def shown(page: Page) -> list[int]:
    return lines(await page.locator("#group .log").inner_text())


async def scroll_up(page: Page) -> None:
    await page.locator("#group .log").evaluate("log => { log.scrollTop = -log.scrollHeight; }")


@pytest.mark.parametrize("window", [WIDE, PHONE], ids=["wide", "phone"])
async def test_scrolling_up_shows_all_of_it_once_and_in_order(chromium, window):
    problems: list[str] = []
    async with serving() as (server, space, bot), running(chromium) as browser:
        page = await person(browser, server.url, problems, **window)
        await page.goto("/")
        await page.get_by_label("Your name").fill("Person A")
        await follow(page, page.get_by_role("button", name="Join").click())
        await fill(space, bot, SHOWN + 2 * MORE + 10)
        await follow(page, page.reload())
        await expect(page.get_by_text("line 309")).to_be_in_viewport()
        earlier = page.get_by_role("link", name="Earlier messages")

        # one that is not shown yet is changed meanwhile, and one that is
        for number in (5, 300):
            await space.post("group", bot.reply(f"group-{number}", f"line {number:03} changed"))
        await expect(page.get_by_text("line 300 changed")).to_be_attached()
        assert len(await shown(page)) == SHOWN
        await scroll_up(page)
        await expect(page.get_by_text("line 060", exact=True)).to_be_attached()
        place = await page.get_by_text("line 110", exact=True).bounding_box()
        assert place is not None
        while await earlier.count():
            before = len(await shown(page))
            await scroll_up(page)
            await page.wait_for_function(
                "count => document.querySelectorAll('#group .post').length > count"
                " || !document.querySelector('#group .earlier')",
                arg=before,
            )
        assert await shown(page) == list(range(SHOWN + 2 * MORE + 10))
        await expect(page.get_by_text("line 005 changed")).to_be_attached()
        await no_overflow(page)
    assert problems == []


async def test_history_that_cannot_be_loaded_says_so_and_can_be_asked_for_again(chromium):
    async with serving() as (server, space, bot), running(chromium) as browser:
        page = await person(browser, server.url, [], **WIDE)
        await page.goto("/")
        await page.get_by_label("Your name").fill("Person A")
        await follow(page, page.get_by_role("button", name="Join").click())
        await fill(space, bot, SHOWN + 10)
        await follow(page, page.reload())
        is_away = asyncio.Event()  # taking the route away while a request is on it would handle that twice
        is_away.set()
        await page.route("**/earlier?*", lambda route: route.abort() if is_away.is_set() else route.fallback())
        link = page.get_by_role("link", name="Earlier messages")
        await link.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text("Not loaded. Please try again.")
        async with page.expect_request("**/earlier?*"):
            await link.focus()
            await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text("Not loaded. Please try again.")
        is_away.clear()
        # scrolling may have asked by now, and then there is no link to press any more
        await page.evaluate("showEarlier('group')")
        await expect(page.get_by_text("line 000")).to_be_attached()
        await expect(link).to_have_count(0)
        await expect(page.get_by_role("alert")).to_have_count(0)
