"""What comes to the door for webhooks: forged, repeated, out of order, or not at all: rows C1 to C4 and C12."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import webexteamssdk
from hypothesis import given, settings
from hypothesis import strategies as st

from shellbot.clocks import ExternalClock
from shellbot.engine import Engine
from shellbot.errors import ConfigError, RateLimited, SignatureInvalid, SpaceError
from shellbot.events import Join, Leave, Message
from shellbot.server.hooks import HookServer
from shellbot.spaces.webex.events import notice_of
from shellbot.spaces.webex.hooks import is_signed
from shellbot.spaces.webex.space import HOOKS_EVERY, MAX_BODY_BYTES, WebexSpace
from shellbot.stores.memory import MemoryStore
from shellbot.testing import FakeWebex
from tests.spaces.webex.rooms import Ear, door, on_webex, until

SECRET = "a secret of this test"


def signed(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()


@asynccontextmanager
async def at_the_door(fake, **options):
    """A space with webhooks in place that has looked through its rooms once; gives it, its ear, and its address."""
    clock = options.setdefault("clock", ExternalClock(datetime.now(UTC)))
    async with door() as (url, behind), on_webex(fake, hook_url=url, **options) as (space, ear):
        behind["space"] = space
        await until(lambda: clock.next_due is not None)
        yield space, ear, url


def secret_of(fake) -> str:
    [secret] = {hook.secret for hook in fake.webhooks()}
    return secret


BODY = b'{"id":"h","resource":"messages","event":"created","data":{"id":"m"}}'
FORGERIES = {
    "none": (BODY, None),
    "empty": (BODY, ""),
    "short": (BODY, signed(BODY)[:-1]),
    "long": (BODY, signed(BODY) + "0"),
    "upper case": (BODY, signed(BODY).upper()),
    "one digit": (BODY, ("1" if signed(BODY)[0] != "1" else "2") + signed(BODY)[1:]),
    "not ASCII": (BODY, "ünsigned"),
    "half a character": (BODY, "\udc80" * 40),
    "another secret": (BODY, signed(BODY, "another")),
    "one byte changed": (BODY.replace(b'"m"', b'"n"'), signed(BODY)),
    "a space more": (BODY + b" ", signed(BODY)),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_c01_what_is_not_signed_with_the_secret_is_not_taken(name):
    body, signature = FORGERIES[name]
    assert is_signed(BODY, signed(BODY), [SECRET])
    assert not is_signed(body, signature, [SECRET])
    assert not is_signed(BODY, signed(BODY), [])


@given(st.binary(), st.one_of(st.none(), st.text()))
def test_c01_no_signature_crashes_the_check(body, signature):
    assert is_signed(body, signature, [SECRET]) == (signature == signed(body))


async def test_c01_forged_deliveries_are_refused_counted_and_cost_no_call(fake):
    async with at_the_door(fake) as (space, ear, _):
        asked = len(fake.requests)
        for body, signature in FORGERIES.values():
            with pytest.raises(SignatureInvalid):
                await space.receive(body, signature)
        assert space.forged == len(FORGERIES)
        assert len(fake.requests) == asked
        assert ear.heard == []


@pytest.mark.parametrize("count", [1_000, pytest.param(100_000, marks=[pytest.mark.long, pytest.mark.timeout(120)])])
async def test_c01_of_deliveries_forged_or_played_again_none_counts_twice(fake, count):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    room = fake.room("Team", [ann], bots=[bot])
    chance = random.Random(3)
    async with at_the_door(fake) as (space, ear, _):
        await ear.wait(Join)
        said = [f"line {number}" for number in range(10)]
        for text in said:
            ann.say(room, text, mention=bot)
        await ear.wait(Message, len(said))
        await fake.aio.wait_delivered()
        genuine = [
            (one.body, one.headers["X-Spark-Signature"]) for one in fake.deliveries if one.resource == "messages"
        ]
        asked, repeats = len(fake.requests), space.repeats
        for number in range(count // 2):
            body, signature = chance.choice(genuine)
            forged = body.replace(b'"id":"', b'"id":"%d' % number)
            with pytest.raises(SignatureInvalid):
                await space.receive(forged, chance.choice([signature, signed(forged, "another"), signature[:-1], None]))
            await space.receive(body, signature)
        assert (space.forged, space.repeats - repeats) == (count // 2, count // 2)
        assert len(fake.requests) == asked
        assert sorted(ear.texts) == said


DATA = {"id": "m", "roomId": "r", "personId": "p", "created": "2026-11-29T20:00:00.000Z"}
SENSELESS = [
    b"",
    b"no JSON",
    b"[]",
    b"null",
    b"7",
    b'"text"',
    b"{}",
    b"[" * 10_000,
    b'{"a":' * 50_000,
    b'{"resource":[],"event":{},"data":7}',
    json.dumps({"resource": "messages", "event": "created", "data": []}).encode(),
    json.dumps({"resource": "messages", "event": "created", "data": DATA | {"id": 7}}).encode(),
    json.dumps({"resource": "messages", "event": "created", "data": DATA | {"id": "x" * 5_000}}).encode(),
    json.dumps({"resource": "messages", "event": "created", "data": DATA | {"created": "yesterday"}}).encode(),
    json.dumps(
        {"resource": "messages", "event": "created", "data": DATA | {"created": "0001-01-01T00:00:00+23:59"}}
    ).encode(),
    b"\xff\xfe",
    b" " * (MAX_BODY_BYTES + 1),
]


async def test_c01_what_is_signed_and_makes_no_sense_is_refused_in_words(fake):
    async with at_the_door(fake) as (space, ear, _):
        secret = secret_of(fake)
        for body in SENSELESS:
            with pytest.raises(SpaceError) as refused:
                await space.receive(body, signed(body, secret))
            assert not isinstance(refused.value, SignatureInvalid)
        other = json.dumps({"resource": "rooms", "event": "updated", "data": DATA}).encode()
        await space.receive(other, signed(other, secret))
        assert ear.heard == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "resource": st.sampled_from(["messages", "memberships", "attachmentActions"]) | JSON,
            "event": st.sampled_from(["created", "deleted"]) | JSON,
            "data": st.dictionaries(st.sampled_from(["id", "roomId", "personId", "created", "roomType"]), JSON) | JSON,
        },
    )
    | JSON
)
def test_c01_whatever_is_in_a_delivery_it_is_a_notice_or_refused(envelope):
    try:
        notice = notice_of(envelope)
    except SpaceError:
        return
    assert notice is None or notice.id.startswith("webex-")


async def test_what_comes_before_the_server_is_there_is_asked_to_come_again(fake, tmp_path, monkeypatch):
    """It was refused as forged, as no secret was read yet, or as a mistake of ours."""
    store, clock = MemoryStore(), ExternalClock(datetime.now(UTC))
    space = WebexSpace(token=fake.bot("Shelly").token, store=store, clock=clock, hook_url="http://127.0.0.1:9/hook")
    with pytest.raises(RateLimited, match="only starting"):
        await space.receive(BODY, signed(BODY))
    assert space.forged == 0
    await space.close()

    class Door(HookServer):
        """Somebody posts, and somebody asks how it is, as soon as it is open."""

        def __init__(self, take, *, is_well, **others):
            super().__init__(take, is_well=is_well, **others)
            self._asks = take, is_well

        async def start(self):
            await super().start()
            take, is_well = self._asks
            assert not is_well()
            with pytest.raises(RateLimited, match="only starting"):
                await take(BODY, signed(BODY))

    monkeypatch.setattr("shellbot.server.hooks.HookServer", Door)
    settings = {"space.token": fake.bot("Other").token, "webex.api_url": fake.url, "webex.way": "webhook"}
    settings |= {"server.port": 0, "server.public_url": "http://127.0.0.1"}
    async with Engine(type="webex", instance=tmp_path / "instance", settings=settings) as engine:
        assert type(engine.hooks) is Door


async def test_c02_no_webhook_is_without_a_secret_and_each_start_has_one_of_its_own(fake):
    store = MemoryStore()
    await store.open()
    secrets = []
    for _ in range(2):
        async with at_the_door(fake, store=store) as (space, _, _):
            await until(lambda known=tuple(secrets): not {hook.secret for hook in fake.webhooks()} & set(known))
            secrets.append(secret_of(fake))
            with pytest.raises(SignatureInvalid):
                await space.receive(BODY, signed(BODY, ""))
    await store.close()
    assert all(len(secret) == 64 for secret in secrets)
    assert len(set(secrets)) == 2
    assert len(fake.webhooks()) == 4


async def test_c02_the_secret_of_the_last_run_counts_for_ten_minutes(fake):
    store = MemoryStore()
    await store.open()
    async with at_the_door(fake, store=store):
        old = secret_of(fake)
    clock = ExternalClock(datetime.now(UTC))
    body = json.dumps({"resource": "rooms", "event": "updated", "data": DATA}).encode()
    async with at_the_door(fake, store=store, clock=clock) as (space, _, _):
        await until(lambda: old not in {hook.secret for hook in fake.webhooks()} and clock.next_due is not None)
        await space.receive(body, signed(body, old))
        clock.advance(601)
        with pytest.raises(SignatureInvalid):
            await space.receive(body, signed(body, old))
        await space.receive(body, signed(body, secret_of(fake)))
    await store.close()


async def test_c02_webhooks_without_an_address_are_refused_at_the_start(fake):
    with pytest.raises(ConfigError, match="an address that Webex can reach"):
        async with on_webex(fake, way="webhook"):
            pass


async def test_c03_a_delivery_played_again_has_no_effect_and_is_counted(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    room = fake.room("Team", [ann], bots=[bot])
    async with at_the_door(fake) as (space, ear, _):
        await ear.wait(Join)
        ann.say(room, "vote", mention=bot)
        await ear.wait(Message)
        await fake.aio.wait_delivered()
        [delivery] = [one for one in fake.deliveries if one.resource == "messages"]
        asked = len(fake.requests)
        for _ in range(5):
            await fake.aio.redeliver(delivery)
        signature = {name.lower(): value for name, value in delivery.headers.items()}["x-spark-signature"]
        await asyncio.gather(*(space.receive(delivery.body, signature) for _ in range(995)))
        assert space.repeats == 1_000
        assert len(fake.requests) == asked
        assert ear.texts == ["vote"]


async def test_c03_a_delivery_played_again_after_a_restart_or_days_later_has_no_effect(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    store, ear = MemoryStore(), Ear()
    await store.open()
    async with at_the_door(fake, store=store, ear=ear):
        ann.say(bot, "vote")
        await ear.wait(Message)
        await fake.aio.wait_delivered()
        [delivery] = [one for one in fake.deliveries if one.resource == "messages"]
    for days in (0, 3, 30):
        old = secret_of(fake)
        clock = ExternalClock(datetime.now(UTC) + timedelta(days=days))
        async with at_the_door(fake, store=store, clock=clock, ear=ear) as (space, ear, _):
            await until(lambda old=old: old not in {hook.secret for hook in fake.webhooks()})
            await space.receive(delivery.body, signed(delivery.body, secret_of(fake)))
            assert space.repeats + space.stale == 1
    await store.close()
    assert ear.texts == ["vote"]


async def test_who_goes_after_days_and_comes_back_is_heard_at_once_each_time(fake):
    bot, ann, bea = fake.bot("Shelly"), fake.person("Person A"), fake.person("Person B")
    room = fake.room("Team", [ann, bea], bots=[bot])
    clock = ExternalClock(datetime.now(UTC) + timedelta(days=6))  # nobody looks, as it stands still
    async with at_the_door(fake, clock=clock) as (space, ear, _):
        await ear.wait(Join, 2)
        for number in (1, 2):
            bea.remove(room, ann)
            await ear.wait(Leave, number)
            bea.add(room, ann)
            await ear.wait(Join, 2 + number)
        assert space.stale == 0


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_c03_a_delivery_played_again_a_hundred_thousand_times_has_no_effect(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    async with at_the_door(fake) as (space, ear, _):
        ann.say(bot, "vote")
        await ear.wait(Message)
        await fake.aio.wait_delivered()
        [delivery] = [one for one in fake.deliveries if one.resource == "messages"]
        signature = signed(delivery.body, secret_of(fake))
        asked = len(fake.requests)
        for _ in range(100):
            await asyncio.gather(*(space.receive(delivery.body, signature) for _ in range(1_000)))
        assert space.repeats == 100_000
        assert len(fake.requests) == asked
        assert ear.texts == ["vote"]


async def test_c04_what_comes_twice_and_out_of_order_is_heard_once(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    room = fake.room("Team", [ann], bots=[bot])
    async with at_the_door(fake) as (_, ear, _):
        await ear.wait(Join)
        fake.faults.delivery("duplicate", count=3)
        fake.faults.delivery("reorder", count=3)
        said = [f"line {number}" for number in range(12)]
        for text in said:
            ann.say(room, text, mention=bot)
        await ear.wait(Message, 12)
        await fake.aio.wait_delivered()
    assert sorted(ear.texts) == sorted(said)


async def test_c04_what_waits_is_heard_in_the_order_in_which_it_was_said(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    room = fake.room("Team", [ann], bots=[bot])
    clock = ExternalClock(datetime.now(UTC))
    async with door() as (url, _), on_webex(fake, hook_url=url, clock=clock) as (space, ear):
        await ear.wait(Join)
        await until(lambda: clock.next_due is not None)  # the first look is over
        said = [f"line {number}" for number in range(12)]
        for text in said:
            ann.say(room, text, mention=bot)
            await asyncio.sleep(0.003)  # Webex has milliseconds
        await fake.aio.wait_delivered()  # to nobody: the door answers 503
        bodies = [one.body for one in fake.deliveries if one.resource == "messages"]
        assert len(bodies) == 12
        secret = secret_of(fake)
        held = fake.faults.next("hold", path="messages", method="GET")
        first = asyncio.create_task(space.receive(bodies[0], signed(bodies[0], secret)))
        await asyncio.to_thread(held.wait_reached)
        mixed = bodies * 3
        random.Random(7).shuffle(mixed)
        rest = [asyncio.create_task(space.receive(body, signed(body, secret))) for body in mixed]
        await until(lambda: space.repeats == 25)
        held.release()
        await asyncio.gather(first, *rest)
        await ear.wait(Message, 12)
    assert ear.texts == said


async def test_c04_who_speaks_while_the_bot_meets_a_room_is_heard_once_all_in_it_are_known(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    room = fake.room("Team", [ann, *(fake.person(f"Person {number}") for number in range(8))], bots=[bot])

    class Busy(Ear):
        async def deliver(self, event):
            if self.joined:
                await asyncio.sleep(0.05)
            return await super().deliver(event)

    ear = Busy()
    async with door() as (url, behind), on_webex(fake, hook_url=url, ear=ear) as (space, _):
        behind["space"] = space
        await ear.wait(Join)
        assert ear.joined == ["Person A"]
        ann.say(room, "vote", mention=bot)
        await ear.wait(Message)
    assert len(ear.joined) == 9
    assert isinstance(ear.heard[-1], Message)


async def test_c04_coming_and_going_told_in_any_order_ends_as_it_is(fake):
    bot, ann, bea = fake.bot("Shelly"), fake.person("Person A"), fake.person("Person B")
    room = fake.room("Team", [ann], bots=[bot])
    async with at_the_door(fake) as (_, ear, _):
        await ear.wait(Join)
        fake.faults.delivery("reorder", count=2, resource="memberships")
        fake.faults.delivery("duplicate", count=2, resource="memberships")
        for _ in range(3):
            bea.join(room)
            bea.leave(room)
        bea.join(room)
        bea.say(room, "here I am", mention=bot)
        await ear.wait(Message)
        await fake.aio.wait_delivered(20)
        await until(lambda: [type(event) for event in ear.heard if event.person.id == bea.id][-2:] == [Join, Message])
    changes = [type(event) for event in ear.heard if event.person.id == bea.id and not isinstance(event, Message)]
    assert changes == [Join, Leave] * (len(changes) // 2) + [Join]


async def test_c12_webhooks_of_ours_are_made_and_those_of_others_are_left_alone(fake):
    bot = fake.bot("Shelly")
    api = webexteamssdk.WebexTeamsAPI(bot.token, base_url=fake.url)
    others = [
        api.webhooks.create("shellbot default", "http://127.0.0.1:9/other", "messages", "created", secret="theirs"),
        api.webhooks.create("somebody's", "http://127.0.0.1:9/other", "all", "all"),
    ]
    api._session._req_session.close()
    async with door() as (url, behind), on_webex(fake, hook_url=url) as (space, _):
        behind["space"] = space
        await fake.aio.wait_until(lambda: len(fake.webhooks()) == 6)
        ours = [hook for hook in fake.webhooks() if hook.id not in {other.id for other in others}]
        assert {(hook.resource, hook.event, hook.name, hook.url) for hook in ours} == {
            (resource, event, "shellbot default", url)
            for resource, event in [
                ("messages", "created"),
                ("memberships", "created"),
                ("memberships", "deleted"),
                ("attachmentActions", "created"),
            ]
        }
    theirs = {hook.id: hook for hook in fake.webhooks()}
    assert [(theirs[other.id].url, theirs[other.id].secret) for other in others] == [
        ("http://127.0.0.1:9/other", "theirs"),
        ("http://127.0.0.1:9/other", ""),
    ]


async def test_c12_a_webhook_that_the_platform_gave_up_is_revived_and_what_was_missed_is_heard():
    clock = ExternalClock(datetime.now(UTC))
    with FakeWebex(max_failures=1) as fake:
        bot, ann = fake.bot("Shelly"), fake.person("Person A")
        room = fake.room("Team", [ann], bots=[bot])
        async with door() as (url, behind), on_webex(fake, hook_url=url, clock=clock) as (space, ear):
            await ear.wait(Join)
            await until(lambda: clock.next_due is not None)
            ann.say(room, "missed", mention=bot)  # the door answers 503
            await fake.aio.wait_until(lambda: any(hook.status == "inactive" for hook in fake.webhooks()))
            behind["space"] = space
            ann.say(bot, "missed, too")
            await fake.aio.wait_delivered()
            assert ear.texts == []
            clock.advance(HOOKS_EVERY + 1)
            await ear.wait(Message, 2)
            assert {hook.status for hook in fake.webhooks()} == {"active"}
            ann.say(bot, "by webhook again")
            await ear.wait(Message, 3)
    assert ear.texts[2:] == ["by webhook again"]
    assert set(ear.texts[:2]) == {"missed", "missed, too"}


async def test_c12_a_delivery_that_is_lost_is_made_up_for_at_the_next_look(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    clock = ExternalClock(datetime.now(UTC))
    async with at_the_door(fake, clock=clock) as (_, ear, _):
        ann.say(bot, "first")
        await ear.wait(Message)
        fake.faults.delivery("lose", resource="messages")
        ann.say(bot, "lost on the way")
        await fake.aio.wait_delivered()
        ann.say(bot, "third")
        await ear.wait(Message, 2)
        await until(lambda: clock.next_due is not None)
        clock.advance(HOOKS_EVERY + 1)
        await ear.wait(Message, 3)
    assert ear.texts == ["first", "third", "lost on the way"]


async def test_c12_a_new_public_address_is_told_to_the_platform(fake):
    store = MemoryStore()
    await store.open()
    async with at_the_door(fake, store=store):
        ids = {hook.id for hook in fake.webhooks()}
    async with door() as (url, behind), on_webex(fake, hook_url=url, store=store) as (space, _):
        behind["space"] = space
        await until(lambda: {hook.url for hook in fake.webhooks()} == {url})
        assert {hook.id for hook in fake.webhooks()} == ids
    await store.close()


async def test_c12_what_could_not_be_fetched_when_it_came_is_heard_after_a_restart(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    store, ear = MemoryStore(), Ear()
    await store.open()
    async with at_the_door(fake, store=store, ear=ear):
        held = fake.faults.next("hold", path="messages", method="GET", by=bot)
        ann.say(bot, "in the moment of the end")
        await asyncio.to_thread(held.wait_reached)
        closing = asyncio.get_running_loop().call_later(0.2, held.release)
    closing.cancel()
    assert ear.texts == []
    async with at_the_door(fake, store=store, ear=ear):
        await ear.wait(Message)
    await store.close()
    assert ear.texts == ["in the moment of the end"]


async def test_c12_where_webex_takes_no_webhook_people_are_heard_all_the_same(fake, caplog):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    fake.faults.next(400, path="webhooks", method="POST", count=1_000)
    async with on_webex(fake, hook_url="http://127.0.0.1:9/hook") as (_, ear):
        ann.say(bot, "hello")
        await ear.wait(Message)
        ann.say(bot, "once more")
        await ear.wait(Message, 2)
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(told) == 1
    assert "see that server.public_url is an address that the internet knows" in told[0]
