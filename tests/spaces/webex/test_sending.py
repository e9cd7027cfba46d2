"""What bots say, as it stands on the platform: split, carded, changed, taken back, with files."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shellbot.clocks import AsyncioClock, ExternalClock
from shellbot.errors import ChannelNotFound, MessageRefused, RateLimited, SpaceError
from shellbot.events import Button, Card, CardAction, File, Join, Message, Person, Reply
from shellbot.files.shelf import Limits, Shelf
from shellbot.outbox import Outbox, insert
from shellbot.spaces.webex.later import GAPS
from shellbot.spaces.webex.sender import MOST_EDITS
from shellbot.stores.memory import MemoryStore
from tests.spaces.webex.rooms import QUICK, direct_id, door, group_id, hurried, on_webex


def ballot(count: int = 2, **changes) -> Card:
    buttons = tuple(Button(f"value, {n}", f"Choice {n}") for n in range(1, count + 1))
    return replace(Card(id="poll-7", title="Lunch? *now*", buttons=buttons), **changes)


def standing(fake, place):
    return [message for message in fake.messages(place) if not message.is_deleted]


async def test_a_reply_stands_in_the_group_and_in_the_direct_room_it_makes(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    room = fake.room("Team", [ann], bots=[bot])
    async with on_webex(fake) as (space, ear):
        await ear.wait(Join)
        await space.post(group_id(room), Reply(id="a", text="**Hello** <@all>"))
        channel = await space.open_direct(Person(ann.id, "Person A"))
        await space.post(channel.id, Reply(id="a", text="alone"))
    [said] = fake.messages(room)
    assert said.html == "<strong>Hello</strong> &lt;\u200b@all&gt;"
    assert not said.is_to_all
    assert [message.text for message in fake.messages((bot, ann))] == ["alone"]


async def test_the_same_version_again_is_not_said_again_and_a_higher_one_changes_the_message(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    async with on_webex(fake) as (space, _):
        channel = (await space.open_direct(Person(ann.id, "Person A"))).id
        for reply in (Reply(id="a", text="one"), Reply(id="a", text="one"), Reply(id="a", text="two", version=3)):
            await space.post(channel, reply)
        await space.post(channel, Reply(id="a", text="late", version=2))
        await space.post(channel, Reply(id="a", text="two", version=4))  # nothing that one would see
    [said] = fake.messages((bot, ann))
    assert (said.text, said.edits) == ("two", 1)


async def test_a_text_that_changes_all_the_time_is_shown_ever_more_rarely_and_ends_as_it_is(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    store, clock = MemoryStore(), ExternalClock(datetime.now(UTC))
    await store.open()
    async with on_webex(fake, store=store, clock=clock, poll_every=1e6) as (space, _):
        channel = (await space.open_direct(Person(ann.id, "Person A"))).id
        for version in range(1, 100):
            await space.post(channel, Reply(id="a", text=f"count {version}", version=version))
            clock.advance(2)
        (said,) = fake.messages((bot, ann))
        assert 5 <= said.edits < MOST_EDITS
        assert said.text != "count 99"
    # what waited is shown after a restart, when it is time
    async with hurried(clock), on_webex(fake, store=store, clock=clock, poll_every=1e6):
        await fake.aio.wait_for((bot, ann), lambda message: message.text == "count 99")
    await store.close()


async def test_a_message_that_takes_no_more_changes_is_posted_anew(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    clock = ExternalClock(datetime.now(UTC))
    async with on_webex(fake, clock=clock, poll_every=1e6) as (space, _):
        channel = (await space.open_direct(Person(ann.id, "Person A"))).id
        for version in range(1, MOST_EDITS + 4):
            await space.post(channel, Reply(id="a", text=f"count {version}", version=version))
            clock.advance(max(GAPS))
    first, second = fake.messages((bot, ann))
    assert (first.is_deleted, first.edits) == (True, MOST_EDITS)
    assert (second.text, second.edits) == (f"count {MOST_EDITS + 3}", 1)


async def test_long_texts_become_several_messages_and_are_changed_in_place(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    text = "\n".join(f"line {number} " + "é" * 90 for number in range(200))
    async with on_webex(fake) as (space, _):
        channel = (await space.open_direct(Person(ann.id, "Person A"))).id
        await space.post(channel, Reply(id="a", text=text))
        count = len(standing(fake, (bot, ann)))
        await space.post(channel, Reply(id="a", text="short", version=2))
    assert count > 5
    assert [message.text for message in standing(fake, (bot, ann))] == ["short"]


async def test_what_must_line_up_is_a_block_of_code(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    async with on_webex(fake) as (space, _):
        channel = (await space.open_direct(Person(ann.id, "Person A"))).id
        await space.post(channel, Reply(id="a", text="Result", fixed="Pizza  ```  3\nSushi  #    1"))
    [said] = fake.messages((bot, ann))
    assert "<pre><code>Pizza  ```  3\nSushi  #    1" in said.html


@pytest.mark.parametrize("count", [2, 5, 6, 40])
async def test_a_pressed_button_and_a_chosen_line_come_back_as_card_and_value(fake, count):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    async with door() as (url, behind), on_webex(fake, hook_url=url) as (space, ear):
        behind["space"] = space
        await fake.aio.wait_until(lambda: len(fake.webhooks()) == 4)
        channel = (await space.open_direct(Person(ann.id, "Person A"))).id
        await space.post(channel, Reply(id="a", text="Vote #7", card=ballot(count)))
        [said] = fake.messages((bot, ann))
        if count <= 5:
            ann.press(bot, label=f"Choice {count}")
        else:
            ann.press(bot, {"choice": str(count - 1)}, label="Send")
        [action] = await ear.wait(CardAction)
    assert (action.card, action.value, action.channel.id) == ("poll-7", f"value, {count}", channel)
    assert action.person == Person(ann.id, "Person A")
    assert f"{count}. Choice {count}" in said.markdown
    assert "; or type 1" in said.markdown
    assert len(said.cards[0].get("actions", [])) <= 5


async def test_a_card_that_changed_is_posted_anew_and_a_closed_one_is_words(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    async with on_webex(fake) as (space, _):
        channel = (await space.open_direct(Person(ann.id, "Person A"))).id
        await space.post(channel, Reply(id="a", text="Vote #7", card=ballot()))
        await space.post(channel, Reply(id="a", text="Vote #7", card=ballot(), version=2))
        assert len(fake.messages((bot, ann))) == 1
        await space.post(channel, Reply(id="a", text="Vote #7", card=ballot(chosen="value, 2"), version=3))
        _, second = fake.messages((bot, ann))
        assert [action["title"] for action in second.cards[0]["actions"]] == ["Choice 1", "✔ Choice 2"]
        over = ballot(chosen="value, 2", is_open=False, note="Closed.")
        await space.post(channel, Reply(id="a", text="Vote #7", card=over, version=4))
    [last] = standing(fake, (bot, ann))
    assert not last.cards
    assert last.text == "Lunch? *now*\nVote #7\n✔ Choice 2\nClosed."


async def test_a_card_that_is_refused_is_shown_as_words(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    async with on_webex(fake) as (space, _):
        channel = (await space.open_direct(Person(ann.id, "Person A"))).id
        fake.faults.next(400, path="messages", method="POST")
        await space.post(channel, Reply(id="a", text="Vote #7", card=ballot()))
    [said] = fake.messages((bot, ann))
    assert not said.cards
    assert "1. Choice 1" in said.markdown


async def test_what_is_refused_is_told_to_the_caller(fake):
    ann = fake.person("Person A")
    async with on_webex(fake) as (space, _):
        channel = (await space.open_direct(Person(ann.id, "Person A"))).id
        fake.faults.next(400, path="messages", method="POST")
        with pytest.raises(MessageRefused, match="400"):
            await space.post(channel, Reply(id="a", text="no"))


async def test_files_go_one_by_one_under_their_names_the_first_with_the_text(fake, tmp_path):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    shelf = Shelf(tmp_path / "files")
    async with on_webex(fake, shelf=shelf) as (space, _):
        files = []
        for name in ("a plan.pdf", "../../secret"):
            draft = shelf.new(name)
            draft.write(name.encode())
            files.append(draft.finish())
        channel = (await space.open_direct(Person(ann.id, "Person A"))).id
        kept = tuple(File(file.id, file.name, file.size_bytes, file.type) for file in files)  # as the store has them
        await space.post(channel, Reply(id="a", text="Here", files=kept))
    first, second = fake.messages((bot, ann))
    assert (first.text, first.files[0].name, first.files[0].data) == ("Here", "a plan.pdf", b"a plan.pdf")
    assert (second.files[0].name, second.files[0].data) == ("secret", b"../../secret")


async def test_files_that_people_send_are_kept_and_what_is_not_taken_is_told(fake, tmp_path):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    room = fake.room("Team", [ann], bots=[bot])
    shelf = Shelf(tmp_path / "files", Limits(max_bytes=1000, max_count=2))
    async with on_webex(fake, shelf=shelf) as (_, ear):
        files = [("Plän.txt", b"hello"), ("big.bin", b"x" * 1001), ("c.txt", b"never")]
        ann.say(room, "look", mention=bot, files=files)
        [said] = await ear.wait(Message)
        await fake.aio.wait_for(room, lambda message: "too many" in message.text)
    assert [(file.name, file.read()) for file in said.files] == [("Plän.txt", b"hello")]
    told = fake.messages(room)[-1].text
    assert "big.bin is too large: 1 kB are the most." in told
    assert "3 files are too many: 2 are the most." in told
    assert len(list((tmp_path / "files").iterdir())) == 1


async def test_nobody_is_found_where_no_channel_is(fake):
    ann, bea = fake.person("Person A"), fake.person("Person B")
    fake.unreachable(bea)
    async with on_webex(fake, poll_every=QUICK) as (space, _):
        with pytest.raises(ChannelNotFound):
            await space.post("nowhere", Reply(id="a", text="x"))
        with pytest.raises(ChannelNotFound):
            await space.post(direct_id(ann), Reply(id="a", text="x"))
        channel = (await space.open_direct(Person(bea.id, "Person B"))).id
        with pytest.raises(ChannelNotFound):
            await space.post(channel, Reply(id="a", text="x"))


async def test_what_is_refused_is_logged_and_what_follows_is_said(fake, caplog):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    store, clock = MemoryStore(), AsyncioClock()
    await store.open()
    async with on_webex(fake, store=store) as (space, _):
        channel = (await space.open_direct(Person(ann.id, "Person A"))).id
        outbox = Outbox(store, space.post, clock)
        await outbox.load()
        outbox.start()
        fake.faults.next(400, path="messages", method="POST")
        shown = await asyncio.gather(*(outbox.send(channel, Reply(id=text, text=text)) for text in ("one", "two")))
        await outbox.stop()
        again = Outbox(store, space.post, clock)
        await again.load()
        assert shown == [False, True]
        assert not await store.read(lambda db: db.execute("SELECT * FROM outbox").fetchall())
    await store.close()
    assert [message.text for message in fake.messages((bot, ann))] == ["two"]
    assert any(record.levelname == "ERROR" and "reply=one" in record.getMessage() for record in caplog.records)


async def test_nothing_that_a_bot_says_silences_its_channel(caplog):
    shown: list[str] = []

    async def post(channel: str, reply: Reply) -> None:
        if reply.id == "fault":
            raise KeyError("a fault of ours")
        shown.append(reply.text)

    store = MemoryStore()
    await store.open()
    outbox = Outbox(store, post, AsyncioClock())
    await outbox.load()
    outbox.start()
    card = Card(id="c", title="half \udce9", buttons=(Button("1", "x\ud83d"),))
    said = [Reply(id="half", text="half \udce9", card=card), Reply(id="fault", text="x"), Reply(id="good", text="good")]
    assert await asyncio.gather(*(outbox.send("direct-a", reply) for reply in said)) == [True, False, True]
    await outbox.stop()
    assert shown == ["half ?", "good"]
    assert not await store.read(lambda db: db.execute("SELECT * FROM outbox").fetchall())
    assert any("reply is lost" in record.getMessage() and record.exc_info for record in caplog.records)
    await store.close()


async def test_what_is_on_disk_is_taken_up_however_much_it_is(monkeypatch):
    monkeypatch.setattr("shellbot.outbox.MAX_LINE", 10)
    shown: list[str] = []

    async def post(channel: str, reply: Reply) -> None:
        shown.append(reply.text)

    store = MemoryStore()
    await store.open()
    outbox = Outbox(store, post, AsyncioClock())
    await outbox.load()
    texts = [str(number) for number in range(12)]
    await store.write(lambda db: [insert(db, "direct-a", Reply(id=text, text=text)) for text in texts])
    again = Outbox(store, post, AsyncioClock())
    await again.load()
    with pytest.raises(SpaceError, match="10 messages wait"):
        again.send("direct-a", Reply(id="more", text="more"))
    again.start()
    await again.stop()
    assert shown == texts
    await store.close()


async def test_somebody_whom_the_platform_does_not_describe_is_heard_under_the_address(fake):
    bot, ann = fake.bot("Shelly"), fake.person("Person A")
    async with on_webex(fake) as (_, ear):
        fake.faults.next(404, path="people/*", method="GET")
        ann.say(bot, "hello")
        [said] = await ear.wait(Message)
    assert said.person == Person(ann.id, ann.email)


async def test_a_file_that_is_gone_from_the_server_is_refused_and_asks_nothing(fake, tmp_path):
    ann = fake.person("Person A")
    async with on_webex(fake, shelf=Shelf(tmp_path / "files"), poll_every=1e6) as (space, _):
        channel = (await space.open_direct(Person(ann.id, "Person A"))).id
        with pytest.raises(MessageRefused, match="is gone"):
            await space.post(channel, Reply(id="a", text="Here", files=(File("0" * 32, "plan.pdf", 7),)))
    assert not [asked for asked in fake.requests if asked.path == "messages"]


async def test_what_the_sdk_itself_does_not_take_is_no_doubt(fake):
    async with on_webex(fake, poll_every=1e6) as (space, _):
        with pytest.raises(MessageRefused, match="cannot be sent"):
            await space._client.send({"roomId": 7}, "text")
    assert not [asked for asked in fake.requests if asked.path == "messages"]


async def test_the_end_does_not_wait_until_the_platform_wants_calls_again(fake):
    ann = fake.person("Person A")
    async with on_webex(fake) as (space, _):
        channel = (await space.open_direct(Person(ann.id, "Person A"))).id
        fake.faults.next(429, path="messages", method="POST", headers={"Retry-After": "300"})
        with pytest.raises(RateLimited):
            await space.post(channel, Reply(id="a", text="a"))
        waiting = [asyncio.create_task(space.post(channel, Reply(id=str(n), text="later"))) for n in range(30)]
        await asyncio.sleep(0)
        await asyncio.wait_for(space.close(), 5)
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(outcome, SpaceError) for outcome in outcomes)
    assert fake.messages((fake.bot("Shelly"), ann)) == []
