"""The subscriber's side of `replay`, against a publisher that is played by the test."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from shellbot.bus import Frame, Gap, Subscriber
from shellbot.bus.frames import (
    ALL,
    EVERYTHING,
    HEADS,
    NAMED,
    Ask,
    head,
    parse_ask,
    probe,
    reply_begin,
    reply_end,
    reply_missed,
)
from shellbot.errors import BusTimeout
from tests.bus.conftest import Buses
from tests.bus.scripted import Scripted
from tests.bus.watching import wait_until


class Reader:
    """A subscriber that reads whatever comes.

    Attributes:
        heard: Messages and gaps.
    """

    def __init__(self, subscriber: Subscriber, hub: Scripted) -> None:
        self.subscriber = subscriber
        self.hub = hub
        self.heard: list[Any] = []

    def read(self) -> bool:
        # ZeroMQ greets a new connection in the thread that uses the socket.
        self.hub.has_heard()
        while (found := self.subscriber.receive(0)) is not None:
            self.heard.append(found.message if isinstance(found, Frame) else found)
        return True

    def question(self) -> Ask:
        """What it asks next."""
        while (question := parse_ask(self.told())) is None:
            pass
        return question

    def told(self) -> bytes:
        """What it sends next."""
        wait_until(lambda: self.read() and self.hub.has_heard())
        return self.hub.hear()

    def hears(self, *expected: Any) -> None:
        wait_until(lambda: self.read() and len(self.heard) >= len(expected))
        assert self.heard == list(expected)
        self.heard.clear()


@pytest.fixture
def hub(tcp: Buses) -> Iterator[Scripted]:
    scripted = Scripted(tcp.address)
    yield scripted
    scripted.close()


def a_reader(tcp: Buses, hub: Scripted, channels: Any = "a", *, last: int = 0, **settings: Any) -> Reader:
    """One that was not answered yet."""
    subscriber = Subscriber(tcp.context(**{"probe": 0, **settings}), channels, last)
    tcp.ends.append(subscriber)
    return Reader(subscriber, hub)


def ready_at(
    position: int, tcp: Buses, hub: Scripted, channels: Any = "a", *, table: int = 0, count: int = 0, **settings: Any
) -> Reader:
    """One that knows that so many messages were put before."""
    reader = a_reader(tcp, hub, channels, **settings)
    question = reader.question()
    assert (question.epoch, question.position, question.received) == (0, 0, 0)
    hub.answer(question, position, table=table, count=count)
    wait_until(reader.subscriber.look_ready)
    return reader


# -- what is missed ----------------------------------------------------------------------------------------------------


def test_what_was_missed_comes_after_all(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub)
    hub.send(b"a 1", b"a 2")
    reader.hears(1, 2)
    hub.break_off()
    question = reader.question()
    assert (question.epoch, question.position, question.received) == (7, 10, 2)
    assert (question.scope, question.names) == (NAMED, (b"a",))
    assert reader.subscriber.state == "syncing"
    hub.answer(question, 14, [b"a 3", b"a 4"])
    hub.send(b"a 5")
    reader.hears(3, 4, 5)
    assert reader.subscriber.state == "live"
    counted = reader.subscriber
    assert (counted.delivered, counted.replayed, counted.gaps, counted.reconnects) == (5, 2, 0, 1)


def test_what_comes_beside_the_reply_is_left_out(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub)
    hub.break_off()
    question = reader.question()
    hub.send(b"a 1", head(7, 11), reply_begin(question, 7), b"a 2")
    hub.send(reply_missed(question, b"a 1\na 2"), b"a 3", reply_missed(question, b"a 3"), reply_end(question, 7, 13))
    hub.send(b"a 4")
    reader.hears(1, 2, 3, 4)


def test_a_head_moves_the_anchor(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub)
    hub.send(b"a 1", head(7, 20), b"a 2", b"a 3", head(8, 99))
    reader.hears(1, 2, 3)
    hub.break_off()
    question = reader.question()
    assert (question.epoch, question.position, question.received) == (7, 20, 2)


def test_a_frame_that_cannot_be_read_is_counted(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub)
    hub.send(b"a 1", b"a {", b"a null", b"a 2")
    reader.hears(1, 2)
    hub.break_off()
    question = reader.question()
    assert question.received == 4
    hub.answer(question, 16, [b"a ]", b"a 3"])
    reader.hears(3)
    assert reader.subscriber.broken == 3


def test_a_reply_that_breaks_in_the_middle_goes_on_where_it_was(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub)
    hub.send(b"a 1")
    reader.hears(1)
    hub.break_off()
    first = reader.question()
    hub.send(reply_begin(first, 7), reply_missed(first, b"a 2\na 3"))
    reader.hears(2, 3)
    hub.break_off()
    second = reader.question()
    assert (second.position, second.received) == (10, 3)
    hub.answer(first, 99, [b"a 0"])  # to a question that was given up
    hub.answer(second, 15, [b"a 4"])
    hub.send(b"a 5")
    reader.hears(4, 5)


def test_nothing_is_lost_while_the_questions_before_the_last_are_answered(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub)
    reader.subscriber.add("b")
    old = reader.question()
    reader.subscriber.add("c")
    new = reader.question()
    hub.send(b"a 1")
    hub.answer(old, 11)
    hub.send(b"a 2")
    hub.answer(new, 12)
    hub.send(b"a 3")
    reader.hears(1, 2, 3)


# -- what is gone ------------------------------------------------------------------------------------------------------


def test_a_gap_stands_in_the_place_of_what_is_gone(tcp: Buses, hub: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    reader = ready_at(10, tcp, hub, ["a", "b"])
    told = []

    def on_gap(gap: Gap) -> None:
        told.append(gap)
        raise ValueError("of the program")

    reader.subscriber.on_gap = on_gap
    hub.send(b"a 1", b"b 2")
    reader.hears(1, 2)
    hub.break_off()
    question = reader.question()
    hub.answer(question, 51, [b"a 51"], gap=b"11 50")
    gap = Gap(("a", "b"), 11, 50, 38)
    reader.hears(gap, 51)
    assert told == [gap]
    assert reader.subscriber.gaps == 1
    warnings = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert warnings == ["messages are gone for good: at most 38, positions 11 to 50, channels a, b"]
    assert "on_gap has failed" in caplog.text
    hub.break_off()
    assert reader.question().position == 51


def test_get_skips_gaps_and_counts_them(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub)
    told: list[Gap] = []
    reader.subscriber.on_gap = told.append
    hub.break_off()
    hub.answer(reader.question(), 51, [b"a 51"], gap=b"11 50")
    assert reader.subscriber.get(block=True, timeout=5) == 51
    assert reader.subscriber.get() is None
    assert reader.subscriber.gaps == len(told) == 1
    assert reader.subscriber.delivered == 1


def test_iterations_show_gaps_with_frames_only(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub)
    hub.break_off()
    hub.answer(reader.question(), 51, [b"a 51"], gap=b"11 50")
    hub.send(b"a 52")
    frames = reader.subscriber.frames()
    assert [next(frames), next(frames)] == [Gap(("a",), 11, 50, 40), Frame("a", 51, 1)]
    assert next(iter(reader.subscriber)) == 52


def test_the_ring_may_overtake_a_reply(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub)
    hub.send(b"a 1")
    reader.hears(1)
    hub.break_off()
    question = reader.question()
    hub.send(reply_begin(question, 7), reply_missed(question, b"a 2\na 3"), reply_begin(question, 7, b"20 29"))
    hub.send(reply_missed(question, b"a 30"), reply_end(question, 7, 30))
    reader.hears(2, 3, Gap(("a",), 20, 29, 10), 30)


def test_nothing_is_said_where_nothing_is_missing_in_a_gap(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub)
    hub.send(b"a 11", b"a 12")
    reader.hears(11, 12)
    hub.break_off()
    hub.answer(reader.question(), 13, [b"a 13"], gap=b"11 12")
    reader.hears(13)


def test_another_history_is_a_gap_of_unknown_size(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub)
    hub.break_off()
    question = reader.question()
    hub.answer(question, 3, epoch=8, gap=b"? ?")
    hub.send(b"a 1")
    reader.hears(Gap(("a",)), 1)
    hub.break_off(epoch=8)
    question = reader.question()
    assert (question.epoch, question.position, question.received) == (8, 3, 1)


def test_a_welcome_of_another_history_says_so_at_once(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub)
    hub.break_off(epoch=8)
    question = reader.question()
    assert question.epoch == 0
    reader.hears(Gap(("a",)))
    # Subscribed again, so what is put now arrives; whether all was in force already, nobody knows.
    hub.send(b"a 1")
    hub.answer(question, 3, epoch=8)
    hub.send(b"a 2")
    reader.hears(1, Gap(("a",)), 2)


def test_two_breaks_without_a_message_are_one_gap(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub)
    hub.break_off(epoch=8)
    reader.question()
    hub.break_off(epoch=9)
    hub.answer(reader.question(), 1, epoch=9)
    hub.send(b"a 1")
    reader.hears(Gap(("a",)), 1)


def test_a_connection_that_broke_before_its_first_answer_is_no_silence(tcp: Buses, hub: Scripted) -> None:
    reader = a_reader(tcp, hub)
    reader.question()
    hub.send(b"a 1")
    reader.hears(1)
    hub.break_off()
    hub.answer(reader.question(), 5)
    hub.send(b"a 6")
    reader.hears(Gap(("a",)), 6)


def test_who_has_all_channels_sees_a_loss_that_nobody_reports(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub, "")
    hub.send(b"a 1", b"b 2", head(7, 12), b"c 3", head(7, 15), b"d 6")
    reader.hears(1, 2, 3, Gap(("",), 13, 15, 2), 6)


@pytest.mark.parametrize(("number", "heard"), [(b" 3", [Gap(("a",), 11, 50, 3), 51]), (b" 0", [51])])
def test_exact_gaps(tcp: Buses, hub: Scripted, number: bytes, heard: list[Any]) -> None:
    reader = ready_at(10, tcp, hub, exact_gaps=True, table=5, count=4)
    hub.send(b"a 1", head(7, 30), b"a 2")
    reader.hears(1, 2)
    hub.break_off()
    question = reader.question()
    assert (question.position, question.received, question.table, question.had) == (30, 1, 5, 6)
    hub.answer(question, 51, [b"a 51"], gap=b"11 50" + number, table=5, count=10)
    reader.hears(*heard)
    hub.break_off()
    assert reader.question().had == 10


# -- channels ----------------------------------------------------------------------------------------------------------


def test_all_channels_are_every_first_byte_of_a_name(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub, "")
    assert set(EVERYTHING) | {HEADS} < hub.held
    assert b"" not in hub.held
    hub.break_off()
    assert reader.question().scope == ALL


def test_a_new_channel_counts_from_the_answer_on(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub)
    hub.send(b"a 1")
    reader.hears(1)
    reader.subscriber.add("b")
    assert reader.told() == b"\x01b "
    question = reader.question()
    hub.send(b"a 2", b"b 3")
    reader.hears(2, 3)
    hub.break_off()
    again = reader.question()
    assert (again.position, again.received, again.names) == (10, 2, (b"a",))
    hub.answer(question, 20)
    hub.answer(again, 21, [b"a 4"])
    hub.send(b"b 5")
    reader.hears(4, 5)
    hub.break_off()
    last = reader.question()
    assert (last.position, last.received, set(last.names)) == (21, 1, {b"a", b"b"})


def test_a_removed_channel_is_sent_until_it_no_longer_counts(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub, ["a", "b"])
    hub.send(b"b 1")
    reader.hears(1)
    reader.subscriber.remove("b")
    question = reader.question()
    assert b"b " in hub.held
    hub.send(b"b 2", b"a 3")
    reader.hears(3)
    # Had the channel been left at once, a frame of it might be missing here, and others be taken for it.
    hub.break_off()
    again = reader.question()
    assert (again.position, again.received, set(again.names)) == (10, 3, {b"a", b"b"})
    hub.answer(question, 99)
    hub.answer(again, 14, [b"b 4", b"a 5"])
    assert reader.told() == b"\x00b "
    hub.send(b"b 6", b"a 7")
    hub.answer(reader.question(), 16)
    reader.hears(5, 7)
    wait_until(reader.subscriber.look_ready)
    assert reader.subscriber.incoming.stream.is_plain


def test_what_was_read_of_a_removed_channel_is_not_delivered(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub, ["a", "b"])
    hub.send(b"a 1", b"b 2", b"a 3")
    assert reader.subscriber.get(block=True, timeout=5) == 1
    reader.subscriber.ask_ready()
    hub.answer(hub.question(), 13)
    wait_until(reader.subscriber.look_ready)  # all three were read by that
    reader.subscriber.remove("b")
    reader.hears(3)
    hub.break_off()
    question = reader.question()
    assert (question.position, question.received) == (13, 0)


def test_channels_may_change_while_what_was_missed_comes(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub, ["a", "b"])
    hub.break_off()
    question = reader.question()
    reader.subscriber.add("c")
    reader.subscriber.remove("b")
    hub.answer(question, 13, [b"a 1", b"b 2", b"a 3"])
    reader.hears(1, 3)
    assert not reader.subscriber.look_ready()
    hub.answer(reader.question(), 14)
    assert reader.told() == b"\x00b "
    hub.answer(reader.question(), 15)
    wait_until(reader.subscriber.look_ready)
    assert hub.held >= {b"a ", b"c "}
    assert b"b " not in hub.held


def test_ready_is_the_answer_to_the_last_question_in_its_place(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub)
    hub.send(b"a 1")
    reader.subscriber.ask_ready()
    question = hub.question()
    hub.send(b"a 2")
    hub.answer(question, 12)
    hub.send(b"a 3")
    wait_until(reader.subscriber.look_ready)
    reader.hears(1, 2, 3)
    hub.break_off()
    again = reader.question()
    assert (again.position, again.received) == (12, 1)


# -- the last so many --------------------------------------------------------------------------------------------------


def test_the_last_messages_come_first(tcp: Buses, hub: Scripted) -> None:
    reader = a_reader(tcp, hub, last=3)
    question = reader.question()
    assert (question.epoch, question.last, question.names) == (0, 3, (b"a",))
    hub.send(b"a 3")
    reader.read()
    assert reader.heard == []
    hub.answer(question, 9, [b"a 1", b"a 2", b"a 3"])
    hub.send(b"a 4")
    reader.hears(1, 2, 3, 4)
    assert reader.subscriber.replayed == 3
    hub.break_off()
    again = reader.question()
    assert (again.position, again.received, again.last) == (9, 1, 0)


def test_the_last_messages_may_all_have_come_by_themselves(tcp: Buses, hub: Scripted) -> None:
    reader = a_reader(tcp, hub, last=2)
    question = reader.question()
    hub.send(b"a 1", b"a 2", b"a 3")
    reader.hears(1, 2, 3)
    hub.answer(question, 9, [b"a 2", b"a 3"])
    hub.send(b"a 4")
    reader.hears(4)


def test_the_last_messages_of_a_bus_that_keeps_none(tcp: Buses, hub: Scripted) -> None:
    hub.break_off(epoch=0)
    reader = a_reader(tcp, hub, last=5)
    question = reader.question()
    hub.send(b"a 1")
    hub.answer(question, 0, epoch=0)
    reader.hears(1)


def test_a_break_before_the_last_messages_came(tcp: Buses, hub: Scripted) -> None:
    reader = a_reader(tcp, hub, last=5)
    question = reader.question()
    hub.send(b"a 1", reply_begin(question, 7), reply_missed(question, b"a 0\na 1"))
    wait_until(lambda: reader.read() and reader.subscriber.incoming.stream.heard == 3)
    hub.break_off()
    reader.hears(1, Gap(("a",)))
    question = reader.question()
    assert question.last == 0


@pytest.mark.parametrize("last", [-1, 1_000_001, True, 1.0, "1", None])
def test_a_number_of_last_messages_that_is_none(tcp: Buses, last: Any) -> None:
    with pytest.raises(ValueError, match="last"):
        Subscriber(tcp.context(), "a", last)


# -- other publishers --------------------------------------------------------------------------------------------------


def test_a_bus_at_fast_replays_nothing_and_every_break_is_a_gap(
    tcp: Buses, hub: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    hub.break_off(epoch=0)
    reader = a_reader(tcp, hub)
    hub.answer(reader.question(), 0, epoch=0)
    for n in range(1, 3):
        hub.send(b"a 1")
        reader.hears(1)
        hub.break_off(epoch=0)
        question = reader.question()
        assert question.epoch == 0
        hub.answer(question, 0, epoch=0)
        reader.hears(Gap(("a",)))
        assert reader.subscriber.gaps == n
    text = f"the bus on {tcp.address} runs at 'fast': what is missed while a connection is broken cannot be replayed"
    assert [one.getMessage() for one in caplog.records].count(text) == 1


def test_who_wants_fast_hears_of_no_gaps(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub, guarantee="fast")
    hub.break_off()
    question = reader.question()
    assert question.epoch == 0
    hub.send(b"a 1")
    hub.answer(question, 12)
    reader.hears(1)
    assert reader.subscriber.gaps == 0


def test_what_the_bus_says_to_others_or_wrongly_is_passed_over(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub)
    uid = next(topic for topic in hub.held if topic.startswith(b"\xffs"))
    hub.send(HEADS, HEADS + b"H", HEADS + b"H x y", HEADS + b"W", HEADS + b"W " + b"9" * 5000, HEADS + b"later 1")
    hub.send(uid, uid + b"1 E", uid + b"1 B", uid + b"1 E 1 2", uid + b"1 Z 9", probe(uid[2:-1]))
    hub.send(b"a 1")
    reader.hears(1)
    hub.break_off()
    assert reader.question().received == 1


# -- a bus that falls silent -------------------------------------------------------------------------------------------


def test_a_silent_bus_is_asked_and_then_connected_to_again(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub, probe=0.05)
    hub.send(b"a 1")
    reader.hears(1)
    # The publisher is there, but nothing of what it says arrives.
    question = reader.question()
    assert question.epoch == 0
    assert reader.subscriber.state == "live"
    again = reader.question()
    assert (again.epoch, again.position, again.received) == (7, 10, 1)
    hub.answer(again, 12, [b"a 2"])
    reader.hears(2)
    assert reader.subscriber.reconnects >= 1


def test_a_moment_of_silence_is_no_warning_a_longer_one_is_one(
    tcp: Buses, hub: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    def warnings() -> list[str]:
        return [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]

    reader = ready_at(10, tcp, hub, probe=0.05)
    for silence in range(1, 3):
        # Each welcome of a new connection is no answer yet.
        renewals = 0
        while (question := reader.question()).epoch == 0 or (renewals := renewals + 1) < 4:
            if not renewals:
                assert len(warnings()) == silence - 1
        hub.answer(question, 10)
        hub.send(b"a 1")
        reader.hears(1)
        assert warnings() == [f"the bus on {tcp.address} does not answer; waiting for it"] * silence


def test_without_the_probe_nobody_would_hear_of_it(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub, probe=0)
    assert reader.subscriber.get(block=True, timeout=0.5) is None
    assert not hub.has_heard()


def test_who_waits_without_end_is_healed_too(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub, probe=0.05)
    heard: list[Any] = []
    thread = threading.Thread(target=lambda: heard.append(reader.subscriber.get(block=True)))
    thread.start()
    while (question := hub.question()).epoch == 0:
        pass
    hub.answer(question, 11, [b"a 1"])
    thread.join(10)
    assert heard == [1]


def test_wait_ready_is_healed_too(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub, probe=0.05)
    thread = threading.Thread(target=reader.subscriber.wait_ready)
    thread.start()
    while (question := hub.question()).epoch == 0:
        pass
    hub.answer(question, 11, [b"a 1"])
    thread.join(10)
    reader.hears(1)


async def test_asyncio_is_healed_too(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub, probe=0.05)
    waiting = asyncio.ensure_future(reader.subscriber.aio.receive(10))
    also = asyncio.ensure_future(reader.subscriber.aio.wait_ready(10))

    def play() -> None:
        while (question := hub.question()).epoch == 0:
            pass
        hub.answer(question, 11, [b"a 1"])

    await asyncio.to_thread(play)
    assert await waiting == Frame("a", 1, 1)
    await also


def test_a_bus_that_was_never_there_is_waited_for(tcp: Buses) -> None:
    subscriber = tcp.subscriber("a", probe=0.01)
    with pytest.raises(BusTimeout):
        subscriber.wait_ready(0.2)
    assert subscriber.state == "new"
    assert subscriber.reconnects == 0


def test_states(tcp: Buses, hub: Scripted) -> None:
    reader = a_reader(tcp, hub)
    assert reader.subscriber.state == "new"
    question = reader.question()
    assert reader.subscriber.state == "new"
    hub.answer(question, 1)
    wait_until(reader.subscriber.look_ready)
    assert reader.subscriber.state == "live"
    reader.subscriber.close()
    assert reader.subscriber.state == "disconnected"


# -- asyncio -----------------------------------------------------------------------------------------------------------


async def test_asyncio_sees_gaps_in_the_same_places(tcp: Buses, hub: Scripted) -> None:
    reader = ready_at(10, tcp, hub)
    hub.break_off()
    hub.answer(reader.question(), 51, [b"a 51"], gap=b"11 50")
    assert await reader.subscriber.aio.receive(5) == Gap(("a",), 11, 50, 40)
    assert await reader.subscriber.aio.receive(5) == Frame("a", 51, 1)
    hub.break_off()
    hub.answer(reader.question(), 61, [b"a 61"], gap=b"52 60")
    assert await reader.subscriber.aio.get(timeout=5) == 61
    assert reader.subscriber.gaps == 2
    hub.break_off()
    hub.answer(reader.question(), 71, [b"a 71"], gap=b"62 70")
    async for frame in reader.subscriber.aio.frames():
        assert frame == Gap(("a",), 62, 70, 9)
        break
