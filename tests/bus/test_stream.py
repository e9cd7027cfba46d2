"""What a subscriber has of the bus, wherever its connection breaks."""

from __future__ import annotations

from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bus.model import World, a_world, verify

CHANNELS = ["a", "b", "ab"]

STEPS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(CHANNELS)),
    st.tuples(st.just("put"), st.sampled_from(CHANNELS)),
    st.tuples(st.just("take"), st.integers(1, 4)),
    st.tuples(st.just("take"), st.integers(1, 4)),
    st.tuples(st.just("carry"), st.integers(1, 6)),
    st.tuples(st.just("carry"), st.integers(1, 6)),
    st.tuples(st.just("hear"), st.integers(1, 4)),
    st.tuples(st.just("hear"), st.just(1000)),
    st.tuples(st.just("go_on")),
    st.tuples(st.just("go_on")),
    st.tuples(st.just("tell_head")),
    st.tuples(st.just("look")),
    st.tuples(st.just("settle")),
    st.tuples(st.just("break_off")),
    st.tuples(st.just("renew")),
    st.tuples(st.just("ask")),
    st.tuples(st.just("evict"), st.integers(1, 5)),
    st.tuples(st.just("begin_anew"), st.booleans()),
)
CHANGES = st.one_of(
    st.tuples(st.just("add"), st.sampled_from(["", *CHANNELS])),
    st.tuples(st.just("remove"), st.sampled_from(["", *CHANNELS])),
)


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
    world.note()
    for channel in CHANNELS:
        world.put(channel)
    world.settle()


@settings(max_examples=400)
@given(st.lists(STEPS, max_size=60), st.sampled_from([["a"], ["a", "b"], [""], ["", "a"]]), st.booleans())
def test_nothing_is_twice_or_gone_in_silence(steps: list[Any], channels: list[str], is_exact: bool) -> None:
    with a_world(channels, is_exact=is_exact) as world:
        carry_out(world, steps)
        end_well(world)
        verify(world, is_all="" in channels)


@settings(max_examples=400)
@given(st.lists(st.one_of(STEPS, CHANGES), max_size=60), st.sampled_from([["a"], ["a", "b"], [""]]), st.booleans())
def test_so_it_is_while_channels_change(steps: list[Any], channels: list[str], is_exact: bool) -> None:
    with a_world(channels, is_exact=is_exact) as world:
        carry_out(world, steps)
        end_well(world)
        verify(world, is_all=False)
        assert world.subscriber.incoming.stream.is_plain


@settings(max_examples=400)
@given(st.lists(st.one_of(STEPS, CHANGES), max_size=60), st.sampled_from([["a"], ["a", "b"]]))
def test_so_it_is_with_more_names_than_fit_in_an_ask(steps: list[Any], channels: list[str]) -> None:
    with mock.patch("shellbot.bus.frames.MAX_SCOPE_BYTES", 1), a_world(channels) as world:
        carry_out(world, steps)
        end_well(world)
        verify(world, is_all=False)
