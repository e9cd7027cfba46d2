"""What a subscriber has of the bus, wherever its connection breaks."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shellbot.bus.frames import (
    MANY,
    Ask,
    Gap,
    head,
    parse_ask,
    reply_begin,
    reply_end,
    reply_missed,
    welcome,
)
from shellbot.bus.stream import Hole, Stream
from tests.bus.model import World, a_world, verify

UID = b"0123456789abcdef0123456789abcdef"

CHANNELS = ["a", "b", "ab"]

# As often as written, and as they come in a real life: much is put and read, little breaks.
STEPS: list[Any] = [
    *[st.tuples(st.just("put"), st.sampled_from(CHANNELS))] * 8,
    *[st.tuples(st.just("take"), st.integers(1, 4))] * 4,
    *[st.tuples(st.just("carry"), st.sampled_from([1, 2, 3, 6, 50]))] * 4,
    *[st.tuples(st.just("hear"), st.sampled_from([1, 2, 1000]))] * 3,
    *[st.tuples(st.just("go_on"))] * 4,
    *[st.tuples(st.just("settle"))] * 2,
    *[st.tuples(st.just("break_off"))] * 2,
    st.tuples(st.just("tell_head")),
    st.tuples(st.just("look")),
    st.tuples(st.just("ask")),
    st.tuples(st.just("renew")),
    st.tuples(st.just("evict"), st.sampled_from([1, 2, 5, 20])),
]
CHANGES: list[Any] = [
    st.tuples(st.just("add"), st.sampled_from(["", *CHANNELS])),
    st.tuples(st.just("remove"), st.sampled_from(["", *CHANNELS])),
]
NEW_HISTORY = st.tuples(st.just("begin_anew"), st.booleans())


def stories(*steps: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.one_of(*steps), max_size=100)


def carry_out(world: World, steps: list[tuple[Any, ...]]) -> None:
    for name, *arguments in steps:
        if name == "ask":
            world.subscriber.ask_ready()
        else:
            getattr(world, name)(*arguments)


def end_well(world: World) -> None:
    """When all is still, the subscriber is ready, and what is put then arrives."""
    world.settle()
    world.subscriber.ask_ready()
    world.settle()
    assert world.subscriber.look_ready()
    assert world.subscriber.incoming.stream.is_plain
    world.note()
    for channel in CHANNELS:
        world.put(channel)
    world.settle()


def is_kept(steps: list[Any], channels: list[str], *, is_all: bool = False, **of_world: Any) -> None:
    """Nothing comes twice, out of order, or is gone in silence, whatever happens."""
    with a_world(channels, **of_world) as world:
        carry_out(world, steps)
        end_well(world)
        verify(world, is_all)


@given(stories(*STEPS), st.sampled_from([["a"], ["a", "b"]]), st.booleans(), st.integers(1, 3))
def test_the_promise_is_kept(steps: list[Any], channels: list[str], is_exact: bool, slice: int) -> None:
    is_kept(steps, channels, is_exact=is_exact, slice=slice)


@given(stories(*STEPS), st.sampled_from([[""], ["", "a"]]))
def test_gaps_of_all_channels_are_exact(steps: list[Any], channels: list[str]) -> None:
    is_kept(steps, channels, is_all=True)


@given(stories(*STEPS, *CHANGES), st.sampled_from([["a"], ["a", "b"], [""]]), st.booleans())
def test_the_promise_is_kept_while_channels_change(steps: list[Any], channels: list[str], is_exact: bool) -> None:
    is_kept(steps, channels, is_exact=is_exact)


@given(stories(*STEPS, *CHANGES))
def test_the_promise_is_kept_with_more_names_than_fit_in_a_question(steps: list[Any]) -> None:
    with mock.patch("shellbot.bus.frames.MAX_SCOPE_BYTES", 1):
        is_kept(steps, ["a", "b"])


@given(stories(*STEPS, *CHANGES, NEW_HISTORY), st.sampled_from([1, 3, 10]))
def test_the_promise_is_kept_by_who_begins_with_the_last_messages(steps: list[Any], last: int) -> None:
    is_kept(steps, ["a", "b"], last=last)


@given(stories(*STEPS, *CHANGES, NEW_HISTORY), st.booleans())
def test_the_promise_is_kept_over_several_histories(steps: list[Any], is_exact: bool) -> None:
    is_kept(steps, ["a", "b"], is_exact=is_exact)


@pytest.mark.long
@settings(max_examples=3000)
@given(
    stories(*STEPS, *CHANGES, NEW_HISTORY),
    st.sampled_from([["a"], ["a", "b"], [""], ["", "a"]]),
    st.booleans(),
    st.sampled_from([0, 0, 2]),
    st.sampled_from([1, 1_000_000]),
)
def test_the_promise_is_kept_for_long(
    steps: list[Any], channels: list[str], is_exact: bool, last: int, scope_bytes: int
) -> None:
    with mock.patch("shellbot.bus.frames.MAX_SCOPE_BYTES", scope_bytes):
        is_kept(steps, channels, is_exact=is_exact and scope_bytes > 1, last=last)


# -- one by one --------------------------------------------------------------------------------------------------------


def opened(*channels: str, last: int = 0, is_exact: bool = False) -> Stream:
    stream = Stream(list(channels), last)
    stream.open(UID, "tcp://127.0.0.1:5555", replays=True, is_exact=is_exact)
    stream.subscribe()
    stream.out.clear()
    return stream


def question(stream: Stream) -> Ask:
    """What it asks now; nothing else is sent."""
    (frame,) = stream.out
    stream.out.clear()
    asked = parse_ask(frame)
    assert asked is not None
    return asked


def begun(*channels: str, position: int = 10) -> Stream:
    """One that knows where the bus is."""
    stream = opened(*channels)
    assert stream.sort([welcome(7)], 0) == []
    asked = question(stream)
    assert stream.sort([reply_begin(asked, 7), reply_end(asked, 7, position)], 0) == []
    assert stream.is_ready
    assert stream.is_plain
    return stream


def test_before_the_first_answer_everything_is_delivered() -> None:
    stream = opened("a")
    assert stream.sort([b"a 1", welcome(7), b"a 2", head(7, 5), b"a 3"], 0)[-2:] == [b"a 2", b"a 3"]


def test_a_publisher_that_answers_nothing_is_read_as_it_is() -> None:
    stream = opened("a", "b")
    assert stream.is_plain
    assert stream.sort([b"a 1", b"b 2"], 0) == [b"a 1", b"b 2"]
    stream.change(["a"], [], ["b"])
    assert stream.out == [b"\x00b "]
    assert stream.sort([b"a 3", b"b 4"], 2) == [b"a 3"]


def test_all_channels_are_never_delivered_twice_by_a_publisher_that_forgets_the_count() -> None:
    stream = begun("")
    frames = [b"a %d" % n for n in range(11, 16)]
    assert stream.sort([*frames, welcome(7)], 0) == frames
    asked = question(stream)
    missed = reply_missed(asked, b"\n".join(b"a %d" % n for n in range(13, 18)))
    found = stream.sort([reply_begin(asked, 7, b"11 12"), missed, reply_end(asked, 7, 17), b"a 18"], 5)
    assert found == [b"a 16", b"a 17", b"a 18"]
    stream.sort([welcome(7)], 8)
    asked = question(stream)
    assert (asked.position, asked.received) == (17, 1)


def test_more_names_than_fit_in_a_question_are_looked_for_in_the_reply() -> None:
    with mock.patch("shellbot.bus.frames.MAX_SCOPE_BYTES", 3):
        stream = begun("a", "b", "c")
        stream.sort([b"a 1", b"b 2", welcome(7)], 0)
        asked = question(stream)
    assert (asked.scope, asked.names, asked.received) == (MANY, (), 2)
    begin, end = reply_begin(asked, 7), reply_end(asked, 7, 16)
    first, second = reply_missed(asked, b"a 1\nx 0\nb 2\nc 3"), reply_missed(asked, b"x 4\na 5")
    assert stream.sort([begin, first, second, end], 2) == [b"c 3", b"a 5"]


def test_a_question_that_needs_no_names_has_none() -> None:
    stream = begun(*(f"a-channel-{n}" for n in range(1000)))
    stream.ask()
    assert len(stream.out[0]) < 100


def test_frames_of_a_removed_channel_end_with_the_answer_to_its_end() -> None:
    stream = begun("a", "b")
    stream.change(["a"], [], ["b"])
    asked = question(stream)
    assert stream.sort([b"b 1", b"a 2", reply_end(asked, 7, 12), b"b 3"], 0) == [b"a 2"]
    leave, again = stream.out
    assert leave == b"\x00b "
    asked = parse_ask(again)
    assert asked is not None
    assert not stream.is_ready
    assert not stream.is_plain
    stream.sort([reply_end(asked, 7, 13)], 1)
    assert stream.is_ready
    assert stream.is_plain


@pytest.mark.parametrize(
    ("before", "answer", "found"),
    [
        ([], [b"a 1", b"a 2", b"a 3"], [b"a 1", b"a 2", b"a 3"]),
        ([b"a 3"], [b"a 1", b"a 2", b"a 3"], [b"a 1", b"a 2", b"a 3"]),
        ([b"a 2", b"a 2"], [b"a 1", b"a 2", b"a 2"], [b"a 1", b"a 2", b"a 2"]),
        # The subscription to b was not in force yet.
        ([b"a 1", b"a 3"], [b"a 1", b"b 2", b"a 3"], [b"a 1", b"b 2", b"a 3"]),
        # The bus no longer has what came first.
        ([b"a 1", b"a 2"], [b"a 2"], [b"a 1", b"a 2"]),
        ([b"a 1"], [], [b"a 1"]),
        # Only asked for, or seen, now: the answer does not have it.
        ([b"c 2", b"a 3", b"c 4"], [b"a 1", b"a 3"], [b"a 1", b"c 2", b"a 3", b"c 4"]),
    ],
)
def test_the_last_messages_and_those_that_came_meanwhile(
    before: list[bytes], answer: list[bytes], found: list[bytes]
) -> None:
    stream = opened("a", "b", last=5)
    stream.sort([welcome(7)], 0)
    asked = question(stream)
    stream.change(["a", "b", "c"], ["c"], [])
    assert stream.sort(before, 0) == []
    missed = [reply_missed(asked, b"\n".join(answer))] if answer else []
    assert stream.sort([reply_begin(asked, 7), *missed, reply_end(asked, 7, 20)], 0) == found


def test_a_hole_is_no_message_and_keeps_its_place() -> None:
    stream = begun("a")
    hole = Hole.of(Gap(("a",)))
    assert stream.sort([b"a 1", hole, b"a 2"], 0) == [b"a 1", hole, b"a 2"]
    assert stream.heard == 3  # the frames of begun()
