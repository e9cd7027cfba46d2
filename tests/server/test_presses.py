"""Presses on a ballot while the server is away: said at the ballot, sent when it is back, counted once."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Page, expect

from shellbot.testing.servers import Server
from tests.browsers import PHONE, WIDE, person, running, say

EXPECTED = ("429", "ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "ERR_INCOMPLETE_CHUNKED")


@asynccontextmanager
async def vote(chromium, folder, typed: str, *, settings=WIDE, others=("Bob",)):
    """Give the server and the page of Ann, who has opened a vote that others are asked in, too."""
    problems: list[str] = []
    async with Server(folder / "instance") as server, running(chromium) as browser:
        pages = []
        for name in ("Ann", *others):
            page = await person(browser, server.url, problems, **settings)
            await enter(page, name)
            pages.append(page)
        await say(pages[0], typed)
        for page in pages:
            await expect(page.locator(".ballot")).to_be_attached()
        yield server, *pages
    assert [line for line in problems if not any(word in line for word in EXPECTED)] == []


async def enter(page: Page, name: str) -> None:
    await page.goto("/")
    await page.get_by_label("Your name").fill(name)
    await page.get_by_role("button", name="Join").click()
    await expect(page.get_by_role("status")).to_have_text("Live")


def note(page: Page):
    return page.locator("#direct .ballot .note")


async def press(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name, exact=True).click()


@pytest.mark.parametrize(("kind", "said"), [("", (": Zwei.", ": Drei.")), ("anonymous ", (".", "."))])
async def test_the_last_press_while_the_server_is_away_counts_when_it_is_back(chromium, tmp_path, kind, said):
    async with vote(chromium, tmp_path, f'poll {kind}"Wie?" Eins, Zwei, Drei in 10m') as (server, ann, _):
        await press(ann, "Zwei")
        await expect(note(ann)).to_contain_text(f"Your vote is counted{said[0]}")
        await server.kill()
        await press(ann, "Eins")
        await expect(note(ann)).to_contain_text("Not sent yet: Eins. Please keep this page open")
        await press(ann, "Drei")
        await expect(note(ann)).to_contain_text("Not sent yet: Drei.")
        await expect(ann.locator(".choice.is-waiting")).to_have_text("Drei")
        await server.start()
        await expect(note(ann)).to_contain_text(f"Your vote is counted{said[1]}")
        await expect(ann.locator(".choice.is-waiting")).to_have_count(0)
        await expect(ann.locator(".is-bad")).to_have_count(0)
        await say(ann, "poll close")
        result = ann.locator("#group .fixed")
        await expect(result).to_contain_text("Drei 1")
        await expect(result).to_contain_text("Eins 0")
        await expect(result).to_contain_text("Zwei 0")


async def test_of_several_choices_each_press_while_the_server_is_away_counts_in_order(chromium, tmp_path):
    async with vote(chromium, tmp_path, 'poll multiple 2 "Top?" Ham, Corn, Egg in 10m', settings=PHONE) as (
        server,
        ann,
        _,
    ):
        await ann.get_by_role("link", name="Direct").click()
        await press(ann, "Ham")
        await expect(note(ann)).to_contain_text("Your vote is counted: Ham.")
        await server.kill()
        for name in ("Ham", "Corn", "Egg", "Done"):
            await press(ann, name)
        await expect(note(ann)).to_contain_text("Not sent yet: Ham, Corn, Egg, Done.")
        await server.start()
        await expect(note(ann)).to_contain_text("Your vote is counted: Corn, Egg.")
        await expect(ann.get_by_role("button", name="Done", pressed=True)).to_be_visible()


async def test_a_last_voter_who_presses_twice_while_the_server_is_away_ends_the_vote_with_the_last(chromium, tmp_path):
    async with vote(chromium, tmp_path, 'poll "Wie?" Eins, Zwei in 10m', others=()) as (server, ann):
        await ann.clock.install()
        await server.kill()
        await press(ann, "Eins")
        await press(ann, "Zwei")
        for _ in range(6):  # for longer than typed text is tried
            async with ann.expect_event("requestfailed", lambda request: request.url.endswith("/press")):
                await ann.clock.fast_forward(8_000)
        await expect(note(ann)).to_contain_text("Not sent yet: Zwei.")
        await server.start()
        await expect(ann.locator("#group .fixed")).to_contain_text("Zwei 1")
        await expect(note(ann)).to_have_text("Closed. Your vote: Zwei")


async def test_a_press_that_comes_after_the_close_is_refused_at_the_ballot(chromium, tmp_path):
    async with vote(chromium, tmp_path, 'poll "Wie?" Eins, Zwei in 10m') as (_, ann, _bob):
        await press(ann, "Zwei")
        await expect(note(ann)).to_contain_text("Your vote is counted: Zwei.")
        await ann.route("**/press", lambda route: route.abort("connectionrefused"))
        await press(ann, "Eins")
        await expect(note(ann)).to_contain_text("Not sent yet: Eins.")
        await say(ann, "poll close")
        await expect(ann.locator("#group .fixed")).to_contain_text("Zwei 1")
        await expect(note(ann)).to_contain_text("Not sent yet: Eins.")
        await ann.unroute("**/press")
        await expect(note(ann)).to_have_text("What you pressed last came too late. Closed. Your vote: Zwei")
        await expect(ann.locator(".choice.is-waiting")).to_have_count(0)


async def test_a_press_that_the_server_refuses_is_said_to_be_not_sent(chromium, tmp_path):
    async with vote(chromium, tmp_path, 'poll "Wie?" Eins, Zwei in 10m') as (_, ann, _bob):
        await ann.route(
            "**/press", lambda route: route.fulfill(status=429, json={"error": "That was a bit fast. Please wait 1 s."})
        )
        await press(ann, "Eins")
        await expect(note(ann)).to_have_text("Not sent: Eins. That was a bit fast. Please wait 1 s.")
        await ann.unroute("**/press")
        await press(ann, "Eins")
        await expect(note(ann)).to_contain_text("Your vote is counted: Eins.")
        await expect(ann.locator(".is-bad")).to_have_count(0)
