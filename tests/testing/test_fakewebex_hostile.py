"""Whatever is asked, FakeWebex answers, and never with an error of its own."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shellbot.testing import FakeWebex
from shellbot.testing.fakewebex.endpoints import ENDPOINTS
from shellbot.testing.fakewebex.rules import render_html, render_markdown

FIELDS = [
    *("roomId", "toPersonId", "toPersonEmail", "personId", "personEmail", "text", "markdown", "html", "title", "files"),
    *(
        "attachments",
        "parentId",
        "isModerator",
        "type",
        "messageId",
        "inputs",
        "name",
        "targetUrl",
        "resource",
        "event",
    ),
    *("filter", "secret", "status"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeWebex]:
    with FakeWebex() as made:
        yield made


@pytest.fixture(scope="module")
def web(fake: FakeWebex) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {fake.bot('Shelly').token}"
        yield session


@pytest.fixture(scope="module")
def ids(fake: FakeWebex) -> list[str]:
    """Ids of all kinds that are there, so that what is made up meets what is real."""
    bot, person = fake.bot("Shelly"), fake.person("Person A")
    room = fake.room("Team", [person], bots=[bot])
    said = person.say(room, "look", mention=bot, files=[("a.txt", b"a")])
    return [bot.id, person.id, person.email, room.id, said.id, said.files[0].id, room.members[bot.id].id, "me"]


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_request_is_answered(fake: FakeWebex, web: requests.Session, ids: list[str], data: st.DataObject) -> None:
    ask_anything(fake, web, ids, data)


@pytest.mark.long
@pytest.mark.timeout(120)
@settings(max_examples=2_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_of_many_requests_is_answered(
    fake: FakeWebex, web: requests.Session, ids: list[str], data: st.DataObject
) -> None:
    ask_anything(fake, web, ids, data)


def ask_anything(fake: FakeWebex, web: requests.Session, ids: list[str], data: st.DataObject) -> None:
    method, path = data.draw(st.sampled_from(sorted(ENDPOINTS)))
    real = st.sampled_from([f"#{number}" for number in range(8)])  # stands for one of the ids, which are new each time
    path = path.replace("*", data.draw(real | st.text("abc=-_.%", min_size=1, max_size=9)))
    body = data.draw(st.dictionaries(st.sampled_from(FIELDS), real | JSON, max_size=5))
    query = data.draw(
        st.dictionaries(
            st.sampled_from([*FIELDS, "max", "before", "beforeMessage", "mentionedPeople", "cursor", "email"]),
            real | st.text(max_size=12),
            max_size=3,
        )
    )

    def name_ids(text: str) -> str:
        return re.sub(r"#([0-7])", lambda match: ids[int(match[1])], text)

    answer = web.request(
        method,
        f"{fake.url}{name_ids(path)}",
        data=name_ids(json.dumps(body)),
        params={key: name_ids(value) for key, value in query.items()},
    )
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.json()["errors"][0]["description"]


@pytest.mark.parametrize("size", ["9" * 5000, "0", "-1", "²", "1e3", ""])
def test_a_size_of_any_look(fake: FakeWebex, web: requests.Session, size: str) -> None:
    answer = web.get(f"{fake.url}rooms", params={"max": size, "cursor": size})
    assert answer.status_code == (200 if size == "9" * 5000 else 400)


def test_json_that_is_too_deep(fake: FakeWebex, web: requests.Session) -> None:
    email = fake.person("Person A").email
    for depth, status in ((100, 200), (300, 400), (5_000, 400)):
        body = f'{{"toPersonEmail": "{email}", "text": "x", "more": {"[" * depth}{"]" * depth}}}'
        assert web.post(f"{fake.url}messages", data=body).status_code == status


@pytest.mark.parametrize(
    "text", ["[" * 7400, "*a_" * 2400, "> " * 3700, "![" * 3700, "<b>" * 2400, "`" * 7400, "<@all>" * 1200, "- " * 3700]
)
def test_markdown_that_wants_to_be_slow(text: str) -> None:
    assert render_markdown(text, lambda who: None).html is not None
    assert render_html(text, lambda who: None).html is not None


@pytest.mark.parametrize(
    "head",
    [
        b"no sense at all HTTP/1.1\r\n\r\n",
        b"GET /v1/people/me HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /v1/people/me HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/messages HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /\xff\xfe%zz?%ff=%fe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"BREW /v1/people/me HTTP/1.1\r\n\r\n",
    ],
)
def test_http_that_is_none(fake: FakeWebex, web: requests.Session, head: bytes) -> None:
    port = int(fake.url.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(head)
        answer = client.recv(100)
        assert b" 4" in answer or b" 501" in answer
    assert web.get(f"{fake.url}people/me").status_code == 200


def test_who_goes_away_in_the_middle_of_a_body(fake: FakeWebex, web: requests.Session) -> None:
    port = int(fake.url.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"POST /v1/messages HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    assert web.get(f"{fake.url}people/me").status_code == 200
