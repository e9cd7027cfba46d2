"""Real Chromium, in contexts that note everything odd: console, network, other hosts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Route,
    async_playwright,
    expect,
)

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
WIDE: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
    "color_scheme": "dark",
}


expect.set_options(timeout=12_000)  # its own 5 s are few for a browser that shares two processors with other tests


@asynccontextmanager
async def running(chromium: Path) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


async def person(browser: Browser, url: str, problems: list[str], **settings: Any) -> Page:
    """Give a page in a browser of its own, which notes everything odd."""
    context = await browser.new_context(base_url=url, reduced_motion="reduce", **settings)
    context.set_default_timeout(12_000)
    await watch(context, url, problems)
    return await context.new_page()


async def watch(context: BrowserContext, url: str, problems: list[str]) -> None:
    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            problems.append(f"console: {message.text}")

    def on_failed(request: Request) -> None:
        # the stream, and the words that somebody is typing or has read, end with their page; the tab's icon is loaded
        # beside it, and given up when the next page comes
        if "/events" not in request.url and not request.url.endswith(("/icon.svg", "/typing", "/seen")):
            problems.append(f"failed: {request.url} {request.failure}")

    async def on_route(route: Route) -> None:
        if route.request.url.startswith((url, "data:", "blob:")):
            await route.continue_()
        else:
            problems.append(f"foreign: {route.request.url}")
            await route.abort()

    context.on("console", on_console)
    context.on("weberror", lambda error: problems.append(f"script: {error.error}"))
    context.on("requestfailed", on_failed)
    context.on(
        "response", lambda answer: problems.append(f"{answer.status}: {answer.url}") if answer.status >= 400 else None
    )
    await context.route("**/*", on_route)


async def say(page: Page, text: str, to: str = "everybody") -> None:
    box = page.get_by_role("textbox", name=f"Message to {to}")
    await box.fill(text)
    await page.get_by_role("button", name="Send").locator("visible=true").first.click()


async def follow(page: Page, deed: Awaitable[None]) -> None:
    """Do what leads to another page and wait until that is whole; leaving it half loaded would look like a fault."""
    async with page.expect_navigation(wait_until="load"):
        await deed


async def no_overflow(page: Page) -> None:
    assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
