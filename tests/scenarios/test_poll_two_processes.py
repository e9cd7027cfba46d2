"""Orders between the group's bot and the direct bots in two processes, with nothing between them but the bus."""

from __future__ import annotations

import os
import signal

from tests.scenarios.halves import direct
from tests.scenarios.test_two_processes import LUNCH, NAMES, ballots_everywhere, halves

__all__ = ["halves"]  # the fixture


async def test_orders_from_the_other_process(halves):
    with halves() as (_, group, directs):
        await directs.call("ready")
        await group.call("say", "Ann", LUNCH)
        await ballots_everywhere(directs)
        await directs.call("vote", "Bob", "Sushi")
        await directs.call("wait", direct("Bob"), "Your vote is counted: Sushi", 10)
        await directs.call("whisper", "Ann", "poll list")
        await directs.call("wait", direct("Ann"), "#1 Lunch?: 1 of 3 voted", 10)
        await directs.call("whisper", "Ann", "poll remind")
        await directs.call("wait", direct("Cid"), "You have not voted yet.", 10)
        await directs.call("whisper", "Bob", "poll cancel")
        await directs.call("wait", direct("Bob"), "Only Ann, who opened it, can cancel vote #1.", 10)
        await directs.call("whisper", "Ann", "poll close")
        assert "Sushi 1" in await group.call("wait", "group", "Result", 10)
        await directs.call("whisper", "Ann", "poll reopen #1 in 1h")
        await group.call("wait", "group", "Vote #1 is open again, by Ann", 10)
        for name in NAMES:
            await directs.call("wait", direct(name), "Vote #1 is open again", 10)
        await directs.call("whisper", "Ann", "poll cancel #1")
        for name in NAMES:
            await directs.call("wait", direct(name), "Cancelled. There is no result.", 10)


async def test_no_order_passes_while_the_publisher_is_stopped_and_each_does_when_it_goes_on(halves):
    with halves() as (publisher, group, directs):
        await directs.call("ready")
        await group.call("say", "Ann", LUNCH)
        await ballots_everywhere(directs)
        await group.call("wait", "group", "Vote #1", 10)
        os.kill(publisher.pid, signal.SIGSTOP)
        await directs.call("whisper", "Ann", "poll cancel #1")
        assert not any("cancelled" in text for text in await group.call("heard", "group"))
        os.kill(publisher.pid, signal.SIGCONT)
        await group.call("wait", "group", "Vote #1 is cancelled by Ann", 10)
        for name in NAMES:
            await directs.call("wait", direct(name), "Cancelled. There is no result.", 10)
