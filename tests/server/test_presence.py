"""What makes a room feel alive: who is typing, and what is new since one looked."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from playwright.async_api import Page, expect
from test_pages import pages
from web_room import MANY, serving

from shellbot.server import desk
from shellbot.server.app import MOST_NAMES
from shellbot.server.desk import TYPING_BURST
from shellbot.spaces.web import Typing
from tests.browsers import PHONE, WIDE, follow, no_overflow, person, running, say


async def join(page: Page, name: str) -> None:
    await page.goto("/")
    await page.get_by_label("Your name").fill(name)
    await follow(page, page.get_by_role("button", name="Join").click())
    await expect(page.get_by_role("status")).to_have_text("Live")


async def test_others_see_who_is_typing_until_it_is_said(chromium):
    problems: list[str] = []
    async with serving() as (server, _, _), running(chromium) as browser:
        one = await person(browser, server.url, problems, **WIDE)
        other = await person(browser, server.url, problems, **WIDE)
        await join(one, "Person <b>A")
        await join(other, "Person B")
        box = one.get_by_role("textbox", name="Message to everybody")
        await box.press_sequentially("hel")
        await expect(other.locator("#typing")).to_have_text("Person <b>A is typing …")
        await expect(one.locator("#typing")).to_be_empty()
        await box.press_sequentially("lo")
        await box.press("Enter")
        await expect(other.get_by_text("hello")).to_be_visible()
        await expect(other.locator("#typing")).to_be_empty()

        box = one.get_by_role("textbox", name="Message to shellbot")
        await box.press_sequentially("for the bot alone")
        await box.press("Enter")
        await expect(one.locator("#direct .text")).to_have_text("for the bot alone")
        await expect(other.locator("#typing")).to_be_empty()
    assert problems == []


async def test_one_who_types_very_fast_tells_it_now_and_then_only(monkeypatch):
    monkeypatch.setattr(desk, "TYPING_RATE", 1 / 3600)  # so that what this takes does not count
    async with pages() as room:
        client = await room.join("Person A")
        told: list[Typing] = []
        room.space.watch(lambda news: told.append(news) if isinstance(news, Typing) else None)
        token = await room.token(client)
        for _ in range(TYPING_BURST + 5):
            answer = await asyncio.to_thread(
                client.post, "/typing", base_url="http://127.0.0.1:8080", data={"token": token}
            )
            assert answer.status_code == 204
        assert len(told) == TYPING_BURST
        assert told[0].member.person.name == "Person A"


async def test_a_line_shows_what_is_new_since_one_looked(chromium):
    problems: list[str] = []
    async with serving() as (server, _, _), running(chromium) as browser:
        phone = await person(browser, server.url, problems, **PHONE)
        other = await person(browser, server.url, problems, **WIDE)
        await join(phone, "Person A")
        await join(other, "Person B")
        await say(other, "seen at once")
        await expect(phone.get_by_text("seen at once")).to_be_visible()
        await expect(phone.locator("#group .fresh")).to_have_count(0)

        await phone.get_by_role("link", name="Direct").tap()
        for text in ("first news", "second news"):
            await say(other, text)
        await expect(phone.get_by_role("link", name="Group").locator(".badge")).to_have_text("2")
        await phone.get_by_role("link", name="Group").tap()
        await expect(phone.locator("#group .fresh + .post")).to_contain_text("first news")
        await expect(phone.locator("#group .fresh")).to_have_count(1)
    assert problems == []


async def test_everybody_sees_who_is_here_and_it_follows(chromium):
    problems: list[str] = []
    async with serving() as (server, space, _), running(chromium) as browser:
        wide = await person(browser, server.url, problems, **WIDE)
        phone = await person(browser, server.url, problems, **PHONE)
        plain = await person(browser, server.url, problems, java_script_enabled=False, **WIDE)
        await join(wide, "Person A")
        await join(phone, "Person <i>B")
        for page in (wide, phone):
            await page.get_by_text("2 people").click()
            names = page.get_by_role("list", name="People in the room").get_by_role("listitem")
            await expect(names).to_have_text(["Person A", "Person <i>B"])
            await no_overflow(page)
        await space.join("Person C", is_demo=True)
        for page in (wide, phone):
            names = page.get_by_role("list", name="People in the room").get_by_role("listitem")
            await expect(names).to_have_text(["Person A", "Person <i>B", "Person C demo"])
        await wide.get_by_text("3 people").focus()
        await wide.keyboard.press("Escape")
        await expect(wide.get_by_role("list", name="People in the room")).to_be_hidden()
        await phone.get_by_role("heading", name="Lunch room").tap()
        await expect(phone.get_by_role("list", name="People in the room")).to_be_hidden()

        await plain.goto("/")
        await plain.get_by_label("Your name").fill("Person D")
        await follow(plain, plain.get_by_role("button", name="Join").click())
        await plain.get_by_text("4 people").click()
        await expect(plain.get_by_role("list", name="People in the room").get_by_role("listitem")).to_have_count(4)
    assert problems == []


async def test_of_very_many_the_first_are_named():
    async with pages() as room:
        client = await room.join("Person A")
        for number in range(MOST_NAMES + 5):
            await room.space.join(f"Somebody {number}")
        assert "and 6 more" in (await room.get(client)).text
        told = (await room.get(client, "/people")).json
        assert (told["count"], len(told["people"])) == (MOST_NAMES + 6, MOST_NAMES)
        assert (await room.get(room.app.test_client(), "/people")).status_code == 401


async def test_a_page_too_many_is_told_so_and_comes_in_when_there_is_room(chromium):
    problems: list[str] = []
    limits = replace(MANY, streams=1)
    async with serving(limits=limits) as (server, _, _), running(chromium) as browser:
        first = await person(browser, server.url, problems, **WIDE)
        await join(first, "Person A")
        other = await person(browser, server.url, problems, **WIDE)
        await other.goto("/")
        await other.get_by_label("Your name").fill("Person B")
        await follow(other, other.get_by_role("button", name="Join").click())
        await expect(other.get_by_role("status")).to_have_text("Too many pages are open here, trying again …")
        await first.close()
        await expect(other.get_by_role("status")).to_have_text("Live", timeout=15_000)
    assert problems == []
