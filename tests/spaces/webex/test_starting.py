"""From the command line and the settings to a bot on the platform; and what is said where something is missing."""

from __future__ import annotations

import asyncio
import importlib.abc
import os
import signal
import sys

import pytest

from shellbot.clocks import AsyncioClock
from shellbot.engine import Engine
from shellbot.errors import ConfigError
from shellbot.spaces.webex import Options, WebexSpace
from shellbot.spaces.webex.client import Client
from shellbot.stores.memory import MemoryStore
from shellbot.testing.servers import PRODUCT


@pytest.mark.parametrize("variable", ["WEBEX_TEAMS_ACCESS_TOKEN", "WEBEX_ACCESS_TOKEN", "SHELLBOT_SPACE_TOKEN"])
async def test_shellbot_run_serves_people_on_webex(fake, tmp_path, variable):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WEBEX_")}
    environment |= {variable: bot.token, "SHELLBOT_WEBEX_API_URL": fake.url, "SHELLBOT_WEBEX_POLL_EVERY": "0.05"}
    server = await asyncio.create_subprocess_exec(
        *[sys.executable, *PRODUCT],
        *["--space", "webex", "--instance", str(tmp_path / "instance")],
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        await fake.aio.wait_until(lambda: any(asked.path == "rooms" for asked in fake.requests), timeout=15)
        ann.say(bot, "echo hello")
        await fake.aio.wait_for((bot, ann), lambda message: message.text == "hello")
    finally:
        server.send_signal(signal.SIGTERM)
        said, _ = await server.communicate()
    assert server.returncode == 0, said.decode()
    assert bot.token not in said.decode()


async def failed(tmp_path, **variables: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WEBEX_")}
    server = await asyncio.create_subprocess_exec(
        *[sys.executable, *PRODUCT],
        *["--space", "webex", "--instance", str(tmp_path / "instance")],
        env=environment | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(server.communicate(), 15)
    assert server.returncode == 1
    return said.decode()


async def test_without_a_token_it_says_what_to_set(tmp_path):
    assert "set WEBEX_TEAMS_ACCESS_TOKEN" in await failed(tmp_path)


async def test_a_token_that_is_not_good_ends_with_one_line_that_says_what_to_do(fake, tmp_path):
    said = await failed(tmp_path, WEBEX_ACCESS_TOKEN="of-nobody", SHELLBOT_WEBEX_API_URL=fake.url)
    assert said.splitlines()[-1].startswith("shellbot: Webex does not know the bot's token (401")
    assert "of-nobody" not in said


async def test_a_setting_may_name_the_variable(fake, tmp_path, monkeypatch):
    bot = fake.bot("Shelly")
    monkeypatch.setenv("MY_TOKEN", bot.token)
    settings = {"space.token": "$MY_TOKEN", "webex.api_url": fake.url, "webex.way": "polling"}
    engine = Engine(type="webex", instance=tmp_path / "instance", settings=settings)
    await engine.start()
    try:
        assert (engine.context.get("bot.id"), engine.context.get("bot.address")) == (bot.id, bot.email)
        assert engine.space.way == "polling"
    finally:
        await engine.stop()


@pytest.mark.parametrize(
    ("hook_url", "way", "expected"),
    [
        ("", None, "polling"),
        ("https://bot.example.com/hook", None, "webhook"),
        ("https://a/hook", "polling", "polling"),
    ],
)
async def test_the_way_in_follows_from_the_public_address(hook_url, way, expected):
    space = WebexSpace(
        token="t", store=MemoryStore(), clock=AsyncioClock(), options=Options(way=way), hook_url=hook_url
    )
    assert space.way == expected
    await space.close()


async def test_without_an_sdk_it_says_which_to_install(monkeypatch):
    class NoSdk(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name in ("webexteamssdk", "webexpythonsdk"):
                raise ImportError(name)

    for name in ("webexteamssdk", "webexpythonsdk"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "meta_path", [NoSdk(), *sys.meta_path])
    with pytest.raises(ConfigError, match="pip install webexteamssdk"):
        Client("token", "https://webexapis.com/v1/", AsyncioClock())
