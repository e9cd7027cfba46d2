"""Where a day begins in the history: told by the server, and in the reader's own zone where scripts run."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from playwright.async_api import Page, expect
from test_browser import join
from web_room import browsers, serving

from shellbot.clocks import AsyncioClock
from shellbot.events import Reply
from shellbot.server.app import day_name
from tests.browsers import WIDE, person, running


class Then(AsyncioClock):
    """Says that it is another time; time goes by all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = datetime.now(UTC)

    def utcnow(self) -> datetime:
        return self.shown


async def post(space, time: datetime, text: str) -> None:
    space._clock.shown = time
    await space.post("group", Reply(id=text, text=text))


async def lines(page: Page) -> list[str]:
    """Days and messages of the group, as they stand."""
    items = page.locator("#group .log > ol > .day, #group .log > ol > .post .rich")
    return [" ".join(text.split()) for text in await items.all_inner_texts()]


@given(st.integers(0, 100_000))
def test_each_day_has_a_name_and_only_two_of_them_are_near(days):
    today = datetime.now().astimezone().date()
    day = today - timedelta(days=min(days, (today - date.min).days))
    named = day_name(day)
    assert (named == "Today") == (days == 0)
    assert (named == "Yesterday") == (days == 1)
    if days > 1:
        assert str(day.day) in named.split()
        assert (str(day.year) in named) == (day.year != today.year)


async def test_days_stand_between_messages_also_without_scripts():
    async with serving() as (server, space, _), browsers(server.url, "Person A") as (a,):
        space._clock = Then()
        now = datetime.now(UTC)
        for days in (800, 1, 1, 0, 0):
            await post(space, now - timedelta(days=days), f"{days} days ago, {space._clock.shown}")
        page = (await asyncio.to_thread(a.page)).split('id="direct"')[0]
        assert page.count('class="day"') == 3
        assert [page.count(f">{name}</time>") for name in ("Today", "Yesterday")] == [1, 1]
        assert f'<time datetime="{(now - timedelta(days=1)).isoformat(timespec="seconds")}">' in page


async def test_a_reader_far_away_sees_own_times_and_days_as_messages_come_and_history_is_loaded(chromium):
    problems: list[str] = []
    async with serving() as (server, space, _), running(chromium) as browser:
        space._clock = Then()
        # 14:30 of the day before in Honolulu
        noon = datetime.now(UTC).replace(hour=0, minute=30, second=0, microsecond=0)
        for number in range(210):
            await post(space, noon - timedelta(days=10), f"old {number}")
        await post(space, noon - timedelta(hours=20), "before")
        zone = {"timezone_id": "Pacific/Honolulu", "locale": "en-GB"}
        page = await person(browser, server.url, problems, **WIDE, **zone)
        await join(page, "Person A")
        await expect(page.get_by_role("status")).to_have_text("Live")
        first = page.locator("#group .post").last
        await expect(first.locator(".head time")).to_have_text((noon - timedelta(hours=30)).strftime("%H:%M"))
        shown = await lines(page)
        assert len([line for line in shown if not line.startswith("old")]) == 3
        assert shown[-1] == "before"

        # 09:30, 13:30 and 17:30 of one day in Honolulu, over the midnight of UTC
        for hours in (-5, -1, 3):
            await post(space, noon + timedelta(hours=hours), f"at {hours}")
        for _ in ("live", "loaded again"):
            await expect(page.get_by_text("at 3", exact=True)).to_be_visible()
            assert (await lines(page))[-3:] == ["at -5", "at -1", "at 3"]
            await page.reload()
            await expect(page.get_by_role("status")).to_have_text("Live")
        days = len([line for line in await lines(page) if not line.startswith(("old", "at", "before"))])
        await page.get_by_role("link", name="Earlier messages").click()
        await expect(page.get_by_role("link", name="Earlier messages")).to_have_count(0)
        shown = await lines(page)
        assert len([line for line in shown if not line.startswith(("old", "at", "before"))]) == days
        assert shown[1] == "old 0"
        assert not shown[0].startswith("old")
    assert problems == []


async def test_at_midnight_today_becomes_yesterday(chromium):
    problems: list[str] = []
    async with serving() as (server, space, _), running(chromium) as browser:
        await space.post("group", Reply(id="r", text="said today"))
        page = await person(browser, server.url, problems, **WIDE)
        await page.clock.install()
        await join(page, "Person A")
        await expect(page.locator("#group .day")).to_have_text("Today")
        await page.clock.fast_forward("25:00:00")
        await expect(page.locator("#group .day")).to_have_text("Yesterday")
    assert problems == []
