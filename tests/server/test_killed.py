"""kill -9 in the middle of a POST: what was said is neither lost nor doubled, and the browser just asks again."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from web_room import Browser

KEY = "key-of-the-browser"
PROGRAM = Path(__file__).with_name("room_process.py")


@contextmanager
def room(store: Path, port: int, mode: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    errors = store.with_suffix(".errors").open("a")
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), str(store), str(port), mode],
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(PROGRAM.parents[2])},
    )
    try:
        url = process.stdout.readline().strip()
        assert url, store.with_suffix(".errors").read_text()
        yield process, url
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        errors.close()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("retries", [True, False])
def test_kill_between_storing_and_delivering(tmp_path, retries):
    store = tmp_path / "store.db"
    with room(store, 0, "stuck") as (process, url):
        browser = Browser(url)
        assert browser.join("Person A").status_code == 303
        failed: list[Exception] = []

        def say() -> None:
            try:
                browser.say("said in the last moment", key=KEY)
            except requests.RequestException as error:
                failed.append(error)

        saying = threading.Thread(target=say)
        saying.start()
        while not lines(store.with_suffix(".begun")):
            assert saying.is_alive()
        process.kill()
        saying.join(10)
        assert failed, "the browser was told nothing"
        [begun] = lines(store.with_suffix(".begun"))

    with room(store, urlsplit(url).port or 0, "hears") as (_, again):
        assert again == url
        if retries:
            assert browser.say("said in the last moment", key=KEY).json() == {"ok": True}
        heard = lines(store.with_suffix(".heard"))[1:]
        assert set(heard) == {begun}
        assert browser.page().count("said in the last moment") == 1

    with room(store, urlsplit(url).port or 0, "hears"):
        assert set(lines(store.with_suffix(".heard"))[1:]) == {begun}
    browser.close()
