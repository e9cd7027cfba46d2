"""The page on which a developer plays the people of FakeWebex: in Chromium, and as those see it who mean no good."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from shellbot.testing import FakeWebex
from shellbot.testing.fakewebex import Bot
from shellbot.testing.fakewebex.cards import clean_message, markdown, read_card
from tests.browsers import PHONE, WIDE, no_overflow, person, running

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003010100c9fe92ef"
    "0000000049454e44ae426082"
)
CARD: dict[str, Any] = {
    "type": "AdaptiveCard",
    "version": "1.3",
    "body": [
        {"type": "TextBlock", "text": "Lunch on **Friday**?", "size": "Large", "weight": "Bolder"},
        {
            "type": "Input.ChoiceSet",
            "id": "choice",
            "label": "Your choice",
            "style": "expanded",
            "choices": [{"title": "Pizza", "value": "pizza"}, {"title": "Sushi", "value": "sushi"}],
        },
        {
            "type": "Input.ChoiceSet",
            "id": "days",
            "label": "Days",
            "isMultiSelect": True,
            "choices": [{"title": "Monday", "value": "mo"}, {"title": "Tuesday", "value": "tu"}],
        },
        {"type": "Input.Text", "id": "why", "label": "Why?", "isRequired": True},
        {"type": "Input.Toggle", "id": "remind", "title": "Remind me", "valueOn": "yes", "valueOff": "no"},
    ],
    "actions": [
        {"type": "Action.Submit", "title": "Vote", "data": {"poll": "7"}},
        {
            "type": "Action.ShowCard",
            "title": "More",
            "card": {
                "type": "AdaptiveCard",
                "body": [{"type": "Input.Date", "id": "day", "label": "When", "isRequired": True}],
                "actions": [{"type": "Action.Submit", "title": "Later", "data": {"poll": "8"}}],
            },
        },
    ],
}


@pytest.fixture
def fake() -> Iterator[FakeWebex]:
    with FakeWebex() as made:
        yield made


def post(fake: FakeWebex, bot: Bot, **values: Any) -> None:
    sent = requests.post(f"{fake.url}messages", json=values, headers={"Authorization": f"Bearer {bot.token}"})
    assert sent.status_code == 200, sent.text


def post_card(fake: FakeWebex, to: str, card: dict[str, Any], text: str = "Lunch?") -> None:
    attachments = [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}]
    post(fake, fake.bot("Shelly"), toPersonId=to, text=text, attachments=attachments)


def odd(problems: list[str]) -> list[str]:
    """What was noted, but for the question that always waits for something new and ends with its page."""
    return [problem for problem in problems if "/play/look" not in problem]


# --- in a browser


async def test_a_developer_plays_the_whole_platform(chromium: Path, fake: FakeWebex) -> None:
    bot = fake.bot("Shelly")
    problems: list[str] = []
    async with running(chromium) as browser:
        page = await person(browser, fake.page.rstrip("/"), problems, **WIDE)
        await page.goto("/")
        for name in ("Person A", "Person B"):
            await page.get_by_role("button", name="Add a person").click()
            await page.get_by_label("Name").fill(name)
            await page.keyboard.press("Enter")
            await expect(page.locator("#who option:checked")).to_have_text(name)
        await page.get_by_role("button", name="New room").click()
        await page.get_by_label("Title").fill("Team")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Team")).to_be_visible()
        room = fake.rooms()[0]
        assert {member.account.name for member in room.members.values()} == {"Person A", "Person B", "Shelly"}

        # said with a mention, and then without
        await page.get_by_role("textbox", name="Message").fill("help")
        await page.keyboard.press("Enter")
        heard = await fake.aio.wait_for(room, lambda message: message.text == "Shelly help")
        assert heard.mentions == (bot.id,)
        await page.get_by_label("@Shelly").uncheck()
        await page.get_by_role("textbox", name="Message").fill("<b>not</b> for you\nat all")
        await page.get_by_role("button", name="Send", exact=True).click()
        assert (await fake.aio.wait_for(room, lambda message: "at all" in message.text)).mentions == ()
        await expect(page.locator(".post", has_text="<b>not</b> for you")).to_be_visible()

        # what comes from others appears by itself, rendered and safe
        post(fake, bot, roomId=room.id, markdown="**At** your service")
        await expect(page.locator(".rich strong", has_text="At")).to_be_visible()

        # with a file
        await page.locator("#files").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": PNG})
        await page.get_by_role("button", name="Send", exact=True).click()
        sent = await fake.aio.wait_for(room, lambda message: message.files)
        assert (sent.files[0].name, sent.files[0].data) == ("a.png", PNG)
        await expect(page.get_by_role("img", name="a.png")).to_be_visible()
        assert await page.get_by_role("img", name="a.png").evaluate("one => one.naturalWidth") == 1

        # as somebody else, in the same room, and with something new in another
        await page.get_by_label("You are").select_option("Person A")
        await expect(page.locator(".is-mine")).to_have_count(0)
        post(fake, bot, toPersonId=fake.person("Person A").id, text="a word with you")
        await expect(page.get_by_role("button", name="Shelly: a word").locator(".badge")).to_have_text("1")
        await page.get_by_role("button", name="3 people").click()
        await page.get_by_role("button", name="Put Shelly out").click()
        await fake.aio.wait_until(lambda: bot.id not in room.members)
        await page.get_by_label("Who comes in").select_option("Shelly (bot)")
        await page.get_by_role("button", name="Add", exact=True).click()
        await fake.aio.wait_until(lambda: bot.id in room.members)
        await page.get_by_role("button", name="Done").click()
        await no_overflow(page)
    assert odd(problems) == []


async def test_a_card_is_filled_in_and_sent(chromium: Path, fake: FakeWebex) -> None:
    voter = fake.person("Person A")
    post_card(fake, voter.id, CARD)
    problems: list[str] = []
    async with running(chromium) as browser:
        page = await person(browser, fake.page.rstrip("/"), problems, **PHONE)
        await page.goto("/")
        await page.get_by_role("button", name="Shelly").click()
        await page.get_by_label("Sushi").check()
        await page.get_by_label("Monday").check()
        await page.get_by_label("Tuesday").check()
        await page.get_by_label("Remind me").check()
        await page.get_by_role("button", name="Vote").click()
        await expect(page.get_by_label("Why?")).to_be_focused()  # is required
        await page.get_by_label("Why?").fill("<raw>")
        await page.get_by_role("button", name="Vote").click()
        await expect(page.get_by_text("Sent: Vote")).to_be_visible()
        await page.get_by_text("More").click()
        await page.get_by_label("When").fill("2026-11-20")
        await page.get_by_role("button", name="Later").click()
        await expect(page.get_by_text("Sent: Later")).to_be_visible()
        await no_overflow(page)
    assert odd(problems) == []
    first, second = fake.actions(voter)
    filled = {"choice": "sushi", "days": "mo,tu", "why": "<raw>", "remind": "yes"}
    assert first.inputs == {"poll": "7", "day": "", **filled}
    assert second.inputs == {"poll": "8", "day": "2026-11-20", **filled}


@pytest.mark.parametrize("window", [WIDE, PHONE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(chromium: Path, fake: FakeWebex, window: dict[str, Any], scheme: str) -> None:
    one, bot = fake.person("Person A"), fake.bot("Shelly")
    room = fake.room("Team", [one], bots=[bot])
    one.say(room, "look", mention=bot, files=[("plan.pdf", b"plan"), ("a.png", PNG)])
    post_card(fake, one.id, CARD)
    problems: list[str] = []
    async with running(chromium) as browser:
        page = await person(browser, fake.page.rstrip("/"), problems, **{**window, "color_scheme": scheme})
        await page.goto("/")
        for name in ("Team", "Shelly"):
            await page.get_by_role("button", name=name).first.click()
            await expect(page.locator(".post").first).to_be_visible()
            found = await Axe().run(page)
            assert found.response["violations"] == [], found.generate_report()
            await no_overflow(page)
            if await page.locator("#back").is_visible():
                await page.locator("#back").click()
    assert odd(problems) == []


HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>[x](javascript:document.title=3)'


async def test_hostile_text_does_nothing(chromium: Path, fake: FakeWebex) -> None:
    one = fake.person(f"{HOSTILE}")
    bot = fake.bot('"><svg onload=document.title=4>')
    room = fake.room(HOSTILE, [one], bots=[bot])
    one.say(room, HOSTILE, mention=bot, files=[(f"{HOSTILE}.html", HOSTILE.encode()), ("a.svg", b"<svg/>")])
    post(fake, bot, roomId=room.id, markdown=HOSTILE, text=HOSTILE)
    spoiled = json.dumps(CARD).replace("Lunch on **Friday**?", HOSTILE.replace('"', "'")).replace("Pizza", '\\"<x>')
    post_card(fake, one.id, json.loads(spoiled), HOSTILE)
    problems: list[str] = []
    async with running(chromium) as browser:
        page = await person(browser, fake.page.rstrip("/"), problems, **WIDE)
        await page.goto("/")
        for number in range(3):
            await page.locator("#rooms button").nth(number).click()
            await page.wait_for_load_state()
        await page.locator("#rooms button").first.click()
        await expect(page.locator(".post").first).to_be_visible()
        assert await page.title() == "Webex, played"
        assert await page.locator("#messages script, #messages [onerror], #messages a[href^=javascript]").count() == 0
    assert odd(problems) == []


# --- those who mean no good


def token_of(fake: FakeWebex) -> str:
    found = re.search(r'name="page-token" content="([^"]+)"', requests.get(fake.page).text)
    assert found is not None
    return found[1]


def test_only_the_page_itself_may_ask(fake: FakeWebex) -> None:
    token, url = token_of(fake), f"{fake.page}play/person"
    good = {"X-Page-Token": token}

    def ask(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.post(url, json={"name": "Person C"}, headers=named).status_code

    assert ask() == 403
    assert ask(X_Page_Token="ä".encode().decode("latin-1")) == 403
    assert ask(**good, Origin="http://evil.example") == 403
    assert ask(**good, Origin="http://127.0.0.1:1") == 403
    assert ask(**good, Sec_Fetch_Site="same-site") == 403
    assert ask(**good, Host="evil.example") == 421
    assert ask(**good, Host=f"evil.example:{fake.page.split(':')[2]}") == 421
    assert [one.name for one in fake.people()] == []
    assert ask(**good, Origin=fake.page.rstrip("/"), Sec_Fetch_Site="same-origin") == 200
    assert [one.name for one in fake.people()] == ["Person C"]


def test_nobody_reads_the_page_under_another_name(fake: FakeWebex) -> None:
    assert requests.get(fake.page, headers={"Host": "evil.example"}).status_code == 421
    assert requests.get(fake.page, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    page = requests.get(fake.page)
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert page.headers["X-Content-Type-Options"] == "nosniff"


def test_what_does_not_fit_is_refused_and_not_an_error_of_ours(fake: FakeWebex) -> None:
    one, bot = fake.person("Person A"), fake.bot("Shelly")
    post_card(fake, one.id, CARD)
    (message,) = fake.messages((bot, one))
    headers = {"X-Page-Token": token_of(fake)}
    for path, body, status in [
        ("person", {"name": " "}, 400),
        ("person", [], 400),
        ("person", {"name": 1}, 400),
        ("room", {"title": "Team", "as": "nobody"}, 400),
        ("room", {"title": "", "as": one.id}, 400),
        ("room", {"title": "Team", "as": one.id, "members": ["nobody"]}, 404),
        ("press", {"as": one.id, "message": message.id, "button": 9, "inputs": {}}, 400),
        ("press", {"as": one.id, "message": message.id, "button": 0, "inputs": []}, 400),
        ("press", {"as": bot.id, "message": message.id, "button": 0, "inputs": {}}, 400),
        ("press", {"as": one.id, "message": "none", "button": 0, "inputs": {}}, 404),
        ("add", {"as": one.id, "place": "none", "member": bot.id}, 404),
        ("remove", {"as": one.id, "place": message.room_id, "member": bot.id}, 400),
        ("look", {"as": "nobody", "place": 1, "known": []}, 200),
        ("nothing", {}, 404),
    ]:
        answer = requests.post(f"{fake.page}play/{path}", json=body, headers=headers)
        assert answer.status_code == status, (path, body, answer.text)
    assert requests.post(f"{fake.page}play/say", data={"as": one.id}, headers=headers).status_code == 400
    long = {"as": one.id, "place": bot.id, "text": "x" * 8000}
    assert requests.post(f"{fake.page}play/say", data=long, headers=headers).status_code == 400
    assert requests.get(f"{fake.page}play/file/none").status_code == 404


def test_a_file_is_never_a_page(fake: FakeWebex) -> None:
    said = fake.person("Person A").say(fake.bot("Shelly"), files=[("../a.html", b"<script>"), ("x", PNG)])
    page, picture = (requests.get(f"{fake.page}play/file/{file.id}") for file in said.files)
    assert page.headers["Content-Type"] == "application/octet-stream"
    assert page.headers["Content-Disposition"] == "attachment; filename=a.html"
    assert "sandbox" in page.headers["Content-Security-Policy"]
    assert picture.headers["Content-Type"] == "image/png"


# --- cards, read with distrust


def test_what_is_not_known_is_named_and_what_is_too_deep_left_out() -> None:
    deep: dict[str, Any] = {"type": "TextBlock", "text": "deep"}
    for _ in range(300):
        deep = {"type": "Container", "items": [deep]}
    nodes = read_card({"body": [deep, {"type": "Media"}, "text", {"type": "TextBlock", "text": 7}, {"type": []}]})
    assert [node.kind for node in nodes] == ["group", "unknown", "text", "unknown"]
    assert nodes[1].label == "Media"
    assert nodes[2].html.strip() == "<p>7</p>"
    many = read_card({"body": [{"type": "TextBlock", "text": "x"}] * 5000})
    assert len(many) == 500


def test_buttons_are_numbered_as_the_platform_numbers_them() -> None:
    body = [{"type": "ActionSet", "actions": [{"type": "Action.Submit", "title": "1"}]}]
    nodes = read_card({"body": body, "actions": [{"type": "Action.Submit", "title": "2"}]})
    assert [node.children[0].number for node in nodes] == [0, 1]


def test_only_links_to_pages_are_links() -> None:
    bad = {"type": "Action.OpenUrl", "title": "x", "url": "javascript:alert(1)"}
    assert read_card({"actions": [bad]})[0].children[0].kind == "unknown"
    assert "href" not in markdown("[x](javascript:alert(1)) [y](data:text/html,x)")
    assert clean_message('<spark-mention data-object-id="1">A</spark-mention><a href="file:///x">f</a>') == (
        '<spark-mention>A</spark-mention><a target="_blank" rel="noopener noreferrer nofollow">f</a>'
    )
