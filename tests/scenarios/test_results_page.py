"""The pages of votes, in real Chromium on the whole server: list, bars, table, live counts, exports; who sees what."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from shellbot.testing.servers import Server
from tests.browsers import PHONE, WIDE, follow, no_overflow, person, running, say


async def join(page: Page, name: str) -> None:
    await page.goto("/")
    await page.get_by_label("Your name").fill(name)
    await follow(page, page.get_by_role("button", name="Join").click())
    await expect(page.get_by_role("status")).to_have_text("Live")


async def look(page: Page, name: str, folder: Path) -> None:
    """Keep a picture for people to look at, and have the page examined."""
    await page.screenshot(path=Path(os.environ.get("ARTIFACTS", folder)) / f"{name}.png")
    await no_overflow(page)
    assert [rule["id"] for rule in (await Axe().run(page)).response["violations"]] == []


async def table(page: Page) -> list[list[str]]:
    found = await page.locator("tbody tr").all()
    return [[text.strip() for text in await row.locator("th, td").all_inner_texts()] for row in found]


async def vote(page: Page, choice: str) -> None:
    await page.get_by_role("button", name=choice, exact=True).click()
    await expect(page.get_by_role("button", name=choice, exact=True, pressed=True)).to_be_visible()


async def test_a_hidden_count_is_shown_at_the_close_with_table_and_exports(chromium, tmp_path):
    problems: list[str] = []
    async with Server(tmp_path / "instance") as server, running(chromium) as browser:
        wide = await person(browser, server.url, problems, **WIDE)
        other = await person(browser, server.url, problems, **WIDE)
        await join(wide, "Person A")
        await join(other, "Person B")
        await follow(wide, wide.get_by_role("link", name="Votes").click())
        await expect(wide.get_by_text("There was no vote yet.")).to_be_visible()
        await look(wide, "votes-none", tmp_path)
        await follow(wide, wide.get_by_role("link", name="The room").click())

        await say(wide, 'poll "Lunch <b>today</b>?" =Pizza, Sushi in 10m')
        await vote(wide, "=Pizza")
        await wide.goto("/polls")
        await follow(wide, wide.get_by_role("link", name="#1 Lunch <b>today</b>?").click())
        await expect(wide.get_by_role("status")).to_contain_text("1 of 2 voted.")
        await expect(wide.get_by_text("The counts are shown when it is closed.")).to_be_visible()
        await expect(wide.get_by_role("table")).to_have_count(0)
        assert (await wide.request.get("/poll/1.csv")).status == 404
        told = await (await wide.request.get("/poll/1.json")).json()
        assert (told["counts"], told["answered"], told["asked"]) == (None, 1, 2)

        # the page follows by itself
        await vote(other, "=Pizza")
        await expect(wide.get_by_role("table")).to_be_visible()
        assert await table(wide) == [["=Pizza", "2", "100 %", "100 %"], ["Sushi", "0", "0 %", "0 %"]]
        await expect(wide.get_by_role("status")).to_have_text("Closed. 2 of 2 voted.")
        await look(wide, "vote-closed", tmp_path)
        csv = await (await wide.request.get("/poll/1.csv")).text()
        assert csv.lstrip("\ufeff").splitlines() == [
            "choice,votes,voted,asked,verdict",
            "'=Pizza,2,2,2,'=Pizza has the most votes.",
            "Sushi,0,2,2,'=Pizza has the most votes.",
        ]
        told = await (await wide.request.get("/poll/1.json")).json()
        assert (told["winner"], [row["votes"] for row in told["counts"]]) == ("=Pizza", [2, 0])
    assert [line for line in problems if "404" not in line] == []


async def test_a_live_count_moves_on_a_phone(chromium, tmp_path):
    problems: list[str] = []
    async with Server(tmp_path / "instance") as server, running(chromium) as browser:
        phone = await person(browser, server.url, problems, **PHONE)
        wide = await person(browser, server.url, problems, **WIDE)
        await join(phone, "Person A")
        await join(wide, "Person B")
        await say(wide, 'poll "Where to?" Sea, Mountains in 10m results live')
        await expect(wide.get_by_role("button", name="Sea")).to_be_visible()
        await phone.goto("/poll/1")
        assert await table(phone) == [["Sea", "0", "-", "0 %"], ["Mountains", "0", "-", "0 %"]]
        await vote(wide, "Sea")
        await expect(phone.get_by_role("row").nth(1)).to_contain_text("100 %")
        assert await table(phone) == [["Sea", "1", "100 %", "50 %"], ["Mountains", "0", "0 %", "0 %"]]
        await expect(phone.get_by_role("status")).to_contain_text("1 of 2 voted.")
        await look(phone, "vote-live-phone", tmp_path)
        await phone.goto("/polls")
        await look(phone, "votes-phone", tmp_path)
    assert problems == []


async def test_the_page_its_print_and_the_shared_one_say_what_the_group_hears(chromium, tmp_path):
    problems: list[str] = []
    async with Server(tmp_path / "instance") as server, running(chromium) as browser:
        wide = await person(browser, server.url, problems, **WIDE)
        other = await person(browser, server.url, problems, **WIDE)
        phone = await person(browser, server.url, problems, **PHONE)
        await join(wide, "Person A")
        await join(other, "Person B")
        await say(wide, 'poll yesno "Shall we merge?" in 10m quorum 2 results live')
        await expect(wide.get_by_role("button", name="Yes")).to_be_visible()
        await other.goto("/poll/1")
        link = await other.get_by_label("Link to these results").input_value()
        for page, where in ((other, "/poll/1"), (phone, link)):
            await page.goto(where)
            await expect(page.get_by_text("Nobody has voted yet.", exact=True)).to_be_visible()
        await vote(wide, "Yes")
        for page in (other, phone):
            await expect(page.get_by_text("The quorum of 2 is not reached yet.")).to_be_visible()
        await say(wide, "poll close")
        missed = "Yes has the most votes. The quorum of 2 is missed, so that nothing is decided."
        for page in (other, phone):
            await expect(page.get_by_text(missed, exact=True)).to_be_visible()
        await other.emulate_media(media="print")
        await expect(other.get_by_text(missed, exact=True)).to_be_visible()
        await look(phone, "vote-missed-phone", tmp_path)
    assert problems == []


async def test_a_rating_has_its_average_and_what_is_to_be_taken_along_is_downloaded(chromium, tmp_path):
    async with Server(tmp_path / "instance") as server, running(chromium) as browser:
        page = await person(browser, server.url, [], **WIDE)
        await join(page, "Person A")
        await say(page, 'poll rating "How was it?" in 10m')
        await vote(page, "4")
        await page.goto("/poll/1")
        await expect(page.get_by_text("4.0 of 5 on average.", exact=True)).to_be_visible()
        for kind in ("csv", "json", "png"):
            async with page.expect_download() as started:
                await page.get_by_role("link", name=kind.upper()).click()
            assert (await started.value).suggested_filename == f"vote-1.{kind}"
        await expect(page.get_by_role("heading", name="How was it?")).to_be_visible()


async def test_only_who_opened_it_sees_the_count_of_an_owners_vote(chromium, tmp_path):
    problems: list[str] = []
    async with Server(tmp_path / "instance") as server, running(chromium) as browser:
        owner = await person(browser, server.url, problems, **WIDE)
        other = await person(browser, server.url, problems, **WIDE)
        stranger = await person(browser, server.url, problems, **WIDE)
        await join(owner, "Person A")
        await join(other, "Person B")
        await say(owner, 'poll "Who leads?" Red, Blue in 10m results owner')
        for page in (owner, other):
            await vote(page, "Red")
        await expect(owner.get_by_text("Vote #1 is closed: Who leads?")).to_be_visible()
        for page, sees in ((owner, 1), (other, 0)):
            await page.goto("/poll/1")
            await expect(page.get_by_role("status")).to_contain_text("2 of 2 voted.")
            await expect(page.get_by_role("table")).to_have_count(sees)
            await expect(page.get_by_text("Red has the most votes.")).to_have_count(sees)
        told = await (await other.request.get("/poll/1.json")).json()
        assert (told["counts"], told["verdict"]) == (None, None)
        await stranger.goto("/poll/1")
        await expect(stranger.get_by_label("Your name")).to_be_visible()
        assert (await owner.request.get("/poll/99")).status == 404
    assert [line for line in problems if "404" not in line] == []


async def test_a_shared_link_shows_one_vote_to_others_and_nothing_else(chromium, tmp_path):
    problems: list[str] = []
    async with Server(tmp_path / "instance") as server, running(chromium) as browser:
        wide = await person(browser, server.url, problems, **WIDE)
        phone = await person(browser, server.url, problems, **PHONE)
        await join(wide, "Person A")
        await say(wide, 'poll "Where to?" Sea, Mountains in 10m results live')
        await expect(wide.get_by_role("button", name="Sea")).to_be_visible()
        await wide.goto("/poll/1")
        await wide.get_by_text("Share", exact=True).click()
        link = await wide.get_by_label("Link to these results").input_value()
        await look(wide, "vote-share", tmp_path)

        # given to somebody who is not in the room, it follows the count there, without a name
        answer = await phone.goto(link)
        assert answer is not None
        told = await answer.all_headers()
        assert (told["referrer-policy"], told["x-robots-tag"].split(",")[0]) == ("no-referrer", "noindex")
        assert "set-cookie" not in told
        assert await table(phone) == [["Sea", "0", "-", "0 %"], ["Mountains", "0", "-", "0 %"]]
        await wide.goto("/")
        await vote(wide, "Sea")
        await expect(phone.get_by_role("status")).to_have_text("Closed. 1 of 1 voted.")
        assert await table(phone) == [["Sea", "1", "100 %", "100 %"], ["Mountains", "0", "0 %", "0 %"]]
        await look(phone, "vote-shared-phone", tmp_path)
        data, sheet = [await (await phone.request.get(f"{link}.{kind}")).text() for kind in ("json", "csv")]
        assert '"votes":1' in data
        assert "Sea,1,1,1" in sheet
        assert (await (await phone.request.get(f"{link}.png")).body()).startswith(b"\x89PNG")
        assert "Person A" not in await phone.content() + data + sheet
        assert await phone.locator("a[href]").evaluate_all("links => links.map(link => link.pathname)") == [
            urlsplit(f"{link}.csv").path,
            urlsplit(f"{link}.json").path,
            urlsplit(f"{link}.png").path,
        ]

        # it opens nothing else
        token = link.split("/")[-2]
        await say(wide, 'poll "And when?" Soon, Later in 10m results live')
        outside = ("poll/1.json", "poll/2", "polls", "people", "me", "events", "earlier?side=group&before=9", "invite")
        for path in outside:
            answer_there = await phone.request.get(f"/{path}", max_redirects=0)
            assert answer_there.status in (303, 401), path
        for path in (f"join/{token}", f"shared/{token}x/poll", "shared/x/poll.json"):
            assert (await phone.request.get(f"/{path}")).status == 400, path
        assert (await phone.request.get(f"/room-0123456789ab/shared/{token}/poll")).status == 404

        # and ends with the other links
        await wide.goto("/invite")
        await follow(wide, wide.get_by_role("button", name="End all links").click())
        await phone.goto(link)
        await expect(phone.get_by_role("alert")).to_contain_text("This link was revoked")
        assert (await phone.request.get(f"{link}.csv")).status == 410
        assert token not in server.stderr + server.stdout
    assert [line for line in problems if "410" not in line] == []


async def test_a_shared_link_shows_no_count_that_the_room_may_not_see(chromium, tmp_path):
    problems: list[str] = []
    async with Server(tmp_path / "instance") as server, running(chromium) as browser:
        owner = await person(browser, server.url, problems, **WIDE)
        stranger = await person(browser, server.url, problems, **WIDE)
        await join(owner, "Person A")
        for number, (rule, is_shown) in enumerate((("owner", False), ("hidden", True)), 1):
            await owner.goto("/")
            await say(owner, f'poll "Who leads?" Red{number}, Blue in 10m results {rule}')
            await expect(owner.get_by_role("button", name=f"Red{number}")).to_be_visible()
            await owner.goto(f"/poll/{number}")
            link = await owner.get_by_label("Link to these results").input_value()
            await stranger.goto(link)
            await expect(stranger.get_by_role("status")).to_contain_text("0 of 1 voted.")
            await expect(stranger.get_by_role("table")).to_have_count(0)
            await owner.goto("/")
            await vote(owner, f"Red{number}")
            await expect(stranger.get_by_role("status")).to_contain_text("1 of 1 voted.")
            await expect(stranger.get_by_role("table")).to_have_count(int(is_shown))
    assert problems == []


async def test_a_shared_link_of_another_room_is_good_there_alone_and_an_open_page_sees_its_end(chromium, tmp_path):
    problems: list[str] = []
    async with Server(tmp_path / "instance") as server, running(chromium) as browser:
        owner = await person(browser, server.url, problems, **WIDE)
        stranger = await person(browser, server.url, problems, **WIDE)
        await join(owner, "Person A")
        await owner.goto("/rooms")
        await owner.get_by_label("Its name").fill("Cellar")
        await follow(owner, owner.get_by_role("button", name="Make the room").click())
        root = urlsplit(owner.url).path.rstrip("/")
        await expect(owner.get_by_role("status")).to_have_text("Live")
        await say(owner, 'poll "Which wine?" Red, White in 10m')
        await expect(owner.get_by_role("button", name="Red")).to_be_visible()
        await owner.goto(f"{root}/poll/1")
        link = await owner.get_by_label("Link to these results").input_value()
        assert urlsplit(link).path.startswith(f"{root}/shared/")

        await stranger.goto(link)
        await expect(stranger.get_by_role("heading", name="Which wine?")).to_be_visible()
        assert "Cellar" not in await stranger.content()
        elsewhere = await stranger.request.get(urlsplit(link).path.removeprefix(root))
        assert (elsewhere.status, "for another room" in await elsewhere.text()) == (404, True)

        await owner.goto(f"{root}/invite")
        await follow(owner, owner.get_by_role("button", name="End all links").click())
        await expect(stranger.get_by_role("alert")).to_contain_text("This link was revoked")
    # the answer that it has ended is not read to its end
    assert [line for line in problems if "410" not in line and "poll.json" not in line] == []


@pytest.mark.parametrize("path", ["/poll/x", "/poll/-1", "/poll/1.xml", "/poll/99999999999999999999999"])
async def test_a_vote_that_cannot_be_gets_a_plain_page(chromium, tmp_path, path):
    async with Server(tmp_path / "instance") as server, running(chromium) as browser:
        page = await person(browser, server.url, [], **WIDE)
        await join(page, "Person A")
        answer = await page.goto(path)
        assert answer is not None
        assert answer.status == 404
