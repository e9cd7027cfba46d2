"""A whole vote on Webex: the server with its door for webhooks, the platform, people with cards, and a kill -9."""

from __future__ import annotations

from pathlib import Path

import pytest

from shellbot.testing import FakeWebex
from tests.scenarios.stages import webex_server


@pytest.mark.parametrize("way", ["webhook", "polling", "websocket"])
async def test_a_vote_with_cards_and_words_goes_on_where_the_server_was_killed(tmp_path: Path, way: str) -> None:
    folder = tmp_path / "instance"
    with FakeWebex() as fake:
        bot, a, b = fake.bot("Shelly"), fake.person("Person A"), fake.person("Person B")
        room = fake.room("Team", [a, b], bots=[bot])
        async with webex_server(fake, folder, way):
            a.say(room, 'poll "Lunch?" Pizza, Sushi', mention=bot)
            for person in (a, b):
                await fake.aio.wait_for((bot, person), lambda message: "Lunch?" in message.text)
            if way != "polling":
                a.press(bot, label="Sushi")
            else:
                a.say(bot, "2")  # buttons cannot be polled
            await fake.aio.wait_for((bot, a), lambda message: "counted: Sushi" in message.text)
        # Said while nobody serves: found in the room afterwards.
        b.say(bot, "sushi")
        async with webex_server(fake, folder, way):
            result = await fake.aio.wait_for(room, lambda message: "Result" in message.text, timeout=20)
            assert "Sushi" in result.text
            results = [message for message in fake.messages(room) if "Result" in message.text]
            assert len(results) == 1
            ballots = [m for m in fake.messages(fake.direct(bot, b)) if m.cards and not m.is_deleted]
            assert len(ballots) <= 1
