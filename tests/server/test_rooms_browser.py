"""Rooms and links in real Chromium: coming in, going from room to room by keyboard, and what is new elsewhere."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect
from test_browser import join
from web_room import serving

from tests.browsers import PHONE, WIDE, follow, no_overflow, person, running, say


async def test_from_a_new_room_to_a_guest_by_keyboard(chromium):
    problems: list[str] = []
    async with serving() as (server, _, _), running(chromium) as browser:
        wide = await person(browser, server.url, problems, **WIDE)
        phone = await person(browser, server.url, problems, **PHONE)
        await join(wide, "Person A")
        await expect(wide.get_by_role("status")).to_have_text("Live")
        await wide.get_by_role("link", name="Rooms").focus()
        await follow(wide, wide.keyboard.press("Enter"))
        await wide.get_by_label("Its name").focus()
        await wide.keyboard.type("Cellar")
        await wide.keyboard.press("Tab")
        await follow(wide, wide.keyboard.press("Enter"))
        await expect(wide.get_by_role("heading", name="Cellar")).to_be_visible()
        await expect(wide.get_by_role("status")).to_have_text("Live")

        await wide.get_by_role("link", name="Invite").focus()
        await follow(wide, wide.keyboard.press("Enter"))
        await expect(wide.get_by_label("Link to this room")).to_be_focused()
        await wide.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await wide.keyboard.press("Tab")
        await wide.keyboard.press("Enter")
        await expect(wide.get_by_role("status")).to_have_text("Copied.")
        link = await wide.evaluate("navigator.clipboard.readText()")
        await follow(wide, wide.get_by_role("link", name="Back to the room").click())

        await phone.goto(link)
        assert "/join/" not in phone.url
        await phone.get_by_label("Your name").fill("Person B")
        await follow(phone, phone.get_by_role("button", name="Join").tap())
        await expect(phone.get_by_role("status")).to_have_text("Live")
        await expect(wide.locator("#people")).to_have_text("2 people: Person A, Person B")
        await say(phone, "hello down here")
        await expect(wide.get_by_text("hello down here")).to_be_visible()
        await say(wide, "hello")
        await expect(phone.get_by_text("hello", exact=True)).to_be_visible()
        await no_overflow(phone)
    assert problems == []


async def test_what_is_said_in_another_room_is_marked_until_it_is_read(chromium):
    problems: list[str] = []
    async with serving() as (server, space, _), running(chromium) as browser:
        page = await person(browser, server.url, problems, **WIDE)
        await join(page, "Person A")
        other = await space.open_room("Cellar", "Person B")
        await page.goto(server.link(other.person.id))
        await follow(page, page.get_by_role("button", name="Join").click())
        await page.goto("/")
        await expect(page.get_by_role("status")).to_have_text("Live")
        await space.say(other.person.id, other.room, "are you still there?", "key-00000001")
        await page.evaluate("lookIntoRooms()")
        await expect(page.get_by_role("link", name="Rooms").locator(".badge")).to_have_text("1")
        await expect(page.get_by_text("are you still there?")).to_have_count(0)
        await follow(page, page.get_by_role("link", name="Rooms").click())
        await follow(page, page.get_by_role("link", name=re.compile("Cellar")).click())
        await expect(page.get_by_text("are you still there?")).to_be_visible()
        await follow(page, page.get_by_role("link", name="Rooms").click())
        await expect(page.locator(".badge")).to_have_count(0)
        wide = [await page.locator(part).evaluate("part => part.clientWidth") for part in (".card", ".polls")]
        assert wide[0] == pytest.approx(wide[1], abs=2)  # a border on either side
        await follow(page, page.get_by_role("link", name="Back to the room").click())
        await expect(page.get_by_role("heading", name="Cellar")).to_be_visible()
        await follow(page, page.get_by_role("button", name="Leave").click())
        await expect(page.get_by_role("list", name="Your rooms")).to_contain_text("Lunch room")
        await follow(page, page.get_by_role("link", name="Back to the room").click())
        await expect(page.get_by_role("heading", name="Lunch room")).to_be_visible()
        await follow(page, page.get_by_role("button", name="Leave").click())
        await page.goto("/rooms")
        await expect(page.get_by_role("link", name="Back to the room")).to_have_count(0)
    assert problems == []


async def test_what_is_read_live_is_not_new_in_the_list_afterwards(chromium):
    problems: list[str] = []
    async with serving() as (server, space, _), running(chromium) as browser:
        page = await person(browser, server.url, problems, **WIDE)
        await join(page, "Person A")
        await expect(page.get_by_role("status")).to_have_text("Live")
        other = await space.join("Person B")
        async with page.expect_response("**/seen") as told:
            await space.say(other.person.id, "group", "read at once", "key-00000001")
            await expect(page.get_by_text("read at once")).to_be_visible()
        assert (await told.value).status == 204
        await page.goto("/rooms")
        await expect(page.get_by_role("list", name="Your rooms")).to_contain_text("Lunch room")
        await expect(page.locator(".badge")).to_have_count(0)
    assert problems == []


async def test_rooms_and_links_without_scripts(chromium):
    problems: list[str] = []
    async with serving() as (server, space, _), running(chromium) as browser:
        one = await person(browser, server.url, problems, java_script_enabled=False, **WIDE)
        other = await person(browser, server.url, problems, java_script_enabled=False, **PHONE)
        await join(one, "Person A")
        await follow(one, one.get_by_role("link", name="Rooms").click())
        await one.get_by_label("Its name").fill("Cellar")
        await follow(one, one.get_by_role("button", name="Make the room").click())
        await follow(one, one.get_by_role("link", name="Invite").click())
        await other.goto(await one.get_by_label("Link to this room").input_value())
        await other.get_by_label("Your name").fill("Person B")
        await follow(other, other.get_by_role("button", name="Join").click())
        await follow(other, say(other, "hello down here"))
        await follow(one, one.get_by_role("link", name="Back to the room").click())
        await expect(one.get_by_text("hello down here")).to_be_visible()
        await follow(one, one.get_by_role("link", name="Invite").click())
        await follow(one, one.get_by_role("button", name="End all links").click())
        await expect(one.get_by_role("alert")).to_contain_text("This is a new one")
        await follow(other, other.get_by_role("button", name="Leave").click())
        assert [member.person.name for member in space.members] == ["Person A"]
    assert problems == []
