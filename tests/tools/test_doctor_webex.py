"""``shellbot doctor --space webex``: token, webhooks, public address and clocks, against a platform of our own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from webexteamssdk import WebexTeamsAPI

from shellbot.testing import FakeWebex
from shellbot.tools.doctor_webex import examine


@pytest.fixture
def fake() -> Iterator[FakeWebex]:
    with FakeWebex() as platform:
        yield platform


def said(fake: FakeWebex, *, token: str = "", is_served: bool = False, **settings: str) -> list[tuple[str, str]]:
    given = {"webex.api_url": fake.url, **{name.replace("__", "."): value for name, value in settings.items()}}
    environment = {"WEBEX_TEAMS_ACCESS_TOKEN": token or fake.bot("Shelly").token}
    return list(examine(lambda key, default: given.get(key, default), environment.get, "votes", is_served))


def hook(fake: FakeWebex, url: str, name: str = "shellbot votes") -> None:
    api = WebexTeamsAPI(fake.bot("Shelly").token, base_url=fake.url)
    api.webhooks.create(name=name, targetUrl=url, resource="messages", event="created")


def test_a_bot_that_polls_is_fine_and_its_owner_knows_what_that_means(fake: FakeWebex) -> None:
    (token, polled, clock) = said(fake)
    assert token == ("ok", f"the token is that of Shelly, {fake.bot('Shelly').email}")
    assert polled[0] == "note"
    assert "only typed answers" in polled[1]
    assert clock[0] == "ok"


def test_no_token_is_said_with_what_to_do(fake: FakeWebex) -> None:
    found = list(examine(lambda key, default: default, {}.get, "votes", False))
    assert [state for state, _ in found] == ["wrong"]
    assert "WEBEX_TEAMS_ACCESS_TOKEN" in found[0][1]


def test_a_token_that_is_not_good_any_more_is_not_shown(fake: FakeWebex) -> None:
    token = fake.bot("Shelly").token
    fake.revoke(fake.bot("Shelly"))
    state, text = said(fake, token=token)[0]
    assert state == "wrong"
    assert "make a new one" in text
    assert token not in text


def test_a_platform_that_is_away_is_said(fake: FakeWebex) -> None:
    fake.faults.next(503, path="people/me", count=10)
    state, text = said(fake)[0]
    assert state == "wrong"
    assert "cannot be asked now" in text


def test_webhooks_are_looked_at(fake: FakeWebex) -> None:
    public = "https://bot.test"
    assert ("note", "no webhooks yet; the start of the server makes them") in said(fake, server__public_url=public)
    hook(fake, "http://127.0.0.1:9/hook", name="somebody else's")
    hook(fake, "https://old.test/hook")
    assert any("lead to another address" in text for _, text in said(fake, server__public_url=public))
    for one in WebexTeamsAPI(fake.bot("Shelly").token, base_url=fake.url).webhooks.list():
        if one.name == "shellbot votes":
            WebexTeamsAPI(fake.bot("Shelly").token, base_url=fake.url).webhooks.delete(one.id)
    hook(fake, f"{public}/hook")
    assert ("ok", "1 webhooks are active") in said(fake, server__public_url=public)


def test_a_public_address_where_nobody_answers_is_wrong_while_the_server_runs(fake: FakeWebex) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        public = f"http://127.0.0.1:{taken.getsockname()[1]}"
        found = said(fake, server__public_url=public, is_served=True)
        assert any(state == "wrong" and "cannot be reached" in text for state, text in found)
        # Not looked at while nobody should answer there.
        assert not any(state == "wrong" for state, _ in said(fake, server__public_url=public))


class Ahead:
    """A platform's clock that goes two minutes before ours."""

    def utcnow(self) -> datetime:
        return datetime.now(UTC) + timedelta(minutes=2)


def test_a_clock_that_is_off_is_told() -> None:
    with FakeWebex(clock=Ahead()) as fake:
        found = said(fake)
        assert any(state == "wrong" and "behind Webex's" in text for state, text in found)
