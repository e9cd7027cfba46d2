"""Anonymous votes: sealed at the door, changed until the close, counted once, and then tied to nobody."""

from __future__ import annotations

import shutil
import sqlite3

import pytest

from shellbot.clocks import ExternalClock
from shellbot.commands.base import Command
from shellbot.engine import Engine
from shellbot.events import Capabilities, Message, Person
from shellbot.machines.input import Input
from shellbot.polls.veiling import NOT_KEPT, VOTED
from shellbot.spaces.memory import MemorySpace
from shellbot.stores.sqlite import SqliteStore
from shellbot.testing.stillness import Stillness
from tests.scenarios.conftest import NOON, Party
from tests.scenarios.later import hears_later

LUNCH = 'poll anonymous "Lunch?" Pizza, Sushi in 10m'
COUNTED = "Your vote is counted. You may change it"


async def opened(people, typed=LUNCH, question="Lunch?"):
    await people.say("Person A", typed)
    for name in people.people:
        await people.ballot(name, question)
    await people.hears("a ballot in the direct channel")
    await people.all_asked()


async def votes(people, name, choice):
    """Vote by the button, and wait until all of it is over."""
    await people.press(name, choice)
    await people.hears(COUNTED, name)


def rows(tmp_path, query):
    db = sqlite3.connect(tmp_path / "instance" / "store.db")
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


def keys(tmp_path):
    return [path.name for path in (tmp_path / "instance" / "keys").iterdir() if "poll-" in path.name]


async def test_votes_are_changed_typed_and_pressed_and_shown_to_nobody_before_the_close(party, clock, tmp_path):
    async with party("Person A", "Person B", "Person C", "Person D") as people:
        await opened(people)
        await people.hears("It is anonymous: nobody sees who voted what.")
        await votes(people, "Person A", "Pizza")
        await people.whisper("Person B", "sushi")
        await people.hears(COUNTED, "Person B")
        await votes(people, "Person B", "Pizza")
        await votes(people, "Person C", "Pizza")
        await people.whisper("Person C", "#1 2")
        await people.hears("(Lunch?) You may change it", "Person C")
        for name in ("Person A", "Person B", "Person C"):
            card = await people.ballot(name)
            assert (card.chosen, card.pressed) == ("", ())
        await people.say("Person A", "poll show")
        await people.hears("#1 Lunch?: 3 of 4 voted")
        assert not any("most votes" in text for text in people.told())
        assert len(keys(tmp_path)) == 1
        clock.advance(600)
        result = await people.hears("Result of vote #1")
        assert "Pizza 2" in result
        assert "Sushi 1" in result
        await people.hears("Closed. Your vote was counted.", "Person C")
        await people.hears("Closed. No vote of yours was counted.", "Person D")
        await people.press("Person C", "Pizza")
        await people.hears("Vote #1 is closed: Lunch? Your vote stands.", "Person C")
        await people.say("Person A", "poll reopen #1 in 10m")
        await people.hears("its key is gone and its votes belong to nobody any more")
        await people.say("Person A", "poll show #1")
        await people.hears("**Pizza** has the most votes.")
        await people.say("Person A", "poll history")
        await people.hears("- #1 Lunch?")
    assert keys(tmp_path) == []
    assert sorted(rows(tmp_path, "SELECT choice FROM poll_choices")) == [("Pizza",), ("Pizza",), ("Sushi",)]
    assert rows(tmp_path, "SELECT * FROM poll_ballots") == []
    assert {choice for (choice,) in rows(tmp_path, "SELECT choice FROM booth")} == {""}


async def test_what_is_said_is_veiled_at_the_door_and_only_what_is_for_the_vote(party):
    class Order(Command):
        keyword = "order"

        def get_machine(self, bot, **options):
            return Input(question="What do you order?", key="dish")

        def execute(self, bot, arguments="", **kwargs):
            bot.open_dialog("order", kwargs["person"])

    async with party("Person A", commands=[Order()]) as people:
        person, reception = people.people["Person A"], people.engine.reception
        channel = await people.space.open_direct(person)

        async def kept(text):
            message = Message(id=text, channel=channel, person=person, time=NOON, text=text)
            event = await reception.veil(message)
            words = f"{event.text} {event.sealed}".replace("1 Pizza, 2 Sushi", "")  # of the help
            assert event == message or not any(word in words for word in (text, "izza", "Person") if len(word) > 3)
            return event.text

        assert await kept("Pizza") == "Pizza"  # nothing is asked yet
        await opened(people)
        assert [await kept(text) for text in ("Pizza", "1", "#1 pizza")] == [VOTED] * 3
        assert [await kept(text) for text in ("Pizzza", "I want Pizza", "Person B too?")] == [NOT_KEPT] * 3
        # a slip of the number tells as much as one of the word
        assert [await kept(text) for text in ("#2 Pizza", "#11 Pizza")] == [NOT_KEPT] * 2
        assert [await kept(text) for text in ("poll list", "help")] == ["poll list", "help"]
        await people.whisper("Person A", "#2 Pizza")
        await people.hears("There is no open vote #2 here.", "Person A")
        await people.whisper("Person A", "order")
        await people.hears("What do you order?", "Person A")
        assert [await kept("Pizza"), await kept("#1 Pizza")] == ["Pizza", VOTED]
        await people.whisper("Person A", "Sushi")
        await people.say("Person A", 'poll "Drink?" Tea, Coffee in 10m')
        await people.ballot("Person A", "Drink?")
        assert [await kept(text) for text in ("Pizza", "pizzza", "2", "Tea", "#2 Tea", "#1 Pizza")] == [
            VOTED,  # only that vote has it
            *[NOT_KEPT] * 2,
            "Tea",
            "#2 Tea",
            VOTED,
        ]
        await people.whisper("Person A", "1")
        await people.hears("Which vote do you mean?", "Person A")


async def test_what_came_unveiled_is_not_counted_and_is_asked_for_again(party, monkeypatch):
    async with party("Person A") as people:
        await opened(people)

        async def as_it_is(event):
            return event

        with monkeypatch.context() as patch:
            patch.setattr(people.engine.reception, "veil", as_it_is)
            await people.whisper("Person A", "Pizza")
            await people.hears("is anonymous, and its ballot came just as you wrote", "Person A")
        await votes(people, "Person A", "Sushi")
        assert "Pizza 0" in await people.hears("Result of vote #1")


async def test_several_choices_are_typed_at_once_and_taken_back(party, clock):
    async with party("Person A", "Person B", "Person C") as people:
        await opened(people, 'poll anonymous multiple 2 "Toppings?" Ham, Corn, Egg in 10m', "Toppings?")
        assert (await people.ballot("Person A", "Toppings?")).buttons == ()
        await people.hears("- 1 Ham\n- 2 Corn\n- 3 Egg", "Person A")
        await people.whisper("Person A", "1, 3")
        await people.hears(COUNTED, "Person A")
        await people.whisper("Person B", "ham and egg and corn")
        await people.hears("up to 2 of", "Person B")
        await people.whisper("Person B", "corn")
        await people.hears(COUNTED, "Person B")
    async with party() as people:
        await people.join("Person A", "Person B", "Person C")
        await people.whisper("Person B", "none")
        await hears_later(people, clock, "Your vote is taken back.", "Person B")
        await people.say("Person A", "poll remind")
        await hears_later(people, clock, "reminded 2 who have not voted")
        await hears_later(people, clock, "You have not voted yet.", "Person B")
        clock.advance(600)
        result = await people.hears("Result of vote #1")
        assert [f"{choice} {votes}" in result for choice, votes in (("Ham", 1), ("Corn", 0), ("Egg", 1))] == [True] * 3
        assert "1 of 3 voted" in result


async def test_a_rating_for_its_owner_alone_with_quorum_and_a_new_close(party, clock):
    async with party("Person A", "Person B", "Person C") as people:
        line = 'poll anonymous rating 5 "How was it?" in 10m quorum 2 results owner remind 5m'
        await opened(people, line, "How was it?")
        await people.whisper("Person B", "4/5")
        await people.hears(COUNTED, "Person B")
        await people.whisper("Person A", "poll show #1")
        await people.hears("1 of 3 voted", "Person A")
        await people.say("Person A", "poll extend 10m")
        await people.hears("closes when all have voted, at the latest at 12:20", "Person B")
        clock.advance(900)
        await hears_later(people, clock, "You have not voted yet.", "Person C")
        assert not any("not voted yet" in text for text in people.told("Person B"))
        await votes(people, "Person C", "5")
        assert not any("on average" in text for name in people.people for text in people.told(name))
        clock.advance(300)
        await people.hears("2 of 3 voted. Person A has the result.")
        assert "**4.5** of 5 on average." in await people.hears("Result of vote #1", "Person A")
        assert not any("on average" in text for text in people.told() + people.told("Person B"))


async def test_a_cancelled_one_leaves_nothing_that_was_sealed(party, tmp_path):
    async with party("Person A", "Person B") as people:
        await opened(people)
        await votes(people, "Person B", "Pizza")
        await people.whisper("Person A", "poll cancel")
        await people.hears("Cancelled. There is no result.", "Person B")
        await people.hears("is cancelled by Person A")
    assert keys(tmp_path) == []
    assert (
        rows(tmp_path, "SELECT * FROM poll_ballots UNION ALL SELECT poll, choice, 0, 0, 0, 0 FROM poll_choices") == []
    )
    assert {choice for (choice,) in rows(tmp_path, "SELECT choice FROM booth")} == {""}


async def test_one_whose_key_is_lost_is_called_off_and_says_why(party, clock, tmp_path):
    async with party("Person A", "Person B") as people:
        await opened(people)
        await votes(people, "Person B", "Pizza")
    (name,) = keys(tmp_path)
    (tmp_path / "instance" / "keys" / name).unlink()
    async with party() as people:
        await people.join("Person A", "Person B")
        await hears_later(people, clock, "The key that opens its votes is gone.")
        await hears_later(people, clock, "Cancelled. There is no result.", "Person B")
    assert keys(tmp_path) == []


@pytest.mark.parametrize("veils", [True, False])
async def test_who_is_asked_is_told_what_the_platform_keeps_itself(party, monkeypatch, veils):
    monkeypatch.setattr(MemorySpace, "capabilities", Capabilities(cards=True, edit=True, ids=True, veils=veils))
    async with party("Person A") as people:
        await opened(people)
        said = await people.hears("Anonymous: your vote is sealed", "Person A")
        assert ("this chat platform itself keeps" in said) is not veils


class Crashing(SqliteStore):
    """Copies itself and the keys after each commit, before anybody is told of it."""

    def __init__(self, path, space, folder):
        super().__init__(path)
        self.space, self.folder, self.is_on = space, folder, False
        self.crashes = []
        self.changes = -1

    def _transaction(self, connection, group):
        outcomes = super()._transaction(connection, group)
        if self.is_on and connection.total_changes != self.changes:
            self.changes = connection.total_changes
            copy = self.folder / f"after-{len(self.crashes)}"
            copy.mkdir()
            target = sqlite3.connect(copy / "store.db")
            connection.backup(target)
            target.close()
            shutil.copytree(self.folder / "instance" / "keys", copy / "keys")
            self.crashes.append((copy, {channel: dict(heard) for channel, heard in self.space._heard.items()}))
        return outcomes


def inbox(folder, kind):
    db = sqlite3.connect(folder / "store.db")
    try:
        return db.execute("SELECT id FROM inbox WHERE kind = ?", (kind,)).fetchall()
    finally:
        db.close()


async def test_a_crash_at_any_step_of_the_close_gives_one_result_and_leaves_nothing_sealed(tmp_path):
    names = ["Person A", "Person B", "Person C"]
    clock = ExternalClock(NOON)
    space = MemorySpace(clock=clock)
    folder = tmp_path / "instance"
    folder.mkdir()
    store = Crashing(folder / "store.db", space, tmp_path)
    engine = Engine(space=space, instance=folder, store=store, clock=clock)
    await engine.start()
    people = Party(engine)
    await people.join(*names)
    await opened(people)
    await votes(people, "Person A", "Pizza")
    await votes(people, "Person B", "Sushi")
    store.is_on = True
    await people.press("Person B", "Pizza")  # the last thing before the close, its receipt not awaited
    await people.say("Person A", "poll close")
    await people.hears("Result of vote #1")
    await people.hears("Closed. Your vote was counted.", "Person B")
    await engine.stop()
    assert len(store.crashes) > 5

    assert any("Result" in reply.text for _, heard in store.crashes for reply in heard["group"].values())
    for copy, heard in store.crashes:
        is_in = len(inbox(copy, "action")) == 3  # before that, nobody was told that the change was taken
        counts = ["Pizza 2", "Sushi 0"] if is_in else ["Pizza 1", "Sushi 1"]
        clock = ExternalClock(NOON)
        clock.advance(30)
        again = MemorySpace(clock=clock)
        engine = Engine(space=again, instance=copy, clock=clock)
        for name in names:
            again._direct(Person(name.casefold().replace(" ", "-"), name))
        again._heard.update({channel: dict(replies) for channel, replies in heard.items()})
        again._channels["group"] = space._channels["group"]
        await engine.start()
        try:
            still = Stillness(engine, patience=15)
            await still.start()
            people = Party(engine)
            await people.join(*names)
            await people.say("Person A", "poll close")
            for _ in range(8):
                await still.wait()
                clock.advance(5)
            await still.wait()
            results = [f"{reply.text}\n{reply.fixed}" for reply in again.heard("group") if "Result" in reply.text]
            assert len(results) == 1, copy
            assert [count in results[0] for count in counts] == [True, True], (copy, results)
        finally:
            await engine.stop()
        db = sqlite3.connect(copy / "store.db")
        assert db.execute("SELECT * FROM poll_ballots").fetchall() == []
        assert len(db.execute("SELECT choice FROM poll_choices").fetchall()) == 2
        assert {choice for (choice,) in db.execute("SELECT choice FROM booth")} == {""}
        assert not any(b'"choice":"' in (row[0] or b"") for row in db.execute("SELECT report FROM instructions"))
        db.close()
        assert [path.name for path in (copy / "keys").iterdir() if "poll-" in path.name] == [], copy
