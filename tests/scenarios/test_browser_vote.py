"""Two people in real Chromium and the whole server: page, bots, bus and store."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.async_api import Page, expect

from shellbot.testing.servers import Server
from tests.browsers import PHONE, WIDE, follow, no_overflow, person, running, say


async def join(page: Page, name: str) -> None:
    await page.goto("/")
    await page.get_by_label("Your name").fill(name)
    await follow(page, page.get_by_role("button", name="Join").click())


async def show(page: Page, name: str, folder: Path) -> None:
    """Keep a picture for people to look at: where ``ARTIFACTS`` says, else with the test's own files."""
    await page.screenshot(path=Path(os.environ.get("ARTIFACTS", folder)) / f"{name}.png")


async def test_two_people_vote_one_at_a_desk_and_one_on_a_phone(chromium, tmp_path):
    problems: list[str] = []
    async with Server(tmp_path / "instance") as server, running(chromium) as browser:
        ann = await person(browser, server.url, problems, **WIDE)
        bob = await person(browser, server.url, problems, **PHONE)
        await show_join(ann, tmp_path)
        await join(ann, "Ann")
        await join(bob, "Bob")
        await expect(ann.locator("#people")).to_have_text("2 people: Ann, Bob")

        await say(ann, 'poll "Lunch?" Pizza, Sushi, Salad in 10m')
        await expect(bob.get_by_text("2 people have a ballot in the direct channel.")).to_be_visible()
        await bob.get_by_role("link", name="Direct").tap()
        await expect(bob.get_by_role("group", name="Lunch?")).to_be_visible()
        await show(bob, "phone-ballot", tmp_path)
        await bob.get_by_role("button", name="Pizza").tap()
        await expect(bob.get_by_text("Your vote is counted: Pizza.")).to_be_visible()
        await bob.get_by_role("button", name="Sushi").tap()
        await expect(bob.get_by_text("Your vote is counted: Sushi.")).to_be_visible()
        await show(bob, "phone-voted", tmp_path)
        await show(ann, "desk-ballot", tmp_path)

        await ann.get_by_role("button", name="Sushi").focus()
        await ann.keyboard.press("Enter")
        result = ann.get_by_role("log", name="Group").get_by_text("Result of vote #1: Lunch?")
        await expect(result).to_be_visible()
        await expect(ann.get_by_text("Sushi 2  ████████████")).to_be_visible()
        await expect(ann.get_by_text("Closed. Your vote: Sushi")).to_be_visible()
        await expect(bob.get_by_role("button", name="Pizza")).to_be_disabled()
        await bob.get_by_role("link", name="Group").tap()
        await expect(bob.get_by_text("2 of 2 voted.")).to_be_visible()
        await show(ann, "desk-result", tmp_path)
        await show(bob, "phone-result", tmp_path)
        for page in (ann, bob):
            await no_overflow(page)
    assert problems == []


async def show_join(page: Page, folder: Path) -> None:
    await page.goto("/")
    await show(page, "desk-join", folder)
