"""When a silent bus is asked, and when its connection is given up."""

from __future__ import annotations

from shellbot.bus.pulse import Pulse, Step


def test_silence_is_asked_about_less_and_less_often_while_it_is_answered() -> None:
    pulse = Pulse(0.5)
    now, frames, waits = 0.0, 1, []
    assert pulse.look(now, frames, 1, False) is Step.WAIT
    for _ in range(10):
        waits.append(pulse.due - now)
        now = pulse.due
        assert pulse.look(now, frames, 1, False) is Step.ASK
        frames += 2
        assert pulse.look(now + 0.1, frames, 1, False) is Step.WAIT
        now += 0.1
    assert [round(wait, 6) for wait in waits] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_message_brings_the_first_wait_back() -> None:
    pulse = Pulse(0.5)
    pulse.look(0.0, 1, 1, False)
    assert pulse.look(0.5, 1, 1, False) is Step.ASK
    pulse.look(0.6, 3, 1, False)
    assert pulse.due == 1.6
    pulse.look(1.0, 4, 2, False)
    assert pulse.due == 1.5


def test_a_question_without_an_answer_ends_the_connection_and_new_ones_are_given_more_time() -> None:
    pulse = Pulse(0.5)
    pulse.look(0.0, 1, 1, False)
    assert pulse.look(0.5, 1, 1, False) is Step.ASK
    assert pulse.look(0.9, 1, 1, True) is Step.WAIT
    steps, dues = [], []
    for _ in range(4):
        steps.append(pulse.look(pulse.due, 1, 1, True))
        dues.append(pulse.due)
    assert steps == [Step.RENEW] * 4
    assert dues == [2.0, 4.0, 8.0, 16.0]
    # Once something comes, it is patient for the answer that is owed, and then begins anew.
    pulse.look(8.5, 2, 1, True)
    assert pulse.due == 10.5
    pulse.look(9.0, 3, 1, False)
    assert pulse.due == 9.5


def test_a_question_of_the_program_is_not_asked_again_and_shortens_a_long_wait() -> None:
    pulse = Pulse(0.5)
    pulse.look(0.0, 1, 1, False)
    frames = 1
    while pulse.due < 60:
        now = pulse.due
        assert pulse.look(now, frames, 1, False) is Step.ASK
        frames += 1
        pulse.look(now, frames, 1, False)
    assert pulse.due - now >= 30
    pulse.look(now + 1, frames, 1, True)
    assert pulse.due == now + 3
    assert pulse.look(now + 3, frames, 1, True) is Step.RENEW


def test_who_looks_seldom_asks_only_when_nothing_has_come_meanwhile() -> None:
    pulse = Pulse(0.5)
    pulse.look(0.0, 1, 1, False)
    for n in range(1, 10):
        assert pulse.look(100.0 * n, 1 + n, 1 + n, False) is Step.WAIT
