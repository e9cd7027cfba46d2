"""The web space: people, posts and their numbers, and that nothing a person said is lost or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shellbot.clocks import AsyncioClock
from shellbot.errors import ChannelNotFound, SpaceError
from shellbot.events import Button, Card, CardAction, Event, Join, Leave, Message, Person, Reply
from shellbot.spaces.web import Cursor, Post, WebSpace
from shellbot.spaces.web.names import clean_name
from shellbot.stores.base import Store
from shellbot.stores.memory import MemoryStore
from shellbot.stores.sqlite import SqliteStore

KEY = "browser-key-1"


class Ear:
    """Takes events as an engine does; ``fails`` makes it lose its inbox."""

    def __init__(self) -> None:
        self.heard: list[Event] = []
        self.fails = False
        self.turn: asyncio.Future[None] | None = None

    async def deliver(self, event: Event) -> asyncio.Future[None]:
        if self.fails:
            raise OSError("the inbox cannot be written")
        self.heard.append(event)
        if self.turn is not None:
            return self.turn
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        over.set_result(None)
        return over

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.heard if isinstance(event, kind)]


@asynccontextmanager
async def room(store: Store | None = None, **settings: float) -> AsyncIterator[tuple[WebSpace, Ear]]:
    kept = store or MemoryStore()
    if store is None:
        await kept.open()
    ear = Ear()
    space = WebSpace(store=kept, clock=AsyncioClock(), **settings)
    await space.start(ear.deliver)
    try:
        yield space, ear
    finally:
        await space.close()
        if store is None:
            await kept.close()


def ballot(chosen: str = "", version: int = 1) -> Reply:
    card = Card(id="poll-7", title="Lunch?", buttons=(Button("1", "Pizza"), Button("2", "Sushi")), chosen=chosen)
    return Reply(id="ballot", text="Please vote", version=version, card=card)


async def test_who_joins_gets_a_direct_channel_and_the_bots_hear_of_it():
    async with room() as (space, ear):
        member = await space.join("Person A")
        [join] = ear.of(Join)
        assert join.person == member.person
        assert join.channel == space.group
        channel = await space.open_direct(member.person)
        assert channel.id == f"direct-{member.person.id}"
        assert channel.is_direct
        assert not any(char.isspace() for char in channel.id)


@pytest.mark.parametrize("name", ["Person A", "person a", "PERSON  A", " PersonA ", "Ｐerson A", "Per\u200bson A"])
async def test_a_name_stays_bound_to_who_took_it_first(name):
    async with room() as (space, ear):
        member = await space.join("Person A")
        await space.page(member.person.id)
        with pytest.raises(SpaceError, match="choose another"):
            await space.join(name)
        assert len(ear.heard) == 1


async def test_a_name_whose_id_was_lost_with_the_answer_can_be_taken_again_and_nobody_is_there_twice():
    async with room() as (space, ear):
        lost = await space.join("Person A")
        found = await space.join("Person A")
        assert found.person.id != lost.person.id
        assert [type(event) for event in ear.heard] == [Join, Leave, Join]
        assert [member.person for member in space.members] == [found.person]
        with pytest.raises(SpaceError):
            await space.say(lost.person.id, "group", "I am here too", KEY)
        await space.say(found.person.id, "group", "hello", KEY)
        with pytest.raises(SpaceError, match="choose another"):
            await space.join("Person A")


async def test_nobody_takes_the_name_of_the_bot():
    async with room() as (space, _):
        with pytest.raises(SpaceError, match="choose another"):
            await space.join("ShellBot")


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("  Ada   Lovelace ", "Ada Lovelace"),
        ("Ada\u202eecalevoL", "AdaecalevoL"),
        ("A\u200bd\u2060a\ufeff", "Ada"),
        ("Ada\x1b[31m", "Ada[31m"),
        ("A\nB", "A B"),
        ("<b>Ada</b>", "<b>Ada</b>"),
        ("日本", "日本"),
        ("🍕", "🍕"),
    ],
)
def test_names_lose_what_hides_or_turns_text(typed, shown):
    assert clean_name(typed) == shown


@pytest.mark.parametrize("typed", ["", "  ", "\u200b", "\u0301", "...", "x" * 41])
def test_unusable_names_are_refused_with_a_line(typed):
    with pytest.raises(SpaceError, match=r"[Pp]lease"):
        clean_name(typed)


async def test_leaving_is_told_and_the_same_browser_may_come_back_under_its_name():
    async with room() as (space, ear):
        member = await space.join("Person A")
        await space.leave(member.person.id)
        assert space.members == []
        with pytest.raises(ChannelNotFound):
            await space.open_direct(member.person)
        with pytest.raises(SpaceError):
            await space.join("Person A")
        back = await space.join("person a", person_id=member.person.id)
        assert back.person == member.person
        assert [type(event) for event in ear.heard] == [Join, Leave, Join]
        assert len({event.id for event in ear.heard}) == 3


async def test_what_is_said_is_kept_and_delivered_before_say_returns():
    async with room() as (space, ear):
        member = await space.join("Person A")
        await space.say(member.person.id, "group", " hello\r\nthere\x00 ", KEY)
        [message] = ear.of(Message)
        assert message.text == "hello\nthere"
        [post] = (await space.page(member.person.id)).group
        assert (post.text, post.member.person.name, post.place, post.seq) == ("hello\nthere", "Person A", 1, 1)


async def test_the_same_id_is_one_message_and_another_persons_same_id_is_another():
    async with room() as (space, ear):
        a, b = await space.join("Person A"), await space.join("Person B")
        for member in (a, a, b):
            await space.say(member.person.id, "group", "hi", KEY)
        assert len((await space.page(a.person.id)).group) == 2
        assert len({event.id for event in ear.of(Message)}) == 2


async def test_a_delivery_cut_short_is_made_up_by_the_retry_under_the_same_event_id():
    async with room() as (space, ear):
        member = await space.join("Person A")
        ear.fails = True
        with pytest.raises(OSError):
            await space.say(member.person.id, "group", "hi", KEY)
        assert ear.of(Message) == []
        ear.fails = False
        await space.say(member.person.id, "group", "hi", KEY)
        assert len(ear.of(Message)) == 1
        assert len((await space.page(member.person.id)).group) == 1


async def test_a_delivery_cut_short_is_made_up_by_the_next_start_and_only_then(tmp_path):
    store = SqliteStore(tmp_path / "store.db")
    await store.open()
    try:
        async with room(store) as (space, ear):
            member = await space.join("Person A")
            ear.fails = True
            for number in range(3):
                with pytest.raises(OSError):
                    await space.say(member.person.id, "group", f"hi {number}", f"key-000{number}")
        async with room(store) as (_, ear):
            assert [event.text for event in ear.heard] == ["hi 0", "hi 1", "hi 2"]
            assert ear.heard[0].person == member.person
        async with room(store) as (_, ear):
            assert ear.heard == []
    finally:
        await store.close()


async def test_a_restart_keeps_people_history_and_numbers(tmp_path):
    store = SqliteStore(tmp_path / "store.db")
    await store.open()
    try:
        async with room(store) as (space, _):
            member = await space.join("Person A")
            await space.say(member.person.id, "group", "before", KEY)
            await space.post(f"direct-{member.person.id}", ballot())
            before = await space.page(member.person.id)
        async with room(store) as (space, ear):
            assert space.member(member.person.id) == member
            assert await space.page(member.person.id) == before
            await space.say(member.person.id, "group", "after", "browser-key-2")
            page = await space.changes(member.person.id, before.cursor)
            assert [(post.text, post.seq) for post in page.group] == [("after", 2)]
            assert page.direct == []
            assert len(ear.heard) == 1
    finally:
        await store.close()


async def test_a_reply_twice_is_shown_once_and_a_higher_version_takes_its_place():
    async with room() as (space, _):
        member = await space.join("Person A")
        news: list[Post] = []
        space.watch(lambda item: news.append(item) if isinstance(item, Post) else None)
        channel = await space.open_direct(member.person)
        for reply in (ballot(), ballot(), ballot("2", version=2), ballot("1", version=1)):
            await space.post(channel.id, reply)
        [post] = (await space.page(member.person.id)).direct
        assert (post.place, post.seq, post.card.chosen) == (1, 2, "2")
        assert post.card == ballot("2").card
        assert [(item.place, item.seq) for item in news] == [(1, 1), (1, 2)]


async def test_posting_where_nobody_is_raises():
    async with room() as (space, _):
        for channel in ("elsewhere", "direct-nobody"):
            with pytest.raises(ChannelNotFound):
                await space.post(channel, ballot())
        with pytest.raises(ChannelNotFound):
            await space.open_direct(Person("nobody", "Nobody"))


async def test_watchers_hear_of_posts_in_the_order_of_their_numbers():
    async with room() as (space, _):
        seqs: list[int] = []
        space.watch(lambda item: seqs.append(item.seq) if isinstance(item, Post) else None)
        await asyncio.gather(*(space.post("group", Reply(id=f"r{n}", text=f"{n}")) for n in range(300)))
        assert seqs == list(range(1, 301))


async def test_a_caller_that_gives_up_does_not_keep_a_post_from_being_told():
    async with room() as (space, _):
        told = asyncio.Event()
        space.watch(lambda item: told.set())
        task = asyncio.create_task(space.post("group", ballot()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait_for(told.wait(), 5)


async def test_a_press_reaches_the_bot_and_waits_a_moment_for_its_turn():
    async with room(turn_timeout=0.01) as (space, ear):
        member = await space.join("Person A")
        channel = await space.open_direct(member.person)
        await space.post(channel.id, ballot())
        assert await space.press(member.person.id, channel.id, 1, "2", KEY)
        [action] = ear.of(CardAction)
        assert (action.card, action.value, action.person, action.channel) == ("poll-7", "2", member.person, channel)
        ear.turn = asyncio.get_running_loop().create_future()
        assert not await space.press(member.person.id, channel.id, 1, "1", "browser-key-2")
        assert len(ear.of(CardAction)) == 2


async def test_buttons_that_are_not_there_and_channels_of_others_are_refused():
    async with room() as (space, ear):
        a, b = await space.join("Person A"), await space.join("Person B")
        theirs = await space.open_direct(b.person)
        await space.post(theirs.id, ballot())
        for place, value in ((1, "3"), (2, "1")):
            with pytest.raises(SpaceError, match="no longer there"):
                await space.press(b.person.id, theirs.id, place, value, KEY)
        with pytest.raises(ChannelNotFound):
            await space.press(a.person.id, theirs.id, 1, "1", KEY)
        with pytest.raises(ChannelNotFound):
            await space.say(a.person.id, theirs.id, "hi", KEY)
        with pytest.raises(ChannelNotFound):
            await space.say("nobody", "group", "hi", KEY)
        assert [type(event) for event in ear.heard] == [Join, Join]


async def test_events_of_one_channel_are_given_one_after_the_other_in_the_order_of_the_history():
    async with room() as (space, ear):
        member = await space.join("Person A")
        under_way: list[str] = []

        async def deliver(event: Event) -> asyncio.Future[None]:
            under_way.append(event.id)
            await asyncio.sleep(0)
            assert under_way == [event.id]
            under_way.clear()
            return await ear.deliver(event)

        space._deliver = deliver
        says = (space.say(member.person.id, "group", f"{number}", f"key-{number:08}") for number in range(100))
        posts = await asyncio.gather(*says)
        assert [event.text for event in ear.of(Message)] == [post.text for post in sorted(posts, key=lambda p: p.seq)]


@pytest.mark.parametrize(
    ("text", "key"), [("", KEY), (" \n ", KEY), ("x" * 7001, KEY), ("hi", "short"), ("hi", "a b c d e")]
)
async def test_unusable_messages_are_refused_with_a_line(text, key):
    async with room() as (space, ear):
        member = await space.join("Person A")
        with pytest.raises(SpaceError, match=r"[Pp]lease"):
            await space.say(member.person.id, "group", text, key)
        assert len(ear.heard) == 1


async def test_changes_are_what_came_after_a_cursor_and_none_for_another_history():
    async with room() as (space, _):
        member = await space.join("Person A")
        start = (await space.page(member.person.id)).cursor
        await space.post("group", Reply(id="r1", text="one"))
        await space.post("group", Reply(id="r2", text="two"))
        await space.post("group", Reply(id="r1", text="one, better", version=2))
        page = await space.changes(member.person.id, start)
        assert [(post.text, post.place, post.seq) for post in page.group] == [("two", 2, 2), ("one, better", 1, 3)]
        assert page.cursor == Cursor(space.epoch, 3, 0)
        for other in (Cursor("0abc", 0, 0), Cursor(space.epoch, 4, 0), Cursor(space.epoch, 0, 1)):
            assert await space.changes(member.person.id, other) is None


def test_cursors_are_read_as_they_were_written_and_nothing_else_is():
    assert Cursor.parse("e1f.g41.d7") == Cursor("1f", 41, 7)
    assert str(Cursor("1f", 41, 7)) == "e1f.g41.d7"
    for text in ("", "e1f.g41", "e1f.g-1.d7", "e1f.g41.d7\n", "exyz.g1.d1", "e1.g٣.d1", f"e1.g{'9' * 40}.d1"):
        assert Cursor.parse(text) is None
