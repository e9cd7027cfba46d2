"""Input, Menu, Sequence, Steps and MachineFactory."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shellbot.errors import MachineError
from shellbot.machines import Input, Invite, Machine, MachineFactory, Menu, Say, Sequence, Settle, Step, Steps, Update


def said(deeds):
    return [deed.text for deed in deeds if isinstance(deed, Say)]


class TestInput:
    def test_it_asks_and_takes_the_answer(self):
        name = Input(question="Your name?", on_answer="Hello {}!", key="name")
        assert name.start(0.0) == [Say("Your name?")]
        assert name.is_listening
        assert name.step("input", now=1.0, text="  Person A ") == [
            Update("input", "name", "Person A"),
            Say("Hello Person A!"),
        ]
        assert name.is_over
        assert not name.is_cancelled
        assert not name.is_listening
        assert name.get("answer") == "Person A"
        assert name.answers == {"name": "Person A"}

    def test_without_a_key_the_answer_is_called_answer_and_remembered_nowhere(self):
        machine = Input(question="?")
        machine.start()
        assert machine.step("input", text="yes") == []
        assert machine.answers == {"answer": "yes"}

    def test_an_answer_that_does_not_fit_is_told_and_the_clock_begins_anew(self):
        pin = Input(question="PIN?", mask="9999", on_retry="Four digits, please.")
        pin.start(0.0)
        assert pin.due == 20.0
        assert pin.step("input", now=15.0, text="12") == [Say("Four digits, please.")]
        assert pin.due == 35.0
        pin.step("input", now=16.0, text="it is 1234")
        assert pin.answers == {"answer": "1234"}

    def test_silence_is_broken_once_and_then_it_is_given_up(self):
        machine = Input(question="?", on_retry="Still there?", on_cancel="Then not.")
        machine.start(100.0)
        assert machine.due == 120.0
        assert said(machine.tick(120.0)) == ["Still there?"]
        assert machine.current_state == "delayed"
        assert machine.due == 140.0
        assert machine.tick(140.0) == [Settle(), Say("Then not.")]
        assert machine.is_over
        assert machine.is_cancelled
        assert machine.answers == {}

    def test_after_a_long_sleep_it_does_not_break_the_silence_before_it_gives_up(self):
        machine = Input(question="?", on_retry="Still there?", on_cancel="Then not.")
        machine.start(0.0)
        assert said(machine.tick(10_000.0)) == ["Then not."]

    def test_an_answer_after_the_reminder_counts(self):
        machine = Input(question="?")
        machine.start(0.0)
        machine.tick(20.0)
        machine.step("input", now=39.0, text="yes")
        assert machine.answers == {"answer": "yes"}

    def test_an_answer_at_the_moment_it_is_given_up_is_too_late(self):
        machine = Input(question="?", retry_delay=None, cancel_delay=40)
        machine.start(0.0)
        machine.step("input", now=40.0, text="yes")
        assert machine.is_cancelled

    @pytest.mark.parametrize(
        ("retry", "cancel", "due"),
        [(None, None, None), (None, 40, 40.0), (50, 40, 40.0), (40, 40, 40.0), (5, None, 5.0)],
    )
    def test_each_delay_may_be_left_out(self, retry, cancel, due):
        machine = Input(question="?", retry_delay=retry, cancel_delay=cancel)
        machine.start(0.0)
        assert machine.due == due
        if due is not None:
            machine.tick(due)
            assert machine.is_cancelled == (cancel is not None)
            assert machine.due is None

    def test_a_mandatory_one_insists(self):
        machine = Input(question="?", is_mandatory=True, retry_delay=20)
        machine.start(0.0)
        for now in (20.0, 40.0, 60.0):
            assert machine.due == now
            assert len(said(machine.tick(now))) == 1
        assert said(machine.cancel(61.0)) == [Input.MANDATORY_MESSAGE]
        assert machine.is_running
        machine.step("input", now=62.0, text="all right")
        assert machine.answers == {"answer": "all right"}

    def test_cancel_gives_it_up_at_once(self):
        machine = Input(question="?")
        machine.start(0.0)
        assert said(machine.cancel(1.0)) == [Input.CANCELLED_MESSAGE]
        assert machine.is_cancelled

    def test_contents_are_markdown_beside_the_text(self):
        machine = Input(question="?", question_content="**?**", on_answer="{}", on_answer_content="*{}*")
        assert machine.start() == [Say("?", "**?**")]
        assert machine.step("input", text="a*b") == [Say("a\\*b", "*a\\*b*")]

    def test_an_answer_of_your_own_kind(self):
        class Even(Input):
            def filter(self, text):
                return int(text) if text.isdecimal() and int(text) % 2 == 0 else None

        machine = Even(question="An even number?")
        machine.start()
        assert said(machine.step("input", text="3")) == [Input.RETRY_MESSAGE]
        machine.step("input", text="0")
        assert machine.answers == {"answer": 0}

    @pytest.mark.parametrize(
        ("mask", "text", "found"),
        [
            ("9999A", "code 1234Z, I think", "1234Z"),
            ("9", "12", None),
            ("9+", "about 12 of them", "12"),
            ("AAA", "a b", None),
            ("ZZZ", "abc", "abc"),
            ("99/99", "on 24/12.", "24/12"),
            ("9.9", "1x2", None),
            ("9.9", "1.2", "1.2"),
            ("A+", "", None),
        ],
    )
    def test_masks(self, mask, text, found):
        assert Input.search_mask(mask, text) == found

    def test_expressions(self):
        assert Input.search_expression(r"\d+", "about 12 of them") == "12"
        assert Input.search_expression(r"ticket (\d+)", "see ticket 12") == "12"
        assert Input.search_expression(r"\d+", "none") is None

    @given(mask=st.text("9AZ", min_size=1, max_size=8), text=st.text(max_size=30))
    def test_what_a_mask_finds_fits_it(self, mask, text):
        found = Input.search_mask(mask, text)
        if found is not None:
            assert len(found) == len(mask)
            assert found in text
            for sign, char in zip(mask, found, strict=True):
                assert char.isdecimal() if sign == "9" else not char.isspace() if sign == "A" else not char.isdecimal()

    @given(st.text(max_size=50))
    def test_any_answer_is_taken_or_told(self, text):
        machine = Input(question="?")
        machine.start()
        deeds = machine.step("input", text=text)
        assert machine.is_over != bool(said(deeds))

    def test_mistakes(self):
        with pytest.raises(MachineError, match="needs a question"):
            Input()
        with pytest.raises(MachineError, match="one of them"):
            Input(question="?", mask="9", regex=".")
        with pytest.raises(MachineError, match="cannot be used"):
            Input(question="?", regex="(")
        with pytest.raises(MachineError, match="cannot be used"):
            Input(question="?", mask="++")
        with pytest.raises(MachineError, match="no setting named retri_delay"):
            Input(question="?", retri_delay=3)


class TestMenu:
    def menu(self, **settings):
        return Menu(question="Dish?", options=["Pizza", "Sushi", "Fish & chips"], key="dish", **settings)

    def test_it_shows_the_options_and_settles_them(self):
        menu = self.menu(on_answer="{} it is.")
        assert menu.start() == [Say("Dish?", choices=("Pizza", "Sushi", "Fish & chips"))]
        assert menu.step("input", text="2") == [Update("input", "dish", "Sushi"), Settle("Sushi"), Say("Sushi it is.")]
        assert menu.answers == {"dish": "Sushi"}

    @pytest.mark.parametrize("text", ["3", "3.", " 3 ", "fish & chips", "FISH &  CHIPS"])
    def test_a_number_or_the_words_will_do(self, text):
        menu = self.menu()
        menu.start()
        menu.step("input", text=text)
        assert menu.answers == {"dish": "Fish & chips"}

    @pytest.mark.parametrize("text", ["0", "4", "-1", "", "fish", "1 2", "²", "٣", "9" * 5000])
    def test_anything_else_is_told(self, text):
        menu = self.menu()
        menu.start()
        assert said(menu.step("input", text=text)) == [
            "Please answer with a number from 1 to 3, or with one of the words."
        ]

    def test_words_go_before_numbers(self):
        menu = Menu(question="How many?", options=["2", "1"])
        menu.start()
        menu.step("input", text="1")
        assert menu.answers == {"answer": "1"}

    def test_giving_up_settles_the_buttons(self):
        menu = self.menu()
        menu.start(0.0)
        assert Settle() in menu.tick(40.0)

    def test_mistakes(self):
        for options in ([], [""], ["a", " "]):
            with pytest.raises(MachineError, match="at least one option"):
                Menu(question="?", options=options)
        with pytest.raises(MachineError, match="read the same"):
            Menu(question="?", options=["Tea", "tea "])
        with pytest.raises(MachineError, match="neither mask nor regex"):
            Menu(question="?", options=["a"], mask="9")


class TestSequence:
    def sequence(self):
        return Sequence([Input(question="One?", key="one"), Input(question="Two?", key="two")])

    def test_one_after_another(self):
        sequence = self.sequence()
        assert said(sequence.start(0.0)) == ["One?"]
        assert said(sequence.step("input", now=5.0, text="a")) == ["Two?"]
        assert sequence.due == 25.0
        assert sequence.current_machine is sequence.machines[1]
        sequence.step("input", now=6.0, text="b")
        assert sequence.is_over
        assert not sequence.is_cancelled
        assert sequence.answers == {"one": "a", "two": "b"}

    def test_one_that_is_given_up_ends_it(self):
        sequence = self.sequence()
        sequence.start(0.0)
        assert said(sequence.tick(1000.0)) == [Input.CANCEL_MESSAGE]
        assert sequence.is_over
        assert sequence.is_cancelled

    def test_cancel_goes_to_the_one_that_runs(self):
        sequence = self.sequence()
        sequence.start(0.0)
        sequence.step("input", now=1.0, text="a")
        assert said(sequence.cancel(2.0)) == [Input.CANCELLED_MESSAGE]
        assert sequence.is_cancelled

    def test_the_next_one_begins_when_the_one_before_ended_also_if_that_was_long_ago(self):
        pause = {"states": ["wait", "end"], "transitions": [{"source": "wait", "target": "end", "after": 10}]}
        sequence = Sequence([Machine(**pause), Machine(**pause), Input(question="?", retry_delay=None)])
        sequence.start(0.0)
        sequence.tick(25.0)
        assert sequence.due == 60.0

    def test_machines_that_are_over_at_once_are_passed(self):
        done = {"states": ["end"], "transitions": []}
        sequence = Sequence([Machine(**done), Machine(**done)])
        assert sequence.start(0.0) == []
        assert sequence.is_over

    def test_what_is_known_before_is_among_the_answers(self):
        sequence = self.sequence()
        sequence.answer("zero", 0)
        sequence.start()
        kept = self.sequence().from_state(sequence.to_state())
        assert kept.answers == {"zero": 0}
        kept.step("input", text="a")
        assert kept.answers == {"zero": 0, "one": "a"}

    def test_in_one_another(self):
        sequence = Sequence([self.sequence(), Input(question="Three?", key="three")])
        sequence.start()
        for text in "abc":
            sequence.step("input", text=text)
        assert sequence.is_over
        assert sequence.answers == {"one": "a", "two": "b", "three": "c"}

    def test_mistakes(self):
        with pytest.raises(MachineError, match="at least one machine"):
            Sequence([])
        kept = self.sequence().to_state()
        with pytest.raises(MachineError, match="2 parts"):
            Sequence([Input(question="?")]).from_state(kept)
        with pytest.raises(MachineError, match="parts"):
            self.sequence().from_state({**kept, "at": 7})


class TestSteps:
    def test_each_next_is_a_step_and_the_last_one_ends_it(self):
        steps = Steps(
            steps=[
                {"label": "Level 1", "message": "We look at it.", "participants": "person-a"},
                Step(message="More of us.", participants=["person-b", "person-c"]),
                {"label": "Level 3"},
            ]
        )
        assert steps.current_state == "begin"
        assert steps.current_step is None
        assert steps.start() == [Say("Level 1: We look at it.", "**Level 1**: We look at it."), Invite(("person-a",))]
        assert steps.current_state == "Level 1"
        assert not steps.is_listening
        assert steps.step("input", text="hello") == []
        assert steps.step("next")[1] == Invite(("person-b", "person-c"))
        assert steps.current_state == "step 2"
        assert said(steps.step("next")) == ["Level 3"]
        assert steps.is_over
        assert steps.current_state == "end"
        assert steps.current_step is steps.steps[2]

    def test_a_step_is_left_when_its_machine_is_over(self):
        steps = Steps(steps=[{"message": "A", "machine": Input(question="?", key="a")}, {"message": "B"}])
        assert said(steps.start(0.0)) == ["A", "?"]
        assert steps.is_listening
        assert said(steps.step("next")) == [Steps.BUSY_MESSAGE]
        steps.step("input", text="yes")
        assert said(steps.step("next")) == ["B"]
        assert steps.answers == {"a": "yes"}

    def test_a_machine_that_was_given_up_does_not_end_the_steps(self):
        steps = Steps(steps=[{"message": "A", "machine": Input(question="?")}, {"message": "B"}])
        steps.start(0.0)
        steps.cancel(1.0)
        assert steps.is_running
        assert said(steps.step("next")) == ["B"]
        assert not steps.is_cancelled

    def test_cancel_between_machines_ends_the_steps(self):
        steps = Steps(steps=[{"message": "A"}, {"message": "B"}])
        steps.start()
        steps.cancel()
        assert steps.is_cancelled

    def test_a_time_out_goes_on_by_itself(self):
        steps = Steps(steps=[{"message": "A", "after": 60}, {"message": "B", "after": 30}, {"message": "C"}])
        steps.start(1000.0)
        assert steps.due == 1060.0
        assert steps.tick(1059.0) == []
        assert said(steps.tick(1060.0)) == ["B"]
        assert steps.due == 1090.0
        assert said(steps.tick(1090.0)) == ["C"]
        assert steps.is_over

    def test_each_time_out_counts_from_the_beginning_of_its_step(self):
        steps = Steps(steps=[{"message": "A", "after": 60}, {"message": "B", "after": 60}, {"message": "C"}])
        steps.start(0.0)
        assert said(steps.step("next", now=50.0)) == ["B"]
        assert steps.due == 110.0

    def test_who_slept_over_several_steps_makes_all_of_them_each_at_its_time(self):
        steps = Steps(
            steps=[
                {"message": "A", "after": 60},
                {"message": "B", "after": 60},
                {"message": "C", "after": 60},
                {"message": "D"},
            ]
        )
        steps.start(0.0)
        assert said(steps.tick(150.0)) == ["B", "C"]
        assert steps.due == 180.0

    def test_a_time_out_waits_for_the_machine_of_its_step(self):
        steps = Steps(
            steps=[{"message": "A", "machine": Input(question="?", cancel_delay=None), "after": 60}, {"message": "B"}]
        )
        steps.start(0.0)
        steps.tick(70.0)
        assert not steps.is_over
        assert said(steps.step("input", now=80.0, text="yes")) == ["B"]

    def test_a_machine_that_is_over_early_waits_for_the_time_out(self):
        steps = Steps(steps=[{"message": "A", "machine": Input(question="?"), "after": 60}, {"message": "B"}])
        steps.start(0.0)
        assert said(steps.step("input", now=5.0, text="yes")) == []
        assert steps.due == 60.0
        assert said(steps.tick(60.0)) == ["B"]

    def test_mistakes(self):
        with pytest.raises(MachineError, match="at least one step"):
            Steps()
        with pytest.raises(MachineError, match="'after' of a step is a number of seconds"):
            Steps(steps=[{"message": "A", "after": -1}])
        with pytest.raises(MachineError, match="it has label, message"):
            Steps(steps=[{"text": "A"}])


class Hello(Machine):
    def on_init(self, word="hello", **kwargs):
        self.build(["a", "b"], [{"source": "a", "target": "b", "say": word}])


class TestFactory:
    GROUP, DIRECT = SimpleNamespace(is_direct=False), SimpleNamespace(is_direct=True)

    def test_it_makes_machines_of_a_class_by_name(self):
        machine = MachineFactory(__name__, "Hello", word="hi").get_machine(self.GROUP)
        assert machine.bot is self.GROUP
        assert said(machine.start()) == ["hi"]
        assert isinstance(
            MachineFactory("shellbot.machines.menu", question="?", options=["a"]).get_machine(self.DIRECT), Menu
        )

    def test_it_has_one_for_each_kind_of_channel(self):
        class Own(MachineFactory):
            def get_machine_for_direct_channel(self, bot):
                return Hello(bot)

        assert isinstance(Own().get_machine(self.DIRECT), Hello)
        assert Own().get_machine(self.GROUP) is None

    def test_mistakes(self):
        for module, name, text in [
            ("no.such.module", None, "no machine no.such.module.Module"),
            (__name__, "Nobody", "no machine"),
            (__name__, "TestFactory", "no class of machines"),
        ]:
            with pytest.raises(MachineError, match=text):
                MachineFactory(module, name).get_machine(self.GROUP)
