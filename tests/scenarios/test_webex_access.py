"""Access on Webex: by id, address and domain; typed, pressed and ordered; also after a kill -9."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from shellbot.envelope import Seal
from shellbot.instance import read_key
from shellbot.testing import FakeWebex
from shellbot.trail import read
from tests.scenarios.stages import webex_server


async def test_admins_by_address_and_people_by_domain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "instance"
    with FakeWebex() as fake:
        bot, a, b = fake.bot("Shelly"), fake.person("Person A"), fake.person("Person B")
        room = fake.room("Team", [a, b], bots=[bot])
        monkeypatch.setenv("SHELLBOT_ACCESS_ADMINS", a.email)
        monkeypatch.setenv("SHELLBOT_ACCESS_DOMAINS", b.email.partition("@")[2].upper())
        monkeypatch.setenv("SHELLBOT_ACCESS_ROOMS", room.id)
        monkeypatch.setenv("SHELLBOT_ACCESS_COMMANDS_ECHO", "nobody")
        async with webex_server(fake, folder, "webhook"):
            b.say(room, 'poll "Lunch?" Pizza, Sushi', mention=bot)
            for person in (a, b):
                await fake.aio.wait_for((bot, person), lambda message: "Lunch?" in message.text)
            b.say(room, "access", mention=bot)
            await fake.aio.wait_for(room, lambda message: "access is for admins. Say" in message.text.replace("`", ""))
            b.say(bot, "echo something")
            await fake.aio.wait_for((bot, b), lambda message: "echo is for admins" in message.text.replace("`", ""))
            a.say(bot, "access")
            await fake.aio.wait_for((bot, a), lambda message: f"who may everything: {a.email}" in message.text)
        async with webex_server(fake, folder, "webhook"):
            a.say(bot, "poll close #1")  # from the direct channel, of a vote that another has opened
            await fake.aio.wait_for(room, lambda message: "Result" in message.text, timeout=20)
    with sqlite3.connect(folder / "store.db") as db:
        found = read(db, Seal(read_key(folder / "keys" / "instance")))
    db.close()
    assert found.problem == ""
    assert [(entry["person"], entry["outcome"], entry["deed"]) for entry in found.entries] == [
        (b.id, "allowed", "poll open"),
        (b.id, "refused", "access"),
        (b.id, "refused", "echo"),
        (a.id, "allowed", "access"),
        (a.id, "allowed", "poll close #1"),
    ]


async def test_who_is_of_another_domain_is_told_so_and_may_answer_what_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "instance"
    with FakeWebex() as fake:
        bot, a, b = fake.bot("Shelly"), fake.person("Person A"), fake.person("Person B")
        room = fake.room("Team", [a, b], bots=[bot])
        monkeypatch.setenv("SHELLBOT_ACCESS_PEOPLE", a.id)
        monkeypatch.setenv("SHELLBOT_ACCESS_DOMAINS", "other.example")
        async with webex_server(fake, folder, "webhook"):
            b.say(room, 'poll "Lunch?" Pizza, Sushi', mention=bot)
            await fake.aio.wait_for(room, lambda message: "I may not take commands from you" in message.text)
            a.say(room, 'poll "Lunch?" Pizza, Sushi', mention=bot)
            for person in (a, b):
                await fake.aio.wait_for((bot, person), lambda message: "Lunch?" in message.text)
            b.press(bot, label="Sushi")
            await fake.aio.wait_for((bot, b), lambda message: "counted: Sushi" in message.text)
            a.say(bot, "1")
            result = await fake.aio.wait_for(room, lambda message: "Result" in message.text, timeout=20)
            assert "2 of 2 voted" in result.text
