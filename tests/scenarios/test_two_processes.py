"""The group's bot and the direct bots in two processes, with nothing between them but the bus.

Each half has a folder and a store of its own. They are given the same address, the parent's queue, the path of one key
and the roll.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
from contextlib import contextmanager

import pytest

from shellbot.bus.bus import Bus
from shellbot.context import Context
from shellbot.instance import read_key
from tests.scenarios.halves import Half, direct

NAMES = ["Ann", "Bob", "Cid"]
LUNCH = 'poll "Lunch?" Pizza, Sushi in 10m'


@pytest.fixture
def halves(tmp_path, runtime_folder):
    """Start the publisher and both halves; everything has ended when the test has."""

    @contextmanager
    def start():
        key = tmp_path / "key"
        read_key(key)
        address = f"ipc://{runtime_folder}/{os.urandom(4).hex()}"
        with Bus(Context({"bus": {"address": address}})).publish() as publisher:
            parts = [Half(side, tmp_path / side, key, publisher.fan, address, NAMES) for side in ("group", "direct")]
            try:
                yield publisher, *parts
            finally:
                if publisher.is_alive():
                    os.kill(publisher.pid, signal.SIGCONT)
                for part in parts:
                    part.end()

    return start


async def until(condition, timeout=10):
    """Look again, and again, until it holds."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(0.01)


async def ballots_everywhere(directs: Half) -> None:
    for name in NAMES:
        await directs.call("wait", direct(name), "Vote #1", 10)


async def test_a_vote_between_two_processes(halves, tmp_path):
    with halves() as (_, group, directs):
        await directs.call("ready")
        await group.call("say", "Ann", LUNCH)
        await ballots_everywhere(directs)
        for name, choice in zip(NAMES, ["Pizza", "Sushi", "Sushi"], strict=True):
            await directs.call("vote", name, choice)
        result = await group.call("wait", "group", "Result", 10)
        assert "Sushi 2" in result
        assert "Pizza 1" in result
        for name in NAMES:
            await directs.call("wait", direct(name), "Closed. Your vote", 10)


async def test_neither_side_needs_what_the_other_keeps(halves, tmp_path):
    with halves() as (_, group, directs):
        await directs.call("ready")
        await group.call("say", "Ann", LUNCH)
        await ballots_everywhere(directs)
        await directs.call("vote", "Ann", "Pizza")
        await directs.call("wait", direct("Ann"), "Your vote is counted: Pizza", 10)
        for file in (tmp_path / "direct").glob("store.db*"):
            file.unlink()
        assert await group.call("tally") == {direct("Ann"): "Pizza"}
        await group.call("say", "Ann", "poll close")
        assert "Pizza 1" in await group.call("wait", "group", "Result", 10)
        shutil.rmtree(tmp_path / "group")
        assert "Vote #1" in "".join(await directs.call("heard", direct("Bob")))


async def test_an_anonymous_vote_between_two_processes_is_opened_only_where_the_key_is(halves, tmp_path):
    with halves() as (_, group, directs):
        await directs.call("ready")
        await group.call("say", "Ann", 'poll anonymous "Lunch?" Pizza, Sushi in 10m')
        await ballots_everywhere(directs)
        for name, choice in zip(NAMES[:2], ["Pizza", "Sushi"], strict=True):
            await directs.call("vote", name, choice)
            await directs.call("wait", direct(name), "Your vote is counted.", 10)
        await directs.call("vote", "Ann", "Sushi")  # changed
        await directs.call("whisper", "Cid", "sushi")
        assert "Sushi 3" in await group.call("wait", "group", "Result", 10)
        for name in NAMES:
            await directs.call("wait", direct(name), "Closed. Your vote was counted.", 10)
    keys = {side: [path.name for path in (tmp_path / side / "keys").iterdir()] for side in ("group", "direct")}
    assert not any(name.startswith("poll-") for names in keys.values() for name in names)
    assert store_of(tmp_path / "direct", "SELECT DISTINCT choice FROM booth") == [("",)]
    assert store_of(tmp_path / "group", "SELECT choice FROM poll_choices") == [("Sushi",)] * 3
    assert store_of(tmp_path / "group", "SELECT choice FROM poll_ballots") == []


def store_of(folder, query):
    db = sqlite3.connect(folder / "store.db")
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


async def test_no_ballot_appears_while_the_publisher_is_stopped_and_all_do_when_it_goes_on(halves):
    with halves() as (publisher, group, directs):
        await directs.call("ready")
        os.kill(publisher.pid, signal.SIGSTOP)
        await group.call("say", "Ann", LUNCH)
        await group.call("wait", "group", "The bus does not answer yet", 10)  # it tried, and it waited for an answer
        assert [await directs.call("heard", direct(name)) for name in NAMES] == [[], [], []]
        os.kill(publisher.pid, signal.SIGCONT)
        await ballots_everywhere(directs)


async def test_no_vote_counts_while_the_publisher_is_stopped_and_all_do_when_it_goes_on(halves):
    with halves() as (publisher, group, directs):
        await directs.call("ready")
        await group.call("say", "Ann", LUNCH)
        await ballots_everywhere(directs)
        await group.call("wait", "group", "Vote #1", 10)
        os.kill(publisher.pid, signal.SIGSTOP)
        for name in NAMES:
            await directs.call("vote", name, "Sushi")
        await until(lambda: publisher.fan.qsize() >= 2 * len(NAMES))  # each was put twice, and none came through
        assert await group.call("tally") == {}
        assert not any("Result" in text for text in await group.call("heard", "group"))
        for name in NAMES:
            assert "Your vote is counted" not in "".join(await directs.call("heard", direct(name)))
        os.kill(publisher.pid, signal.SIGCONT)
        assert "Sushi 3" in await group.call("wait", "group", "Result", 15)
        assert await group.call("tally") == {direct(name): "Sushi" for name in NAMES}
