"""The space in memory: what people do is delivered, what the bot says is kept and can be waited for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from shellbot.clocks import ExternalClock
from shellbot.errors import ChannelNotFound, SpaceError
from shellbot.events import CardAction, Event, Join, Leave, Message, Person, Reply
from shellbot.spaces.base import bus_safe
from shellbot.spaces.memory import MemorySpace

ANN, BOB = Person("ann", "Ann"), Person("bob 2", "Bob")
START = datetime(2026, 11, 20, tzinfo=UTC)


class Bot:
    """Takes events; its turns end when the test says so."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.turns: list[asyncio.Future[None]] = []

    async def deliver(self, event: Event) -> asyncio.Future[None]:
        self.events.append(event)
        self.turns.append(asyncio.get_running_loop().create_future())
        return self.turns[-1]


async def started() -> tuple[MemorySpace, Bot]:
    space, bot = MemorySpace(clock=ExternalClock(START)), Bot()
    await space.start(bot.deliver)
    return space, bot


async def test_what_people_do_is_delivered_with_ids_of_its_own_and_the_clocks_time() -> None:
    space, bot = await started()
    await space.join("group", ANN)
    turn = await space.say("group", ANN, "hello")
    direct = await space.open_direct(ANN)
    await space.press(direct.id, ANN, "card", "yes")
    await space.leave("group", ANN)
    assert [type(event) for event in bot.events] == [Join, Message, CardAction, Leave]
    assert {event.person for event in bot.events} == {ANN}
    assert {event.time for event in bot.events} == {START}
    assert len({event.id for event in bot.events}) == 4
    assert [event.channel.id for event in bot.events] == ["group", "group", "direct-ann", "group"]
    assert bot.events[2].channel == direct
    assert direct.is_direct
    # the turn is the bot's: saying returned when the message was taken
    assert not turn.done()
    bot.turns[1].set_result(None)
    await turn


async def test_only_who_is_in_a_channel_speaks_there() -> None:
    space, _ = await started()
    await space.join("group", ANN)
    for channel, person in (("group", BOB), ("nowhere", ANN), ("direct-ann", BOB)):
        with pytest.raises(ChannelNotFound):
            await space.say(channel, person, "hello")
    await space.leave("group", ANN)
    with pytest.raises(ChannelNotFound):
        await space.say("group", ANN, "hello")
    await space.say("direct-ann", ANN, "still here")


async def test_a_reply_is_shown_once_and_replaced_in_its_place_by_a_higher_version() -> None:
    space, _ = await started()
    await space.join("group", ANN)
    for reply in (
        Reply(id="1", text="one"),
        Reply(id="2", text="two"),
        Reply(id="1", text="one again"),
        Reply(id="1", text="one, edited", version=3),
        Reply(id="1", text="late", version=2),
    ):
        await space.post("group", reply)
    assert [reply.text for reply in space.heard("group")] == ["one, edited", "two"]
    assert space.heard("elsewhere") == []


async def test_waiting_for_a_reply_finds_what_came_before_and_what_comes() -> None:
    space, _ = await started()
    await space.join("group", ANN)
    coming = asyncio.ensure_future(space.wait_for("group", lambda reply: "result" in reply.text))
    await space.post("group", Reply(id="1", text="not yet"))
    await asyncio.sleep(0)
    assert not coming.done()
    await space.post("group", Reply(id="1", text="the result", version=2))
    assert (await coming).text == "the result"
    assert (await space.wait_for("group", lambda reply: True, timeout=0.01)).text == "the result"
    with pytest.raises(TimeoutError, match="the result"):
        await space.wait_for("group", lambda reply: False, timeout=0.01)


async def test_who_is_unreachable_has_no_direct_channel() -> None:
    space, _ = await started()
    await space.join("group", ANN)
    direct = await space.open_direct(BOB)
    space.unreachable.add(BOB.id)
    with pytest.raises(ChannelNotFound, match="Bob cannot be reached"):
        await space.open_direct(BOB)
    with pytest.raises(ChannelNotFound):
        await space.post(direct.id, Reply(id="1", text="hello"))
    with pytest.raises(ChannelNotFound):
        await space.post("nowhere", Reply(id="1", text="hello"))
    space.unreachable.clear()
    await space.post(direct.id, Reply(id="1", text="hello"))


async def test_a_closed_space_gives_no_more_events() -> None:
    space, bot = await started()
    await space.join("group", ANN)
    await space.close()
    await space.close()
    with pytest.raises(SpaceError):
        await space.say("group", ANN, "hello")
    assert len(bot.events) == 1


def test_ids_for_the_bus_are_safe_and_different_texts_stay_different() -> None:
    texts = [
        "ann",
        "Ann",
        "a b",
        "a%20b",
        "a  b",
        "a\tb",
        "a\nb",
        "\x00",
        "é",
        "e\u0301",
        "日本語",
        "*",
        ">",
        "a.b",
        "\ud800",
    ]
    texts += ["x" * 300, "x" * 299 + "y", "é" * 150]
    safe = [bus_safe(text) for text in texts]
    assert len(set(safe)) == len(texts)
    for each in safe:
        assert 1 <= len(f"direct-{each}".encode()) <= 255
        assert not any(char.isspace() or not char.isprintable() for char in each)
