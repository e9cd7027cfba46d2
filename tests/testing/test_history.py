"""The history's verdict, on small stories and against a checker that is slow and plain."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.errors import InvalidMessage
from shellbot.testing import History, Verdict, make_message, read_message


def told(*events: int | str | tuple[str, int | None], sent: int = 10) -> Verdict:
    """The verdict where ``a`` put 0 to ``sent`` in one room and this happened: numbers that came, and gaps."""
    history = History()
    for number in range(sent):
        history.put("a", "room", number)
    for event in events:
        if isinstance(event, tuple):
            history.gap("reader", event[1])
        else:
            history.arrived("reader", "room", "a", int(event))
    return history.verdict("reader")


def gap(at_most: int | None) -> tuple[str, int | None]:
    return "gap", at_most


# --- small stories


def test_all_in_order_is_a_good_verdict():
    assert told(*range(10)) == Verdict(sent=10, delivered=10)


def test_nothing_at_all_is_lost_without_a_word():
    assert told() == Verdict(sent=10, delivered=0, lost=10, unreported=10)


@pytest.mark.parametrize(("at_most", "unreported"), [(3, 0), (4, 0), (None, 0), (2, 1), (0, 3)])
def test_a_hole_is_told_by_a_gap_in_it_as_far_as_that_goes(at_most, unreported):
    verdict = told(0, 1, 2, gap(at_most), 6, 7, 8, 9)
    assert verdict == Verdict(sent=10, delivered=7, lost=3, unreported=unreported)


@pytest.mark.parametrize(
    "events",
    [
        (0, 1, gap(None), 2, 6, 7, 8, 9),
        (0, 1, 2, 6, gap(None), 7, 8, 9),
        (gap(None), 0, 1, 2, 6, 7, 8, 9),
        (0, 1, 2, 6, 7, 8, 9, gap(None)),
    ],
)
def test_a_gap_in_the_wrong_place_tells_nothing(events):
    assert told(*events).unreported == 3


def test_holes_before_the_first_and_after_the_last_are_told_there():
    assert told(gap(2), 2, 3, 4, 5, 6, 7, gap(2)) == Verdict(sent=10, delivered=6, lost=4)
    assert told(2, 3, 4, 5, 6, 7, gap(9)).unreported == 2


def test_a_gap_counts_once_for_two_senders():
    history = History()
    for sender in ("a", "b"):
        for number in range(3):
            history.put(sender, "room", number)
        history.arrived("reader", "room", sender, 0)
    history.gap("reader", 1)
    for sender in ("a", "b"):
        history.arrived("reader", "room", sender, 2)
    assert history.verdict("reader") == Verdict(sent=6, delivered=4, lost=2, unreported=1)


def test_a_gap_is_spent_where_no_later_one_helps():
    history = History()
    for sender, numbers in (("a", 3), ("b", 2)):
        for number in range(numbers):
            history.put(sender, "room", number)
    history.gap("reader", 1)  # for the head of b, as a has another one
    history.arrived("reader", "room", "b", 1)
    history.gap("reader", 2)
    history.arrived("reader", "room", "a", 2)
    assert history.verdict("reader") == Verdict(sent=5, delivered=2, lost=3)


def test_doubles_are_counted_and_are_no_disorder():
    assert told(*range(10), 3, 4, 9) == Verdict(sent=10, delivered=10, duplicated=3)


def test_what_comes_after_something_later_is_out_of_order():
    assert told(0, 1, 5, 6, 2, 3, 4, 7, 8, 9) == Verdict(sent=10, delivered=10, reordered=3)


def test_senders_may_overtake_each_other():
    history = History()
    for sender in ("a", "b"):
        history.put(sender, "room", 1)
    for sender in ("b", "a"):
        history.arrived("reader", "room", sender, 1)
    assert history.verdict("reader") == Verdict(sent=2, delivered=2)


def test_one_sender_keeps_its_order_over_channels():
    history = History()
    for channel in ("x", "y"):
        history.put("a", channel, 1)
    for channel in ("y", "x"):
        history.arrived("reader", channel, "a", 1)
    assert history.verdict("reader") == Verdict(sent=2, delivered=2, reordered=1)


def test_a_reader_of_some_channels_misses_nothing_of_others():
    history = History()
    for number in range(10):
        history.put("a", "even" if number % 2 == 0 else "odd", number)
    for number in range(0, 10, 2):
        history.arrived("reader", "even", "a", number)
    assert history.verdict("reader", ["even"]) == Verdict(sent=5, delivered=5)
    assert history.verdict("reader") == Verdict(sent=10, delivered=5, lost=5, unreported=5)
    assert history.verdict("reader", ["odd"]) == Verdict(sent=5, delivered=0, lost=5, unreported=5, invented=5)


def test_what_nobody_put_is_invented():
    history = History()
    history.put("a", "room", 1)
    for channel, sender, number in (("room", "a", 1), ("room", "a", 2), ("room", "b", 1), ("hall", "a", 1)):
        history.arrived("reader", channel, sender, number)
    assert history.verdict("reader") == Verdict(sent=1, delivered=1, invented=3)


def test_what_was_put_may_be_recorded_afterwards():
    history = History()
    for number in (1, 3):
        history.arrived("reader", "room", "a", number)
    for number in (1, 2, 3):
        history.put("a", "room", number)
    assert history.verdict("reader") == Verdict(sent=3, delivered=2, lost=1, unreported=1)


def test_numbers_of_a_sender_must_grow():
    history = History()
    history.put("a", "room", 5)
    history.put("a", "hall", 5)
    with pytest.raises(ValueError, match="numbers must grow"):
        history.put("a", "room", 5)


def test_messages_carry_sender_and_number():
    message = make_message("a", 7, text="x" * 50)
    assert message == {"from": "a", "n": 7, "text": "x" * 50}
    assert read_message(message) == ("a", 7)


@pytest.mark.parametrize("other", [None, 7, [], {}, {"from": "a"}, {"from": 1, "n": 1}, {"from": "a", "n": True}])
def test_other_messages_are_refused(other):
    with pytest.raises(InvalidMessage, match="a message of a history"):
        read_message(other)


def test_messages_in_a_row_take_little_room_however_many():
    history = History()
    history.put("a", "room", 0)
    history.arrived("reader", "room", "a", 0)
    tracemalloc.start()
    for number in range(1, 100_000):
        history.put("a", "room", number)
        history.arrived("reader", "room", "a", number)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 10_000
    assert history.verdict("reader") == Verdict(sent=100_000, delivered=100_000)


# --- against a plain checker


def plain_verdict(puts: list[tuple[str, str, int]], events: list[object], channels: set[str]) -> Verdict:
    """Message by message; a lost one is matched with room in a gap that lies between its neighbours."""
    puts = [put for put in puts if put[1] in channels]
    first: dict[object, int] = {}
    doubles = invented = 0
    rooms: list[int] = []  # where in the events there is room for one lost message
    for at, event in enumerate(events):
        if event is None or isinstance(event, int):
            rooms += [at] * (len(puts) if event is None else event)
        elif event not in puts:
            invented += 1
        elif event in first:
            doubles += 1
        else:
            first[event] = at
    reordered = 0
    allowed: list[list[int]] = []
    for sender in {put[0] for put in puts}:
        own = [put for put in puts if put[0] == sender]
        for place, put in enumerate(own):
            if put in first:
                reordered += any(first.get(later, len(events)) < first[put] for later in own[place + 1 :])
            else:
                before = next((first[one] for one in reversed(own[:place]) if one in first), -1)
                after = next((first[one] for one in own[place + 1 :] if one in first), len(events))
                allowed.append([room for room, at in enumerate(rooms) if before < at < after])
    taken: dict[int, int] = {}

    def matched(lost: int, seen: set[int]) -> bool:
        for room in allowed[lost]:
            if room not in seen:
                seen.add(room)
                if room not in taken or matched(taken[room], seen):
                    taken[room] = lost
                    return True
        return False

    told = sum(matched(lost, set()) for lost in range(len(allowed)))
    return Verdict(len(puts), len(first), len(allowed), len(allowed) - told, doubles, reordered, invented)


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[tuple[str, str, int]], list[object]]:
    """What was put, and what happened: mostly in order, with losses, doubles, moves, gaps and inventions."""
    puts, numbers = [], {"a": 0, "b": 0}
    for sender, channel, step in draw(
        st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(1, 2)), max_size=14)
    ):
        numbers[sender] += step
        puts.append((sender, channel, numbers[sender]))
    events: list[object] = []
    for put in puts:
        events += [put] * draw(st.sampled_from([0, 0, 1, 1, 1, 1, 2]))
    for what in draw(st.lists(st.one_of(st.none(), st.integers(0, 4), st.just(("a", "x", 99))), max_size=5)):
        events.insert(draw(st.integers(0, len(events))), what)
    for _ in range(draw(st.integers(0, 3)) if events else 0):
        events.insert(draw(st.integers(0, len(events) - 1)), events.pop(draw(st.integers(0, len(events) - 1))))
    return puts, events


@given(stories(), st.sets(st.sampled_from("xyz"), min_size=1))
def test_the_verdict_is_that_of_the_plain_checker(
    story: tuple[list[tuple[str, str, int]], list[object]], channels: set[str]
) -> None:
    puts, events = story
    history = History()
    for put in puts:
        history.put(*put)
    for event in events:
        if isinstance(event, tuple):
            sender, channel, number = event
            history.arrived("reader", channel, sender, number)
        else:
            history.gap("reader", event)
    assert history.verdict("reader", channels) == plain_verdict(puts, events, channels)
