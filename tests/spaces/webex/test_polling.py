"""People on Webex, heard by looking for what they said: nothing is lost or doubled."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from shellbot.clocks import ExternalClock
from shellbot.errors import StoreError
from shellbot.events import Join, Leave, Message, Reply
from shellbot.stores.memory import MemoryStore
from tests.spaces.webex.rooms import Ear, direct_id, group_id, hurried, on_webex


async def test_people_of_a_room_join_and_what_they_say_to_the_bot_is_heard_without_its_name(fake):
    bot, ann, bea = fake.bot("Shelly the Bot"), fake.person("Person A"), fake.person("Person B")
    room = fake.room("Team", [ann, bea], bots=[bot])
    async with on_webex(fake, token=bot.token) as (_, ear):
        joins = await ear.wait(Join, 2)
        assert {(join.person.id, join.person.name) for join in joins} == {(ann.id, "Person A"), (bea.id, "Person B")}
        assert {join.channel.id for join in joins} == {group_id(room)}
        assert joins[0].channel.title == "Team"
        ann.say(room, "nobody hears this")
        ann.say(room, "help me", mention=bot)
        bea.say(bot, "2")
        said = await ear.wait(Message, 2)
    assert {(one.text, one.channel.id, one.channel.is_direct, one.is_called) for one in said} == {
        ("help me", group_id(room), False, True),
        ("2", direct_id(bea), True, False),
    }


async def test_what_was_said_while_nobody_listened_is_heard_at_the_next_start_in_order_and_once(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    room = fake.room("Team", [ann], bots=[bot])
    store, ear = MemoryStore(), Ear()
    await store.open()
    async with on_webex(fake, store=store, ear=ear):
        await ear.wait(Join)
        ann.say(room, "one", mention=bot)
        await ear.wait(Message)
    said = [f"later {number}" for number in range(120)]  # more than a page
    for text in said:
        ann.say(room, text, mention=bot)
    async with on_webex(fake, store=store, ear=ear):
        await ear.wait(Message, 121)
        ann.say(room, "last", mention=bot)
        await ear.wait(Message, 122)
    await store.close()
    assert ear.texts == ["one", *said, "last"]
    assert ear.joined == ["Person A"]


async def test_what_was_said_before_the_bot_ever_started_is_not_for_it(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    room = fake.room("Team", [ann], bots=[bot])
    ann.say(room, "long ago", mention=bot)
    ann.say(bot, "long ago, too")
    async with on_webex(fake) as (_, ear):
        await ear.wait(Join)
        ann.say(room, "now", mention=bot)
        await ear.wait(Message)
    assert ear.texts == ["now"]


async def test_who_comes_and_goes_is_told(fake):
    bot, ann, bea = fake.bot("Shelly"), fake.person("Person A"), fake.person("Person B")
    room = fake.room("Team", [ann], bots=[bot])
    async with on_webex(fake, poll_every=0.01) as (_, ear):
        await ear.wait(Join)
        bea.join(room)
        await ear.wait(Join, 2)
        ann.leave(room)
        [leave] = await ear.wait(Leave)
        ann.join(room)
        await ear.wait(Join, 3)
    assert leave.person.id == ann.id
    assert len({join.id for join in ear.of(Join)}) == 3


async def test_who_speaks_before_it_was_noticed_that_they_came_has_joined_first(fake):
    bot, ann, bea = fake.bot("Shelly"), fake.person("Person A"), fake.person("Person B")
    room = fake.room("Team", [ann], bots=[bot])
    async with on_webex(fake) as (_, ear):
        await ear.wait(Join)
        bea.join(room)
        bea.say(room, "hello", mention=bot)
        await ear.wait(Message)
    assert [type(event) for event in ear.heard] == [Join, Join, Message]


async def test_a_room_the_bot_comes_into_later_is_found(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    async with on_webex(fake) as (space, ear):
        room = fake.room("Later", [ann], bots=[bot])
        await ear.wait(Join)
        await space.post(group_id(room), Reply(id="r", text="here"))
    assert [message.text for message in fake.messages(room)] == ["here"]


async def test_the_bot_does_not_hear_itself_nor_other_bots(fake):
    bot, other, ann = fake.bot("Shelly"), fake.bot("Other"), fake.person("Person A")
    room = fake.room("Team", [ann], bots=[bot, other])
    async with on_webex(fake) as (space, ear):
        await ear.wait(Join)
        await space.post(direct_id(ann), Reply(id="r", text="to you"))
        other.say(room, "from a bot", mention=bot)
        ann.say(room, "from a person", mention=bot)
        await ear.wait(Message)
    assert ear.texts == ["from a person"]
    assert ear.joined == ["Person A"]


async def test_a_bot_that_is_named_in_the_settings_is_heard(fake):
    bot, other, ann = fake.bot("Shelly"), fake.bot("Other"), fake.person("Person A")
    room = fake.room("Team", [ann], bots=[bot, other])
    async with on_webex(fake, bots=[other.email.upper()]) as (_, ear):
        await ear.wait(Join, 2)
        other.say(room, "from a bot", mention=bot)
        await ear.wait(Message)
    assert ear.texts == ["from a bot"]


async def test_an_edit_is_no_second_message(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    async with on_webex(fake) as (_, ear):
        said = ann.say(bot, "first")
        await ear.wait(Message)
        ann.edit(said, "changed")
        ann.say(bot, "second")
        await ear.wait(Message, 2)
    assert ear.texts == ["first", "second"]


async def test_a_room_in_which_something_has_to_be_tried_again_holds_up_no_other(fake, monkeypatch):
    monkeypatch.setattr("shellbot.spaces.webex.polling.PATIENCE", 0.1)
    bot, ann, bea = fake.bot("Shelly"), fake.person("Person A"), fake.person("Person B")
    async with on_webex(fake) as (_, ear):
        held = fake.faults.next("hold", path=f"people/{ann.id}", method="GET")
        ann.say(bot, "slow")
        await asyncio.to_thread(held.wait_reached)
        bea.say(bot, "first")
        await ear.wait(Message)
        bea.say(bot, "second")
        await ear.wait(Message, 2)
        held.release()
        await ear.wait(Message, 3)
    assert ear.texts == ["first", "second", "slow"]


async def test_what_cannot_be_kept_now_is_heard_when_it_can(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    clock = ExternalClock(datetime.now(UTC))
    ear, tries = Ear(), []
    deliver = ear.deliver

    async def full(event):
        tries.append(event.id)
        if len(tries) < 4:
            raise StoreError("the disk is full")
        return await deliver(event)

    ear.deliver = full
    async with hurried(clock), on_webex(fake, clock=clock, ear=ear):
        ann.say(bot, "hello")
        await ear.wait(Message)
    assert len(tries) == 4
    assert ear.texts == ["hello"]


async def test_where_it_is_not_told_who_is_in_a_room_people_are_heard_all_the_same(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    fake.faults.next(403, path="memberships", method="GET", count=1_000)
    room = fake.room("Team", [ann], bots=[bot])
    async with on_webex(fake) as (_, ear):
        await fake.aio.wait_until(lambda: any(asked.status == 403 for asked in fake.requests))
        ann.say(room, "hello", mention=bot)
        await ear.wait(Message)
        ann.say(room, "once more", mention=bot)
        await ear.wait(Message, 2)
    assert ear.texts == ["hello", "once more"]


async def test_who_goes_and_comes_back_is_there_again_each_time(fake):
    bot, ann, bea = fake.bot("Shelly"), fake.person("Person A"), fake.person("Person B")
    room = fake.room("Team", [ann, bea], bots=[bot])
    async with on_webex(fake, token=bot.token) as (_, ear):
        await ear.wait(Join, 2)
        for number in (1, 2):
            bea.remove(room, ann)
            await ear.wait(Leave, number)
            bea.add(room, ann)
            await ear.wait(Join, 2 + number)
    assert ear.joined == ["Person A", "Person B", "Person A", "Person A"]
