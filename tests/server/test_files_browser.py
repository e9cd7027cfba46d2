"""Files in real Chromium: chosen, dropped and pasted, with what is refused said beside the box; and without scripts."""

from __future__ import annotations

import asyncio
import base64

from playwright.async_api import Page, expect
from web_room import browsers, serving

from shellbot.files.shelf import Limits, Shelf
from tests.browsers import PHONE, WIDE, follow, no_overflow, person, running, say

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
GIVE = """([side, how, files]) => {
  const transfer = new DataTransfer();
  for (const [name, type, text] of files) transfer.items.add(new File([text], name, { type }));
  const kind = how === "paste" ? ClipboardEvent : DragEvent;
  const data = how === "paste" ? { clipboardData: transfer } : { dataTransfer: transfer };
  const target = document.getElementById(`say-${side}`);
  target.dispatchEvent(new kind(how, { ...data, bubbles: true, cancelable: true }));
}"""


def named(name: str, content: bytes, kind: str = "text/plain"):
    return {"name": name, "mimeType": kind, "buffer": content}


async def join(page: Page, name: str) -> None:
    await page.goto("/")
    await page.get_by_label("Your name").fill(name)
    await follow(page, page.get_by_role("button", name="Join").click())


async def test_files_by_button_drop_and_paste(chromium, tmp_path):
    problems: list[str] = []
    shelf = Shelf(tmp_path / "files", Limits(max_bytes=1000, max_count=3))
    shelf.open({})
    async with serving(shelf=shelf) as (server, _, _), running(chromium) as browser:
        wide = await person(browser, server.url, problems, **WIDE)
        phone = await person(browser, server.url, problems, **PHONE)
        await join(wide, "Person A")
        await join(phone, "Person B")
        await expect(wide.get_by_role("status")).to_have_text("Live")
        picker = wide.locator("#files-group")
        chosen = wide.get_by_role("list", name="Files to send").get_by_role("listitem")
        async with wide.expect_file_chooser() as opened:
            await wide.locator("#group .attach").click()
        files = [named("a.png", PIXEL, "image/png"), named("empty.txt", b""), named("film.mkv", b"x" * 1001)]
        await (await opened.value).set_files(files)
        await expect(wide.get_by_role("alert")).to_have_text("film.mkv is too large: 1 kB are the most.")
        await wide.evaluate(GIVE, ["group", "drop", [["<b>.txt", "text/plain", "dropped"]]])
        await wide.evaluate(GIVE, ["group", "paste", [["one.txt", "text/plain", "too many"]]])
        await expect(wide.get_by_role("alert")).to_have_text(
            "one.txt is one too many: 3 files are the most for one message."
        )
        await expect(chosen).to_have_text(["a.png 70 bytes×", "empty.txt 0 bytes×", "<b>.txt 7 bytes×"])
        await wide.get_by_role("button", name="Remove empty.txt").click()
        await expect(chosen).to_have_count(2)
        await say(wide, "")  # files alone will do
        await expect(phone.get_by_role("img", name="a.png")).to_be_visible()
        assert (
            await phone.get_by_role("img", name="a.png").evaluate(
                "image => image.decode().then(() => image.naturalWidth)"
            )
            == 1
        )
        async with wide.expect_download() as saving:
            await wide.get_by_role("link", name="_b_.txt").click()
        saved = await saving.value
        assert saved.suggested_filename == "_b_.txt"
        assert (await saved.path()).read_text() == "dropped"
        await expect(chosen).to_have_count(0)
        await expect(wide.locator(".is-pending")).to_have_count(0)

        await phone.get_by_role("link", name="Direct").tap()
        await phone.locator("#files-direct").set_input_files([named("n" * 300 + ".txt", b"mine")])
        await no_overflow(phone)
        await say(phone, "for the bot", to="shellbot")
        await expect(phone.locator("#direct .file .name")).to_be_visible()
        await no_overflow(phone)
        assert await picker.count() == 1
    assert problems == []


async def test_an_upload_that_was_cut_is_sent_again_and_one_refused_says_why(chromium, tmp_path):
    problems: list[str] = []
    shelf = Shelf(tmp_path / "files", Limits(max_bytes=1000))
    shelf.open({})
    async with serving(shelf=shelf) as (server, _, bot), running(chromium) as browser:
        page = await person(browser, server.url, problems, **WIDE)
        await join(page, "Person A")
        await page.route("**/say", lambda route: route.abort(), times=1)
        await page.locator("#files-group").set_input_files([named("a.txt", b"a")])
        await say(page, "again")
        await expect(page.locator("#group .file")).to_have_count(1)
        shelf.limits = Limits(max_bytes=10)
        await page.locator("#files-group").set_input_files([named("b.txt", b"b" * 11)])
        await say(page, "too large by now")
        await expect(page.locator(".is-failed .failure")).to_contain_text(
            "Not sent. b.txt is too large: 10 bytes are the most."
        )
        shelf.limits = Limits(max_bytes=1000)
        await page.get_by_role("button", name="Try again").click()
        await expect(page.locator("#group .file")).to_have_count(2)
        await expect(page.locator(".is-pending")).to_have_count(0)
        assert len({event.id for event in bot.heard}) == 3
    assert all("413" in line or "net::ERR_FAILED" in line for line in problems), problems


async def test_files_without_scripts(chromium, tmp_path):
    problems: list[str] = []
    shelf = Shelf(tmp_path / "files", Limits(max_bytes=1000))
    shelf.open({})
    async with serving(shelf=shelf) as (server, _, _), running(chromium) as browser:
        page = await person(browser, server.url, problems, java_script_enabled=False, **PHONE)
        await join(page, "Person A")
        picker = page.locator("#files-group")
        await expect(picker).to_be_visible()
        await picker.set_input_files([named("a.png", PIXEL, "image/png"), named("b.txt", b"b")])
        await follow(page, say(page, "both"))
        await expect(page.get_by_role("img", name="a.png")).to_be_visible()
        await expect(page.get_by_role("link", name="b.txt")).to_be_visible()
        await no_overflow(page)
        assert problems == []
        await picker.set_input_files([named("c.txt", b"c" * 1001)])
        await follow(page, say(page, "what I typed"))
        await expect(page.get_by_role("alert")).to_have_text("c.txt is too large: 1 kB are the most.")
        await expect(page.get_by_role("textbox", name="Message to everybody")).to_have_value("what I typed")


async def test_a_room_that_is_closed_shows_it_at_once(chromium):
    problems: list[str] = []
    async with (
        serving() as (server, space, _),
        browsers(server.url, "Person B") as (other,),
        running(chromium) as browser,
    ):
        page = await person(browser, server.url, problems, **WIDE)
        await join(page, "Person A")
        await say(page, "before")
        await expect(page.locator(".is-mine:not(.is-pending)")).to_have_count(1)
        await space.end("group")
        await expect(page.locator("#group .closed")).to_be_visible()
        await expect(page.get_by_role("textbox", name="Message to everybody")).to_be_hidden()
        await expect(page.get_by_text("before")).to_be_visible()
        await say(page, "still here", to="shellbot")
        await expect(page.locator("#direct .is-mine:not(.is-pending)")).to_have_count(1)
        told = await asyncio.to_thread(other.say, "too late")
        assert (told.status_code, told.json()["error"]) == (
            409,
            "This room is closed. What was said here stays to be read.",
        )
    assert problems == []
