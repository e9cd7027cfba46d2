"""Dialogs over the real engine: one after another, several at once, over time-outs, kills and changes of the bot."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from shellbot.commands.base import Command
from shellbot.commands.dialog import Dialog
from shellbot.errors import StoreError, UsageError
from shellbot.events import NO_CAPABILITIES, Channel, Message
from shellbot.inbox import Inbox
from shellbot.machines import Input, Machine, MachineFactory, Menu, Sequence, Steps
from shellbot.spaces.memory import MemorySpace
from shellbot.stores.sqlite import SqliteStore
from shellbot.testing.stillness import Stillness
from tests.scenarios.conftest import NOON


class Order(Dialog):
    keyword = "order"

    def get_machine(self, bot, arguments="", **options):
        return Sequence(
            [
                Menu(question="Which dish?", options=["Pizza", "Sushi"], key="dish"),
                Input(
                    question="How many?", mask="9", on_retry="One digit, please.", on_cancel="No order.", key="count"
                ),
            ]
        )

    def on_answers(self, bot, answers, person):
        bot.say(f"{person.name} gets {answers['count']} {answers['dish']}.")


@pytest.fixture
def rows(tmp_path):
    """Whose dialogs stand in the store; to be asked when the engine has stopped."""

    def read():
        db = sqlite3.connect(tmp_path / "instance" / "store.db")
        try:
            return [row[0] for row in db.execute("SELECT person FROM dialogs ORDER BY rowid")]
        finally:
            db.close()

    return read


class TestOneDialog:
    async def test_it_asks_one_thing_after_another_and_the_command_gets_the_answers(self, party, rows):
        async with party("Person A", commands=[Order()]) as people:
            await people.whisper("Person A", "order")
            await people.ballot("Person A", "Which dish?")
            await people.whisper("Person A", "sushi")
            await people.hears("How many?", "Person A")
            await people.whisper("Person A", "a lot")
            await people.hears("One digit, please.", "Person A")
            await people.whisper("Person A", "3 please")
            await people.hears("Person A gets 3 Sushi.", "Person A")
            assert people.engine.agent(people.direct("Person A")).recall("input") == {"dish": "Sushi", "count": "3"}
            await people.whisper("Person A", "3")
            await people.hears("I do not know that", "Person A")
        assert rows() == []

    async def test_a_button_answers_and_is_shown_as_pressed(self, party):
        async with party("Person A", commands=[Order()]) as people:
            await people.whisper("Person A", "order")
            await people.ballot("Person A", "Which dish?")
            await people.press("Person A", "Pizza")
            await people.hears("How many?", "Person A")
            card = await people.ballot("Person A", "Which dish?")
            assert (card.is_open, card.chosen) == (False, "Pizza")
            await people.press("Person A", "Sushi")
            await people.hears("This question is over.", "Person A")
            await people.whisper("Person A", "1")
            await people.hears("Person A gets 1 Pizza.", "Person A")
            await people.press("Person A", "Sushi")
            await people.hears("belong to nothing", "Person A")

    async def test_a_command_word_always_works(self, party):
        async with party("Person A", commands=[Order()]) as people:
            await people.whisper("Person A", "order")
            await people.whisper("Person A", "help")
            await people.hears("What you can say here", "Person A")
            await people.whisper("Person A", "echo 1")
            await people.whisper("Person A", "1")
            await people.hears("How many?", "Person A")
            assert [text for text in people.told("Person A") if text == "1"] == ["1"]

    async def test_cancel_ends_it(self, party, rows):
        async with party("Person A", commands=[Order()]) as people:
            await people.whisper("Person A", "order")
            await people.whisper("Person A", "1")
            await people.whisper("Person A", "Cancel!")
            await people.hears("No order.", "Person A")
            await people.whisper("Person A", "cancel")
            await people.hears("I do not know that", "Person A")
        assert rows() == []

    async def test_begun_again_in_the_middle_it_says_so(self, party):
        async with party("Person A", commands=[Order()]) as people:
            await people.whisper("Person A", "order")
            await people.whisper("Person A", "order")
            await people.hears("You are in the middle of `order`", "Person A")
            await people.whisper("Person A", "1")
            await people.whisper("Person A", "2")
            await people.hears("Person A gets 2 Pizza.", "Person A")

    async def test_where_a_space_has_no_buttons_the_options_are_written(self, party, monkeypatch):
        monkeypatch.setattr(MemorySpace, "capabilities", NO_CAPABILITIES)
        async with party("Person A", commands=[Order()]) as people:
            await people.whisper("Person A", "order")
            assert "1. Pizza\n2. Sushi" in await people.hears("Which dish?", "Person A")


class TestTime:
    async def test_silence_is_broken_then_it_is_given_up(self, party, clock, rows):
        async with party("Person A", commands=[Order()]) as people:
            await people.whisper("Person A", "order")
            await people.whisper("Person A", "1")
            clock.advance(20)
            await people.hears("One digit, please.", "Person A")
            clock.advance(20)
            await people.hears("No order.", "Person A")
        assert rows() == []

    async def test_a_time_out_that_was_answered_before_does_nothing(self, party, clock):
        async with party("Person A", commands=[Order()]) as people:
            await people.whisper("Person A", "order")
            clock.advance(19)
            await people.whisper("Person A", "1")
            clock.advance(19)
            await people.whisper("Person A", "2")
            await people.hears("Person A gets 2 Pizza.", "Person A")
            clock.advance(100)
            await people.whisper("Person A", "echo that was all")
            await people.hears("that was all", "Person A")
            assert not any("wait" in text for text in people.told("Person A"))

    async def test_what_fell_due_while_nobody_served_is_done_at_the_start(self, party, clock, rows):
        async with party("Person A", commands=[Order()]) as people:
            await people.whisper("Person A", "order")
            await people.whisper("Person A", "1")
        clock.advance(3600)
        assert rows() == [""]
        async with party(commands=[Order()]) as people:
            await people.join("Person A")
            await people.hears("No order.", "Person A")
            assert "One digit, please." not in people.told("Person A")
        assert rows() == []

    async def test_time_outs_go_on_over_a_restart(self, party, clock):
        async with party("Person A", commands=[Order()]) as people:
            await people.whisper("Person A", "order")
            await people.whisper("Person A", "1")
            clock.advance(10)
        async with party(commands=[Order()]) as people:
            await people.join("Person A")
            clock.advance(9)
            await people.whisper("Person A", "echo now")
            await people.hears("now", "Person A")
            assert "One digit, please." not in people.told("Person A")
            clock.advance(1)
            await people.hears("One digit, please.", "Person A")

    async def test_an_answer_that_was_taken_in_before_the_time_out_counts_after_a_crash(self, party, clock, tmp_path):
        async with party("Person A", commands=[Order()]) as people:
            await people.whisper("Person A", "order")
            await people.whisper("Person A", "1")
            direct, person = Channel(people.direct("Person A"), "Person A", True), people.people["Person A"]
        clock.advance(39)
        # as a crash leaves it that came right after the message was taken in
        said = Message(id="last-moment", channel=direct, person=person, time=clock.utcnow(), text="2")
        store = SqliteStore(tmp_path / "instance" / "store.db")
        await store.open()
        assert (await Inbox(store).accept(said))[0]
        await store.close()
        clock.advance(3600)
        async with party(commands=[Order()]) as people:
            await people.join("Person A")
            await people.hears("Person A gets 2 Pizza.", "Person A")
            assert "No order." not in people.told("Person A")


class TestSeveral:
    async def test_several_in_one_group_have_one_each(self, party):
        async with party("Person A", "Person B", "Person C", commands=[Order()]) as people:
            await people.say("Person A", "order")
            await people.say("Person B", "order")
            await people.say("Person A", "1")
            await people.say("Person B", "2")
            await people.say("Person C", "3")  # talks with nobody here
            await people.say("Person B", "4")
            await people.hears("Person B gets 4 Sushi.")
            await people.hears("Person B: How many?")
            await people.say("Person A", "Shelly 5")
            await people.hears("Person A gets 5 Pizza.")

    async def test_a_button_is_for_who_was_asked(self, party):
        async with party("Person A", "Person B", commands=[Order()]) as people:
            await people.say("Person A", "order")
            card = (await people.space.wait_for("group", lambda reply: reply.card is not None)).card
            await (await people.space.press("group", people.people["Person B"], card.id, "Pizza"))
            await people.hears("for somebody else")
            await (await people.space.press("group", people.people["Person A"], card.id, "Sushi"))
            await people.say("Person A", "1")
            await people.hears("Person A gets 1 Sushi.")

    async def test_in_the_group_and_in_the_direct_channel_one_has_two(self, party):
        async with party("Person A", commands=[Order()]) as people:
            await people.say("Person A", "order")
            await people.whisper("Person A", "order")
            await people.say("Person A", "1")
            await people.whisper("Person A", "2")
            await people.whisper("Person A", "3")
            await people.hears("Person A gets 3 Sushi.", "Person A")
            await people.say("Person A", "4")
            await people.hears("Person A gets 4 Pizza.")

    async def test_who_leaves_the_group_leaves_the_dialog(self, party, rows):
        async with party("Person A", "Person B", commands=[Order()]) as people:
            await people.say("Person A", "order")
            await people.say("Person B", "order")
            await (await people.space.leave("group", people.people["Person A"]))
        assert rows() == ["person-b"]

    async def test_one_for_everybody_in_the_channel(self, party, rows):
        class Escalate(Command):
            keyword = "escalate"

            def get_machine(self, bot, **options):
                question = Input(question="What is it?", on_retry="Well?", key="what", cancel_delay=None)
                return Steps([{"label": "Look", "machine": question}, {"message": "More", "participants": ["x@y"]}])

            async def execute(self, bot, arguments="", **kwargs):
                if arguments:
                    bot.step(arguments)
                else:
                    bot.open_dialog("escalate")

            async def on_answers(self, bot, answers, person):
                bot.say(f"{person.name} said: {answers['what']}")

        async with party("Person A", "Person B", commands=[Escalate()]) as people:
            await people.say("Person A", "escalate next")
            await people.hears("Nothing goes on here")
            await people.say("Person A", "escalate")
            await people.hears("What is it?")
            await people.say("Person A", "escalate hurry")  # an event of no consequence does not move the clock
            await people.say("Person B", "smoke")
        async with party(commands=[Escalate()]) as people:
            await people.join("Person A", "Person B")
            await people.say("Person A", "cancel")  # the step has no question open: it is not meant
            await people.say("Person A", "escalate next")
            await people.hears("Please let in: x@y")
            assert "Well?" not in people.told()
            await people.hears("Person B said: smoke")
            await people.say("Person A", "escalate")
            await people.say("Person A", "escalate cancel")
            await people.hears("I leave it at that.")
            await people.say("Person A", "escalate cancel")
        assert rows() == []


class TestFactory:
    class Welcome(MachineFactory):
        def get_machine_for_direct_channel(self, bot):
            return Input(bot, question="Who are you?", on_answer="Welcome, {}.", key="who", cancel_delay=None)

    async def test_it_begins_when_the_channel_is_first_met_and_then_only_when_told_to(self, party):
        async with party("Person A", machine_factory=self.Welcome()) as people:
            await people.hears("Who are you?", "Person A")
            await people.say("Person A", "echo the group has none")
            await people.hears("the group has none")
            assert "Who are you?" not in people.told()
        async with party(machine_factory=self.Welcome()) as people:
            await people.join("Person A")
            await people.whisper("Person A", "a friend")
            await people.hears("Welcome, a friend.", "Person A")
            assert people.told("Person A").count("Who are you?") == 1
        async with party(machine_factory=self.Welcome()) as people:
            await people.join("Person A")
            await people.whisper("Person A", "hello")
            await people.hears("I do not know that", "Person A")
            await people.whisper("Person A", "start")
            await people.whisper("Person A", "another")
            await people.hears("Welcome, another.", "Person A")

    async def test_where_it_has_no_machine_there_is_nothing_to_start(self, party):
        async with party("Person A", machine_factory=MachineFactory()) as people:
            await people.whisper("Person A", "start")
            await people.hears("There is nothing to start here.", "Person A")


class TestOverTheBus:
    async def test_what_the_group_asks_for_waits_in_a_line_with_an_end_and_survives_a_restart(self, party, monkeypatch):
        class Survey(Order):
            keyword = "survey"

            async def execute(self, bot, arguments="", **kwargs):
                bot.broadcast({"do": "survey", "number": arguments})

            def get_machine(self, bot, arguments="", number="", **options):
                return Input(question=f"Question {number}?", key="answer")

            def on_answers(self, bot, answers, person):
                bot.say(f"{answers['answer']} it is.")

        monkeypatch.setattr("shellbot.dialogs.MAX_WAITING", 2)
        async with party("Person A", commands=[Survey()]) as people:
            still = Stillness(people.engine)
            await still.start()
            for number in range(4):
                await people.say("Person A", f"survey {number}")
                await still.wait()
        async with party(commands=[Survey()]) as people:
            await people.join("Person A")
            for number in range(3):
                await people.hears(f"Question {number}?", "Person A")
                await people.whisper("Person A", f"answer {number}")
                await people.hears(f"answer {number} it is.", "Person A")
            await people.whisper("Person A", "answer 3")
            await people.hears("I do not know that", "Person A")
            assert "Question 3?" not in people.told("Person A")

    async def test_the_group_has_everybody_asked_step_by_step(self, party):
        class Survey(Order):
            keyword = "survey"

            async def execute(self, bot, arguments="", **kwargs):
                async with bot.observe() as answers:
                    bot.broadcast({"do": "survey"})
                    async for answer in answers.within(600, count=len(bot.direct_channels)):
                        bot.say(f"{answer.person.name}: {answer.message['dish']}")

            def on_answers(self, bot, answers, person):
                bot.report(answers)

        async with party("Person A", "Person B", commands=[Survey(), Order()]) as people:
            await people.whisper("Person B", "order")
            asking = asyncio.create_task(people.say("Person A", "survey"))
            await people.ballot("Person A", "Which dish?")
            for text in ("1", "1"):
                await people.whisper("Person A", text)
            await people.hears("Person A: Pizza")
            for text in ("1", "1"):  # the order that was begun before
                await people.whisper("Person B", text)
            menus = lambda _: sum(bool(reply.card) for reply in people.space.heard(people.direct("Person B"))) == 2  # noqa: E731
            await people.space.wait_for(people.direct("Person B"), menus)
            for text in ("2", "2"):  # the survey, which has waited for it
                await people.whisper("Person B", text)
            await people.hears("Person B: Sushi")
            assert "Person B gets 1 Pizza." in people.told("Person B")
            await asking


class TestFaults:
    async def test_answers_cut_off_by_the_stop_are_handed_over_again(self, party, rows):
        begun = asyncio.Event()

        class Slow(Order):
            async def on_answers(self, bot, answers, person):
                if not begun.is_set():
                    begun.set()
                    await bot.wait(asyncio.Event().wait())
                bot.say(f"{answers['dish']} at last")

        async with party("Person A", commands=[Slow()]) as people:
            for text in ("order", "1", "2"):
                await people.whisper("Person A", text)
            await begun.wait()
        assert rows() == [""]
        async with party(commands=[Slow()]) as people:
            await people.join("Person A")
            await people.hears("Pizza at last", "Person A")
        assert rows() == []

    async def test_a_failing_command_says_so_and_the_dialog_is_over(self, party, rows):
        class Broken(Order):
            def on_answers(self, bot, answers, person):
                raise ValueError("broken on purpose")

        class Picky(Order):
            keyword = "pick"

            async def on_answers(self, bot, answers, person):
                raise UsageError("Not that many.")

        async with party("Person A", commands=[Broken(), Picky()]) as people:
            for text in ("order", "1", "2"):
                await people.whisper("Person A", text)
            await people.hears("`order` failed", "Person A")
            for text in ("pick", "1", "2"):
                await people.whisper("Person A", text)
            await people.hears("Not that many.", "Person A")
        assert rows() == []

    async def test_a_bot_that_was_changed_meanwhile_begins_again(self, party, rows):
        class Changed(Order):
            def get_machine(self, bot, arguments="", **options):
                return Input(question="Which dish is it?")

        async with party("Person A", commands=[Order()]) as people:
            await people.whisper("Person A", "order")
        async with party(commands=[Changed()]) as people:
            await people.join("Person A")
            await people.whisper("Person A", "1")
            await people.hears("I cannot go on with `order`", "Person A")
            await people.whisper("Person A", "order")
            await people.hears("Which dish is it?", "Person A")

    async def test_the_dialog_of_a_command_that_is_gone_waits_for_it(self, party, rows):
        async with party("Person A", commands=[Order()]) as people:
            await people.whisper("Person A", "order")
        async with party() as people:
            await people.join("Person A")
            await people.whisper("Person A", "1")
            await people.hears("I do not know that", "Person A")
        assert rows() == [""]
        async with party(commands=[Order()]) as people:
            await people.join("Person A")
            await people.whisper("Person A", "1")
            await people.hears("How many?", "Person A")

    async def test_a_machine_that_fails_is_given_up(self, party, rows):
        class Failing(Dialog):
            keyword = "fail"

            def get_machine(self, bot, arguments="", **options):
                if arguments == "now":
                    raise ValueError("broken on purpose")
                ways = [
                    {"source": "a", "target": "b", "event": "input", "action": lambda: 1 / 0},
                    {"source": "a", "target": "b", "after": 10, "action": lambda: 1 / 0},
                ]
                return Machine(states=["a", "b"], transitions=ways)

        async with party("Person A", commands=[Failing()]) as people:
            for text in ("fail now", "fail", "go", "echo over"):
                await people.whisper("Person A", text)
            await people.hears("over", "Person A")
            assert people.told("Person A") == ["I cannot go on with `fail`; it is in my log."] * 2 + ["over"]
            await people.whisper("Person A", "fail")
            people.engine.clock.advance(10)
            await people.space.wait_for(people.direct("Person A"), lambda reply: len(people.told("Person A")) == 4)
        assert rows() == []

    async def test_an_answer_that_could_not_be_stored_is_not_taken(self, party, monkeypatch, rows):
        async with party("Person A", commands=[Order()]) as people:
            await people.whisper("Person A", "order")
            store = people.engine.desk.store

            async def full(job):
                raise StoreError("no space left on purpose")

            with monkeypatch.context() as patch:
                patch.setattr(store, "write", full)
                bot = people.engine.agent(people.direct("Person A"))
                said = Message(id="x", channel=bot.channel, person=people.people["Person A"], time=NOON, text="1")
                with pytest.raises(StoreError):
                    await people.engine.desk.dialogs.hear(bot, said, "1")
            await people.whisper("Person A", "2")
            await people.whisper("Person A", "3")
            await people.hears("Person A gets 3 Sushi.", "Person A")
        assert rows() == []

    async def test_a_time_out_that_could_not_be_stored_is_tried_again(self, party, clock, monkeypatch):
        async with party("Person A", commands=[Order()]) as people:
            await people.whisper("Person A", "order")
            store, tried = people.engine.desk.store, asyncio.Event()

            async def full(job):
                tried.set()
                raise StoreError("no space left on purpose")

            with monkeypatch.context() as patch:
                patch.setattr(store, "write", full)
                clock.advance(20)
                await tried.wait()
            await people.whisper("Person A", "echo so far")
            await people.hears("so far", "Person A")
            assert "I am still waiting" not in str(people.told("Person A"))
            clock.advance(30)
            await people.hears("so I leave it at that", "Person A")

    async def test_a_plain_command_may_open_one_from_its_thread(self, party):
        class Plain(Command):
            keyword = "plain"

            def execute(self, bot, arguments="", **kwargs):
                bot.open_dialog("order", kwargs["message"].person)
                bot.say("The menu, please.")

        async with party("Person A", commands=[Plain(), Order()]) as people:
            await people.say("Person A", "plain")
            await people.say("Person A", "1")
            await people.say("Person A", "1")
            await people.hears("Person A gets 1 Pizza.")
            assert people.told().index("The menu, please.") == 1

    async def test_a_word_for_no_command_is_told_where_it_is_said(self, party):
        async with party("Person A") as people:
            bot = people.engine.agent(people.direct("Person A"))
            with pytest.raises(UsageError, match="no command 'order'"):
                bot.open_dialog("order")
            bot.open_dialog("echo")
            await people.hears("I cannot go on with `echo`", "Person A")


BOT = """
from shellbot.commands.dialog import Dialog
from shellbot.machines import Input, Menu, Sequence


class Order(Dialog):
    keyword = "order"

    def get_machine(self, bot, arguments="", **options):
        return Sequence([
            Menu(question="Which dish?", options=["Pizza", "Sushi"], key="dish"),
            Input(question="How many?", mask="9", key="count"),
        ])

    def on_answers(self, bot, answers, person):
        bot.say(f"{person.name} gets {answers['count']} {answers['dish']}.")
"""


class TestKilled:
    @pytest.fixture
    def dialogue_options(self, tmp_path):
        (tmp_path / "order_bot.py").write_text(BOT)
        return [str(tmp_path / "order_bot.py")]

    async def test_killed_after_every_line_it_goes_on_and_says_nothing_twice(self, dialogue):
        await dialogue.group("Person A")
        person = dialogue.direct("Person A")
        await person.say("order")
        await dialogue.restart(kill=True)
        await person.press("Sushi")
        await dialogue.restart(kill=True)
        assert "does not fit" in await person.say("many")
        await dialogue.restart(kill=True)
        assert "Person A gets 3 Sushi." in await person.say("3")
        await dialogue.restart(kill=True)
        shown = [post.text for post in dialogue.people["Person A"].posts("direct")]
        assert [sum(what in text for text in shown) for what in ("How many?", "does not fit", "gets 3 Sushi")] == [
            1,
            1,
            1,
        ]

    async def test_two_at_once_in_the_group_and_a_time_out_while_the_server_is_down(self, dialogue):
        group = await dialogue.group("Person A", "Person B")
        await group.say("Person A", "order")
        await group.say("Person B", "order")
        await dialogue.people["Person B"].press("Sushi", side="group")
        await group.heard("Person B: How many?")
        await dialogue.server.kill()
        await dialogue.clock.advance(30)
        await dialogue.server.start()
        await group.heard("I am still waiting")
        assert "Person B gets 7 Sushi." in await group.say("Person B", "7")
        assert "Person A: How many?" in await group.say("Person A", "pizza")
        assert "Person A gets 8 Pizza." in await group.say("Person A", "8")
