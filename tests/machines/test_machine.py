"""The machine itself: transitions as data, time as an input, and its state as a value."""

from __future__ import annotations

import json

import pytest

from shellbot.errors import MachineError
from shellbot.machines import Invite, Machine, Say, Update


def said(deeds):
    return [deed.text for deed in deeds if isinstance(deed, Say)]


LIGHT = {
    "states": ["off", "on", "broken"],
    "transitions": [
        {"source": "off", "target": "on", "event": "press", "say": "on"},
        {"source": "on", "target": "off", "event": "press", "say": "off"},
        {"source": "on", "target": "off", "after": 60, "say": "off by itself"},
        {"source": "off", "target": "broken", "event": "drop", "say": "broken"},
    ],
}


class TestEvents:
    def test_a_transition_is_taken_when_its_event_comes(self):
        light = Machine(**LIGHT)
        assert light.current_state == "off"
        assert light.step("press") == [Say("on")]
        assert light.current_state == "on"
        assert light.step("nothing of the kind") == []
        assert said(light.step("press")) == ["off"]

    def test_a_state_that_nothing_leaves_is_the_end(self):
        light = Machine(**LIGHT)
        assert not light.is_running
        light.step("press")
        assert light.is_running
        light.step("press")
        assert said(light.step("drop")) == ["broken"]
        assert light.is_over
        assert not light.is_running
        assert not light.is_cancelled
        assert light.step("press") == []
        assert light.current_state == "broken"

    def test_the_first_transition_that_can_be_taken_is_and_only_that(self):
        machine = Machine(
            states=["one", "two", "three"],
            transitions=[
                {"source": "one", "target": "two", "condition": lambda **z: z.get("word") == "two"},
                {"source": "one", "target": "three", "condition": lambda **z: True},
                {"source": "two", "target": "three", "condition": lambda **z: True},
            ],
        )
        machine.step(word="two")
        assert machine.current_state == "two"
        machine.step()
        assert machine.current_state == "three"

    def test_what_is_called_in_which_order(self):
        calls = []

        def note(word):
            return lambda **z: calls.append((word, z["event"]))

        machine = Machine(
            states=["one", "two"],
            transitions=[
                {
                    "source": "one",
                    "target": "two",
                    "condition": lambda event: calls.append(("condition", event)) or event == "go",
                    "action": note("action"),
                }
            ],
            during={"one": note("during")},
            on_exit={"one": note("exit")},
            on_enter={"two": note("enter")},
        )
        machine.start()
        machine.step("wait")
        machine.step("go")
        words = ["during", "condition", "action", "exit", "enter"]
        assert calls == [("during", "wait"), ("condition", "wait"), *((word, "go") for word in words)]

    def test_functions_get_what_they_ask_for(self):
        heard = []
        machine = Machine(
            states=["one", "two"],
            transitions=[
                {
                    "source": "one",
                    "target": "two",
                    "event": "go",
                    "condition": lambda: True,
                    "action": lambda word, now: heard.append((word, now)),
                }
            ],
        )
        machine.step("go", now=5.0, word="hello", more="unheard")
        assert heard == [("hello", 5.0)]

    def test_methods_by_name_say_keep_and_invite(self):
        class Doorman(Machine):
            def on_init(self, name, **kwargs):
                self.name = name
                self.build(
                    ["shut", "open"], [{"source": "shut", "target": "open", "event": "knock", "action": "let_in"}]
                )

            def let_in(self, who):
                self.set("count", self.get("count", 0) + 1)
                self.say(f"{self.name} lets {who} in", choices=("thanks",))
                self.update("guests", who, True)
                self.invite([who])
                self.answer("who", who)

        doorman = Doorman(name="Person D")
        assert doorman.step("knock", who="Person A") == [
            Say("Person D lets Person A in", choices=("thanks",)),
            Update("guests", "Person A", True),
            Invite(("Person A",)),
        ]
        assert doorman.get("count") == 1
        assert doorman.answers == {"who": "Person A"}


class TestTime:
    def test_a_time_out_names_when_it_is_due(self):
        light = Machine(**LIGHT)
        light.start(100.0)
        assert light.due is None
        light.step("press", now=200.0)
        assert light.due == 260.0
        assert light.tick(259.9) == []
        assert said(light.tick(260.0)) == ["off by itself"]
        assert light.due is None

    def test_what_fell_due_before_an_event_is_done_before_it(self):
        light = Machine(**LIGHT)
        light.step("press", now=0.0)
        assert said(light.step("press", now=1000.0)) == ["off by itself", "on"]
        assert light.due == 1060.0

    def test_time_outs_follow_each_other_at_their_due_times_however_late_it_is(self):
        times = []
        machine = Machine(
            states=["a", "b", "c", "d"],
            transitions=[
                {"source": "a", "target": "b", "after": 10, "action": lambda now: times.append(now)},
                {"source": "b", "target": "c", "after": 10, "action": lambda now: times.append(now)},
                {"source": "c", "target": "d", "after": 1000, "action": lambda now: times.append(now)},
            ],
        )
        machine.start(0.0)
        machine.tick(500.0)
        assert times == [10.0, 20.0]
        assert machine.current_state == "c"
        assert machine.due == 1020.0
        assert machine.elapsed == 480.0

    def test_the_earliest_of_several_time_outs_comes_first(self):
        machine = Machine(
            states=["a", "late", "soon"],
            transitions=[
                {"source": "a", "target": "late", "after": 20},
                {"source": "a", "target": "soon", "after": 10},
            ],
        )
        machine.start(0.0)
        assert machine.due == 10.0
        machine.tick(100.0)
        assert machine.current_state == "soon"

    def test_a_reminder_that_was_slept_through_is_said_once(self):
        machine = Machine(
            states=["waiting"],
            transitions=[{"source": "waiting", "target": "waiting", "after": 20, "say": "well?"}],
        )
        machine.start(0.0)
        assert said(machine.tick(20.0)) == ["well?"]
        assert said(machine.tick(1_000_000.0)) == ["well?"]
        assert machine.due == 1_000_020.0

    def test_a_time_out_whose_condition_is_false_is_not_named_again(self):
        machine = Machine(
            states=["a", "b"],
            transitions=[
                {"source": "a", "target": "b", "after": 10, "condition": lambda machine=None, **z: z["event"] == "go"}
            ],
        )
        machine.start(0.0)
        assert machine.due == 10.0
        machine.tick(10.0)
        assert machine.due is None
        assert machine.current_state == "a"
        machine.step("go", now=11.0)
        assert machine.current_state == "b"

    def test_what_waits_for_nothing_is_taken_at_once_and_a_circle_of_it_ends(self):
        machine = Machine(
            states=["a", "b", "c"],
            transitions=[{"source": "a", "target": "b", "say": "b"}, {"source": "b", "target": "c", "say": "c"}],
        )
        assert said(machine.start(7.0)) == ["b", "c"]
        assert machine.is_over
        circle = Machine(
            states=["a", "b"], transitions=[{"source": "a", "target": "b"}, {"source": "b", "target": "a"}]
        )
        circle.start(0.0)
        assert circle.due is None

    def test_a_clock_that_goes_back_is_not_followed(self):
        light = Machine(**LIGHT)
        light.step("press", now=100.0)
        light.tick(50.0)
        assert light.now == 100.0
        assert light.due == 160.0

    def test_without_a_time_none_has_passed(self):
        light = Machine(**LIGHT)
        light.start(100.0)
        light.step("press")
        assert light.due == 160.0

    @pytest.mark.parametrize("now", [float("nan"), float("inf")])
    def test_a_time_that_is_none_is_refused(self, now):
        with pytest.raises(MachineError, match="number of seconds"):
            Machine(**LIGHT).start(now)


class TestLife:
    def test_reset_waits_for_the_end(self):
        light = Machine(**LIGHT)
        light.step("press", now=5.0)
        light.set("count", 3)
        assert light.reset() is False
        assert light.current_state == "on"
        light.stop()
        assert light.is_over
        assert light.reset() is True
        assert light.current_state == "off"
        assert light.get("count") is None
        assert not light.is_over

    def test_restart_begins_anew(self):
        light = Machine(**LIGHT)
        light.step("press", now=5.0)
        light.restart(10.0)
        assert light.current_state == "off"
        assert light.is_running

    def test_cancel_ends_it_without_its_aim(self):
        light = Machine(**LIGHT)
        light.start(0.0)
        light.cancel(1.0)
        assert light.is_over
        assert light.is_cancelled
        assert light.due is None

    def test_the_hooks_of_2017(self):
        calls = []

        class Hooked(Machine):
            def on_init(self, **kwargs):
                self.build(["only", "end"], [{"source": "only", "target": "end", "event": "go"}])

            def on_start(self):
                calls.append("start")

            def on_stop(self):
                calls.append("stop")

            def on_reset(self):
                calls.append("reset")

        machine = Hooked(bot="b")
        assert machine.bot == "b"
        machine.step("go")
        machine.reset()
        assert calls == ["start", "stop", "reset"]

    def test_what_a_step_raises_leaves_no_deed_behind(self):
        def fail():
            raise ValueError("no")

        machine = Machine(
            states=["a", "b"],
            transitions=[
                {"source": "a", "target": "b", "event": "bad", "action": fail},
                {"source": "a", "target": "b", "event": "good", "say": "fine"},
            ],
            during={"a": lambda **z: machine.say("looking")},
        )
        with pytest.raises(ValueError):
            machine.step("bad")
        assert said(machine.step("good")) == ["looking", "fine"]


class TestMistakes:
    @pytest.mark.parametrize(
        ("transition", "text"),
        [
            ({"source": "a", "target": "c"}, "'c', which is none of its states: a, b"),
            ({"source": "a"}, "is no transition"),
            ({"source": "a", "target": "b", "when": 3}, "it has source, target, event"),
            ({"source": "a", "target": "b", "event": "x", "after": 3}, "write two transitions"),
            ({"source": "a", "target": "b", "after": -1}, "0 or more"),
            ({"source": "a", "target": "b", "after": float("nan")}, "0 or more"),
            ({"source": "a", "target": "b", "action": "shout"}, "does not have"),
        ],
    )
    def test_a_transition_that_does_not_fit_is_told(self, transition, text):
        with pytest.raises(MachineError, match=text):
            Machine(states=["a", "b"], transitions=[transition])

    def test_functions_that_wait_are_refused(self):
        async def wait():
            """Never run."""

        with pytest.raises(MachineError, match="async"):
            Machine(states=["a", "b"], transitions=[{"source": "a", "target": "b", "action": wait}])

    def test_other_mistakes(self):
        with pytest.raises(MachineError, match="at least one state"):
            Machine(states=[])
        with pytest.raises(MachineError, match="initial"):
            Machine(states=["a"], initial="b")
        with pytest.raises(MachineError, match="on_enter is for 'b'"):
            Machine(states=["a"], on_enter={"b": lambda: None})
        with pytest.raises(MachineError, match="no setting named colour"):
            Machine(states=["a"], colour="red")
        with pytest.raises(MachineError, match="call build"):
            Machine().start()
        with pytest.raises(MachineError, match="JSON values only"):
            Machine(states=["a"]).set("key", object())
        with pytest.raises(MachineError, match="no state 'b'"):
            Machine(states=["a"]).state("b")


class TestAsAValue:
    def test_its_state_is_json_and_another_one_goes_on_with_it(self):
        light = Machine(**LIGHT)
        light.step("press", now=10.0)
        light.set("seen", (1, "two", None))
        kept = json.loads(json.dumps(light.to_state()))
        light.step("press", now=20.0)
        other = Machine(**LIGHT).from_state(kept)
        assert other.current_state == "on"
        assert other.get("seen") == [1, "two", None]
        assert other.due == 70.0
        assert other.to_state() == kept

    def test_what_is_given_out_is_not_changed_by_later_steps(self):
        light = Machine(**LIGHT)
        light.set("list", [1])
        kept = light.to_state()
        light.get("list").append(2)
        assert kept["values"] == {"list": [1]}
        again = Machine(**LIGHT).from_state(kept)
        again.get("list").append(3)
        assert kept["values"] == {"list": [1]}

    @pytest.mark.parametrize("kept", [{}, {"state": "elsewhere"}, {"state": "off", "values": None}])
    def test_the_state_of_another_machine_is_refused(self, kept):
        with pytest.raises(MachineError):
            Machine(**LIGHT).from_state(kept)
