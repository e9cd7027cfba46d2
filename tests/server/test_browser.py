"""Two people in real Chromium: a vote, live and without scripts; nothing odd in console or network."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Page, expect
from web_room import serving

from shellbot.events import Button, Card, Reply
from shellbot.polls.spec import make
from shellbot.polls.tally import bars, count
from shellbot.spaces.web.names import MAX_NAME
from tests.browsers import PHONE, WIDE, follow, no_overflow, person, running, say


async def join(page: Page, name: str) -> None:
    await page.goto("/")
    await page.get_by_label("Your name").fill(name)
    await follow(page, page.get_by_role("button", name="Join").click())
    await expect(page.get_by_role("heading", name="Lunch room")).to_be_visible()


async def test_two_people_vote_live_one_wide_one_on_a_phone(chromium):
    problems: list[str] = []
    async with serving() as (server, _, _), running(chromium) as browser:
        wide = await person(browser, server.url, problems, **WIDE)
        phone = await person(browser, server.url, problems, **PHONE)
        await join(wide, "Person A")
        await join(phone, "Person B")
        await expect(wide.get_by_role("status")).to_have_text("Live")
        await expect(wide.locator("#people")).to_have_text("2 people: Person A, Person B")

        await say(wide, "hello <b>there</b>")
        log = phone.get_by_role("log", name="Group")
        await expect(log.get_by_text("hello <b>there</b>")).to_be_visible()
        await expect(wide.locator(".is-mine .text")).to_have_text("hello <b>there</b>")
        await expect(wide.locator(".is-pending")).to_have_count(0)

        await say(wide, "vote Lunch?")
        await expect(phone.get_by_role("link", name="Direct").locator(".badge")).to_have_text("1")
        await expect(phone.get_by_role("button", name="Sushi")).not_to_be_visible()
        await phone.get_by_role("link", name="Direct").tap()
        await expect(phone.get_by_role("group", name="Lunch?")).to_be_visible()
        assert (await phone.get_by_role("button", name="Sushi").bounding_box())["height"] >= 44
        ballot = phone.locator(".said", has=phone.locator(".ballot"))
        width = (await ballot.bounding_box())["width"]
        await phone.get_by_role("button", name="Pizza").tap()
        await expect(phone.get_by_text("Your vote: Pizza.")).to_be_visible()
        assert (await ballot.bounding_box())["width"] == width, "it does not jump when one votes"
        await phone.get_by_role("button", name="Sushi").tap()
        await expect(phone.get_by_role("button", name="Sushi", pressed=True)).to_be_visible()
        await expect(phone.get_by_role("button", name="Pizza", pressed=False)).to_be_visible()

        await wide.get_by_role("button", name="Sushi").focus()
        await wide.keyboard.press("Enter")
        await expect(wide.get_by_role("button", name="Sushi", pressed=True)).to_be_focused()
        await expect(wide.get_by_text("Sushi  ████████████████ 2")).to_be_visible()
        await phone.get_by_role("link", name="Group").tap()
        await expect(phone.get_by_text("Sushi  ████████████████ 2")).to_be_visible()

        await say(wide, "close")
        await expect(wide.get_by_role("button", name="Sushi")).to_be_disabled()
        for page in (wide, phone):
            await no_overflow(page)
    assert problems == []


@pytest.mark.parametrize("choices", [("Sandwiches", "Soup"), ("Fish and mushy peas", "Soup " * 15)])
async def test_the_bars_of_a_result_fit_a_page_of_any_width(chromium, choices):
    problems: list[str] = []
    async with serving() as (server, space, _), running(chromium) as browser:
        page = await person(browser, server.url, problems, **WIDE)
        await join(page, "Person A")
        spec = make("Dinner?", choices)
        await space.post("group", Reply(id="r", text="**Result**", fixed=bars(count(spec, [spec.choices[:1]], 2))))
        shown = page.locator(".fixed")
        await expect(shown).to_contain_text("100 %")
        for path in ("/", "/earlier?side=group&before=9"):
            await page.goto(path)
            for width in (320, 390, 761, 1280):
                await page.set_viewport_size({"width": width, "height": 800})
                assert await shown.evaluate("bars => bars.scrollWidth <= bars.clientWidth"), (path, width)
                assert await shown.evaluate("bars => parseFloat(getComputedStyle(bars).fontSize)") > 9
    assert problems == []


async def test_a_vote_without_scripts(chromium):
    problems: list[str] = []
    async with serving() as (server, _, _), running(chromium) as browser:
        wide = await person(browser, server.url, problems, java_script_enabled=False, **WIDE)
        phone = await person(browser, server.url, problems, java_script_enabled=False, **PHONE)
        await join(wide, "Person A")
        await join(phone, "Person B")
        await follow(wide, say(wide, "vote Lunch?"))
        await follow(wide, wide.get_by_role("button", name="Pizza").click())
        await expect(wide.get_by_role("button", name="Pizza", pressed=True)).to_be_visible()

        await phone.get_by_role("link", name="Direct").click()
        await phone.reload()
        await follow(phone, phone.get_by_role("button", name="Sushi").click())
        await expect(phone).to_have_url(re.compile("#direct$"))
        await expect(phone.get_by_text("Your vote: Sushi.")).to_be_visible()
        await phone.get_by_role("link", name="Group").click()
        await expect(phone.get_by_text("Sushi  ████████ 1")).to_be_visible()
        await follow(wide, wide.get_by_role("link", name="Refresh").click())
        await expect(wide.get_by_text("Sushi  ████████ 1")).to_be_visible()
    assert problems == []


async def test_a_taken_name_is_explained(chromium):
    problems: list[str] = []
    async with serving() as (server, space, _), running(chromium) as browser:
        member = await space.join("Person A")
        await space.page(member.person.id)
        page = await person(browser, server.url, problems, **WIDE)
        await page.goto("/")
        name = page.get_by_label("Your name")
        await expect(name).to_have_attribute("maxlength", str(MAX_NAME))
        for taken, has_way in (("shellbot", False), ("person a", True)):
            await name.fill(taken)
            await page.get_by_role("button", name="Join").click()
            alert = page.get_by_role("alert")
            await expect(alert).to_contain_text(f"{taken} is already taken here. Please choose another name")
            assert ("If it is yours, say “link” in the direct channel" in await alert.inner_text()) == has_way
    assert len([line for line in problems if "409" in line]) == len(problems)


async def test_hostile_names_texts_and_titles_are_only_text(chromium):
    problems: list[str] = []
    attack = '<img src=x onerror="alert(1)">'
    async with serving(title=f"Lunch room {attack}") as (server, space, _), running(chromium) as browser:
        page = await person(browser, server.url, problems, **WIDE)
        page.on("dialog", lambda dialog: problems.append(f"dialog: {dialog.message}"))
        await join(page, attack)
        await expect(page.get_by_role("status")).to_have_text("Live")
        await say(page, f"{attack} </li></ol><script>alert(2)</script>")
        await space.post("group", Reply(id="r", text=f"{attack} [x](javascript:alert(3)) ![x](http://evil.test/)"))
        async with page.expect_response("**/say"):
            await say(page, f"vote {attack}</legend></fieldset></form><script>alert(4)</script>")
        for _ in ("live", "loaded again"):
            await expect(page.locator(".is-mine").first).to_contain_text("</li></ol><script>alert(2)</script>")
            await expect(page.locator("legend")).to_contain_text("</legend></fieldset></form><script>alert(4)</script>")
            await expect(page.locator(".rich").first).to_contain_text(attack)
            await expect(page.locator(".log img, .log script, .log [onerror], a[href^=javascript]")).to_have_count(0)
            await page.reload()
    assert problems == []


async def test_many_tabs_of_one_person_stay_within_four_streams_and_the_newest_are_live(chromium):
    problems: list[str] = []
    async with serving() as (server, space, _), running(chromium) as browser:
        first = await person(browser, server.url, problems, **WIDE)
        await join(first, "Person A")
        tabs = [first]
        for _ in range(5):
            tabs.append(await first.context.new_page())
            await tabs[-1].goto("/")
            await expect(tabs[-1].get_by_role("status")).to_have_text("Live")
        await expect(first.get_by_role("status")).to_have_text("Paused here: open in other tabs")
        assert len(server.events) == 4
        await space.post("group", Reply(id="r", text="to the newest"))
        await expect(tabs[-1].get_by_text("to the newest")).to_be_visible()
    assert problems == []


async def test_a_reader_further_up_stays_where_they_are(chromium):
    problems: list[str] = []
    async with serving() as (server, space, _), running(chromium) as browser:
        for number in range(60):
            await space.post("group", Reply(id=f"r{number}", text=f"message {number}"))
        page = await person(browser, server.url, problems, **WIDE)
        await join(page, "Person A")
        await expect(page.get_by_role("status")).to_have_text("Live")
        log = page.get_by_role("log", name="Group")
        await expect(page.get_by_text("message 59", exact=True)).to_be_in_viewport()
        await log.evaluate("log => { log.scrollTop = -900; }")
        target = page.get_by_text("message 40", exact=True)
        before = (await target.bounding_box())["y"]
        await space.post("group", Reply(id="late", text="something new"))
        await expect(page.get_by_role("button", name="New messages")).to_be_visible()
        assert abs((await target.bounding_box())["y"] - before) < 2
        await page.get_by_role("button", name="New messages").click()
        await expect(page.get_by_text("something new")).to_be_in_viewport()
        await expect(page.get_by_role("button", name="New messages")).to_have_count(0)

        await log.evaluate("log => { log.scrollTop = -900; }")
        before = (await target.bounding_box())["y"]
        await space.post("group", Reply(id="late", text="the same in\n\nother words", version=2))
        await expect(page.get_by_text("other words")).to_be_attached()
        assert abs((await target.bounding_box())["y"] - before) < 2
        await expect(page.get_by_role("button", name="New messages")).to_have_count(0)  # what changed is not new
    assert problems == []


async def test_a_page_goes_on_after_a_restart_and_sends_what_waited(chromium, tmp_path):
    from shellbot.stores.sqlite import SqliteStore

    store = SqliteStore(tmp_path / "store.db")
    await store.open()
    problems: list[str] = []
    try:
        async with running(chromium) as browser:
            async with serving(store=store) as (server, space, _):
                port = int(server.url.rsplit(":", 1)[1].strip("/"))
                page = await person(browser, server.url, problems, **WIDE)
                await join(page, "Person A")
                await expect(page.get_by_role("status")).to_have_text("Live")
                await say(page, "before")
                await expect(page.locator(".is-mine:not(.is-pending)")).to_have_count(1)
            await say(page, "while it was down")
            await expect(page.locator(".is-pending")).to_have_count(1)
            async with serving(store=store, port=port) as (_, space, bot):
                await space.post("group", Reply(id="late", text="said meanwhile"))
                await expect(page.get_by_text("said meanwhile")).to_be_visible()
                await expect(page.locator(".is-mine:not(.is-pending)")).to_have_count(2)
                await expect(page.locator(".is-pending")).to_have_count(0)
                assert [event.text for event in bot.heard] == ["while it was down"]
                await page.close()
    finally:
        await store.close()
    assert [line for line in problems if "ERR_CONNECTION_REFUSED" not in line] == []


async def test_the_guards_see_what_they_should(chromium):
    problems: list[str] = []
    async with serving() as (server, _, _), running(chromium) as browser:
        page = await person(browser, server.url, problems, **WIDE)
        await page.goto("/")
        await page.evaluate("console.error('odd')")
        await page.evaluate("fetch('http://127.0.0.1:1/').catch(() => 0)")
    assert any("odd" in line for line in problems)
    assert any("127.0.0.1:1" in line for line in problems)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_on_a_phone_the_name_of_the_room_has_room_and_done_looks_like_an_action(chromium, scheme):
    problems: list[str] = []
    choices = (Button("ham", "Ham"), Button("corn", "Corn"), Button(" done", "Done", is_action=True))
    async with serving() as (server, space, _), running(chromium) as browser:
        phone = await person(browser, server.url, problems, **PHONE | {"color_scheme": scheme})
        await join(phone, "Bo")  # a short one: there were the people beside it, and "L…" of the room
        await expect(phone.locator("#people")).to_have_text("1 person: Bo")
        for width in (360, 390, 760):
            await phone.set_viewport_size({"width": width, "height": 844})
            name = phone.get_by_role("heading", name="Lunch room")
            assert await name.evaluate("name => name.scrollWidth <= name.clientWidth"), width
            await no_overflow(phone)

        card = Card(id="top", title="Toppings?", buttons=choices, pressed=("ham",))
        await space.post("group", Reply(id="r", text="", version=1, card=card))
        style = "button => [getComputedStyle(button, '::before').display, getComputedStyle(button).backgroundColor]"
        choice = await phone.get_by_role("button", name="Corn").evaluate(style)
        done = phone.get_by_role("button", name="Done")
        action = await done.evaluate(style)
        assert action[0] == "none" != choice[0]  # no circle
        assert action[1] != choice[1]
        await space.post("group", Reply(id="r", text="", version=2, card=replace(card, pressed=("ham", " done"))))
        await expect(done).to_have_attribute("aria-pressed", "true")
        assert (await done.evaluate(style))[0] != "none"  # its mark says that it is done
    assert problems == []


def test_script_and_style_keep_their_budget():
    static = Path(__file__).parents[2] / "shellbot" / "server" / "static"
    assert sum(file.stat().st_size for file in static.glob("*.js")) <= 40_000
    assert sum(file.stat().st_size for file in static.glob("*.css")) <= 18_000
