"""A tab loaded again, put to sleep, or opened twice: no line is missing or double, and a vote counts once."""

from __future__ import annotations

import asyncio
import contextlib

from playwright.async_api import Page, expect
from test_browser import join
from web_room import serving

from shellbot.engine import Engine
from shellbot.events import Reply
from tests.browsers import PHONE, WIDE, follow, person, running, say


async def numbers(page: Page) -> list[str]:
    return await page.locator("#group .post .rich").all_inner_texts()


async def test_a_tab_loaded_again_and_again_shows_each_line_once(chromium):
    problems: list[str] = []
    async with serving() as (server, space, _), running(chromium) as browser:
        page = await person(browser, server.url, problems, **WIDE)
        await join(page, "Person A")
        told: list[str] = []

        async def talk() -> None:
            while True:
                told.append(f"line {len(told)}")
                await space.post("group", Reply(id=told[-1], text=told[-1]))
                await asyncio.sleep(0.01)  # others have their turn, as on a real day

        talking = asyncio.create_task(talk())
        for _ in range(4):
            await page.reload()
            await expect(page.get_by_role("status")).to_have_text("Live")
        talking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await talking
        await space.post("group", Reply(id="last", text="last"))
        await expect(page.get_by_text("last", exact=True)).to_be_visible()
        shown = await numbers(page)
        assert shown == [*told, "last"][-len(shown) :]
        assert len(shown) >= min(len(told), 200)
    assert problems == []


async def test_a_tab_that_slept_while_its_stream_was_cut_catches_up(chromium):
    problems: list[str] = []
    async with serving() as (server, space, bot), running(chromium) as browser:
        page = await person(browser, server.url, problems, **PHONE)
        await join(page, "Person A")
        await expect(page.get_by_role("status")).to_have_text("Live")
        await space.post("group", Reply(id="before", text="before"))
        await expect(page.get_by_text("before")).to_be_visible()
        devtools = await page.context.new_cdp_session(page)
        await devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
        for stream in server.events._streams():
            stream.abort()
        for number in range(30):
            await space.post("group", Reply(id=f"r{number}", text=f"line {number}"))
        await space.post("group", Reply(id="before", text="changed meanwhile", version=2))
        [member] = space.members
        await bot.ballot(member.person.id)
        await devtools.send("Page.setWebLifecycleState", {"state": "active"})
        await expect(page.get_by_text("line 29", exact=True)).to_be_visible()
        await expect(page.get_by_role("link", name="Direct").locator(".badge")).to_have_text("1")
        assert await numbers(page) == ["changed meanwhile", *(f"line {number}" for number in range(30))]
        await page.get_by_role("link", name="Direct").tap()
        await expect(page.get_by_role("group", name="Lunch?")).to_have_count(1)
        await page.get_by_role("button", name="Sushi").tap()
        await expect(page.get_by_role("button", name="Sushi", pressed=True)).to_be_visible()
    assert [line for line in problems if "ERR_" not in line] == []


async def test_two_tabs_of_one_person_are_one_voice_and_one_vote(chromium, tmp_path):
    problems: list[str] = []
    settings = {"server.port": 0}
    async with Engine(type="web", settings=settings, instance=tmp_path) as engine, running(chromium) as browser:
        one = await person(browser, engine.server.url, problems, **WIDE)
        await one.goto("/")
        await one.get_by_label("Your name").fill("Person A")
        await follow(one, one.get_by_role("button", name="Join").click())
        await engine.space.join("Person B")  # who does not vote: the vote stays open
        other = await one.context.new_page()
        await other.goto("/")
        for tab in (one, other):
            await expect(tab.get_by_role("status")).to_have_text("Live")
        await say(one, 'poll "Lunch?" Pizza, Sushi in 10m')
        for tab in (one, other):
            await expect(tab.get_by_role("button", name="Sushi")).to_be_visible()
        await asyncio.gather(
            *(tab.get_by_role("button", name=name).dblclick() for tab, name in ((one, "Pizza"), (other, "Sushi")))
        )
        chosen = one.locator('.choice[aria-pressed="true"]')
        await expect(chosen).to_have_count(1)
        await expect(one.locator("#direct")).to_contain_text("is counted")
        await other.get_by_role("button", name="Pizza").click()
        for tab in (one, other):
            await expect(tab.get_by_role("button", name="Pizza", pressed=True)).to_be_visible()
            await expect(tab.locator('.choice[aria-pressed="true"]')).to_have_count(1)
        await one.reload()
        await expect(one.get_by_role("button", name="Pizza", pressed=True)).to_be_visible()
        await say(other, "poll close")
        for tab in (one, other):
            await expect(tab.locator("#group .fixed")).to_contain_text("Pizza")
            await expect(tab.locator("#group")).to_contain_text("1 of 2 voted")
            said = ['poll "Lunch?" Pizza, Sushi in 10m', "poll close"]
            await expect(tab.locator("#group .text")).to_have_text(said)
    assert problems == []
