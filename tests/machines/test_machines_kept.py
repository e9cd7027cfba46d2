"""Saved and restored at any moment, a machine does what one does that was never saved."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shellbot.machines import Input, Machine, Menu, Sequence, Steps


def light():
    return Machine(
        states=["off", "on", "warm", "end"],
        transitions=[
            {"source": "off", "target": "on", "event": "next"},
            {"source": "on", "target": "warm", "after": 7.5, "say": "warm"},
            {"source": "warm", "target": "warm", "after": 3, "say": "still warm"},
            {"source": "warm", "target": "off", "event": "input", "condition": lambda text="": text == "2"},
            {"source": "on", "target": "end", "event": "go"},
        ],
    )


def order():
    return Sequence(
        [
            Menu(question="Dish?", options=["Pizza", "Sushi", "2"], key="dish"),
            Input(question="How many?", mask="9+", key="count", on_answer="{}!"),
            Input(question="Name?", key="name", is_mandatory=True),
            Input(question="Why?", regex="because (.+)", retry_delay=None, cancel_delay=5, on_cancel="bye"),
        ]
    )


def escalation():
    return Steps(
        [
            {"label": "one", "message": "begin", "participants": "a@b"},
            {"label": "two", "machine": Input(question="What?", key="what"), "after": 10},
            {"label": "three", "message": "later", "after": 7.5},
            {"machine": order()},
            {"label": "last", "message": "the end"},
        ]
    )


MACHINES = [light, order, escalation]
EVENTS = st.sampled_from(["tick", "next", "go", "cancel", "input"])
TEXTS = st.sampled_from(["1", "2", "12", "sushi", "because of it", "", " ", "x" * 50]) | st.text(max_size=20)
TIMES = st.sampled_from([0.0, 0.5, 3.0, 7.5, 19.9, 20.0, 41.0, 1e6]) | st.floats(0, 1e7)


def facts(machine):
    seen = (machine.current_state, machine.due, machine.answers, machine.is_over, machine.is_cancelled)
    return (*seen, machine.is_listening, machine.to_state())


STATES = "abcd"
WAYS = st.fixed_dictionaries(
    {"source": st.sampled_from(STATES), "target": st.sampled_from(STATES)},
    optional={"event": st.sampled_from(["go", "stop"]), "say": st.just("x")},
) | st.fixed_dictionaries(
    {"source": st.sampled_from(STATES), "target": st.sampled_from(STATES), "after": st.sampled_from([0, 1e-9, 1, 20])}
)


@given(
    ways=st.lists(WAYS, max_size=12),
    happenings=st.lists(
        st.tuples(st.sampled_from([0.0, 1e-9, 1.0, 20.0, 1e6]), st.sampled_from(["go", "stop", "tick"]))
    ),
)
def test_any_machine_comes_to_rest_at_each_step(ways, happenings):
    machine, now = Machine(states=STATES, transitions=ways), 2e9
    machine.start(now)
    for seconds, event in happenings:
        now += seconds
        deeds = machine.step(event, now=now)
        assert len(deeds) <= 2 * len(STATES) + 1  # each state is passed once before the event, and once after it
        assert machine.due is None or machine.due > now
        assert machine.is_over or machine.now == now


class Kept(RuleBasedStateMachine):
    """One machine that lives on, and one that is made anew from its kept state whenever it likes."""

    @initialize(make=st.sampled_from(MACHINES), now=st.floats(0, 2e9))
    def begin(self, make, now):
        self.make, self.now = make, now
        self.lasting, self.kept = make(), make()
        assert self.lasting.start(now) == self.kept.start(now)

    @rule(event=EVENTS, text=TEXTS)
    def happen(self, event, text):
        given = {"text": text} if event == "input" else {}
        assert self.lasting.step(event, now=self.now, **given) == self.kept.step(event, now=self.now, **given)

    @rule(seconds=TIMES)
    def wait(self, seconds):
        self.now += seconds
        assert self.lasting.tick(self.now) == self.kept.tick(self.now)

    @rule()
    def wait_until_due(self):
        if self.lasting.due is not None:
            self.now = max(self.now, self.lasting.due)
            assert self.lasting.tick(self.now) == self.kept.tick(self.now)

    @rule()
    def cancel(self):
        assert self.lasting.cancel(self.now) == self.kept.cancel(self.now)

    @rule()
    def begin_again(self):
        assert self.lasting.reset() == self.kept.reset()
        assert self.lasting.start(self.now) == self.kept.start(self.now)

    @rule()
    def save_and_restore(self):
        self.kept = self.make().from_state(json.loads(json.dumps(self.kept.to_state())))

    @invariant()
    def they_are_alike(self):
        if hasattr(self, "make"):
            assert facts(self.lasting) == facts(self.kept)

    @invariant()
    def time_is_dealt_with(self):
        """After a step nothing is overdue, so whoever sets a timer by ``due`` does not turn in a circle."""
        if hasattr(self, "make") and self.lasting.due is not None:
            assert self.lasting.due > self.lasting.now


Kept.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestKept = Kept.TestCase


def questions():
    return Sequence(
        [
            Menu(question="Dish?", options=["Pizza", "Sushi"], key="dish"),
            Input(question="How many?", mask="9", key="count", retry_delay=10, cancel_delay=60),
            Input(question="Why?", retry_delay=None, cancel_delay=5),
        ]
    )


def rounds():
    return Steps(
        [
            {"label": "one", "after": 20},
            {"label": "two", "after": 0},
            {"label": "three", "machine": Input(question="What?", key="what", cancel_delay=30), "after": 10},
            {"label": "four", "machine": questions(), "after": 100},
            {"label": "five"},
            {"label": "six"},
        ]
    )


@given(
    make=st.sampled_from([questions, rounds]),
    happenings=st.lists(st.tuples(st.floats(0, 70), EVENTS, TEXTS), max_size=12),
    looks=st.lists(st.floats(0, 1), max_size=3),
)
def test_looking_at_a_dialog_more_often_changes_nothing(make, happenings, looks):
    """A tick late or early, or many: what was reached by then is the same."""
    seldom, often = make(), make()
    now = 1000.0
    seldom.start(now)
    often.start(now)
    for seconds, event, text in happenings:
        for share in sorted(looks):
            often.tick(now + seconds * share)
        now += seconds
        given = {"text": text} if event == "input" else {}
        seldom.step(event, now=now, **given)
        often.step(event, now=now, **given)
        assert facts(seldom)[:-1] == facts(often)[:-1]
