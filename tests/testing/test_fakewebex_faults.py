"""What goes wrong at FakeWebex on purpose, as clients meet it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import requests
from webexteamssdk import RateLimitError, WebexTeamsAPI

from shellbot.testing import FakeWebex
from shellbot.testing.fakewebex import Bot, Person


@pytest.fixture
def fake() -> Iterator[FakeWebex]:
    with FakeWebex() as made:
        yield made


@pytest.fixture
def bot(fake: FakeWebex) -> Bot:
    return fake.bot("Shelly")


@pytest.fixture
def person(fake: FakeWebex) -> Person:
    return fake.person("Person A")


@pytest.fixture
def web(bot: Bot) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {bot.token}"
        yield session


def send(fake: FakeWebex, web: requests.Session, person: Person, text: str) -> requests.Response:
    return web.post(f"{fake.url}messages", json={"toPersonId": person.id, "text": text}, timeout=10)


@pytest.mark.parametrize("wait", [None, "0", "-1", "0.5", "Fri, 20 Nov 2026 12:00:00 GMT", "rand(30),add(30)", "1e9"])
def test_429_with_any_retry_after(
    fake: FakeWebex, bot: Bot, person: Person, web: requests.Session, wait: str | None
) -> None:
    fake.faults.next(
        429, path="messages", method="POST", count=2, headers={} if wait is None else {"Retry-After": wait}
    )
    assert web.get(f"{fake.url}people/me").status_code == 200
    for _ in range(2):
        answer = send(fake, web, person, "hello")
        assert (answer.status_code, answer.headers.get("Retry-After")) == (429, wait)
        assert answer.json()["trackingId"]
    assert send(fake, web, person, "hello").status_code == 200
    assert [one.text for one in fake.messages((bot, person))] == ["hello"]
    assert [asked.status for asked in fake.requests] == [200, 429, 429, 200]


def test_the_sdk_sees_the_rate_limit(fake: FakeWebex, bot: Bot) -> None:
    api = WebexTeamsAPI(bot.token, base_url=fake.url, wait_on_rate_limit=False)
    fake.faults.next(429, headers={"Retry-After": "7"})
    with pytest.raises(RateLimitError) as caught:
        api.people.me()
    assert caught.value.retry_after == 7
    api._session._req_session.close()


def test_an_answer_that_goes_wrong_after_the_deed(
    fake: FakeWebex, bot: Bot, person: Person, web: requests.Session
) -> None:
    fake.faults.next(502, when="after", body=b"<html>Bad Gateway</html>")
    answer = send(fake, web, person, "once")
    assert (answer.status_code, answer.content) == (502, b"<html>Bad Gateway</html>")
    assert [one.text for one in fake.messages((bot, person))] == ["once"]


@pytest.mark.parametrize(("when", "left"), [("before", []), ("after", ["hello"])])
def test_a_connection_is_reset(
    fake: FakeWebex, bot: Bot, person: Person, web: requests.Session, when: str, left: list[str]
) -> None:
    fake.faults.next("reset", path="messages", when=when)
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        send(fake, web, person, "hello")
    assert [one.text for one in fake.messages((bot, person))] == left
    assert fake.requests[-1].status == 0
    assert send(fake, web, person, "again").status_code == 200


def test_a_reset_is_a_real_one(fake: FakeWebex, bot: Bot) -> None:
    port = int(fake.url.split(":")[2].split("/")[0])
    fake.faults.next("reset")
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /v1/people/me HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_what_is_held_goes_on_when_it_is_released(
    fake: FakeWebex, bot: Bot, person: Person, web: requests.Session
) -> None:
    held = fake.faults.next("hold", path="messages", method="POST")
    answers: list[int] = []
    sender = threading.Thread(target=lambda: answers.append(send(fake, web, person, "hello").status_code))
    sender.start()
    held.wait_reached()
    assert fake.messages((bot, person)) == []
    assert answers == []
    held.release()
    sender.join()
    assert answers == [200]
    assert len(fake.messages((bot, person))) == 1


def test_what_is_held_ends_with_the_fake(fake: FakeWebex, bot: Bot, person: Person, web: requests.Session) -> None:
    held = fake.faults.next("hold")
    failed: list[Exception] = []

    def ask() -> None:
        try:
            send(fake, web, person, "hello")
        except requests.RequestException as error:
            failed.append(error)

    sender = threading.Thread(target=ask)
    sender.start()
    held.wait_reached()
    fake.close()
    sender.join()
    assert [thread for thread in threading.enumerate() if "fake webex" in thread.name] == []


def test_slow_answers_and_latency(fake: FakeWebex, web: requests.Session) -> None:
    fake.faults.next("slow", seconds=0.2)
    fake.latency = 0.1
    began = time.monotonic()
    assert web.get(f"{fake.url}people/me").status_code == 200
    slow = time.monotonic() - began
    assert web.get(f"{fake.url}people/me").status_code == 200
    assert slow >= 0.3
    assert time.monotonic() - began >= 0.4
    fake.latency = 0
    fake.faults.next("slow", seconds=9)
    with pytest.raises(requests.ReadTimeout):
        web.get(f"{fake.url}people/me", timeout=0.1)


def test_faults_of_one_bot_and_of_one_kind_of_path(
    fake: FakeWebex, bot: Bot, person: Person, web: requests.Session
) -> None:
    fake.faults.next(503, by=fake.bot("Other"))
    fake.faults.next(423, path="messages/*", headers={"Retry-After": "1"})
    fake.faults.next(500, path="rooms")
    said = person.say(bot, "hello")
    assert web.get(f"{fake.url}people/me").status_code == 200
    assert web.get(f"{fake.url}messages", params={"roomId": said.room_id}).status_code == 200
    assert web.get(f"{fake.url}messages/{said.id}").status_code == 423
    assert web.get(f"{fake.url}messages/{said.id}").status_code == 200
    assert web.get(f"{fake.url}rooms/{said.room_id}").status_code == 500
    other = {"Authorization": f"Bearer {fake.bot('Other').token}"}
    assert requests.get(f"{fake.url}people/me", headers=other).status_code == 503


def test_faults_are_cleared(fake: FakeWebex, web: requests.Session) -> None:
    fake.faults.next(500, count=100)
    assert web.get(f"{fake.url}people/me").status_code == 500
    fake.faults.clear()
    assert web.get(f"{fake.url}people/me").status_code == 200


def test_a_fault_that_does_not_exist_is_said(fake: FakeWebex) -> None:
    with pytest.raises(ValueError, match="reset, slow or hold"):
        fake.faults.next("explode")
    with pytest.raises(ValueError, match="once or more often"):
        fake.faults.next(500, count=0)
    with pytest.raises(ValueError, match="duplicate, reorder or lose"):
        fake.faults.delivery("burn")


def test_many_clients_at_once(fake: FakeWebex, bot: Bot) -> None:
    people = [fake.person(f"Person {number}") for number in range(20)]

    def talk(person: Person) -> None:
        with requests.Session() as web:
            web.headers["Authorization"] = f"Bearer {bot.token}"
            for number in range(10):
                assert send(fake, web, person, str(number)).status_code == 200

    threads = [threading.Thread(target=talk, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fake.requests) == 200
    for person in people:
        assert [one.text for one in fake.messages((bot, person))] == [str(number) for number in range(10)]
